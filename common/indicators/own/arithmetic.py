"""Arithmetic that answers NaN where there is no number, and never raises or warns: a bar may hold anything."""

from collections.abc import Iterable, Sized
from math import dist, fsum, inf, isfinite, log, nan, sqrt
from typing import Protocol


class Terms(Iterable[float], Sized, Protocol):
    """The terms of a window, oldest first: a deque or a tuple."""


def finite(number: float) -> float:
    """Return the number, NaN for an infinite one."""
    return number if isfinite(number) else nan


def root(number: float) -> float:
    """Return the square root, NaN where there is no finite one."""
    return sqrt(number) if 0.0 <= number < inf else nan


def log_ratio(price: float, base: float) -> float:
    """Return ln(price / base), NaN unless both are above zero."""
    if not (price > 0.0 and base > 0.0):
        return nan
    ratio = price / base
    if 0.0 < ratio < inf:
        return log(ratio)
    return log(price) - log(base)  # the ratio itself is beyond what a float can hold


def mean(terms: Terms) -> float:
    """Return the mean, its sum rounded once: the same on every Python, whose `sum` differs from 3.12 on."""
    try:
        return fsum(terms) / len(terms)
    except (OverflowError, ValueError):  # the sum is infinite, or terms are, with both signs
        return nan


def distance_from(centre: float, terms: Terms) -> float:
    """Return the root of the sum of the terms' squared distances from the centre; no overflow, nothing cancels."""
    return dist(tuple(terms), (centre,) * len(terms))

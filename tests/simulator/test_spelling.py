from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.spelling import (
    decimals,
    eight_digits,
    fixed,
    float32,
    http_date,
    java_double,
    java_float,
    plain,
    utc_text,
    yahoo_price,
)


# The expected texts are those of recorded Yahoo bodies, and of Java's documentation of Float.toString.
@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0489877, "1.0489877"), (236.0, "236.0"), (-5.505085e-4, "-5.505085E-4"), (-2.464e10, "-2.464E10"),
        (-0.052457344, "-0.052457344"), (2910.3, "2910.3"), (0.0, "0.0"), (1e7, "1.0E7"), (9_999_999.0, "9999999.0"),
        (21228961792.0, "2.1228962E10"), (0.001, "0.001"), (1_234_567.0, "1234567.0"),
    ],
)  # fmt: skip
def test_java_spells_floats_shortest(value: float, text: str) -> None:
    assert java_float(value) == text


@settings(deadline=None, derandomize=True)
@given(st.floats(min_value=1e-3, max_value=9e6))
def test_java_floats_give_the_float32_back_in_no_more_digits_than_needed(value: float) -> None:
    text = java_float(value)
    assert float32(float(text)) == float32(value)
    assert len(text) <= len(np.format_float_positional(np.float32(value), trim="0"))


@settings(deadline=None, derandomize=True)
@given(st.integers(1, 9_999_999), st.integers(0, 5))
def test_prices_of_up_to_seven_digits_survive_float32_where_the_grid_is_wide_enough(digits: int, places: int) -> None:
    price = round(digits / 10**places, places)
    if float32(price) and np.spacing(np.float32(price)) < 10.0**-places:
        assert float(yahoo_price(price)) == price


def test_prices_that_no_float32_carries_are_spelled_as_doubles() -> None:
    assert yahoo_price(1.133873376) == "1.133873376"


@pytest.mark.parametrize(
    ("spell", "value", "text"),
    [
        (plain, 490.0, "490"), (plain, 1.16696, "1.16696"), (plain, 0.00001, "0.00001"), (plain, 1700.50, "1700.5"),
        (eight_digits, 0.00457, "0.0045700000"), (eight_digits, 0.393155484, "0.39315548"),
        (eight_digits, 14.5896301, "14.58963"), (eight_digits, -0.02487, "-0.024870000"),
        (eight_digits, 3.0899961, "3.089996"),
        (java_double, 103.62999725341797, "103.62999725341797"), (java_double, 1518.0, "1518.0"),
        (java_double, 1e-4, "1.0E-4"),
    ],
)  # fmt: skip
def test_numbers_are_spelled_as_recorded(spell: Callable[[float], str], value: float, text: str) -> None:
    assert spell(value) == text


def test_fixed_decimals_grow_only_where_a_price_would_be_lost() -> None:
    assert (fixed(1.1625, 5), fixed(1.133873376, 5), decimals(1700.5)) == ("1.16250", "1.133873376", 1)


def test_times_are_utc() -> None:
    at_ms = 1_779_037_964_999
    assert (utc_text(at_ms), http_date(at_ms)) == ("2026-05-17 17:12:44", "Sun, 17 May 2026 17:12:44 GMT")

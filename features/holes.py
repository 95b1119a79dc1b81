"""Holes among a lane's bars, in open market time: what indicators leap over as if it had not been."""

from collections.abc import Callable

import numpy as np

from common.indicators.anchors import I64


def longest_hole_bars(open_ms: I64, length_ms: int, after_open_time: Callable[[int, int], int]) -> int:
    """Return the longest hole, in bars of open market time; 0 without one.

    open_ms: of the bars, oldest first. after_open_time(from_ms, needed_ms): when so much of it has gone by since then.
    A bar that is missing for want of trades counts too: it can't be told here from one that was not collected.
    """
    missing = (open_ms[1:] - open_ms[:-1]) // length_ms - 1
    longest = 0
    for place in np.flatnonzero(missing > 0).tolist():
        most = int(missing[place])
        if most > longest:
            longest = max(longest, _open_bars(int(open_ms[place]) + length_ms, most, length_ms, after_open_time))
    return longest


def _open_bars(from_ms: int, most: int, length_ms: int, after_open_time: Callable[[int, int], int]) -> int:
    """Return how many of the next `most` bars lie in open market time."""
    least, until_ms = 0, from_ms + most * length_ms
    while least < most:  # the largest count whose open time has gone by then
        middle = (least + most + 1) // 2
        if after_open_time(from_ms, middle * length_ms) <= until_ms:
            least = middle
        else:
            most = middle - 1
    return least

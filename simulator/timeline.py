"""Simulated time as a pure function of the cycle number.

Cycles stand on a regular grid. Where a feed has several ticks between two points of the grid, extra cycles (stops)
are put at the times of those ticks, so that every tick is the newest of its feed in at least one cycle. Ticks of one
feed that share a millisecond are told apart by their ordinal in it; such stops share their time too.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

I64 = npt.NDArray[np.int64]

_ORDINALS = 1 << 16
"""More ticks of a feed than this never share a millisecond."""


@dataclass(frozen=True)
class Moment:
    """What time it is in one cycle."""

    cycle: int
    now_ms: int
    ordinal: int | None = None
    """Of the ticks at exactly `now_ms`, only those up to this ordinal have come; None: all of them."""


def seen(times_ms: I64, until_ms: int, ordinal: int | None) -> int:
    """Return how many of a feed's ticks have come by `until_ms`, given the ordinal of the moment."""
    upto = int(np.searchsorted(times_ms, until_ms, "right"))
    if ordinal is None:
        return upto
    return min(upto, int(np.searchsorted(times_ms, until_ms, "left")) + ordinal + 1)


def _stops(times_ms: I64, base_ms: int, interval_ms: int) -> I64:
    """Return the keys (time and ordinal in one number) of the stops that one feed needs."""
    bucket = -((base_ms - times_ms) // interval_ms)
    ordinal = np.arange(len(times_ms)) - np.searchsorted(times_ms, times_ms, "left")
    shares_bucket = np.zeros(len(times_ms), dtype=bool)
    shares_bucket[:-1] = bucket[:-1] == bucket[1:]
    keys: I64 = (times_ms * _ORDINALS + ordinal)[shares_bucket | (ordinal > 0)]
    return keys


class Timeline:
    """Every cycle from 1 on. Cycle 0 is the state before the first one.

    Grid point k (k >= 1) is at base_ms + k * interval_ms. `feeds` are the times at which ticks can be seen, each
    sorted and later than base_ms. `end_ms` is the time of the last cycle at the latest; None: there is no end.
    """

    def __init__(self, base_ms: int, interval_ms: int, feeds: Iterable[I64] = (), end_ms: int | None = None) -> None:
        self._base_ms = base_ms
        self._interval_ms = interval_ms
        keys = [_stops(times, base_ms, interval_ms) for times in feeds if len(times)]
        merged = np.unique(np.concatenate(keys)) if keys else np.empty(0, dtype=np.int64)
        self._stop_ms: I64 = merged // _ORDINALS
        self._stop_ordinal: I64 = merged % _ORDINALS
        bucket = -((base_ms - self._stop_ms) // interval_ms)
        self._stop_cycle: I64 = np.arange(len(merged), dtype=np.int64) + bucket
        self.last_cycle: int | None = None
        if end_ms is not None:
            self.last_cycle = -((base_ms - end_ms) // interval_ms) + len(merged)

    def at(self, cycle: int) -> Moment:
        """Return the moment of `cycle`: O(log stops)."""
        place = int(np.searchsorted(self._stop_cycle, cycle, "left"))
        if place < len(self._stop_cycle) and self._stop_cycle[place] == cycle:
            return Moment(cycle, int(self._stop_ms[place]), int(self._stop_ordinal[place]))
        return Moment(cycle, self._base_ms + (cycle - place) * self._interval_ms)

    def first_at(self, at_ms: int, after: int) -> int:
        """Return the first cycle after `after` that is not before `at_ms`."""
        low, high = after, after + 1
        while self.at(high).now_ms < at_ms:
            low, high = high, high + 2 * (high - low)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.at(middle).now_ms < at_ms else (low, middle)
        return high

"""Where cumulative indicators start: the first bar of the session, as a function of time alone."""

import operator
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from common.indicators.columns import F64

NEW_YORK = ZoneInfo("America/New_York")
DAY_ROLL = time(17)
"""Where the day of a market that trades around the clock ends: 17:00 in New York, by the custom of foreign exchange."""
FAR_ENOUGH_MS = 10 * 86_400_000  # no market here stays closed so long


class SessionClock:
    """Tells which session a moment belongs to, by the moment at which that session began.

    A session begins at a market's opening, and in a market that does not close for the night at the day's roll too.
    """

    def __init__(
        self, next_open_ms: Callable[[int], int], after_open_time: Callable[[int, int], int] = operator.add
    ) -> None:
        """`next_open_ms(at_ms)`: the market's first opening after `at_ms`.

        after_open_time(from_ms, needed_ms): when so much of the market's open time has gone by since then.
        """
        self._next_open_ms = next_open_ms
        self.after_open_time = after_open_time
        self._from_ms, self._until_ms = 0, 0  # the answer last given, and what it holds for

    def start_ms(self, at_ms: int) -> int:
        """Return when the session of `at_ms` began; in a break, the session before it."""
        if not self._from_ms <= at_ms < self._until_ms:
            self._from_ms, self._until_ms = self._around(at_ms)
        return self._from_ms

    def _around(self, at_ms: int) -> tuple[int, int]:
        opened_ms, next_ms = 0, self._open_after(at_ms - FAR_ENOUGH_MS)
        while next_ms <= at_ms:
            opened_ms, next_ms = next_ms, self._open_after(next_ms)
        roll_ms, next_roll_ms = _rolls_around(at_ms)
        while roll_ms > max(opened_ms, at_ms - FAR_ENOUGH_MS) and not self._trades_at(roll_ms):
            roll_ms, _ = _rolls_around(roll_ms - 1)
        return max(opened_ms, roll_ms), min(next_ms, next_roll_ms) if self._trades_at(next_roll_ms) else next_ms

    def _trades_at(self, at_ms: int) -> bool:
        """Tell whether the market is open: in a break, which is part of the session before it, no day rolls."""
        return self.after_open_time(at_ms, 1) == at_ms + 1

    def _open_after(self, at_ms: int) -> int:
        found_ms = self._next_open_ms(at_ms)
        return found_ms if found_ms > at_ms else self._next_open_ms(at_ms + 1)


def session_starts(open_ms: NDArray[np.int64], timeframe_ms: int, clock: SessionClock) -> F64:
    """Return when the session of each bar began. open_ms: when the bars opened, oldest first.

    A bar belongs to the session that its last millisecond falls into.
    """
    starts = np.empty(len(open_ms))
    end = len(open_ms)
    while end:
        start_ms = clock.start_ms(int(open_ms[end - 1]) + timeframe_ms - 1)
        first = int(np.searchsorted(open_ms[:end], start_ms - timeframe_ms, side="right"))
        starts[first:end] = start_ms
        end = first
    return starts


def session_firsts(open_ms: NDArray[np.int64], starts: F64) -> list[int]:
    """Return the index of the first bar of each session that is there from its beginning; at least one bar is given."""
    changes = [int(place) + 1 for place in np.flatnonzero(np.diff(starts))]
    return [0, *changes] if int(open_ms[0]) <= starts[0] else changes


def _rolls_around(at_ms: int) -> tuple[int, int]:
    """Return the last roll at or before `at_ms`, and the next one."""
    local = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(NEW_YORK)
    day = local.date() if local.time() >= DAY_ROLL else local.date() - timedelta(days=1)
    first = datetime.combine(day, DAY_ROLL, NEW_YORK)
    second = datetime.combine(day + timedelta(days=1), DAY_ROLL, NEW_YORK)
    return int(first.timestamp()) * 1000, int(second.timestamp()) * 1000

"""Where the bars begin that a lane's values rest on: arithmetic on the times at which its stored bars open.

A lane's window begins `max_bars` bars before (and including) its last anchor: the first bar at or after a multiple of
`anchor_bars` bar lengths of time. Between two anchors lie at most `anchor_bars` bars, so a list of max_bars +
anchor_bars bars always reaches back to its own window's beginning; while fewer were ever seen, the window begins with
the first of them. Whoever has the same bars finds the same window, and so, bit for bit, the same values.
"""

import zlib
from collections.abc import Container
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.indicators.plan import Indicator

I64 = NDArray[np.int64]


class Window(NamedTuple):
    """Two indices in a lane's stored bars, which it reaches to the end of."""

    start: int
    """Of the window's first bar."""
    anchor: int
    """Of the last anchor; of the first stored bar, where there was none."""


class Anchors:
    """Where a lane's anchors lie in time."""

    __slots__ = ("_offset_ms", "_period_ms")

    def __init__(self, lane: str, timeframe_ms: int, anchor_bars: int) -> None:
        """`lane`: its name, whose hash moves the anchors so that not all lanes reopen at once."""
        self._period_ms = anchor_bars * timeframe_ms
        self._offset_ms = zlib.crc32(lane.encode()) % anchor_bars * timeframe_ms

    def epoch(self, open_ms: int) -> int:
        """Return a number that grows with each anchor: a bar that has another one than the bar before it is one."""
        return (open_ms + self._offset_ms) // self._period_ms

    def window(self, open_ms: I64, max_bars: int) -> Window:
        """Return the window over a lane's stored bars, oldest first; (0, 0) without any."""
        if not len(open_ms):
            return Window(0, 0)
        begin_ms = self.epoch(int(open_ms[-1])) * self._period_ms - self._offset_ms
        # At index 0 nothing tells whether it was an anchor, and it need not: the window begins there anyway.
        anchor = int(np.searchsorted(open_ms, begin_ms))
        return Window(before_anchor(anchor, max_bars), anchor)


def lane_name(symbol: str, timeframe: str) -> str:
    """Return the name that a lane has wherever it is hashed, asked for or logged."""
    return f"{symbol}|{timeframe}"


def before_anchor(anchor: int, bars: int) -> int:
    """Return the index from which on there are so many bars before and including the anchor, or all there are."""
    return max(0, anchor + 1 - bars)


def first_bar(indicator: Indicator, anchor: int, feeders: Container[str]) -> int:
    """Return where in the window an indicator begins that does not look at sessions. anchor: its index there.

    feeders: the names of indicators that others rest on: these begin with the window, for the others' sake.
    """
    span = indicator.function.span
    whole = span is None or indicator.chained or indicator.name in feeders
    return 0 if whole or span is None else before_anchor(anchor, span)


def first_joined_bar(anchor: int, max_bars: int) -> int:
    """Return where in the window an indicator over two symbols begins: half a window before the anchor.

    So the other symbol's kept bars reach back as far even where it trades in more minutes.
    """
    return before_anchor(anchor, max_bars // 2)

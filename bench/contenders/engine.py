"""The engine's own lanes."""

import zlib
from collections.abc import Iterator, Sequence
from itertools import count, islice

from bench.contenders.market import HISTORY, MINUTE_MS, SPAN, START_MS, Series, session_clock
from common.indicators import Plan
from features.lane import Lane, LaneSetup

ANCHOR_BARS = 1_000
"""The default."""


class Lanes:
    """One lane for each symbol. No anchor falls into the measured bars: what it costs is a figure of its own."""

    def __init__(self, market: Sequence[Series], plan: Plan, symbols: int, max_bars: int) -> None:
        self.symbols = symbols
        program, session = plan.program("X", "1m"), session_clock()
        self._lanes: list[tuple[Lane, Series]] = []
        for number, name in enumerate(islice(_names(), symbols)):
            lane = Lane(LaneSetup(name, "1m", MINUTE_MS, max_bars, ANCHOR_BARS, program), session)
            series = market[number % len(market)]
            lane.load(b"".join(series.records[-max_bars:]))
            lane.reopen()
            self._lanes.append((lane, series))

    def peek(self, place: int) -> None:
        """Compute with an open bar."""
        for lane, series in self._lanes:
            lane.peek(series.forming[place])

    def close(self, place: int) -> None:
        """Take in a closed bar."""
        for lane, series in self._lanes:
            lane.append(series.closing[place])

    def values(self, number: int) -> list[float]:
        """Return what one of them has after the last closed bar."""
        return self._lanes[number][0].values


def _names() -> Iterator[str]:
    """Yield names of symbols whose lanes have no anchor among the measured bars."""
    first = START_MS // MINUTE_MS + HISTORY
    for number in count():
        moved = first + zlib.crc32(f"S{number}|1m".encode()) % ANCHOR_BARS
        if (moved - 1) // ANCHOR_BARS == (moved + SPAN - 1) // ANCHOR_BARS:
            yield f"S{number}"

"""Bars that SQLite has and the feature engine lost when Redis was rolled back: given to it once more.

Where the collector could not collect the same again, the engine built them from part of their quotes, or not at all.
"""

import sqlite3
from collections.abc import Iterable, Iterator

from common.history import read_bars
from common.messages import TIMEFRAME_MS, HistoryBars, Timeframe
from storer.rollback import Rollback

WAIT_MS = 60_000
"""How long after the lost time, and the delay of its class, the engine has surely closed a bar."""
CHUNK_BARS = 500
MOST_BARS = 10_000
"""Of a lane: more than any bar cache keeps."""

_TIMEFRAMES: tuple[tuple[Timeframe, int], ...] = tuple(TIMEFRAME_MS.items())  # type: ignore[arg-type]  # its keys are
_TIME_OF = """
SELECT now_ms FROM clocks WHERE partition = ? AND (raw_ms, raw_seq) <= (?, ?) ORDER BY raw_ms DESC, raw_seq DESC LIMIT 1
"""


def lost_bars(
    connection: sqlite3.Connection, partition: int, rollback: Rollback, feeds: Iterable[tuple[str, str]]
) -> Iterator[HistoryBars]:
    """Yield the bars that ended in the lost time, of each symbol in the class that feeds it.

    None of a Redis that was emptied: the engine asks for its history itself.
    """
    row = connection.execute(_TIME_OF, (partition, *rollback.kept)).fetchone()
    if row is None:
        return
    for symbol, source_class in feeds:
        for timeframe, length_ms in _TIMEFRAMES:
            stored = read_bars(connection, symbol, source_class, timeframe, rollback.clock_ms, MOST_BARS)
            bars = tuple(bar for bar in stored if bar.open_ms + length_ms > row[0])
            name = f"rolled_back|{symbol}|{source_class}|{timeframe}|{row[0]}"
            for at in range(0, len(bars), CHUNK_BARS):
                yield HistoryBars(name, symbol, timeframe, source_class, bars[at : at + CHUNK_BARS], instead=True)

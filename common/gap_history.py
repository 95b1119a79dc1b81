"""Read the gap ledger that the storer keeps in SQLite. Nothing here writes."""

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

STATES = ("missing", "repaired", "no_trade", "unrepairable")
"""What the ledger says of bars that did not come as they should have."""

_SPAN = "from_ms < ? AND to_ms > ?"
_GAPS = f"""
SELECT symbol, source_class, timeframe, from_ms, to_ms, bars, state, partial, attempts, found_ms, next_attempt_ms,
       closed_ms, source, detail
FROM gaps WHERE {_SPAN} AND (from_ms, symbol, source_class, timeframe) > (?, ?, ?, ?)
"""  # noqa: S608 our own names
_IN_ORDER = " ORDER BY from_ms, symbol, source_class, timeframe LIMIT ?"
_LANES = "SELECT symbol, source_class, timeframe, begun_ms, checked_ms FROM gap_checks"
_TOTALS = "SELECT state, sum(bars) FROM gaps WHERE symbol = ? AND source_class = ? AND timeframe = ? GROUP BY state"
_MISSING = """
SELECT symbol, source_class, timeframe, min(from_ms), min(next_attempt_ms), min(found_ms) FROM gaps
WHERE state = 'missing' GROUP BY symbol, source_class, timeframe
"""
_PRESENT = """
SELECT open_ms FROM bars WHERE symbol = ? AND source_class = ? AND timeframe = ? AND open_ms >= ? AND open_ms < ?
"""


class GapRecord(NamedTuple):
    """One row of the ledger; see docs/schema.md."""

    symbol: str
    source_class: str
    timeframe: str
    from_ms: int
    to_ms: int
    bars: int
    state: str
    partial: bool
    attempts: int
    found_ms: int
    next_attempt_ms: int | None
    closed_ms: int | None
    source: str
    detail: str

    @property
    def place(self) -> "Place":
        """Return where it stands in the order of reading."""
        return Place(self.from_ms, self.symbol, self.source_class, self.timeframe)


class Place(NamedTuple):
    """A place in the order of reading: what is read lies after it."""

    from_ms: int = -1
    symbol: str = ""
    source_class: str = ""
    timeframe: str = ""


class GapQuery(NamedTuple):
    """Which rows to read: those that touch [from_ms, to_ms). Empty means any."""

    from_ms: int
    to_ms: int
    symbol: str = ""
    timeframe: str = ""
    states: Sequence[str] = STATES


class LaneRecord(NamedTuple):
    """How it stands with one lane."""

    symbol: str
    source_class: str
    timeframe: str
    begun_ms: int
    """Since when it is accounted for."""
    checked_ms: int
    """Up to when."""
    bars: dict[str, int]
    """State -> bars."""
    oldest_missing_ms: int | None
    missing_since_ms: int | None
    """When the oldest of what is missing was found so."""
    next_attempt_ms: int | None


def read_gaps(connection: sqlite3.Connection, query: GapQuery, after: Place, count: int) -> list[GapRecord]:
    """Return the first `count` rows after a place, oldest first."""
    statement, values = _GAPS, [query.to_ms, query.from_ms, *after]
    for column, value in (("symbol", query.symbol), ("timeframe", query.timeframe)):
        if value:
            statement += f" AND {column} = ?"
            values.append(value)
    statement += f" AND state IN ({', '.join('?' * len(query.states))})" + _IN_ORDER
    rows = connection.execute(statement, [*values, *query.states, count])
    return [GapRecord(*row)._replace(partial=bool(row[7])) for row in rows]


def read_lanes(connection: sqlite3.Connection) -> list[LaneRecord]:
    """Return how it stands with every lane that was ever minded."""
    missing = {(row[0], row[1], row[2]): row[3:] for row in connection.execute(_MISSING)}
    lanes: list[LaneRecord] = []
    for symbol, source_class, timeframe, begun_ms, checked_ms in connection.execute(_LANES).fetchall():
        name = (symbol, source_class, timeframe)
        bars = {**dict.fromkeys(STATES, 0), **dict(connection.execute(_TOTALS, name))}
        oldest_ms, next_ms, found_ms = missing.get(name, (None, None, None))
        lanes.append(LaneRecord(*name, begun_ms, checked_ms, bars, oldest_ms, found_ms, next_ms))
    return lanes


def read_present(
    connection: sqlite3.Connection, lane: tuple[str, str, str], from_ms: int, to_ms: int
) -> frozenset[int]:
    """Return the open times of a lane's stored bars in [from_ms, to_ms)."""
    return frozenset(open_ms for (open_ms,) in connection.execute(_PRESENT, (*lane, from_ms, to_ms)))

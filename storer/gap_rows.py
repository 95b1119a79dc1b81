"""The ledger's statements: what SQLite holds of gaps, and of the bars and quotes that tell them."""

import sqlite3
from collections.abc import Sequence
from typing import Literal, NamedTuple

from common.history import read_bars
from common.messages import Bar
from storer.backfill import Lane
from storer.gaps import FINER, OWN, Gap, Held, State
from storer.rows import bar_row
from storer.tables import REPLACE_BAR

# A hole may begin with minutes that did not trade: so many are looked at for the last one that did.
SILENCE_BARS = 60

_OF_LANE = "symbol = ? AND source_class = ? AND timeframe = ?"
_COLUMNS = ", ".join(Gap._fields)
_MARKS = ", ".join("?" * (3 + len(Gap._fields)))
_WITHIN = "from_ms < ? AND to_ms > ?"
_IN_TIME = "NOT is_check AND reasons NOT LIKE '%\"late\"%'"

_HELD = (
    f"SELECT open_ms, origin, complete, source, repaired FROM bars WHERE {_OF_LANE} AND open_ms >= ? AND open_ms < ?"  # noqa: S608 our own names
)
_BARS = f"""
SELECT open_ms, open, high, low, close, volume, volume_kind, ticks, source FROM bars
WHERE {_OF_LANE} AND open_ms >= ? AND open_ms < ? AND (complete OR origin = 'vendor') ORDER BY open_ms
"""  # noqa: S608
_NEWEST_BUILT = f"SELECT max(open_ms) FROM bars WHERE {_OF_LANE} AND origin = 'built' AND NOT repaired AND open_ms >= ?"  # noqa: S608
_QUOTED = f"""
SELECT DISTINCT market_ms / ? * ? FROM market_data
WHERE symbol = ? AND market_ms >= ? AND market_ms < ? AND source_class = ? AND {_IN_TIME}
"""  # noqa: S608
_TOLD = f"SELECT from_ms, to_ms FROM gaps WHERE {_OF_LANE} AND {_WITHIN}"  # noqa: S608
_HOLES = f"""
SELECT from_ms, to_ms, state = 'repaired' FROM gaps WHERE {_OF_LANE} AND {_WITHIN}
AND (state = 'no_trade' OR (state = 'repaired' AND NOT partial AND source <> ?)) ORDER BY from_ms
"""  # noqa: S608
_IN_STATE = f"{_TOLD} AND state = ?"
_MISSING = f"SELECT {_COLUMNS} FROM gaps WHERE {_OF_LANE} AND state = 'missing' ORDER BY from_ms"  # noqa: S608
_NEXT = f"SELECT min(next_attempt_ms) FROM gaps WHERE {_OF_LANE} AND state = 'missing'"  # noqa: S608
_REPLACED = f"""
SELECT from_ms, to_ms, bars, closed_ms FROM gaps
WHERE {_OF_LANE} AND state = 'repaired' AND (partial OR source = ?) ORDER BY closed_ms DESC LIMIT 100
"""  # noqa: S608
_PUT_TOGETHER = f"SELECT {_COLUMNS} FROM gaps WHERE {_OF_LANE} AND {_WITHIN} AND state = 'repaired' AND source = ?"  # noqa: S608
_TAKE_BACK = f"UPDATE bars SET repaired = 0, complete = 0 WHERE {_OF_LANE} AND open_ms >= ? AND open_ms < ?"  # noqa: S608
_FORGET = f"DELETE FROM gaps WHERE {_OF_LANE} AND from_ms = ?"  # noqa: S608
_KEEP = f"INSERT OR REPLACE INTO gaps (symbol, source_class, timeframe, {_COLUMNS}) VALUES ({_MARKS})"  # noqa: S608
_CHECK = f"SELECT begun_ms, checked_ms, asked_ms FROM gap_checks WHERE {_OF_LANE}"  # noqa: S608
_SET_CHECK = """
INSERT OR REPLACE INTO gap_checks (symbol, source_class, timeframe, begun_ms, checked_ms, asked_ms)
VALUES (?, ?, ?, ?, ?, ?)
"""


class Check(NamedTuple):
    """How far the ledger is with a lane."""

    begun_ms: int
    """Since when it accounts for it."""
    checked_ms: int
    """Up to where it has looked."""
    asked_ms: int = 0
    """When the vendors were last asked for its gaps."""


class FinerBar(NamedTuple):
    """What a longer bar takes of a shorter one."""

    open_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    volume_kind: str
    ticks: int
    source: str


class GapRows:
    """Reads and writes within the caller's transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._sql = connection

    def check(self, lane: Lane) -> Check | None:
        """Return how far the ledger is with a lane; None before its first look."""
        row = self._sql.execute(_CHECK, lane).fetchone()
        return None if row is None else Check(*row)

    def set_check(self, lane: Lane, check: Check) -> None:
        """Note how far the ledger is with a lane."""
        self._sql.execute(_SET_CHECK, (*lane, *check))

    def missing(self, lane: Lane) -> list[Gap]:
        """Return the lane's gaps that may still be filled, oldest first."""
        return [_gap(row) for row in self._sql.execute(_MISSING, lane)]

    def next_attempt_ms(self, lane: Lane) -> int | None:
        """Return when something of the lane is to be asked for next; None if nothing is missing."""
        found: int | None = self._sql.execute(_NEXT, lane).fetchone()[0]
        return found

    def keep(self, lane: Lane, gap: Gap) -> None:
        """Write a gap, over one that begins with the same bar."""
        self._sql.execute(_KEEP, (*lane, *gap))

    def forget(self, lane: Lane, gap: Gap) -> None:
        """Remove a gap."""
        self._sql.execute(_FORGET, (*lane, gap.from_ms))

    def told(self, lane: Lane, from_ms: int, to_ms: int) -> list[tuple[int, int]]:
        """Return the stretches that rows of the ledger speak of."""
        return self._sql.execute(_TOLD, (*lane, to_ms, from_ms)).fetchall()

    def holes(self, lane: Lane, from_ms: int, to_ms: int) -> list[tuple[int, int]]:
        """Return the stretches of which a vendor had bars and we had no quotes, with silence that borders on them."""
        reach_ms = SILENCE_BARS * lane.bar_ms
        rows = self._sql.execute(_HOLES, (*lane, to_ms + reach_ms, from_ms - reach_ms, OWN))
        found: list[tuple[int, int, bool]] = []
        for first_ms, end_ms, hole in rows:
            if found and found[-1][1] == first_ms:
                before = found.pop()
                found.append((before[0], end_ms, bool(before[2] or hole)))
            else:
                found.append((first_ms, end_ms, bool(hole)))
        return [
            (first_ms, end_ms) for first_ms, end_ms, hole in found if hole and first_ms < to_ms and end_ms > from_ms
        ]

    def in_state(self, lane: Lane, state: State, from_ms: int, to_ms: int) -> list[tuple[int, int]]:
        """Return the stretches of one state."""
        return self._sql.execute(_IN_STATE, (*lane, to_ms, from_ms, state)).fetchall()

    def put_together(self, lane: Lane, from_ms: int, to_ms: int) -> list[Gap]:
        """Return the gaps in [from_ms, to_ms) whose bars were put together from shorter ones."""
        return [_gap(row) for row in self._sql.execute(_PUT_TOGETHER, (*lane, to_ms, from_ms, FINER))]

    def take_back(self, lane: Lane, from_ms: int, to_ms: int) -> None:
        """Have stored bars count as built in part, and not as repaired."""
        self._sql.execute(_TAKE_BACK, (*lane, from_ms, to_ms))

    def held(self, lane: Lane, from_ms: int, to_ms: int) -> dict[int, Held]:
        """Return what is stored of the bars that open in [from_ms, to_ms)."""
        rows = self._sql.execute(_HELD, (*lane, from_ms, to_ms))
        return {at: Held(origin, bool(whole), source, bool(repaired)) for at, origin, whole, source, repaired in rows}

    def whole_bars(self, lane: Lane, from_ms: int, to_ms: int) -> list[FinerBar]:
        """Return the bars of [from_ms, to_ms) that hold all that happened in their time, oldest first."""
        return [FinerBar(*row) for row in self._sql.execute(_BARS, (*lane, from_ms, to_ms))]

    def newest_built_ms(self, lane: Lane, since_ms: int) -> int:
        """Return the open time of the newest bar from `since_ms` on that the engine built; 0 without one.

        The engine closes bars in their order: older ones come no more.
        """
        found: int | None = self._sql.execute(_NEWEST_BUILT, (*lane, since_ms)).fetchone()[0]
        return found or 0

    def quoted(self, lane: Lane, from_ms: int, to_ms: int) -> set[int]:
        """Return the open times of the bars in [from_ms, to_ms) that quotes came in time for."""
        values = (lane.bar_ms, lane.bar_ms, lane.symbol, from_ms, to_ms, lane.source_class)
        return {open_ms for (open_ms,) in self._sql.execute(_QUOTED, values)}

    def newest_repairs(self, lanes: Sequence[Lane]) -> list[tuple[Lane, tuple[Bar, ...]]]:
        """Return the bars of these lanes that were put in the place of others at the last time that any were."""
        closed = [(lane, row) for lane in lanes for row in self._sql.execute(_REPLACED, (*lane, FINER))]
        newest_ms = max((row[3] for _, row in closed), default=0)
        last = [(lane, row) for lane, row in closed if row[3] == newest_ms]
        return [(lane, self._bars_within(lane, row[0], row[1], row[2])) for lane, row in last]

    def _bars_within(self, lane: Lane, from_ms: int, to_ms: int, count: int) -> tuple[Bar, ...]:
        return tuple(bar for bar in read_bars(self._sql, *lane, to_ms, count) if bar.open_ms >= from_ms)

    def replace_bars(self, bars: Sequence[Bar], origin: Literal["vendor", "built"]) -> None:
        """Write repaired bars, whatever is there."""
        self._sql.executemany(REPLACE_BAR, [bar_row(bar, origin, repaired=True) for bar in bars])


def _gap(row: tuple[int, int, int, str, int, int, int, int | None, int | None, str, str]) -> Gap:
    gap = Gap(*row)  # type: ignore[arg-type]  # the states are checked by the table
    return gap._replace(partial=bool(gap.partial))

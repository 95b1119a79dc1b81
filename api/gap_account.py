"""What became of every bar of one lane in a stretch of time: pure, from the ledger's rows and the stored bars."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from msgspec import Struct

from common.gap_history import GapQuery, GapRecord, LaneRecord
from common.messages import TIMEFRAME_MS
from common.sessions import expected_opens

UNWRITTEN = ("present", "closed", "pending", "not_watched")
"""What needs no row in the ledger: the bar is there; the market was closed; it is not due yet, or on its way; it lies
before the ledger's beginning."""


class Interval(Struct, frozen=True):
    """Bars of one state that follow each other. `bars`: how many were expected."""

    symbol: str
    source_class: str
    timeframe: str
    from_ms: int
    to_ms: int
    bars: int
    state: str
    partial: bool = False
    """Bars were there, but built from part of their quotes."""
    attempts: int = 0
    found_ms: int | None = None
    next_attempt_ms: int | None = None
    closed_ms: int | None = None
    source: str = ""
    detail: str = ""

    @classmethod
    def of(cls, row: GapRecord) -> "Interval":
        """Return a row of the ledger as it is shown."""
        return cls(*row)


def account(
    name: tuple[str, str, str],
    session: str,
    query: GapQuery,
    rows: Sequence[GapRecord],
    present: frozenset[int],
    lane: LaneRecord | None,
) -> list[Interval]:
    """Return the intervals that make up the time asked for, without a seam, oldest first. lane: None: never minded."""
    bar_ms = TIMEFRAME_MS[name[2]]
    states = list(_states(session, bar_ms, query, rows, present, lane))
    intervals: list[Interval] = []
    end_ms = query.from_ms
    for row, run in groupby(states, key=lambda state: state[1:]):
        opens = [open_ms for open_ms, _, _ in run]
        for first_ms, last_ms, count in _unbroken(opens, bar_ms, split=row[1] is None):
            if first_ms > end_ms:
                intervals.append(Interval(*name, end_ms, first_ms, 0, "closed"))
            end_ms = last_ms + bar_ms
            found = row[1]
            intervals.append(Interval.of(found) if found else Interval(*name, first_ms, end_ms, count, row[0]))
    if end_ms < query.to_ms:
        intervals.append(Interval(*name, end_ms, query.to_ms, 0, "closed"))
    return intervals


def _states(
    session: str,
    bar_ms: int,
    query: GapQuery,
    rows: Sequence[GapRecord],
    present: frozenset[int],
    lane: LaneRecord | None,
) -> Iterator[tuple[int, str, GapRecord | None]]:
    place = 0
    for open_ms in expected_opens(session, bar_ms, query.from_ms, query.to_ms):
        while place < len(rows) and rows[place].to_ms <= open_ms:
            place += 1
        if place < len(rows) and rows[place].from_ms <= open_ms:
            yield open_ms, rows[place].state, rows[place]
        elif open_ms in present:
            yield open_ms, "present", None
        else:
            early = lane is None or open_ms < lane.begun_ms
            yield open_ms, "not_watched" if early else "pending", None


def _unbroken(opens: Sequence[int], bar_ms: int, *, split: bool) -> Iterator[tuple[int, int, int]]:
    """Yield the first and last of the bars that follow each other, and how many; a row of the ledger stays one."""
    first = 0
    for place in range(1, len(opens) + 1):
        if place == len(opens) or (split and opens[place] != opens[place - 1] + bar_ms):
            yield opens[first], opens[place - 1], place - first
            first = place

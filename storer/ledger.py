"""The gap ledger in SQLite: finds bars that did not come, asks for them, and notes what became of them."""

import sqlite3
from collections.abc import Sequence

import structlog

from common.messages import BackfillRequest, HistoryBars
from storer.backfill import MINUTE_MS, Lane
from storer.gaps import Gap, State, Watched, as_gaps, expected, oldest_reachable, repair_request, state_of, tried

log = structlog.get_logger()

# From a bar's end to when it must be in SQLite: lateness, the engine's pass, the storer's own lingering.
GRACE_MS = MINUTE_MS
# A bar whose quotes are here is on its way, however far behind the engine is; but not for ever.
PATIENCE_MS = 60 * MINUTE_MS

_OF_LANE = "symbol = ? AND source_class = ? AND timeframe = ?"
_GAP_COLUMNS = "from_ms, to_ms, state, attempts, found_ms, next_attempt_ms"
_PRESENT = f"""
SELECT open_ms FROM bars
WHERE {_OF_LANE} AND open_ms >= ? AND open_ms < ? AND (complete OR origin = 'vendor')
"""  # noqa: S608 our own names
_ON_ITS_WAY = """
SELECT EXISTS (SELECT 1 FROM market_data WHERE symbol = ? AND source_class = ? AND market_ms >= ? AND market_ms < ?
               AND reasons NOT LIKE '%"late"%')
   AND NOT EXISTS (SELECT 1 FROM bars WHERE symbol = ? AND source_class = ? AND timeframe = ? AND open_ms = ?)
"""
_MISSING = f"SELECT {_GAP_COLUMNS} FROM gaps WHERE {_OF_LANE} AND state = 'missing' ORDER BY from_ms"  # noqa: S608
_CHECKED = f"SELECT checked_ms FROM gap_checks WHERE {_OF_LANE}"  # noqa: S608
_SET_CHECKED = "INSERT OR REPLACE INTO gap_checks (symbol, source_class, timeframe, checked_ms) VALUES (?, ?, ?, ?)"
_FORGET = f"DELETE FROM gaps WHERE {_OF_LANE} AND from_ms = ?"  # noqa: S608
_KEEP = f"INSERT OR REPLACE INTO gaps (symbol, source_class, timeframe, {_GAP_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?)"  # noqa: S608


class Ledger:
    """The gaps of some lanes. The caller's transaction is open around every call."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._sql = connection

    def look(self, watched: Watched, now_ms: int) -> None:
        """Note the bars that should have come since the last look and did not. The first look only marks the place."""
        lane = watched.lane
        row = self._sql.execute(_CHECKED, lane).fetchone()
        from_ms = now_ms // lane.bar_ms * lane.bar_ms if row is None else int(row[0])
        horizon_ms = (now_ms - watched.delay_ms - GRACE_MS) // lane.bar_ms * lane.bar_ms
        present = self._present(lane, from_ms, horizon_ms)
        for open_ms in expected(watched, max(from_ms, now_ms - PATIENCE_MS - lane.bar_ms + 1), horizon_ms):
            if open_ms not in present and self._on_its_way(lane, open_ms):
                horizon_ms = open_ms
                break
        oldest_ms = oldest_reachable(lane, now_ms)
        slots = [(at, state_of(at, present, (), oldest_ms)) for at in expected(watched, from_ms, horizon_ms)]
        if slots:
            self._note(watched, slots, now_ms)
        self._sql.execute(_SET_CHECKED, (*lane, max(from_ms, horizon_ms)))

    def due(self, watched: Watched, now_ms: int) -> BackfillRequest | None:
        """Return what to ask the vendors now for this lane, counted as an attempt; None if nothing is due."""
        lane = watched.lane
        gaps = self.missing(lane)
        if not any(_is_due(gap, now_ms) for gap in gaps):
            return None
        for gap in gaps:
            self._resolve(watched, gap, (), now_ms)  # bars may have come by themselves
        due = [gap for gap in self.missing(lane) if _is_due(gap, now_ms)]
        for gap in due:
            self._keep(lane, tried(gap, now_ms))
        return repair_request(watched, due, now_ms) if due else None

    def settle(self, watched: Watched, answer: HistoryBars, now_ms: int) -> None:
        """Note what a vendor's history, already stored, says of the lane's gaps."""
        answered = sorted(bar.open_ms for bar in answer.bars)
        if not answered:
            return
        for gap in self.missing(watched.lane):
            if gap.from_ms <= answered[-1] and gap.to_ms > answered[0]:
                self._resolve(watched, gap, answered, now_ms)

    def missing(self, lane: Lane) -> list[Gap]:
        """Return the lane's gaps that may still be filled, oldest first."""
        return [Gap(*row) for row in self._sql.execute(_MISSING, lane)]

    def _note(self, watched: Watched, slots: Sequence[tuple[int, State]], now_ms: int) -> None:
        lane = watched.lane
        gaps = as_gaps(slots, lane.bar_ms, Gap(0, 0, "missing", 0, now_ms, now_ms))
        going_on = self._going_on(watched, slots[0][0])
        if going_on is not None and gaps[0].state == "missing":
            self._keep(lane, going_on._replace(to_ms=gaps.pop(0).to_ms))
        elif going_on is not None:  # bars come again: so may the vendors
            self._keep(lane, going_on._replace(attempts=0, next_attempt_ms=now_ms))
        for gap in gaps:
            if gap.state != "repaired":
                self._keep(lane, gap)
                log.warning("gap.found", lane=lane.name, from_ms=gap.from_ms, to_ms=gap.to_ms, state=gap.state)

    def _going_on(self, watched: Watched, next_ms: int) -> Gap | None:
        """Return the gap that reached up to the last look, if there is one; next_ms: the first bar since then."""
        newest = self.missing(watched.lane)[-1:]
        if newest and next(expected(watched, newest[0].to_ms, next_ms), None) is None:
            return newest[0]
        return None

    def _resolve(self, watched: Watched, gap: Gap, answered: Sequence[int], now_ms: int) -> None:
        """Put what is known now in the place of a gap: nothing changed, closed, or split."""
        lane = watched.lane
        present, oldest_ms = self._present(lane, gap.from_ms, gap.to_ms), oldest_reachable(lane, now_ms)
        slots = expected(watched, gap.from_ms, gap.to_ms)
        parts = as_gaps([(at, state_of(at, present, answered, oldest_ms)) for at in slots], lane.bar_ms, gap)
        if parts == [gap]:
            return
        self._sql.execute(_FORGET, (*lane, gap.from_ms))
        for part in parts:
            self._keep(lane, part)
            if part.state != "missing":
                log.info("gap.closed", lane=lane.name, from_ms=part.from_ms, to_ms=part.to_ms, state=part.state)

    def _keep(self, lane: Lane, gap: Gap) -> None:
        self._sql.execute(_KEEP, (*lane, *gap))

    def _present(self, lane: Lane, from_ms: int, to_ms: int) -> set[int]:
        return {open_ms for (open_ms,) in self._sql.execute(_PRESENT, (*lane, from_ms, to_ms))}

    def _on_its_way(self, lane: Lane, open_ms: int) -> bool:
        series = (lane.symbol, lane.source_class)
        values = (*series, open_ms, open_ms + lane.bar_ms, *lane, open_ms)
        return bool(self._sql.execute(_ON_ITS_WAY, values).fetchone()[0])


def _is_due(gap: Gap, now_ms: int) -> bool:
    return gap.next_attempt_ms is not None and gap.next_attempt_ms <= now_ms

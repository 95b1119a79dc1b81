"""Compare the bars that close now with those that are stored."""

from collections.abc import Collection, Sequence

from common.messages import Bars
from common.stage import Entry
from replay.plan import Plan, is_sure
from replay.record import Record
from replay.tally import Difference, Tally, fields_that_differ
from replay.terms import Lane, Terms
from storer.rows import Row, bar_row
from storer.tables import COLUMNS

_COLUMNS = COLUMNS["bars"]
_OPEN, _ORIGIN, _COMPLETE, _REPAIRED = (_COLUMNS.index(name) for name in ("open_ms", "origin", "complete", "repaired"))
assert _COLUMNS[:3] == Lane._fields


class BarCheck:
    """The bars that close in one span."""

    def __init__(self, record: Record, plan: Plan, terms: Terms, doubted: Collection[str], tally: Tally) -> None:
        """`doubted`: symbols of which, by then, quotes were judged otherwise."""
        self._record, self._plan, self._terms, self._tally = record, plan, terms, tally
        self._span, self._doubted = plan.span, doubted
        self._begun_ms = record.time_at(plan.span.partition, plan.span.after)
        self._replayed_to: dict[Lane, int] = {}
        """Open time of the last bar of each lane that was replayed."""
        self._stored_to: dict[Lane, int] = {}
        """Open time of the last of those that was found stored."""
        self._behind: list[Row] = []
        """Replayed since the last one, of any lane, that was found stored."""

    def compare(self, produced: Sequence[Entry]) -> None:
        """Compare what closed in the next entries."""
        bars = [bar for entry in produced if isinstance(entry.message, Bars) for bar in entry.message.bars]
        replayed = [bar_row(bar, bar.origin) for bar in bars if bar.symbol in self._plan.symbols]
        last: dict[Lane, int] = {}
        for row in replayed:
            last[_lane(row)] = max(last.get(_lane(row), 0), _open_ms(row))
        stored = {lane: self._stored(lane, until_ms) for lane, until_ms in last.items()}
        for row in replayed:
            self._compare(row, stored[_lane(row)])

    def finish(self) -> None:
        """Look for what is stored and was not replayed, and tell what is not stored yet."""
        for lane in self._terms.lanes(self._plan.symbols):
            until_ms = self._span.to_ms - self._terms.closes_ms(lane, 0)
            for row in self._stored(lane, until_ms).values():
                self._missed(row)
        if self._span.is_newest:
            self._tally.not_stored_yet += len(self._behind)
        else:
            self._flush()

    def lose(self) -> None:
        """Count what was on its way to the storer when Redis was emptied."""
        self._tally.lost += len(self._behind)
        self._behind = []

    def is_stored(self, lane: Lane, open_ms: int) -> bool:
        """Tell whether the storer was given what a lane closed with this bar."""
        return open_ms <= self._stored_to.get(lane, -1)

    def _stored(self, lane: Lane, until_ms: int) -> dict[int, Row]:
        """Return, oldest first, what is stored of a lane from its last replayed bar on, up to another one."""
        first_ms = self._replayed_to[lane] + 1 if lane in self._replayed_to else self._first_ms(lane)
        return {_open_ms(row): row for row in self._record.bars(lane, first_ms, until_ms)}

    def _first_ms(self, lane: Lane) -> int:
        """Return the open time of a lane's first bar that closes within the span and is built whole."""
        closed_ms = self._begun_ms - self._terms.closes_ms(lane, 0)
        return max(0, closed_ms + 1, self._terms.first_built_ms(*lane[:2]))

    def _compare(self, row: Row, stored: dict[int, Row]) -> None:
        lane, open_ms = _lane(row), _open_ms(row)
        if open_ms < self._first_ms(lane) or open_ms <= self._replayed_to.get(lane, -1):
            return  # begun before the lead-in; or built once more where Redis was emptied: the first one stays
        self._replayed_to[lane] = open_ms
        for at_ms in [at for at in stored if at < open_ms]:
            self._missed(stored.pop(at_ms))
        found = stored.pop(open_ms, None)
        if found is None:
            self._behind.append(row)
            return
        self._flush()
        self._stored_to[lane] = open_ms
        if found == row:
            self._tally.add_equal(1)
        elif found[_REPAIRED] or (found[_ORIGIN] == "vendor" and not row[_COMPLETE]):
            self._tally.superseded += 1
        else:
            self._differs(row, fields_that_differ(_COLUMNS, found, row))

    def _missed(self, stored: Row) -> None:
        if stored[_ORIGIN] == "built" and not stored[_REPAIRED]:
            self._differs(stored, ("stored, not replayed",))

    def _flush(self) -> None:
        for row in self._behind:
            self._differs(row, ("replayed, not stored",))
        self._behind = []

    def _differs(self, row: Row, details: tuple[str, ...]) -> None:
        lane = _lane(row)
        raw_id = self._record.closing_entry(self._span, self._terms.closes_ms(lane, _open_ms(row)))
        promised = (self._plan.whole or lane.symbol not in self._doubted) and is_sure(self._plan, raw_id)
        self._tally.add(Difference("bars", raw_id, f"{' '.join(lane)}, opens at {_open_ms(row)}", details, promised))


def _lane(row: Row) -> Lane:
    return Lane(str(row[0]), str(row[1]), str(row[2]))


def _open_ms(row: Row) -> int:
    return int(row[_OPEN] or 0)

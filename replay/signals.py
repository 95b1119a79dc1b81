"""Compare the signals that come out now with those that are stored."""

from collections.abc import Sequence

from common.messages import Signal
from common.stage import Entry
from replay.bars import BarCheck
from replay.plan import Plan, is_sure
from replay.record import Record
from replay.tally import Difference, Tally, fields_that_differ
from replay.terms import Lane, Terms
from storer.rows import Row, rows_of
from storer.tables import COLUMNS

_COLUMNS = COLUMNS["signals"]
_ID, _PUBLISHED, _BAR_OPEN = (_COLUMNS.index(name) for name in ("id", "published_ms", "bar_open_ms"))
_LANE = tuple(_COLUMNS.index(name) for name in Lane._fields)


class SignalCheck:
    """The signals that are published in one span."""

    def __init__(self, record: Record, plan: Plan, terms: Terms, bars: BarCheck, tally: Tally) -> None:
        """`bars`: the check of the same span's bars, which is always a step ahead."""
        self._record, self._plan, self._terms, self._tally = record, plan, terms, tally
        self._span, self._bars = plan.span, bars
        rows = record.signals(plan.span.from_ms, plan.span.to_ms)
        self._stored = {str(row[_ID]): row for row in rows if self._counts(row)}
        self._behind: list[Row] = []
        """Replayed since the last one that was found stored."""

    def compare(self, produced: Sequence[Entry]) -> None:
        """Compare what was published in the next entries."""
        told = [entry for entry in produced if isinstance(entry.message, Signal)]
        for row in rows_of(told, self._span.partition, "").get("signals", ()):
            if self._counts(row):
                self._compare(row)

    def finish(self) -> None:
        """Look for what is stored and was not replayed, and tell what is not stored yet."""
        self._missed(self._span.to_ms)
        if self._span.is_newest:
            self._tally.not_stored_yet += self._put_by()
        self._flush()

    def lose(self) -> None:
        """Count what was on its way to the storer when Redis was emptied."""
        self._tally.lost += self._put_by()
        self._flush()

    def _counts(self, row: Row) -> bool:
        lane = _lane(row)
        if lane.symbol not in self._plan.symbols:
            return False
        return int(row[_BAR_OPEN] or 0) >= self._terms.first_built_ms(lane.symbol, lane.source_class)

    def _compare(self, row: Row) -> None:
        found = self._stored.pop(str(row[_ID]), None)
        if found is None:
            self._behind.append(row)
            return
        self._missed(int(found[_PUBLISHED] or 0) - 1)
        self._flush()
        if found == row:
            self._tally.add_equal(1)
        else:
            self._differs(row, fields_that_differ(_COLUMNS, found, row))

    def _missed(self, until_ms: int) -> None:
        """Count what is stored as published up to then, and did not come."""
        for name in [name for name, row in self._stored.items() if int(row[_PUBLISHED] or 0) <= until_ms]:
            self._differs(self._stored.pop(name), ("stored, not replayed",))

    def _put_by(self) -> int:
        """Keep the signals whose bars are stored: the storer gets both at once. Return how many others there are."""
        due = [row for row in self._behind if self._bars.is_stored(_lane(row), int(row[_BAR_OPEN] or 0))]
        others, self._behind = len(self._behind) - len(due), due
        return others

    def _flush(self) -> None:
        for row in self._behind:
            self._differs(row, ("replayed, not stored",))
        self._behind = []

    def _differs(self, row: Row, details: tuple[str, ...]) -> None:
        raw_id = self._record.closing_entry(self._span, int(row[_PUBLISHED] or 0))
        promised = self._plan.whole and is_sure(self._plan, raw_id)
        self._tally.add(Difference("signals", raw_id, str(row[_ID]), details, promised))


def _lane(row: Row) -> Lane:
    symbol, source_class, timeframe = (str(row[at]) for at in _LANE)
    return Lane(symbol, source_class, timeframe)

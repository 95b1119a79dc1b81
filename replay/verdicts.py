"""Compare what the validator says now of each quote with what is stored."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import cast

from common.messages import HistoryBars
from common.stage import Entry
from replay.line import Produced
from replay.plan import Plan
from replay.record import Record
from replay.tally import HISTORIES, Difference, Tally, fields_that_differ
from storer.rebuild import Id
from storer.rows import Row, rows_of
from storer.tables import COLUMNS

TABLES = {"market_data": "quotes", "rejects": "rejects"}
"""Table -> kind."""
JUDGED = frozenset({"score", "reasons", "volume", "detail", "reason"})
"""Columns that rest on what came before; the others stand in the entry itself."""
_SYMBOL = COLUMNS["market_data"].index("symbol")
assert COLUMNS["rejects"].index("symbol") == _SYMBOL

Origin = tuple[int, int, int]
Verdict = tuple[str, Row]
"""Table and row."""


class VerdictCheck:
    """The verdicts on quotes and on vendors' history."""

    def __init__(self, record: Record, plan: Plan, tallies: Mapping[str, Tally]) -> None:
        self._record, self._plan, self._tallies = record, plan, tallies

    def compare(self, after: Id, last: Id, produced: Produced) -> set[str]:
        """Compare the entries in (after, last]. Return the symbols of which quotes were judged otherwise."""
        partition = self._plan.span.partition
        rows = rows_of((*produced.quotes, *produced.rejects), partition, "")
        stored = {table: self._counted(self._record.verdicts(table, partition, after, last)) for table in TABLES}
        replayed = {table: self._counted(rows.get(table, [])) for table in TABLES}
        self._compare_histories(self._record.histories(partition, after, last), produced.quotes)
        if stored != replayed:
            return self._differing(_by_origin(stored), _by_origin(replayed))
        for table, kind in TABLES.items():
            self._tallies[kind].add_equal(len(stored[table]))
        return set()

    def _counted(self, rows: Sequence[Row]) -> list[Row]:
        return [row for row in rows if row[_SYMBOL] not in self._plan.others] if self._plan.others else list(rows)

    def _differing(self, stored: Mapping[Origin, Verdict], replayed: Mapping[Origin, Verdict]) -> set[str]:
        symbols: set[str] = set()
        for origin in sorted(stored.keys() | replayed.keys()):
            ours, theirs = stored.get(origin), replayed.get(origin)
            table, row = ours or theirs or ("", ())
            if ours == theirs:
                self._tallies[TABLES[table]].add_equal(1)
                continue
            details, promised = self._details(ours, theirs)
            raw_id = f"{origin[0]}-{origin[1]}"
            self._tallies[TABLES[table]].add(
                Difference(TABLES[table], raw_id, _which(table, row), details, self._is_promised(origin[:2], promised))
            )
            symbols.add(str(row[_SYMBOL]))
        return symbols

    def _details(self, ours: Verdict | None, theirs: Verdict | None) -> tuple[tuple[str, ...], bool]:
        """Return what differs, and whether it does whatever came before."""
        if ours and theirs and ours[0] == theirs[0]:
            details = fields_that_differ(COLUMNS[ours[0]], ours[1], theirs[1])
            return details, not JUDGED.issuperset(line.partition(":")[0] for line in details)
        return (f"stored: {_said(ours)}", f"replayed: {_said(theirs)}"), ours is None or theirs is None

    def _is_promised(self, entry: Id, promised: bool) -> bool:
        return (promised or self._plan.whole) and entry <= self._plan.sure_to

    def _compare_histories(self, stored: Sequence[HistoryBars], produced: Sequence[Entry]) -> None:
        replayed = [entry.message for entry in produced if isinstance(entry.message, HistoryBars)]
        tally = self._tallies[HISTORIES]
        for ours, theirs in zip_longest(stored, replayed):
            known = ours or theirs
            if known is None or known.symbol in self._plan.others:
                continue
            if ours == theirs:
                tally.add_equal(1)
            else:
                details = f"stored: {_bars(ours)}", f"replayed: {_bars(theirs)}"
                tally.add(Difference(HISTORIES, known.raw_id, f"the answer to {known.request_id}", details))


def _by_origin(rows: Mapping[str, Sequence[Row]]) -> dict[Origin, Verdict]:
    return {cast(Origin, row[1:4]): (table, row) for table, of_table in rows.items() for row in of_table}


def _which(table: str, row: Row) -> str:
    named = _named(table, row)
    return f"{named['symbol']} of {named['source']} ({named['source_class']}), number {named['raw_index']} in the entry"


def _said(verdict: Verdict | None) -> str:
    if verdict is None:
        return "nothing"
    named = _named(*verdict)
    if verdict[0] == "rejects":
        return f"rejected for {named['reason']} ({named['detail']})"
    return f"accepted at {named['price']} with score {named['score']} {named['reasons']}"


def _named(table: str, row: Row) -> dict[str, str]:
    return {name: str(value) for name, value in zip(COLUMNS[table], row, strict=True)}


def _bars(history: HistoryBars | None) -> str:
    if history is None:
        return "nothing"
    opens = ", ".join(str(bar.open_ms) for bar in (history.bars[:1] + history.bars[-1:]))
    return f"{len(history.bars)} bars ({opens})"

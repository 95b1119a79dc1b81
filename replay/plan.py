"""What to replay, so that what is asked for can be compared."""

from dataclasses import dataclass

from common.errors import Fatal
from common.symbols import SymbolTable
from replay.record import Record, Span
from storer.rebuild import BEFORE_ALL, Id
from storer.rows import parse_id


@dataclass(frozen=True)
class Wanted:
    """What the operator asks for."""

    from_ms: int
    to_ms: int
    lead_in_ms: int | None
    """Begin so long before; None: begin where the state is known to have been empty."""
    symbols: frozenset[str]
    """To be compared: some of those that the table knows."""


@dataclass(frozen=True)
class Plan:
    """What to replay of one partition."""

    span: Span
    """What is compared."""
    begin: Id
    """The clock entry after which the replay begins."""
    whole: bool
    """It begins where the record, or an empty Redis, did."""
    cycles: int
    symbols: frozenset[str]
    """Those that are at home in this partition and are to be compared."""
    others: frozenset[str]
    """Those that are not: nothing is said of them. In neither: what the symbol table does not know."""
    sure_to: Id
    """Up to here the record holds all that the stages saw: later, Redis had gone back to an older state."""


def plans(record: Record, wanted: Wanted, table: SymbolTable) -> list[Plan]:
    """Return what to replay of each partition. Fatal if there is nothing in the period."""
    partitions = record.partitions()
    if not partitions:
        raise Fatal(f"DATABASE_PATH: {record.path} holds no cycle yet")
    found = [_plan(record, partition, wanted, table) for partition in partitions]
    planned = [one for one in found if one is not None]
    if not planned:
        raise Fatal("nothing is stored of this period")
    return planned


def _plan(record: Record, partition: int, wanted: Wanted, table: SymbolTable) -> Plan | None:
    span = record.span(partition, wanted.from_ms, wanted.to_ms)
    if span is None:
        return None
    begin, whole = _begin(record, span, wanted)
    at_home = _at_home(record, span, record.time_at(partition, begin), table) & wanted.symbols
    return Plan(
        span,
        begin,
        whole,
        cycles=record.cycles(partition, begin, span.last),
        symbols=at_home,
        others=frozenset(table.symbols) - at_home,
        sure_to=record.sure_to(partition, begin, span.last),
    )


def _begin(record: Record, span: Span, wanted: Wanted) -> tuple[Id, bool]:
    """Return the clock entry after which the replay begins, and whether nothing had been before it."""
    fresh = [at for at in record.fresh_starts(span.partition, span.last) if at <= span.after]
    begin = fresh[-1] if fresh else BEFORE_ALL
    if wanted.lead_in_ms is not None:
        shortened = record.span(span.partition, wanted.from_ms - wanted.lead_in_ms, wanted.to_ms)
        if shortened is not None and shortened.after > begin:
            return shortened.after, False
    return begin, True


def _at_home(record: Record, span: Span, begin_ms: int, table: SymbolTable) -> frozenset[str]:
    """Return the symbols that are in this partition, and in no other, for all that time."""
    if len(record.partitions()) == 1:
        return frozenset(table.symbols)
    homes = {name: record.homes(name, begin_ms, span.to_ms) for name in table.symbols}
    return frozenset(name for name, found in homes.items() if found == {span.partition})


def is_sure(plan: Plan, raw_id: str) -> bool:
    """Tell whether an entry stands where the record holds all that the stages saw."""
    return plan.sure_to == plan.span.last or (bool(raw_id) and parse_id(raw_id) <= plan.sure_to)

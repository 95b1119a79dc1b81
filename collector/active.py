"""The class that feeds each symbol's series now: decided by collector/series.py, committed, and told in the stream.

State hash of a partition: `series:<symbol>` holds the Record, written in the transaction of what changed it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import structlog

from collector import series
from collector.choose import SourceView
from collector.publish import STAGE, Publisher
from collector.series import Change, Record
from common import keys
from common.keys import FIELD, RAW
from common.messages import SeriesChange, encode
from common.metrics import Metrics
from common.redis_link import Command
from common.sessions import is_open
from common.sources import SymbolStatus
from common.symbols import TERMINAL, Listing, Symbol, SymbolTable

log = structlog.get_logger()

_FIELD = "series:"
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Record)

Views = Callable[[], Mapping[str, SourceView]]


@dataclass(frozen=True)
class Terms:
    """What does not change while a collector runs."""

    table: SymbolTable
    symbols: tuple[str, ...]
    """Those of the partitions served here, in the table's order."""
    delays: bool
    """Sources are as late as their contract says."""
    partitions: int
    """Of all collectors."""


class Active:
    """The records of this process's symbols."""

    def __init__(self, terms: Terms, metrics: Metrics) -> None:
        self._terms, self._metrics = terms, metrics
        self._allowed = {name: series.allowed_of(self._symbol(name)) for name in terms.symbols}
        self._records = {name: series.begun(self._symbol(name), None) for name in terms.symbols}
        self._unwritten: set[str] = set()

    def restore(self, states: Mapping[int, Mapping[bytes, bytes]]) -> None:
        """Go back to what was committed. states: the state hash of each partition."""
        self._unwritten.clear()
        for name in self._terms.symbols:
            symbol = self._symbol(name)
            body = states.get(self._partition(name), {}).get(f"{_FIELD}{name}".encode())
            self._records[name] = series.begun(symbol, None if body is None else _decoder.decode(body))
            self._gauge(name)

    # -- what feeds --------------------------------------------------------------------------------

    def class_of(self, symbol: str) -> str:
        """Return the class that feeds the symbol's series."""
        record = self._records.get(symbol)
        return record.active if record is not None else self._symbol(symbol).series

    def listings(self, symbol: str) -> tuple[Listing, ...]:
        """Return the vendors' listings of that class, preferred first; none where only the terminal feeds it."""
        return self.vendors_of(symbol, self.class_of(symbol))

    def vendors_of(self, symbol: str, source_class: str) -> tuple[Listing, ...]:
        """Return the vendors' listings of one class, preferred first."""
        return tuple(x for x in self._symbol(symbol).feed(source_class) if x.vendor != TERMINAL)

    def session_of(self, symbol: str) -> str:
        """Return the trading session of that class."""
        return self._terms.table.session_of(symbol, self.class_of(symbol))

    def is_present(self, symbol: str, now_ms: int) -> bool:
        """Return whether the terminal is there, as far as this symbol goes."""
        return symbol in self._records and series.is_present(self._records[symbol], now_ms)

    # -- what happens ------------------------------------------------------------------------------

    def heard(self, symbol: str, at_ms: int, now_ms: int) -> list[Command]:
        """Note a sign of life of the terminal. Returns what tells the change that it may lead to."""
        if symbol not in self._records:
            return []
        self._keep(symbol, series.heard(self._records[symbol], at_ms))
        change = series.decide(self._records[symbol], self._allowed[symbol], now_ms, _Look(self, symbol, now_ms, dict))
        return [] if change is None or change.why != "terminal_came" else [self._change(symbol, change, now_ms)]

    def stand(self, statuses: Mapping[str, SymbolStatus], now_ms: int) -> None:
        """Note how the symbols stood at the end of the last cycle."""
        for name, record in self._records.items():
            status = statuses.get(name)
            if status is not None and status.source_class == record.active:
                served, closed = status.status == "ok", status.status == "closed"
                self._keep(name, series.stands(record, served=served, closed=closed, now_ms=now_ms))

    def tried(self, symbol: str, source_class: str, *, served: bool, now_ms: int) -> None:
        """Note what came of asking for a price of a class that does not feed the series."""
        if source_class != self.class_of(symbol):
            record = series.was_tried(self._records[symbol], source_class, served=served, now_ms=now_ms)
            self._keep(symbol, record)

    def decide(self, publisher: Publisher, now_ms: int, views: Views) -> None:
        """Commit the changes that are due now, each with its entry in the stream."""
        for partition in publisher.partitions:
            commands: list[Command] = []
            for name in self._in(partition):
                look = _Look(self, name, now_ms, views)
                change = series.decide(self._records[name], self._allowed[name], now_ms, look)
                if change is not None:
                    commands.append(self._change(name, change, now_ms))
            if commands:
                publisher.commit(partition, [*commands, *self.writes(partition)])

    def to_try(self, now_ms: int) -> dict[str, Sequence[Listing]]:
        """Return the listings to ask for a price beside those that feed the series."""
        found: dict[str, Sequence[Listing]] = {}
        for name, record in self._records.items():
            allowed = self._allowed[name]
            if len(allowed.vendors) > 1:
                source_class = series.to_try(record, allowed, now_ms, _Look(self, name, now_ms, dict))
                if source_class:
                    found[name] = self.vendors_of(name, source_class)
        return found

    # -- commits -----------------------------------------------------------------------------------

    def writes(self, partition: int) -> list[Command]:
        """Return what commits the records that have changed since the last call."""
        here = [name for name in self._in(partition) if name in self._unwritten]
        self._unwritten -= set(here)  # if the commit fails, all is read again from what was committed
        pairs = [part for name in here for part in (f"{_FIELD}{name}", _encoder.encode(self._records[name]))]
        return [("HSET", keys.state(partition, STAGE), *pairs)] if pairs else []

    def _change(self, symbol: str, change: Change, now_ms: int) -> Command:
        before = self.class_of(symbol)
        self._keep(symbol, series.changed(self._records[symbol], change, now_ms))
        self._gauge(symbol)
        self._metrics.count("md_series_changes_total", symbol=symbol, why=change.why)
        log.warning("series.changed", symbol=symbol, source_class=change.source_class, before=before, why=change.why)
        message = SeriesChange(symbol, change.source_class, before, now_ms, change.why)
        return ("XADD", RAW.key(self._partition(symbol)), "*", FIELD, encode(message))

    def _keep(self, symbol: str, record: Record) -> None:
        if record is not self._records[symbol]:
            self._records[symbol] = record
            self._unwritten.add(symbol)

    def _gauge(self, symbol: str) -> None:
        own = self.class_of(symbol) == self._symbol(symbol).series
        self._metrics.gauge("md_series_own", float(own), symbol=symbol)

    # -- the table ---------------------------------------------------------------------------------

    def _symbol(self, name: str) -> Symbol:
        return self._terms.table.symbols[name]

    def _partition(self, name: str) -> int:
        return self._symbol(name).partition(self._terms.partitions)

    def _in(self, partition: int) -> Iterable[str]:
        return (name for name in self._terms.symbols if self._partition(name) == partition)

    def is_open(self, symbol: str, source_class: str, at_ms: int) -> bool:
        """Return whether a class's session is open. A source that is late still brings the end of one that closed."""
        session = self._terms.table.session_of(symbol, source_class)
        listings = self._symbol(symbol).feed(source_class)
        late_ms = max(x.delay_s for x in listings) * 1000 if self._terms.delays else 0
        return is_open(session, at_ms) or is_open(session, at_ms - late_ms)


@dataclass(frozen=True)
class _Look:
    """One symbol's classes at one moment."""

    active: Active
    symbol: str
    now_ms: int
    views: Views

    def is_open(self, source_class: str, for_ms: int = 0) -> bool:
        return all(self.active.is_open(self.symbol, source_class, self.now_ms - ago_ms) for ago_ms in (0, for_ms))

    def can_serve(self, source_class: str) -> bool:
        views = self.views()
        listings = self.active.vendors_of(self.symbol, source_class)
        able = (x.vendor in views and not views[x.vendor].why_not(self.symbol, self.now_ms) for x in listings)
        return self.is_open(source_class) and any(able)

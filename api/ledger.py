"""Accept reports: to the journal first, then into memory; from the journal they come back after a restart."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import msgspec
import structlog
from msgspec import Struct

from api import broker_book, reports
from api.broker_book import BrokerBook
from api.errors import ApiError, away
from api.journal import KEEP_MS, Journal, Kept, Report
from api.params import find_symbol
from api.plain_text import plain
from api.positions import Closing, Deal, Outcome, Position, Positions
from common import keys
from common.errors import Retryable
from common.messages import ClientEvent, Execution, Signal, decode, encode
from common.symbols import SymbolTable

log = structlog.get_logger()

PRESUMED = "position_presumed_closed"
EQUITY = "equity_observed"
LIMIT_REACHED = "account_limit_reached"
ACCOUNT_STATE = "account_state"
OWN_REPORTS = ("presumed:", "equity:", "limit:", "account:")  # ids of what the api itself reports
BROKER = "broker:"  # ids of a terminal's reports of its broker's terms
SAME_EVENT_MS = 60_000  # an equal event within this is the same one, sent again; its client tries three times in 15 s


# What clients may make the journal grow by, for each stream by itself: events that run away leave room for fills. The
# first client sends a few reports a second at its busiest; this is twenty, for a whole minute.
NEW_PER_MINUTE = 1_200
# 48 hours of a fill every 3.5 s, at 1.3 KB each (a fill takes 0.4 KB). All of it is in memory during a replay.
KEPT_REPORTS = 50_000
KEPT_BYTES = 64 * 1024 * 1024
MINUTE_MS = 60_000


class FillContext(Struct, frozen=True):
    """What the api knew when a fill was reported."""

    symbol: str
    target: float
    signal_id: str
    source_class: str = ""
    """The class that fed the symbol's series; empty: not known."""


class PresumedEnd(Struct, frozen=True):
    """The body of the event that ends a position which nobody closed."""

    trade_id: str
    outcome: Outcome
    price: float | None
    loss: bool


@dataclass(frozen=True)
class Receipt:
    """What became of a report. `duplicate`: it was known, nothing changed."""

    id: str
    duplicate: bool
    position: Position | None = None


class Ledger:
    """Journal and positions, kept equal."""

    def __init__(self, journal: Journal, table: SymbolTable, partitions: int) -> None:
        self._journal = journal
        self._table = table
        self._partitions = partitions
        self.positions = Positions()
        self.broker = BrokerBook()
        self.unsent: list[Report] = []
        """Reports that are not in their stream yet, for the publisher."""
        self.arrived = asyncio.Event()
        """Set when something waits to be sent; at the start everything does."""
        self.arrived.set()
        self._served: dict[tuple[str, str], Signal] = {}
        self._events: dict[str, tuple[int, str]] = {}  # fingerprint -> when, id
        self._arrivals: dict[str, tuple[int, int]] = {}  # stream -> minute of real time, new reports in it

    def restore(self) -> int | None:
        """Take up what the journal holds; return when a client last reported, in real time, None if none ever did."""
        newest_ms = None
        self._take_up_latest()
        for report in self._journal.all():
            try:
                self._apply(report)
            except (msgspec.MsgspecError, ApiError):  # written by another release
                log.exception("journal.unreadable", id=report.id)
            if not report.id.startswith(OWN_REPORTS):
                newest_ms = report.wall_ms
        return newest_ms

    def _take_up_latest(self) -> None:
        body = self._journal.latest(broker_book.LATEST)
        try:
            if body is not None:
                self.broker.load(body)
        except msgspec.MsgspecError:  # written by another release
            log.exception("journal.unreadable", id=broker_book.LATEST)

    def remember_served(self, signal: Signal) -> None:
        """Note which signal a client saw last, to know the targets of the fill that may follow."""
        self._served[signal.symbol, plain(signal.strategy)] = signal

    async def fill(
        self, body: reports.Body, stream_ms: int, wall_ms: int, feeding: Mapping[str, str] = MappingProxyType({}),
        before: Deal | None = None,
    ) -> Receipt:  # fmt: skip
        """Accept a fill. feeding: symbol -> the class that feeds its series. ApiError 422 or 503.

        before: the deal under its trade id that the history knows; None if there is none.
        """
        fill = reports.fill_of(body)
        symbol = find_symbol(fill.symbol, self._table)
        name = symbol.name if symbol else fill.symbol
        signal = self._served.get((name, fill.alpha_id))
        context = FillContext(name, fill.target, "", feeding.get(name, ""))
        if signal is not None and fill.followed(signal, stream_ms):
            context = FillContext(name, signal.take_profit_2, signal.id, signal.source_class)
        trade_id = self.positions.told_again(_position(fill, context, stream_ms, wall_ms), before)
        if trade_id != fill.trade_id:
            log.warning("fill.trade_id_taken", trade_id=fill.trade_id, symbol=name, kept_as=trade_id)
        message = Execution(f"open:{trade_id}", trade_id, name, stream_ms, body)
        return await self._accept_new(message, wall_ms, self._partition(name), msgspec.json.encode(context))

    async def close(self, body: reports.Body, stream_ms: int, wall_ms: int) -> Receipt:
        """Accept a close. ApiError 422 or 503."""
        close = reports.close_of(body)
        trade_id = self.positions.ended_by(close.trade_id, close.closing(stream_ms))
        position = self.positions.get(trade_id)
        name = position.symbol if position else ""
        message = Execution(f"close:{trade_id}", trade_id, name, stream_ms, body)
        return await self._accept_new(message, wall_ms, self._partition(name))

    async def event(self, body: reports.Body, stream_ms: int, wall_ms: int) -> Receipt:
        """Accept another report. An equal one within a minute is the same. ApiError 422 or 503."""
        name, fingerprint = reports.event_of(body), reports.fingerprint(body)
        at_ms, identity = self._events.get(fingerprint, (0, ""))
        if not identity or not 0 <= wall_ms - at_ms < SAME_EVENT_MS:
            identity = f"event:{fingerprint}:{wall_ms}"
        receipt = await self._accept_new(ClientEvent(identity, name, stream_ms, body), wall_ms, 0)
        self._events[fingerprint] = (wall_ms if not receipt.duplicate else at_ms, identity)
        return receipt

    async def tell(self, identity: str, event: str, body: reports.Body, stream_ms: int, wall_ms: int) -> Receipt:
        """Accept a checked report whose identity the caller knows. ApiError 429 or 503."""
        return await self._accept_new(ClientEvent(identity, event, stream_ms, body), wall_ms, 0)

    async def presume(self, position: Position, closing: Closing, wall_ms: int) -> None:
        """Record that a position must have ended, though nobody said so."""
        body = msgspec.to_builtins(
            PresumedEnd(position.trade_id, closing.outcome, closing.price, closing.counts_as_loss)
        )
        message = ClientEvent(f"presumed:{position.trade_id}", PRESUMED, closing.at_ms, body)
        await self._accept(message, wall_ms, self._partition(position.symbol))
        log.warning("position.presumed_closed", trade_id=position.trade_id, outcome=closing.outcome)

    async def limit_reached(self, reason: str, until_ms: int, equity: float, stream_ms: int, wall_ms: int) -> None:
        """Record that a limit of the account's rules was reached; once for each reset."""
        body: dict[str, object] = {"reason": reason, "until_ms": until_ms, "equity": equity}
        message = ClientEvent(f"limit:{reason}:{until_ms}:{stream_ms}", LIMIT_REACHED, stream_ms, body)
        await self._accept(message, wall_ms, 0)

    async def account_is(self, account: str, state: reports.Body, stream_ms: int, wall_ms: int) -> None:
        """Record what the account has done so far, for the day on which nothing but the history is left."""
        message = ClientEvent(f"account:{account}:{stream_ms}:{wall_ms}", ACCOUNT_STATE, stream_ms, state)
        await self._accept(message, wall_ms, 0)

    async def observe_equity(self, equity: float, stream_ms: int, wall_ms: int) -> None:
        """Record the equity that a client's poll carried: it arrives nowhere else."""
        message = ClientEvent(f"equity:{wall_ms}", EQUITY, stream_ms, {"equity": equity})
        await self._accept(message, wall_ms, 0)

    async def every_report(self) -> list[Report]:
        """Return all that the journal keeps."""
        return await asyncio.to_thread(self._journal.all)

    async def forget(self, wall_ms: int) -> None:
        """Drop what no longer matters."""
        await asyncio.to_thread(self._journal.forget, wall_ms)
        self.positions.forget(wall_ms - KEEP_MS)
        self._events = {f: seen for f, seen in self._events.items() if wall_ms - seen[0] < SAME_EVENT_MS}

    def full_streams(self) -> list[str]:
        """Return the streams for which the journal takes nothing new from clients."""
        return [stream.name for stream in (keys.EXECUTIONS, keys.EVENTS) if _full(self._journal.kept(stream.name))]

    async def _accept_new(
        self, message: Execution | ClientEvent, wall_ms: int, partition: int, context: bytes = b""
    ) -> Receipt:
        """Accept what a client sent, within the limits. What is known is never refused. ApiError 429 or 503."""
        stream, minute = _stream(message), wall_ms // MINUTE_MS
        refusal = self._refusal(stream, wall_ms)
        if refusal is not None and not await self._known(message.id):
            raise refusal
        receipt = await self._accept(message, wall_ms, partition, context)
        if not receipt.duplicate:
            self._arrivals[stream] = (minute, self._arrived_in(stream, minute) + 1)
        return receipt

    def _refusal(self, stream: str, wall_ms: int) -> ApiError | None:
        """Return why a new report can't be taken now, if it can't."""
        kept, minute = self._journal.kept(stream), wall_ms // MINUTE_MS
        if _full(kept):
            expires_ms = (wall_ms if kept.oldest_wall_ms is None else kept.oldest_wall_ms) + KEEP_MS
            expected = f"at most {KEPT_REPORTS} {stream} or {KEPT_BYTES} bytes of them in {KEEP_MS // 3_600_000} h"
            found = f"{kept.reports} reports, {kept.bytes} bytes"
            retry_in_s = max(1, -(-(expires_ms - wall_ms) // 1000))
            return ApiError(429, "journal_full", "the journal is full", expected, found, retry_in_s)
        arrived = self._arrived_in(stream, minute)
        if arrived >= NEW_PER_MINUTE:
            retry_in_s = -(-((minute + 1) * MINUTE_MS - wall_ms) // 1000)
            expected = f"at most {NEW_PER_MINUTE} new {stream} a minute"
            return ApiError(429, "too_many_reports", "too many new reports", expected, str(arrived), retry_in_s)
        return None

    def _arrived_in(self, stream: str, minute: int) -> int:
        at, count = self._arrivals.get(stream, (minute, 0))
        return count if at == minute else 0

    async def _known(self, identity: str) -> bool:
        try:
            return await asyncio.to_thread(self._journal.knows, identity)
        except Retryable as e:
            raise _journal_away() from e

    async def _accept(
        self, message: Execution | ClientEvent, wall_ms: int, partition: int, context: bytes = b""
    ) -> Receipt:
        report = Report(message.id, wall_ms, _stream(message), partition, encode(message), context)
        try:
            # Not cancelled with its request: what reached the disk must reach the memory too.
            added = await asyncio.shield(asyncio.ensure_future(self._store(report)))
        except Retryable as e:
            log.exception("journal.away")
            raise _journal_away() from e
        trade_id = message.trade_id if isinstance(message, Execution) else ""
        return Receipt(message.id, not added, self.positions.get(trade_id))

    async def _store(self, report: Report) -> bool:
        added = await asyncio.to_thread(self._journal.add, report)
        if added:
            self.unsent.append(report)
            self.arrived.set()
            self._apply(report)
            if report.id.startswith(BROKER):
                await asyncio.to_thread(self._journal.put_latest, broker_book.LATEST, self.broker.dump())
        return added

    def _apply(self, report: Report) -> None:
        message = decode(report.message)
        if isinstance(message, Execution) and message.id.startswith("open:"):
            context = msgspec.json.decode(report.context, type=FillContext)
            position = _position(reports.fill_of(message.body), context, message.received_ms, report.wall_ms)
            self.positions.add(replace(position, trade_id=message.trade_id))
        elif isinstance(message, ClientEvent) and message.id.startswith(BROKER):
            self.broker.apply(message.body, report.wall_ms)
        elif isinstance(message, Execution | ClientEvent):
            self.end_from([message], report.wall_ms)

    def end_from(self, messages: Iterable[Execution | ClientEvent], wall_ms: int) -> None:
        """End the positions that reports tell the end of: closes, and what was presumed."""
        for message in messages:
            if isinstance(message, Execution) and message.id.startswith("close:"):
                closing = reports.close_of(message.body).closing(message.received_ms)
                self.positions.close(message.trade_id, closing, wall_ms)
            elif isinstance(message, ClientEvent) and message.id.startswith("presumed:"):
                end = msgspec.convert(message.body, PresumedEnd)
                self.positions.close(end.trade_id, Closing(message.received_ms, end.outcome, end.price), wall_ms)

    def _partition(self, name: str) -> int:
        symbol = self._table.symbols.get(name)
        return symbol.partition(self._partitions) if symbol else keys.partition_of(name, self._partitions)


def _position(fill: reports.Fill, known: FillContext, received_ms: int, wall_ms: int) -> Position:
    return fill.position(known.symbol, received_ms, wall_ms, known.target, known.signal_id, known.source_class)


def _stream(message: Execution | ClientEvent) -> str:
    return (keys.EXECUTIONS if isinstance(message, Execution) else keys.EVENTS).name


def _full(kept: Kept) -> bool:
    return kept.reports >= KEPT_REPORTS or kept.bytes >= KEPT_BYTES


def _journal_away() -> ApiError:
    return away("journal_away", "the report could not be kept; send it again")

"""The prices of the client's own terminal: from the stream `ticks` into the stream of raw quotes.

One transaction a read: the quotes, the change of series that a sign of life may lead to (before the quotes that it lets
in), what was seen, and the acknowledgement. A tick that was seen is dropped, whatever batch brings it: a terminal that
repeats itself, a client that sends a batch again and the api's replay after Redis was away all give each tick once.
"""

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from collector.active import Active
from collector.publish import STAGE, Publisher
from collector.right_of_way import RightOfWay
from collector.seen import Seen
from collector.source import Means
from common import keys
from common.dead_letters import dead_letter
from common.errors import Fatal, PipelineError, Rejected
from common.keys import FIELD, RAW, TICKS
from common.messages import RawQuote, RawQuotes, TerminalTick, TerminalTicks, encode
from common.reader import GroupsLost, Read, Reader, Undecodable
from common.redis_link import Command, Reply
from common.sources import SourceReport, SymbolReport
from common.stage import Entry
from common.symbols import TERMINAL, Listing, SymbolTable

log = structlog.get_logger()

IN_HAND = 50  # batches read at once
ROUNDS = 20  # of reading, in one go: a client that sends without a pause must not keep the cycle
BUSY_S = 0.01
"""How often one looks for ticks while a terminal is there: what an order waits for its price."""
IDLE_S = 0.1


class Terminal:
    """Reads the ticks of all partitions of this process."""

    def __init__(self, table: SymbolTable, publisher: Publisher, means: Means, active: Active, way: RightOfWay) -> None:
        self._publisher, self._means, self._active, self._way = publisher, means, active, way
        self._listed: dict[str, Listing] = {
            symbol.name: listing for symbol in table.symbols.values() for listing in symbol.sources
            if listing.vendor == TERMINAL
        }  # fmt: skip
        self._readers = {
            p: Reader(means.link, fence, (TICKS,), p, STAGE, STAGE) for p, fence in publisher.fences.items()
        }
        self._backlog_done: set[int] = set()
        self._seen: dict[str, Seen] = {}
        self._batches = 0

    def open(self, states: Mapping[int, Mapping[bytes, bytes]]) -> None:
        """Create the groups where there are none, and go back to what was committed."""
        self._backlog_done.clear()
        self._seen.clear()
        for partition, reader in self._readers.items():
            reader.create_groups()
            for symbol in self._listed:
                known = states[partition].get(_field(symbol).encode())
                if known is not None:
                    self._seen[symbol] = Seen(known, self._members(keys.terminal_ticks(partition, symbol)))

    async def run(self) -> None:
        """Take ticks as they come, until cancelled: for live runs. In stepped ones each cycle takes what is there."""
        while True:
            await self._way.room()
            present = self.take() > 0 or self.is_present()
            await asyncio.sleep(BUSY_S if present else IDLE_S)

    def take(self) -> int:
        """Publish all that has come. Returns how many batches it was."""
        taken = 0
        for partition in self._readers:
            for _ in range(ROUNDS):
                count = self._step(partition)
                taken += count
                if not count:
                    break
        self._batches += taken
        return taken

    def is_present(self) -> bool:
        """Return whether a terminal is there, for any symbol."""
        now_ms = self._means.now_ms()
        return any(self._active.is_present(symbol, now_ms) for symbol in self._listed)

    # -- one read ----------------------------------------------------------------------------------

    def _step(self, partition: int) -> int:
        try:
            read = self._read(partition)
        except GroupsLost as e:
            log.warning("redis.groups_lost", error=str(e))
            self._readers[partition].create_groups()
            return 0
        if not (read.entries or read.undecodable or read.vanished):
            return 0
        now_ms = self._means.now_ms()
        commands: list[Command] = [
            ("XACK", stream.key(partition), STAGE, entry_id) for stream, entry_id in read.vanished
        ]
        for poison in read.undecodable:
            commands += self._buried(partition, poison, Rejected("undecodable", poison.detail))
        for entry in read.entries:
            commands += self._taken(partition, entry, now_ms)
        self._publisher.commit(partition, [*commands, *self._active.writes(partition)], read.entries)
        return len(read.entries) + len(read.undecodable) + len(read.vanished)

    def _read(self, partition: int) -> Read:
        """Return what is pending of an earlier life first, then news."""
        reader = self._readers[partition]
        if partition not in self._backlog_done:
            read = reader.backlog(IN_HAND)
            if read.entries or read.undecodable or read.vanished:
                return read
            self._backlog_done.add(partition)
        return reader.news(IN_HAND, 0)

    def _taken(self, partition: int, entry: Entry, now_ms: int) -> list[Command]:
        """Return what one entry leads to, its acknowledgement included."""
        try:
            batch = entry.message
            if not isinstance(batch, TerminalTicks):
                raise Rejected("kind", f"expected terminal_ticks, found {type(batch).__name__}")
            commands = self._batch(partition, batch, now_ms)
        except PipelineError as e:
            if isinstance(e, Rejected):
                return self._buried(partition, entry, e)
            raise
        return [*commands, ("XACK", TICKS.key(partition), STAGE, entry.id)]

    def _batch(self, partition: int, batch: TerminalTicks, now_ms: int) -> list[Command]:
        commands: list[Command] = []
        heard_ms = min(batch.received_ms, now_ms)
        for symbol in batch.present:
            if symbol in self._listed:
                commands += self._active.heard(symbol, heard_ms, now_ms)
        new = [tick for tick in batch.ticks if self._admit(tick, batch.account, now_ms)]
        self._count(batch.ticks, new)
        if new:
            message = RawQuotes(TERMINAL, now_ms, tuple(self._quote(tick) for tick in new))
            commands.append(("XADD", RAW.key(partition), "*", FIELD, encode(message)))
        state = keys.state(partition, STAGE)
        for symbol in dict.fromkeys(tick.symbol for tick in new):
            key = keys.terminal_ticks(partition, symbol)
            commands += self._seen[symbol].take_writes(key, state, _field(symbol))
        return commands

    def _admit(self, tick: TerminalTick, account: str, now_ms: int) -> bool:
        if tick.symbol not in self._listed:
            return False
        return self._seen.setdefault(tick.symbol, Seen()).admit(tick, account, now_ms)

    def _quote(self, tick: TerminalTick) -> RawQuote:
        source_class = self._listed[tick.symbol].source_class
        return RawQuote(tick.symbol, source_class, tick.market_ms, tick.last, tick.bid, tick.ask)

    def _count(self, ticks: Sequence[TerminalTick], new: Sequence[TerminalTick]) -> None:
        metrics = self._means.metrics
        for tick in new:
            self._publisher.published[TERMINAL, tick.symbol] += 1
            metrics.count("md_data_points_total", symbol=tick.symbol)
        if len(ticks) > len(new):
            metrics.count("md_terminal_ticks_known_total", len(ticks) - len(new))

    def _buried(self, partition: int, poison: Entry | Undecodable, error: Exception) -> list[Command]:
        log.error("entry.dead", stream=TICKS.name, entry=poison.id, error=repr(error))
        return [
            dead_letter(partition, STAGE, poison, 1, error), ("XACK", TICKS.key(partition), STAGE, poison.id),
        ]  # fmt: skip

    def _members(self, key: str) -> list[bytes]:
        reply: Reply = self._means.link.call("ZRANGE", key, 0, -1)
        if not isinstance(reply, list):
            raise Fatal(f"{self._means.link.where}: key {key}: expected a sorted set, found {reply!r}")
        return [member for member in reply if isinstance(member, bytes)]

    # -- telling -----------------------------------------------------------------------------------

    def report(self, now_ms: int, wall_ms: int) -> SourceReport:
        """Return how it is with the terminal. It has neither breaker nor quota."""
        heads = [seen.head for seen in self._seen.values()]
        present = {symbol: self._active.is_present(symbol, now_ms) for symbol in self._listed}
        return SourceReport(
            name=TERMINAL,
            wall_ms=wall_ms,
            now_ms=now_ms,
            configured=bool(self._listed),
            total_calls=self._batches,
            success_calls=self._batches,
            is_healthy=True if any(present.values()) else None,
            account=max(heads, key=lambda head: head.received_ms).account if heads else "",
            symbols={symbol: self._symbol(symbol, is_there) for symbol, is_there in present.items()},
        )

    def _symbol(self, symbol: str, present: bool) -> SymbolReport:
        seen = self._seen.get(symbol)
        published = self._publisher.published[TERMINAL, symbol]
        return SymbolReport(
            self._listed[symbol].source_class,
            last_market_ms=seen.head.newest_ms if seen else None,
            last_received_ms=seen.head.received_ms if seen else None,
            served=published,
            published=published,
            present=present,
        )


def _field(symbol: str) -> str:
    return f"terminal:{symbol}"

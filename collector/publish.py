"""What the collector commits: one transaction per reply and per cycle in each partition, never the same quote twice.

State hash of a partition (keys.state(p, "collector")): `cycle` and `now_ms` of the last committed cycle, and one
`q:<source>:<symbol>:<class>` per quote published last. A quote equal to it is not published again, so that a cycle that
is repeated after a crash publishes nothing twice. `p:<source>:<symbol>:<class>` is the newest quote that was pushed:
what is polled of the same source is news only if the market's time has gone on since. `batch` is the last batch of a
live run's pushed quotes. (`b:<entry id>` is the backfill's; `series:<symbol>` and `terminal:<symbol>` are of
collector/active.py and collector/terminal.py; `t:<source>` and `offline_since_ms` are of collector/events.py.)
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from collector.news import News
from collector.push.freshness import Mark, is_ahead, marked
from collector.source import Means
from common import keys
from common.dead_letters import hold, issue_held
from common.errors import Fatal
from common.fence import ExecFailed, Fence
from common.key_types import check_types
from common.keys import BACKFILL, FIELD, RAW, SOURCE_EVENTS
from common.messages import Clock, RawQuote, RawQuotes, encode
from common.reader import Undecodable
from common.redis_link import Command, flat_pairs
from common.sources import SymbolStatus, decode_status, encode_report
from common.stage import Entry
from common.symbols import SymbolTable

STAGE = "collector"

_mark_encoder = msgspec.json.Encoder()
_mark_decoder = msgspec.json.Decoder(Mark)


@dataclass
class _Committed:
    """One partition's committed state, as this instance knows it."""

    fence: Fence
    cycle: int = 0
    now_ms: int = 0
    batch: bytes = b""
    identities: dict[bytes, bytes] = field(default_factory=dict)
    marks: dict[bytes, Mark] = field(default_factory=dict)


class Publisher:
    """The writing side of all partitions that this process serves."""

    def __init__(self, means: Means, table: SymbolTable, partitions: Sequence[int], of: int, folder: Path) -> None:
        """partitions: those served here, of `of` in all. Source events go with the first of them.

        `folder` takes what a half-failed transaction leaves.
        """
        self._link, self._events, self._metrics = means.link, means.events, means.metrics
        self._folder = folder
        self._partition_of = {symbol.name: symbol.partition(of) for symbol in table.symbols.values()}
        self.partitions = tuple(partitions)
        self.fences = {p: Fence(self._link, p, STAGE) for p in partitions}
        self._committed = {p: _Committed(self.fences[p]) for p in partitions}
        self.published: Counter[tuple[str, str]] = Counter()
        """(source, symbol) -> quotes that differed from the one before."""
        self.states: dict[int, dict[bytes, bytes]] = {}
        """The state hash of each partition, as it was at the last `open`."""

    # -- start -------------------------------------------------------------------------------------

    def open(self) -> dict[str, SymbolStatus]:
        """Take all partitions over, issue what failed half at the last time, and read what was committed.

        Returns the symbols' last statuses.
        """
        statuses: dict[str, SymbolStatus] = {}
        for p, fence in self.fences.items():
            check_types(self._link, _types(p))
            fence.take()
            issue_held(self._folder, fence, STAGE, p)
            state, status = (
                flat_pairs(r)
                for r in fence.read([("HGETALL", keys.state(p, STAGE)), ("HGETALL", keys.symbol_status(p))])
            )
            self.states[p] = state
            if p == self.partitions[0]:
                self._events.restore(state)
            identities = {k: v for k, v in state.items() if k.startswith(b"q:")}
            marks = {k: _mark_decoder.decode(v) for k, v in state.items() if k.startswith(b"p:")}
            cycle, now_ms = (int(state.get(name, b"0")) for name in (b"cycle", b"now_ms"))
            self._committed[p] = _Committed(fence, cycle, now_ms, state.get(b"batch", b""), identities, marks)
            statuses |= {symbol.decode(): decode_status(body) for symbol, body in status.items()}
        return statuses

    @property
    def first_start(self) -> bool:
        """Whether no collector has ever served these partitions on this Redis."""
        return all(fence.found_none for fence in self.fences.values())

    @property
    def cycle(self) -> int:
        """The last cycle that every partition has committed; 0 at first."""
        return min(c.cycle for c in self._committed.values())

    @property
    def now_ms(self) -> int:
        """The newest stream time that was committed; 0 at first."""
        return max(c.now_ms for c in self._committed.values())

    def marks(self) -> tuple[Mark, ...]:
        """Return the newest pushed quote of each source and symbol that was committed."""
        return tuple(mark for committed in self._committed.values() for mark in committed.marks.values())

    # -- commits -----------------------------------------------------------------------------------

    def publish(self, news: News) -> int:
        """Commit what one reply brought. Returns how many quotes were new."""
        new = 0
        for p in self.partitions:
            commands, count = self._quote_commands(p, [news])
            if commands:
                self._commit_with_events(p, commands)
            new += count
        return new

    def publish_batch(self, name: str, batch: Sequence[News]) -> int:
        """Commit what was pushed. Returns how many quotes were new.

        A partition whose last batch has this name has it already: a batch whose commit failed may be given again.
        """
        new = 0
        for p, committed in self._committed.items():
            if committed.batch == name.encode():
                continue
            commands, count = self._quote_commands(p, batch)
            if commands:
                self._commit_with_events(p, [*commands, ("HSET", keys.state(p, STAGE), "batch", name)])
                committed.batch = name.encode()
            new += count
        return new

    def end_cycle(
        self, clock: Clock, batch: Sequence[News], statuses: Mapping[str, SymbolStatus],
        more: Callable[[int], Sequence[Command]] = lambda _partition: (),
    ) -> int:  # fmt: skip
        """Commit a cycle's end, with what was not published yet. Returns how many of those quotes were new.

        A partition that has committed this cycle already (before a crash that kept another one from it) is left out.
        more: the partition -> what else to write with it.
        """
        new = 0
        for p, committed in self._committed.items():
            if committed.cycle >= clock.cycle:
                continue
            quotes, count = self._quote_commands(p, batch)
            self._commit_with_events(p, [*quotes, *more(p), *self._clock_commands(p, clock, statuses)])
            committed.cycle, committed.now_ms = clock.cycle, clock.now_ms
            new += count
        return new

    def commit(self, partition: int, commands: Sequence[Command], batch: Sequence[Entry | Undecodable] = ()) -> None:
        """Execute the commands in one transaction. Fenced if another instance took the partition over.

        batch: the entries that it ends. Fatal if a command failed inside: the others took effect, so it is held.
        """
        fence = self.fences[partition]
        try:
            fence.commit(commands)
        except ExecFailed as e:
            path = hold(self._folder, STAGE, partition, fence.epoch, batch, e)
            raise Fatal(f"{e}; what failed is kept in {path} and is issued again at the next start") from e

    def _commit_with_events(self, partition: int, commands: Sequence[Command]) -> None:
        if partition != self.partitions[0]:
            self.commit(partition, commands)
            return
        count = len(self._events.pending)
        events = self._events.commands(SOURCE_EVENTS.key(partition), keys.state(partition, STAGE))
        self.commit(partition, [*commands, *events])
        self._events.committed(count)

    def _clock_commands(self, p: int, clock: Clock, statuses: Mapping[str, SymbolStatus]) -> list[Command]:
        body = encode(clock)
        commands: list[Command] = [
            ("XADD", RAW.key(p), "*", FIELD, body),
            ("SET", keys.clock(p), body),
            ("HSET", keys.state(p, STAGE), "cycle", clock.cycle, "now_ms", clock.now_ms),
        ]
        here = [(s, status) for s, status in statuses.items() if self._partition_of.get(s) == p]
        if here:
            flat = [part for symbol, status in here for part in (symbol, encode_report(status))]
            commands.append(("HSET", keys.symbol_status(p), *flat))
        return commands

    def _quote_commands(self, p: int, batch: Iterable[News]) -> tuple[list[Command], int]:
        commands: list[Command] = []
        fresh: dict[bytes, bytes] = {}
        count = 0
        for news in batch:
            quotes = self._new_quotes(p, news, fresh)
            if quotes:
                message = RawQuotes(news.source, news.received_ms, quotes, check=news.check)
                commands.append(("XADD", RAW.key(p), "*", FIELD, encode(message)))
                count += len(quotes)
        if fresh:
            pairs = [part for pair in fresh.items() for part in pair]
            commands.append(("HSET", keys.state(p, STAGE), *pairs))
        return commands, count

    def _new_quotes(self, p: int, news: News, fresh: dict[bytes, bytes]) -> tuple[RawQuote, ...]:
        known = self._committed[p].identities
        new: list[RawQuote] = []
        for quote in news.quotes:
            if self._partition_of.get(quote.symbol) != p:
                continue
            name, found = _polled(news.source, quote), identity(quote, check=news.check)
            if self._is_news(p, news, quote, fresh) and known.get(name) != found:
                # Known at once: if the commit fails, all this is read again from what was committed.
                known[name] = fresh[name] = found
                new.append(quote)
                self.published[news.source, quote.symbol] += 1
                self._metrics.count("md_data_points_total", symbol=quote.symbol)
        return tuple(new)

    def _is_news(self, p: int, news: News, quote: RawQuote, fresh: dict[bytes, bytes]) -> bool:
        """Return whether a quote tells more than its source's other form, polled or pushed, has; mark a pushed one."""
        if is_ahead(quote, news.received_ms):
            return True  # for the validator to quarantine
        marks, name = self._committed[p].marks, f"p:{news.source}:{quote.symbol}:{quote.source_class}".encode()
        mark = marked(marks.get(name), news.source, quote, news.received_ms)
        if mark is None or not news.pushed:
            return news.pushed or mark is not None
        marks[name], fresh[name] = mark, _mark_encoder.encode(mark)
        polled = self._committed[p].identities.get(_polled(news.source, quote), b"")
        return not polled.startswith(_moment(quote))


def _types(p: int) -> dict[str, bytes]:
    """Return the keys that transactions write, and their types."""
    return {
        RAW.key(p): b"stream", SOURCE_EVENTS.key(p): b"stream", BACKFILL.key(p): b"stream",
        keys.dead(p, STAGE): b"stream", keys.state(p, STAGE): b"hash", keys.symbol_status(p): b"hash",
    }  # fmt: skip


def _polled(source: str, quote: RawQuote) -> bytes:
    """Return the field that holds the last published one of a source's quotes."""
    return f"q:{source}:{quote.symbol}:{quote.source_class}".encode()


def identity(quote: RawQuote, *, check: bool = False) -> bytes:
    """Return what makes a quote another one than the quote before it. One that fed nothing is news where it feeds."""
    # The time and the price first: see _moment.
    parts = (quote.market_ms, quote.last, quote.bid, quote.ask, quote.day_volume, quote.tick, quote.source_class)
    return msgspec.json.encode((*parts, check) if check else parts)


def _moment(quote: RawQuote) -> bytes:
    """Return how the identity of every quote with this time and price begins."""
    parts = (quote.market_ms, quote.last) if quote.last is not None else (quote.market_ms, None, quote.bid, quote.ask)
    return msgspec.json.encode(parts)[:-1] + b","

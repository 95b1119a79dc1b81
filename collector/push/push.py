"""All connections together: who pushes what freshly, what has come, and how it is with each source."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from collector.news import News
from collector.push.buffer import Buffer
from collector.push.freshness import Freshness, Mark
from collector.push.line import Line
from collector.push.report import push_report
from collector.vendors.base import Ask
from common.messages import RawQuote
from common.metrics import Metrics
from common.sources import PushReport
from common.symbols import SymbolTable

READY_S = 5.0  # so long a simulated run waits for its sockets at the start
READY_POLL_S = 0.002

FeedingClass = Callable[[str], str]
"""Symbol -> the class that feeds its series now."""
Note = Callable[[str, Ask, RawQuote, int], None]
"""Takes a source, what was subscribed, a quote that came of it and when, for the source's figures."""


class Push:
    """The push side of one collector process. Without lines it does nothing and says so."""

    def __init__(self, table: SymbolTable, metrics: Metrics, feeding: FeedingClass, note: Note) -> None:
        self.lines: tuple[Line, ...] = ()
        """In the vendors' order. Set once, before anything runs: they need what this gives them."""
        self.arrived = asyncio.Event()
        """Something has come since it was cleared."""
        self.barred: Collection[str] = ()
        """Sources that an operator has forced open: what they push is not heard."""
        self._table, self._metrics, self._feeding, self._note = table, metrics, feeding, note
        self._freshness = Freshness()
        self._buffer = Buffer()
        self._asks: dict[tuple[str, str], Ask] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._last_price_ms: dict[str, int] = {}

    # -- life --------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to open the connections; they last until `close`, whatever becomes of Redis."""
        if not self._tasks:
            self._asks = {(line.vendor.name, ask.symbol): ask for line in self.lines for ask in line.asks}
            self._tasks = [asyncio.create_task(line.keep()) for line in self.lines]

    def check(self) -> None:
        """Raise what ended a connection for good: a bug."""
        for task in self._tasks:
            if task.done():
                task.result()

    async def close(self) -> None:
        """Close all connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def ready(self) -> None:
        """Return when each connection has been tried once, or after READY_S."""
        try:
            async with asyncio.timeout(READY_S):
                while not all(line.is_tried for line in self.lines):  # noqa: ASYNC110  # at a process's start only
                    await asyncio.sleep(READY_POLL_S)
        except TimeoutError:
            return

    # -- what comes --------------------------------------------------------------------------------

    def hear(self, source: str, quotes: Sequence[RawQuote], at_ms: int) -> bool:
        """Take a source's quotes. Returns whether any of them was news."""
        if source in self.barred:
            return True  # the connection does its work
        for quote in quotes:
            self._note(source, self._asks[source, quote.symbol], quote, at_ms)
        news = [self._freshness.note(source, quote, at_ms) for quote in quotes]
        coalesced = self._buffer.add(source, quotes, at_ms)
        if coalesced:
            self._metrics.count("md_push_coalesced_total", coalesced, source=source)
        self._last_price_ms[source] = at_ms
        self.arrived.set()
        return any(news)

    async def catch_up(self) -> None:
        """Return when all that the vendors sent before now has been taken, in the vendors' order."""
        for line in self.lines:
            await line.catch_up()

    def take(self, now_ms: int, *, checks: bool) -> tuple[News, ...]:
        """Hand out what has come; with `checks` also the newest of what only checks the feeding source."""
        self.arrived.clear()
        live: dict[tuple[str, str], str] = {}

        def feeds(source: str, quote: RawQuote) -> bool:
            if quote.source_class != self._feeding(quote.symbol):
                return False
            key = quote.symbol, quote.source_class
            if key not in live:
                live[key] = self.live(*key, now_ms)
            return live[key] in ("", source)

        return self._buffer.take(feeds, [line.vendor.name for line in self.lines], checks=checks)

    def restore(self, marks: Iterable[Mark], *, forget: bool) -> None:
        """Go on from what was committed. forget: what came since then will come again."""
        self._freshness.restore(marks)
        if forget:
            self._buffer.clear()
            for line in self.lines:
                line.forget()

    # -- who pushes --------------------------------------------------------------------------------

    def live(self, symbol: str, source_class: str, now_ms: int) -> str:
        """Return the source, preferred first, that pushes the symbol freshly in this class; empty if none does."""
        for listing in self._table.symbols[symbol].feed(source_class):
            if any(self._is_fresh(line, symbol, source_class, now_ms) for line in self._lines_of(listing.vendor)):
                return listing.vendor
        return ""

    def all_live(self, symbols: Iterable[str], now_ms: int) -> Mapping[str, str]:
        """Return who pushes each symbol freshly in the class that feeds its series; without those that none does."""
        found = {symbol: self.live(symbol, self._feeding(symbol), now_ms) for symbol in symbols}
        return {symbol: source for symbol, source in found.items() if source}

    def _is_fresh(self, line: Line, symbol: str, source_class: str, now_ms: int) -> bool:
        key = line.vendor.name, symbol, source_class
        if line.vendor.name in self.barred:
            return False
        return line.carries(symbol, source_class) and self._freshness.is_fresh(key, now_ms, line.vendor.silence_s)

    def _lines_of(self, source: str) -> list[Line]:
        return [line for line in self.lines if line.vendor.name == source]

    # -- telling -----------------------------------------------------------------------------------

    def report(self, source: str, now_ms: int) -> PushReport:
        """Return how it is with one source's connections."""
        return push_report(
            self._lines_of(source), self._last_price_ms.get(source), now_ms, self._fresh_asks(source, now_ms)
        )

    def note_metrics(self, now_ms: int) -> None:
        """Set the gauges."""
        for source in {line.vendor.name for line in self.lines}:
            up = sum(line.is_up for line in self._lines_of(source))
            self._metrics.gauge("md_push_connected", up, source=source)
            self._metrics.gauge("md_push_symbols", len(self._fresh_asks(source, now_ms)), source=source)

    def _fresh_asks(self, source: str, now_ms: int) -> tuple[str, ...]:
        return tuple(
            ask.symbol
            for line in self._lines_of(source)
            for ask in line.asks
            if self._is_fresh(line, ask.symbol, ask.source_class, now_ms)
        )

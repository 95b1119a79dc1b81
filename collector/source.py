"""One source: a vendor with all that stands around a call to it: breaker, budget, refusals, figures."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from collector.blocks import HOPELESS, Block, block_for, blocks_of, lift, store
from collector.choose import SourceView
from collector.events import Events
from collector.fetch import Fetcher, NoAnswerError, UnpaidError
from collector.quota import Quota, view_of
from collector.stats import SourceStats
from collector.usage import UsageFile, starting_usage
from collector.vendors.base import Ask, HistoryReading, Reading, Request, Vendor, Verdict
from common import keys
from common.breaker import Admission, Breaker
from common.breaker_model import view_of as breaker_view_of
from common.clock import monotonic_s
from common.messages import RawQuote, Timeframe
from common.metrics import Metrics
from common.redis_link import Command, Link, flat_pairs
from common.symbols import Listing

log = structlog.get_logger()

HISTORY = "history:"
"""Prefix of a symbol in the blocks: its history is refused, its price need not be."""


@dataclass(frozen=True)
class Answer:
    """What came of asking a source for some symbols."""

    source: str
    received_ms: int
    verdict: Verdict | None
    """None: it was not asked, because the breaker or the budget did not admit it."""
    quotes: tuple[RawQuote, ...] = ()
    failed: tuple[str, ...] = ()
    """Symbols without a quote."""


@dataclass(frozen=True)
class Means:
    """What every source uses of the process."""

    link: Link
    metrics: Metrics
    events: Events
    usage: UsageFile
    now_ms: Callable[[], int]
    """The stream's time."""


class Source:
    """One vendor, as the collector uses it."""

    def __init__(
        self, vendor: Vendor, make_fetcher: Callable[[Callable[[int], bool]], Fetcher], breaker: Breaker, quota: Quota,
        means: Means, listed: Mapping[str, Listing], *, configured: bool,
    ) -> None:  # fmt: skip
        """`make_fetcher(pay)` returns the vendor's fetcher; configured: it has the key it needs.

        listed: symbol -> its listing here, where this source can feed the symbol's series.
        """
        self.name = vendor.name
        self.vendor, self.breaker, self.quota, self.configured = vendor, breaker, quota, configured
        self.fetcher = make_fetcher(self._pay)
        self.stats = SourceStats()
        self.listed = listed
        self._means = means
        self._first_start = False

    # -- start and view ----------------------------------------------------------------------------

    def open(self, *, first_start: bool) -> None:
        """Begin: the counter exists afterwards, and what only a human can mend is tried once more."""
        self._first_start = first_start
        self._establish()
        view = self.view(self._means.now_ms())
        hopeless = [s for s, block in view.blocks.items() if block.verdict in HOPELESS]
        if hopeless:
            self._means.link.exchange([lift(self.name, tuple(hopeless))])
        self._means.events.again(self.name, view.breaker.newest_transition())

    def view(self, now_ms: int) -> SourceView:
        """Return the source as it is now: one round trip."""
        return read_views({self.name: self}, self._means.link, now_ms)[self.name]

    def view_from(self, breaker: Mapping[bytes, bytes], quota: Mapping[bytes, bytes], now_ms: int) -> SourceView:
        """Return the view that the two stored hashes give."""
        plan = self.quota.plan
        return SourceView(
            self.name, self.configured, self.vendor.batch, breaker_view_of(breaker), self.breaker.rules,
            view_of(plan, quota, now_ms), plan.spacing_ms, plan.per_symbol, blocks_of(quota, now_ms),
            {symbol: figures.last_asked_ms for symbol, figures in self.stats.symbols.items()},
        )  # fmt: skip

    # -- asking ------------------------------------------------------------------------------------

    def admit(self) -> Admission:
        """Ask the breaker. Whoever is admitted must hand the admission on to `latest` or `history`."""
        admission = self.breaker.admit(self._means.now_ms())
        self._means.events.transition(self.name, admission.transition)
        return admission

    async def latest(self, asks: tuple[Ask, ...], admission: Admission) -> Answer:
        """Return the latest prices. Never raises for what the vendor does."""
        symbols = tuple(ask.symbol for ask in asks)
        if not admission.allowed:
            return Answer(self.name, self._means.now_ms(), None, failed=symbols)
        started_s = monotonic_s()
        try:
            reading, received_ms = await self.fetcher.latest(asks)
        except UnpaidError:
            self.breaker.give_back(admission)
            return Answer(self.name, self._means.now_ms(), None, failed=symbols)
        except NoAnswerError as e:
            reading = Reading(e.verdict, detail=e.detail, retry_after_s=e.retry_after_s)
            received_ms = self._means.now_ms()
        except BaseException:
            self.breaker.give_back(admission)
            raise
        self._judge(admission, reading, monotonic_s() - started_s)
        self._refuse(reading, symbols)
        return self._answer(asks, reading, received_ms)

    async def history(self, ask: Ask, request: Request, timeframe: Timeframe, admission: Admission) -> HistoryReading:
        """Return the bars that one request brings; verdict RATE_LIMITED if the budget does not allow it."""
        started_s = monotonic_s()
        try:
            reading = await self.fetcher.history(request, timeframe)
        except UnpaidError:
            self.breaker.give_back(admission)
            return HistoryReading(Verdict.RATE_LIMITED, detail="the budget is spent")
        except NoAnswerError as e:
            reading = HistoryReading(e.verdict, detail=e.detail, retry_after_s=e.retry_after_s)
        except BaseException:
            self.breaker.give_back(admission)
            raise
        self._judge(admission, reading, monotonic_s() - started_s)
        if reading.verdict in HOPELESS - {Verdict.BAD_KEY}:
            self._block(HISTORY + ask.symbol, reading.verdict, None, reading.detail)
        return reading

    # -- judging -----------------------------------------------------------------------------------

    def _answer(self, asks: tuple[Ask, ...], reading: Reading, received_ms: int) -> Answer:
        by_symbol = {quote.symbol: quote for quote in reading.quotes}
        for ask in asks:
            figures = self.stats.symbol(ask)
            figures.last_asked_ms = received_ms
            figures.note(by_symbol.get(ask.symbol), received_ms)
        failed = tuple(ask.symbol for ask in asks if ask.symbol not in by_symbol)
        return Answer(self.name, received_ms, reading.verdict, reading.quotes, failed)

    def _judge(self, admission: Admission, reading: Reading | HistoryReading, latency_s: float) -> None:
        now_ms, verdict, means = self._means.now_ms(), reading.verdict, self._means
        if verdict is Verdict.OUTAGE:
            change = self.breaker.record_failure(admission, now_ms, reading.detail)
        else:
            change = self.breaker.record_success(admission, now_ms)
        means.events.transition(self.name, change)
        self.stats.call(verdict, latency_s, reading.detail)
        means.metrics.count("md_fetch_total", source=self.name, verdict=verdict)
        means.metrics.observe("md_fetch_seconds", latency_s, source=self.name)
        if reading.credits_left is not None:
            self.quota.correct(reading.credits_left, now_ms)
        if verdict in (Verdict.RATE_LIMITED, Verdict.BAD_KEY):
            self._block("", verdict, reading.retry_after_s, reading.detail)

    def _refuse(self, reading: Reading, symbols: tuple[str, ...]) -> None:
        """Leave alone the symbols that the vendor will not serve, each for itself."""
        refused = dict(reading.refused)
        if reading.verdict is Verdict.BAD_REQUEST:
            refused = dict.fromkeys(symbols, Verdict.BAD_REQUEST)
        for symbol, verdict in refused.items():
            self._block(symbol, verdict, None, reading.detail)

    def _block(self, symbol: str, verdict: Verdict, retry_after_s: float | None, detail: str) -> None:
        now_ms = self._means.now_ms()
        block: Block | None = block_for(verdict, now_ms, retry_after_s, self.quota.plan.wait_ms, detail)
        if block is None:
            return
        self._means.link.exchange([store(self.name, symbol, block)])
        self._means.events.refusal(self.name, symbol, verdict, now_ms, block.until_ms, detail)

    # -- budget ------------------------------------------------------------------------------------

    def _pay(self, cost: int) -> bool:
        now_ms = self._means.now_ms()
        reservation = self.quota.reserve(cost, now_ms)
        if reservation.window == "missing":  # flushed while we run
            self._establish()
            reservation = self.quota.reserve(cost, now_ms)
        if reservation.granted and self.quota.plan.windows:
            self._means.usage.note(self.quota, cost, now_ms)
        return reservation.granted

    def _establish(self) -> None:
        now_ms = self._means.now_ms()
        first, self._first_start = self._first_start, False
        usage, how = starting_usage(self.quota, self._means.usage, first_start=first, now_ms=now_ms)
        if self.quota.establish(usage, now_ms) and how != "first_start":
            self._means.events.quota(self.name, f"quota.{how}", now_ms, "its counter was not in Redis")


def read_views(sources: Mapping[str, Source], link: Link, now_ms: int) -> dict[str, SourceView]:
    """Return all sources as they are now: one round trip."""
    commands: list[Command] = [("HGETALL", make(name)) for name in sources for make in (keys.breaker, keys.quota)]
    hashes = [flat_pairs(reply) for reply in link.exchange(commands)]
    pairs = zip(sources.values(), hashes[::2], hashes[1::2], strict=True)
    return {source.name: source.view_from(breaker, quota, now_ms) for source, breaker, quota in pairs}

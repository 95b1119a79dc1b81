"""One source: a vendor with all that stands around a call to it: breaker, budget, refusals, figures."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog

from collector.blocks import HOPELESS, Block, block_for, block_for_empty, blocks_of, lift, store
from collector.budget import Budget
from collector.choose import SourceView
from collector.events import Events
from collector.fetch import Fetcher, NoAnswerError, Pay, UnpaidError
from collector.limits import Purpose
from collector.network import Network
from collector.pace import Course
from collector.quota import Quota, asked_ms
from collector.reach import Contact
from collector.stats import SourceStats
from collector.usage import UsageFile
from collector.vendors.base import Ask, HistoryReading, Reading, Request, Vendor, Verdict
from common import keys
from common.breaker import Admission, Breaker, Transition
from common.breaker import view_of as breaker_view_of
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


class _Asked(NamedTuple):
    """When a call began: monotonic, and in the stream's time."""

    at_s: float
    at_ms: int


@dataclass(frozen=True)
class Means:
    """What every source uses of the process."""

    link: Link
    metrics: Metrics
    events: Events
    usage: UsageFile
    now_ms: Callable[[], int]
    """The stream's time."""
    network: Network = field(default_factory=Network)


class Source:
    """One vendor, as the collector uses it."""

    def __init__(
        self, vendor: Vendor, make_fetcher: Callable[[Pay], Fetcher], breaker: Breaker, quota: Quota, means: Means,
        listed: Mapping[str, Listing], course: Course | None = None, *, configured: bool,
    ) -> None:  # fmt: skip
        """`make_fetcher(pay)` returns the vendor's fetcher; configured: it has the key it needs.

        listed: symbol -> its listing here, where this source can feed the symbol's series. course: what its budget is
        spread over; None: over the whole day.
        """
        self.name = vendor.name
        self.vendor, self.breaker, self.quota, self.configured = vendor, breaker, quota, configured
        course = course or Course(batch=vendor.batch, per_symbol=quota.plan.per_symbol)
        self.budget = Budget(quota, course, means.usage, means.events, means.now_ms)
        self.fetcher = make_fetcher(self.budget.pay)
        self.stats = SourceStats()
        self.listed = listed
        self._means = means

    # -- start and view ----------------------------------------------------------------------------

    def open(self, *, first_start: bool) -> None:
        """Begin: the counter exists afterwards, and what only a human can mend is tried once more."""
        self.budget.open(first_start=first_start)
        view = self.view(self._means.now_ms())
        hopeless = [s for s, block in view.blocks.items() if block.verdict in HOPELESS]
        if hopeless:
            self._means.link.exchange([lift(self.name, tuple(hopeless))])

    def view(self, now_ms: int) -> SourceView:
        """Return the source as it is now: one round trip."""
        return read_views({self.name: self}, self._means.link, now_ms)[self.name]

    def view_from(self, breaker: Mapping[bytes, bytes], quota: Mapping[bytes, bytes], now_ms: int) -> SourceView:
        """Return the view that the two stored hashes give."""
        asked = {symbol: figures.last_asked_ms for symbol, figures in self.stats.symbols.items()}
        left, pace = self.budget.view(quota, now_ms)
        return SourceView(
            self.name, self.configured, breaker_view_of(breaker), self.breaker.rules, left, self.budget.course, pace,
            blocks_of(quota, now_ms) | self._means.network.blocks(now_ms), asked | asked_ms(quota),
        )  # fmt: skip

    # -- asking ------------------------------------------------------------------------------------

    def admit(self) -> Admission:
        """Ask the breaker. Whoever is admitted must hand the admission on to `latest` or `history`."""
        admission = self.breaker.admit(self._means.now_ms())
        self._tell(admission.transition)
        return admission

    async def latest(self, asks: tuple[Ask, ...], admission: Admission, purpose: Purpose = Purpose.REGULAR) -> Answer:
        """Return the latest prices. Never raises for what the vendor does."""
        symbols = tuple(ask.symbol for ask in asks)
        if not admission.allowed:
            return Answer(self.name, self._means.now_ms(), None, failed=symbols)
        asked = _Asked(monotonic_s(), self._means.now_ms())
        try:
            reading, received_ms = await self.fetcher.latest(asks, purpose)
        except UnpaidError:
            self.breaker.give_back(admission)
            return Answer(self.name, self._means.now_ms(), None, failed=symbols)
        except NoAnswerError as e:
            if await self._is_excused(e, admission, asked.at_s):
                return Answer(self.name, self._means.now_ms(), None, failed=symbols)
            reading = Reading(e.verdict, detail=e.detail, retry_after_s=e.retry_after_s)
            received_ms = self._means.now_ms()
        except BaseException:
            self.breaker.give_back(admission)
            raise
        else:
            self._means.network.report(self.name, Contact.OK, self._means.now_ms())
        reading = self.stats.weighed(reading)
        self._judge(admission, reading, asked, slow=self._is_slow(reading))
        self._refuse(reading, symbols)
        return self._answer(asks, reading, received_ms)

    async def history(self, ask: Ask, request: Request, timeframe: Timeframe, admission: Admission) -> HistoryReading:
        """Return the bars that one request brings; verdict RATE_LIMITED if the budget does not allow it."""
        asked = _Asked(monotonic_s(), self._means.now_ms())
        try:
            reading = await self.fetcher.history(request, timeframe)
        except UnpaidError:
            self.breaker.give_back(admission)
            return HistoryReading(Verdict.RATE_LIMITED, detail="the budget is spent")
        except NoAnswerError as e:
            if await self._is_excused(e, admission, asked.at_s):
                return HistoryReading(Verdict.RATE_LIMITED, detail="we are offline")
            reading = HistoryReading(e.verdict, detail=e.detail, retry_after_s=e.retry_after_s)
        except BaseException:
            self.breaker.give_back(admission)
            raise
        else:
            self._means.network.report(self.name, Contact.OK, self._means.now_ms())
        # The time that history takes goes by its size: it is never counted as slow.
        self._judge(admission, reading, asked, slow=False)
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
            if reading.refused.get(ask.symbol) is Verdict.NO_DATA:
                figures.empty += 1
                self._leave_alone(ask.symbol, block_for_empty(figures.empty, self._means.now_ms(), reading.detail))
        self._means.events.served(self.name, by_symbol)
        failed = tuple(ask.symbol for ask in asks if ask.symbol not in by_symbol)
        return Answer(self.name, received_ms, reading.verdict, reading.quotes, failed)

    async def _is_excused(self, error: NoAnswerError, admission: Admission, started_s: float) -> bool:
        """Return whether a call failed because we are offline: then it is given back, and counts for nothing."""
        means, now_ms = self._means, self._means.now_ms()
        if not error.unreachable:
            means.network.report(self.name, Contact.OK, now_ms)
            return False
        try:
            excused = await means.network.is_to_blame(self.name, started_s, now_ms)
        except BaseException:
            self.breaker.give_back(admission)
            raise
        if excused:
            self.breaker.give_back(admission)
            means.metrics.count("md_fetch_total", source=self.name, verdict="offline")
        return excused

    def _is_slow(self, reading: Reading) -> bool:
        return reading.took_s * 1000 > self.breaker.rules.slow_call_ms

    def tell_changes(self, breaker: Mapping[bytes, bytes]) -> None:
        """Tell what changed in the breaker's hash since it was told last, whoever changed it."""
        self._means.events.breaker(self.name, breaker)

    def _tell(self, change: Transition | None) -> None:
        if not self._means.events.transition(self.name, change):
            self._means.events.breaker(self.name, self.breaker.stored())

    def _judge(self, admission: Admission, reading: Reading | HistoryReading, asked: _Asked, *, slow: bool) -> None:
        now_ms, verdict, means = self._means.now_ms(), reading.verdict, self._means
        latency_s = monotonic_s() - asked.at_s
        if verdict is Verdict.OUTAGE:
            change = self.breaker.record_failure(admission, now_ms, reading.detail, slow=slow)
        else:
            change = self.breaker.record_success(admission, now_ms, slow=slow)
        self._tell(change)
        self.stats.call(verdict, latency_s, reading.detail)
        means.metrics.count("md_fetch_total", source=self.name, verdict=verdict)
        means.metrics.observe("md_fetch_seconds", latency_s, source=self.name)
        if reading.credits_left is not None:
            self.quota.correct(reading.credits_left, now_ms, asked.at_ms)
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
        wait_ms = self.quota.plan.wait_ms
        self._leave_alone(symbol, block_for(verdict, self._means.now_ms(), retry_after_s, wait_ms, detail))

    def _leave_alone(self, symbol: str, block: Block | None) -> None:
        if block is not None:
            self._means.link.exchange([store(self.name, symbol, block)])
            self._means.events.refusal(self.name, symbol, block)


def read_views(sources: Mapping[str, Source], link: Link, now_ms: int) -> dict[str, SourceView]:
    """Return all sources as they are now: one round trip. What others did to their breakers is told."""
    commands: list[Command] = [("HGETALL", make(name)) for name in sources for make in (keys.breaker, keys.quota)]
    hashes = [flat_pairs(reply) for reply in link.exchange(commands)]
    pairs = list(zip(sources.values(), hashes[::2], hashes[1::2], strict=True))
    for source, breaker, _ in pairs:
        source.tell_changes(breaker)
    return {source.name: source.view_from(breaker, quota, now_ms) for source, breaker, quota in pairs}

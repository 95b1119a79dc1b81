"""Vendors on their free plans that enforce their own limits, and sources that keep the collector's own books."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from collector.blocks import Block, block_for
from collector.choose import SourceView
from collector.limits import Plan, Purpose, frees_at
from collector.pace import MINUTE_MS, Course, pace_of
from collector.quota_model import Terms, asked_ms, reserve, view_of
from collector.vendors.base import Ask, Verdict
from collector.vendors.times import until_next_day_s, until_next_minute_s
from common.breaker import BreakerView, Rules
from simulator.limits import Block as Blocking
from simulator.limits import Limit, Paced, Windows

SECOND_MS = 1_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
SYMBOLS = ("NAS100", "XAUUSD", "EURUSD", "GBPUSD", "US30", "US500")
FREE = ("yahoo", "alphavantage", "twelvedata", "polygon")
BATCH = {"yahoo": 50, "alphavantage": 1, "twelvedata": 8, "polygon": 250}
Span = tuple[int, int]


@dataclass(frozen=True)
class Scenario:
    """What happens in those days."""

    start_ms: int
    end_ms: int
    sources: tuple[str, ...] = ("yahoo",)
    """Those with a key, or that need none."""
    push: bool = False
    """One source pushes every symbol that it lists, except while `silent`."""
    silent: tuple[Span, ...] = ()
    blocked: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    """Source -> when it refuses everything."""
    down: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    """Source -> when it does not answer."""
    others: Callable[[int], int] = lambda _: 0
    """Credits that another program with the same key uses at twelvedata in that second."""


def real_limit(vendor: str) -> Limit:
    """Return what the vendor itself enforces on its free plan."""
    match vendor:
        case "yahoo":
            return Blocking(40, 40 * MINUTE_MS, 16 * MINUTE_MS)
        case "alphavantage":
            return Paced(SECOND_MS, 25)
        case "twelvedata":
            return Windows((("minute", MINUTE_MS, 8), ("day", DAY_MS, 800)), count_refused=True)
    return Windows((("minute", MINUTE_MS, 5),), count_refused=False)


@dataclass
class Reply:
    """What a vendor said."""

    verdict: Verdict
    served: tuple[str, ...] = ()
    refused: Mapping[str, Verdict] = field(default_factory=dict)
    retry_after_s: float | None = None
    credits_left: int | None = None


class PlayedVendor:
    """A vendor on its free plan, with its own count."""

    def __init__(self, name: str, scenario: Scenario) -> None:
        self.name, self._scenario = name, scenario
        self.limit = real_limit(name)
        self.has_session = name != "yahoo"
        self.refusals: list[tuple[int, str]] = []
        """Calls beyond the limit."""

    def request_costs(self, symbols: int) -> list[int]:
        """Return the credits of each request that a call takes: the first one may have to open a session."""
        opening = [] if self.has_session else [1, 1]
        return [*opening, symbols if self.name == "twelvedata" else 1]

    def answer(self, asks: Sequence[Ask], cost: int, now_ms: int) -> Reply:
        """Return the reply to one request."""
        if within(self._scenario.down.get(self.name, ()), now_ms):
            return Reply(Verdict.OUTAGE)
        refused = self.limit.admit(now_ms, cost)
        left = 8 - self.limit.used[0] if isinstance(self.limit, Windows) and self.name == "twelvedata" else None
        if refused is not None:
            self.refusals.append((now_ms, refused))
            return Reply(
                Verdict.RATE_LIMITED, retry_after_s=self._wait_s(refused, now_ms), credits_left=max(0, left or 0)
            )
        if within(self._scenario.blocked.get(self.name, ()), now_ms):
            return Reply(Verdict.RATE_LIMITED, retry_after_s=900)
        self.has_session = True
        if self.name == "polygon":  # the free plan has end-of-day prices only
            return Reply(Verdict.NOT_ENTITLED, refused={ask.symbol: Verdict.NOT_ENTITLED for ask in asks})
        return Reply(Verdict.OK, tuple(ask.symbol for ask in asks), credits_left=left)

    def _wait_s(self, window: str, now_ms: int) -> float:
        return until_next_day_s(now_ms) if window == "day" else until_next_minute_s(now_ms)


class PlayedSource:
    """One source's stored state, and the view that follows from it, kept until it can change."""

    def __init__(self, name: str, plan: Plan, course: Course, *, configured: bool) -> None:
        self.name, self.plan, self.course, self.configured = name, plan, course, configured
        self.stored: dict[bytes, bytes] = {b"since": b"1"}
        self.blocks: dict[str, Block] = {}
        self.breaker = BreakerView()
        self.rules = Rules()
        self._view: SourceView | None = None
        self._stands_until_ms = 0

    def changed(self) -> None:
        """Note that the stored state is another one."""
        self._view = None

    def view(self, now_ms: int) -> SourceView:
        """Return the source as it is now."""
        if self._view is None or now_ms >= self._stands_until_ms:
            quota = view_of(self.plan, self.stored, now_ms)
            frees = [frees_at(u.window, u.buckets[0][0]) for u in quota.usages if u.buckets]
            ends = [block.until_ms for block in self.blocks.values() if block.until_ms > now_ms]
            self._stands_until_ms = min([now_ms // MINUTE_MS * MINUTE_MS + MINUTE_MS, *frees, *ends])
            self._view = SourceView(
                self.name, self.configured, self.breaker, self.rules, quota, self.course,
                pace_of(quota, self.course, now_ms),
                {symbol: block for symbol, block in self.blocks.items() if block.active(now_ms)}, asked_ms(self.stored),
            )  # fmt: skip
        return self._view

    def pay(self, cost: int, now_ms: int, purpose: Purpose, symbols: tuple[str, ...]) -> bool:
        """Take a request's cost out of the budget, as collector/budget.py does."""
        terms = Terms(purpose, self.view(now_ms).pace.spacing_ms, {}, symbols)
        reservation, self.stored = reserve(self.plan, self.stored, cost, now_ms, terms)
        self.changed()
        return reservation.granted

    def block(self, symbol: str, verdict: Verdict, retry_after_s: float | None, now_ms: int) -> None:
        """Leave it alone, as the verdict asks for."""
        block = block_for(verdict, now_ms, retry_after_s, self.plan.wait_ms, "")
        if block is not None:
            self.blocks[symbol] = block


def within(spans: Sequence[Span], now_ms: int) -> bool:
    return any(begin <= now_ms < end for begin, end in spans)

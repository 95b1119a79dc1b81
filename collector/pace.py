"""How a budget is spread: over the hours in which the markets of a source's symbols are open, and no others. Pure."""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from collector.limits import HOUR_MS, Plan, Purpose, Window, counted, frees_at
from collector.quota_model import QuotaView, Usage
from common.sessions import is_open, next_close_ms, next_open_ms

MINUTE_MS = 60_000
# What is left of a reserve is spread over so long, each time anew: it lasts, and goes slower the less is left of it.
HURRY_MS = HOUR_MS


@dataclass(frozen=True)
class Course:
    """What a source has to serve."""

    sessions: Mapping[str, str] = field(default_factory=dict)
    """Symbol -> session of its market, of all symbols whose series it can feed."""
    batch: int = 1
    """Symbols that one call carries."""
    per_symbol: bool = False
    """One credit buys a symbol, not a call."""
    foreign: frozenset[str] = frozenset()
    """Those of the symbols that other processes ask for."""

    @cached_property
    def markets(self) -> tuple[str, ...]:
        """The sessions, one per symbol, in order: what work is measured by."""
        return tuple(sorted(self.sessions.values()))

    def cost(self, symbols: int) -> int:
        """Return the credits that asking for so many symbols costs."""
        return symbols if self.per_symbol else -(-symbols // self.batch)

    def carries(self, left: int | None) -> int | None:
        """Return how many symbols what is left of the credits carries. None: any number."""
        return left if left is None or self.per_symbol else left * self.batch

    def work(self, from_ms: int, to_ms: int) -> int:
        """Return the credits that asking for every open symbol once a millisecond would cost."""
        if not self.sessions:
            return max(0, to_ms - from_ms)
        return _work(self.markets, self.batch, self.per_symbol, from_ms, to_ms)

    def cost_now(self, now_ms: int) -> int:
        """Return the credits that asking for every symbol that is open now costs; at least 1."""
        return max(1, self.cost(sum(is_open(session, now_ms) for session in self.markets)))


@dataclass(frozen=True)
class Pace:
    """At what pace a source's budget lasts. All 0: unlimited."""

    spacing_ms: int = 0
    """From one turn to the next, per credit."""
    round_ms: int = 0
    """From one call to the next for the same symbol."""
    hurried_ms: int = 0
    """The same while it stands in for others: what is left of the reserve goes on top."""


def pace_of(view: QuotaView, course: Course, now_ms: int) -> Pace:
    """Return the pace at which every window of the budget lasts, without its reserve."""
    if not view.usages:
        return Pace()
    round_ms = max(_round_ms(usage, course, now_ms) for usage in view.usages)
    cost = course.cost_now(now_ms)
    extra = min(_hurry(usage) for usage in view.usages)
    return Pace(-(-round_ms // cost), round_ms, round(1 / (1 / round_ms + extra / cost)))


def kept_of(plan: Plan, course: Course, now_ms: int, *, pushed: bool) -> dict[str, int]:
    """Return what history leaves to regular asking: window -> credits.

    All of its share while a market is open within the window, and nothing before that. Half of it while all prices are
    pushed: enough to take over.
    """
    kept: dict[str, int] = {}
    for window in plan.windows:
        minute_ms = now_ms // MINUTE_MS * MINUTE_MS
        idle = course.work(minute_ms, horizon_ms(window, now_ms)) == 0
        share = window.credits - window.reserve
        kept[window.name] = 0 if idle else share // 2 if pushed else share
    return kept


@dataclass(frozen=True)
class Forecast:
    """How long the regular share of a window lasts."""

    runs_out_at_ms: int | None = None
    """When it is used up; now, if it is. None: it lasts."""
    back_at_ms: int | None = None
    """When a regular call has room again after that. None: it does not run out."""


def forecast(usage: Usage, course: Course, now_ms: int) -> Forecast:
    """Return when the window runs out, if it is used on as in the newest hour, and when it is back.

    The pace in turn lasts by itself. What may be faster is standing in for others, history, and other programs that use
    the same key.
    """
    left, window = usage.left(Purpose.REGULAR), usage.window
    if left == 0:
        return Forecast(now_ms, usage.room_ms())
    newest = sum(n for start, n, _ in usage.buckets if start > now_ms - HOUR_MS)
    if not window.zone or newest == 0:  # a sliding window gives back as fast as it was used
        return Forecast()
    end_ms, minute_ms = horizon_ms(window, now_ms), now_ms // MINUTE_MS * MINUTE_MS
    work = left * course.cost_now(now_ms) * HOUR_MS // newest
    if course.work(minute_ms, end_ms) <= work:
        return Forecast()
    return Forecast(_when_done(course, work, minute_ms, end_ms), end_ms)


def horizon_ms(window: Window, now_ms: int) -> int:
    """Return how far ahead the credits that are there now have to last: the zone's midnight, or a window's length."""
    span = counted(window, now_ms)
    if window.zone:
        return frees_at(window, span.bucket_ms)
    return now_ms // MINUTE_MS * MINUTE_MS + window.length_ms + window.bucket_ms


def _round_ms(usage: Usage, course: Course, now_ms: int) -> int:
    window, minute_ms = usage.window, now_ms // MINUTE_MS * MINUTE_MS
    end_ms = horizon_ms(window, now_ms)
    work = course.work(minute_ms, end_ms)
    if window.zone:
        return max(1, -(-work // max(1, usage.left(Purpose.REGULAR))))
    # What was asked over the length behind still counts, so the busier one of the two sets the pace.
    work = max(work, course.work(2 * minute_ms - end_ms, minute_ms))
    return max(1, -(-work // (window.credits - window.reserve)))


def _hurry(usage: Usage) -> float:
    """Return the credits a millisecond that a window's reserve adds."""
    if not usage.window.reserve:
        return float("inf")
    return usage.reserve_left / min(HURRY_MS, usage.window.length_ms)


def _when_done(course: Course, work: int, from_ms: int, to_ms: int) -> int:
    """Return the first whole minute at which so much work is done."""
    minutes = range(from_ms, to_ms, MINUTE_MS)
    return minutes[bisect_left(minutes, work, key=lambda at_ms: course.work(from_ms, at_ms))]


@lru_cache(maxsize=4096)
def _work(markets: tuple[str, ...], batch: int, per_symbol: bool, from_ms: int, to_ms: int) -> int:
    total, at_ms = 0, from_ms
    distinct = set(markets)
    while at_ms < to_ms:
        opened = {session for session in distinct if is_open(session, at_ms)}
        edges = [next_close_ms(s, at_ms) if s in opened else next_open_ms(s, at_ms) for s in distinct]
        until_ms = min(to_ms, *edges)
        symbols = sum(session in opened for session in markets)
        total += (symbols if per_symbol else -(-symbols // batch)) * (until_ms - at_ms)
        at_ms = until_ms
    return total

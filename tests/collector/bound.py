"""How old prices were, and how old they have to be with these budgets: reckoned apart from the planner."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from collector.limits import Plan, Window
from collector.pace import Course
from common.sessions import is_open

MINUTE_MS = 60_000
DAY_MS = 86_400_000
PUSHED_S = 0.5
"""How old a price is in the mean that is pushed every second."""
Span = tuple[int, int]


@dataclass
class Staleness:
    """How long ago a symbol was served, at each moment in which its market was open."""

    gaps_ms: Counter[int] = field(default_factory=Counter)
    """Length of a stretch without a new price, open time only -> how many."""
    _since_ms: int = -1
    """When it was served last, or the market opened; -1: it is closed."""

    def at(self, now_ms: int, *, opened: bool) -> None:
        """Note whether the market is open."""
        if opened and self._since_ms < 0:
            self._since_ms = now_ms
        elif not opened and self._since_ms >= 0:
            self._end(now_ms)
            self._since_ms = -1

    def served(self, now_ms: int) -> None:
        """Note a new price."""
        self._end(now_ms)
        self._since_ms = now_ms

    def _end(self, now_ms: int) -> None:
        if now_ms > self._since_ms:
            self.gaps_ms[now_ms - self._since_ms] += 1

    @property
    def mean_s(self) -> float:
        """Return the mean over time."""
        total = sum(gap * n for gap, n in self.gaps_ms.items())
        return sum(gap * gap * n for gap, n in self.gaps_ms.items()) / 2 / total / 1000 if total else 0.0

    def quantile_s(self, share: float) -> float:
        """Return the staleness that is not exceeded for that share of the time."""
        total = sum(gap * n for gap, n in self.gaps_ms.items())
        low, high = 0.0, float(self.max_s * 1000)
        for _ in range(40):
            middle = (low + high) / 2
            above = sum((gap - middle) * n for gap, n in self.gaps_ms.items() if gap > middle)
            low, high = (middle, high) if above > (1 - share) * total else (low, middle)
        return high / 1000

    @property
    def max_s(self) -> float:
        """Return the longest stretch."""
        return max(self.gaps_ms, default=0) / 1000


@dataclass(frozen=True)
class Supply:
    """What one source could give at best."""

    plan: Plan
    course: Course
    away: tuple[Span, ...] = ()
    """When it refuses or does not answer."""


@dataclass(frozen=True)
class Bound:
    """The least staleness that budgets allow: calls at even distances, none of them wasted."""

    mean_s: float
    worst_s: float
    """The longest of those distances."""


def bound(
    session: str, symbol: str, supplies: Sequence[Supply], span: Span, pushed: Sequence[Span] = (), *, whole: bool
) -> Bound:
    """Return the bound of one symbol. whole: reserves are used up as well. pushed: when its price is pushed.

    A source's round (the time between two calls for a symbol) is its work divided by its credits: work is what asking
    for every open symbol costs, over the window it has to last for. Rates (calls a second) of a class's sources add up;
    prices at even distances of 1/rate are 1/(2 rate) old in the mean. While no source can be asked they grow old.
    """
    total = open_minutes = 0.0
    worst = without_s = 0.0
    rounds = {id(s): _Rounds(s, whole=whole) for s in supplies}
    for minute_ms in range(span[0] // MINUTE_MS * MINUTE_MS, span[1], MINUTE_MS):
        if not is_open(session, minute_ms):
            without_s = 0.0
            continue
        open_minutes += 1
        if any(begin <= minute_ms < end for begin, end in pushed):
            total += PUSHED_S
            continue
        able = [s for s in supplies if symbol in s.course.sessions and not _away(s, minute_ms)]
        rate = sum(1 / rounds[id(s)].at(minute_ms) for s in able)
        without_s = without_s + 60 if rate == 0 else 0.0
        total += without_s - 30 if rate == 0 else 1 / (2 * rate)
        worst = max(worst, without_s if rate == 0 else 1 / rate)
    return Bound(total / max(1.0, open_minutes), worst)


def _away(supply: Supply, at_ms: int) -> bool:
    return any(begin <= at_ms < end for begin, end in supply.away)


class _Rounds:
    """A source's shortest round at each minute, in seconds."""

    def __init__(self, supply: Supply, *, whole: bool) -> None:
        self._supply, self._whole = supply, whole
        self._days: dict[tuple[str, int], float] = {}

    def at(self, at_ms: int) -> float:
        return max(self._round_s(window, at_ms) for window in self._supply.plan.windows)

    def _round_s(self, window: Window, at_ms: int) -> float:
        left = window.credits - (0 if self._whole else window.reserve)
        if window.length_ms < DAY_MS:  # closed hours within a window of an hour at most change nothing
            return self._cost(at_ms) * window.length_ms / 1000 / left
        day = at_ms // DAY_MS * DAY_MS
        key = (window.name, day)
        if key not in self._days:
            self._days[key] = sum(self._cost(ms) * 60 for ms in range(day, day + DAY_MS, MINUTE_MS)) / left
        return self._days[key]

    def _cost(self, at_ms: int) -> int:
        course: Course = self._supply.course
        symbols = sum(is_open(session, at_ms) for session in course.sessions.values())
        return course.cost(symbols)


def table(rows: Mapping[str, tuple[Staleness, Bound, Bound]]) -> str:
    """Return a table: staleness beside what the budgets allow without and with their reserves, in seconds."""
    lines = ["symbol      mean    p95     max | bound mean  worst  ratio | with reserves  ratio"]
    for name, (seen, regular, whole) in rows.items():
        lines.append(
            f"{name:8s} {seen.mean_s:7.1f} {seen.quantile_s(0.95):6.1f} {seen.max_s:7.1f} | "
            f"{regular.mean_s:9.1f} {regular.worst_s:7.1f} {ratio(seen, regular):6.2f} | "
            f"{whole.mean_s:13.1f} {ratio(seen, whole):6.2f}"
        )
    return "\n".join(lines)


def ratio(seen: Staleness, least: Bound) -> float:
    """Return how many times as old as they had to be prices were in the mean."""
    return seen.mean_s / least.mean_s

"""Whom to ask for each symbol, and what for: pure, from the sources as they are now.

The caller hands in the listings of the class that feeds the symbol's series only: no other one may replace them.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from collector.blocks import Block
from collector.limits import Purpose
from collector.pace import Course, Pace
from collector.plan import CHECK_EVERY_MS, PERMANENT, YIELD_MS, fills_in, is_spent, stands_in, wait_ms
from collector.quota_model import QuotaView
from collector.vendors.base import Ask
from common.breaker import BreakerView, Rules
from common.sessions import is_open
from common.symbols import Listing

NEVER_MS = 1 << 60
"""The age of what was never asked for."""


@dataclass(frozen=True)
class SourceView:
    """One source at one moment, as far as choosing needs it."""

    name: str
    configured: bool
    breaker: BreakerView
    rules: Rules
    quota: QuotaView
    course: Course = field(default_factory=Course)
    pace: Pace = field(default_factory=Pace)
    blocks: Mapping[str, Block] = field(default_factory=dict)
    """Symbol -> block that counts now; the empty name is the source as a whole."""
    last_asked_ms: Mapping[str, int] = field(default_factory=dict)
    """Symbol -> when this source was last asked for it, by any collector."""

    def why_not(self, symbol: str, now_ms: int) -> str:
        """Return why the source can't serve the symbol now, as a slug; empty if it can."""
        if not self.configured:
            return "no_key"
        block = self.blocks.get("") or self.blocks.get(symbol)
        if block is not None:
            return block.verdict
        if not self.breaker.admits(now_ms, self.rules):
            return "breaker_open"
        return "quota_spent" if is_spent(self, now_ms) else ""


class Group(NamedTuple):
    """What to ask of one source, in one or more calls."""

    source: str
    asks: tuple[Ask, ...]
    purpose: Purpose = Purpose.REGULAR


@dataclass(frozen=True)
class Choice:
    """What to do for the symbols in question."""

    groups: tuple[Group, ...]
    """At most one for each source and purpose; symbols in the table's order."""
    waiting: Mapping[str, Listing]
    """Symbol -> the source that serves it most often, though nobody does just now."""
    withheld: Mapping[str, str]
    """Symbol -> why each of its sources was passed over, for humans."""


@dataclass(frozen=True)
class _Case:
    """One symbol: who can serve it, and how old its price is."""

    symbol: str
    usable: tuple[tuple[Listing, SourceView], ...]
    """Preferred first."""
    reasons: tuple[str, ...]
    """Why each of the others can't."""
    failing: bool
    """Sources that are preferred to all of these can't serve for now."""
    at_once: bool
    """One of them has failed just now."""
    age_ms: int
    """Since any source of the class was last asked for it."""


def choose(
    wanted: Mapping[str, Sequence[Listing]],
    sources: Mapping[str, SourceView],
    tried: Mapping[str, Collection[str]],
    now_ms: int,
    live: Mapping[str, str] = {},  # never changed
    lost: Collection[str] = (),
) -> Choice:
    """Return whom to ask for each symbol.

    wanted: symbol -> its listings, preferred first. tried: symbol -> sources that failed it in this cycle. live:
    symbol -> the source that pushes it freshly; it is asked for as a check only, and neither waits nor is withheld.
    lost: symbols that were live a cycle ago: another source takes over at once.
    """
    cases = [
        _case(symbol, listings, sources, tried.get(symbol, ()), now_ms, symbol in lost)
        for symbol, listings in wanted.items()
    ]
    room = _Room(now_ms)
    waiting: dict[str, Listing] = {}
    withheld: dict[str, str] = {}
    for case in sorted(cases, key=lambda case: -case.age_ms):  # stalest first, else in the table's order
        found = _check(case, live[case.symbol], room) if case.symbol in live else _best(case, room)
        if found is not None:
            room.take(case.symbol, *found)
        elif case.symbol not in live:
            _put_off(case, waiting, withheld)
    return Choice(room.groups(wanted), waiting, withheld)


def batches(asks: Sequence[Ask], size: int) -> list[tuple[Ask, ...]]:
    """Return the asks in calls of at most `size`."""
    return [tuple(asks[i : i + size]) for i in range(0, len(asks), size)]


def _case(
    symbol: str,
    listings: Sequence[Listing],
    sources: Mapping[str, SourceView],
    tried: Collection[str],
    now_ms: int,
    lost: bool,
) -> _Case:
    usable: list[tuple[Listing, SourceView]] = []
    reasons: list[str] = []
    failing = lost
    asked_ms = -1
    for listing in listings:
        source = sources.get(listing.vendor)
        if source is None:
            reasons.append(f"{listing.vendor}: unknown")
            continue
        asked_ms = max(asked_ms, source.last_asked_ms.get(symbol, -1))
        why_not = "failed" if listing.vendor in tried else source.why_not(symbol, now_ms)
        if not why_not:
            usable.append((listing, source))
            continue
        reasons.append(f"{listing.vendor}: {why_not}")
        failing = failing or (not usable and why_not not in PERMANENT)
    age_ms = NEVER_MS if asked_ms < 0 else now_ms - asked_ms
    return _Case(symbol, tuple(usable), tuple(reasons), failing, lost or (failing and bool(tried)), age_ms)


class _Room:
    """What is left of each budget while one symbol after the other takes of it."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self._taken: dict[tuple[str, Purpose], dict[str, Ask]] = {}

    def in_turn(self, source: SourceView, case: _Case) -> bool:
        """Return whether it is the source's turn, with room for one more symbol."""
        if wait_ms(source, self.now_ms) != 0 or not self._carries(source, Purpose.REGULAR):
            return False
        return not _yields(source, case.symbol, self.now_ms)

    def out_of_turn(self, source: SourceView, case: _Case) -> bool:
        """Return whether the source stands in for those that fail, with room for one more symbol."""
        stands = stands_in(source, case.age_ms, at_once=case.at_once)
        return stands and self._carries(source, Purpose.FAILOVER)

    def take(self, symbol: str, listing: Listing, purpose: Purpose) -> None:
        """Note who is asked for the symbol."""
        ask = Ask(symbol, listing.symbol, listing.source_class, listing.volume)
        self._taken.setdefault((listing.vendor, purpose), {})[symbol] = ask

    def groups(self, order: Iterable[str]) -> tuple[Group, ...]:
        """Return what to ask of each source, its symbols in this order."""
        place = {symbol: n for n, symbol in enumerate(order)}
        found = [
            Group(source, tuple(sorted(asks.values(), key=lambda ask: place[ask.symbol])), purpose)
            for (source, purpose), asks in self._taken.items()
        ]
        return tuple(sorted(found, key=lambda group: place[group.asks[0].symbol]))

    def _carries(self, source: SourceView, purpose: Purpose) -> bool:
        carried = source.course.carries(source.quota.left(purpose))
        taken = sum(len(asks) for (name, _), asks in self._taken.items() if name == source.name)
        return carried is None or taken < carried


def _best(case: _Case, room: _Room) -> tuple[Listing, Purpose] | None:
    """Return the source to ask for a price, and whether in its turn or out of it; None if nobody is asked now."""
    for listing, source in case.usable:
        if not room.in_turn(source, case):
            continue
        others = [other for _, other in case.usable if other is not source]
        preferred = source is case.usable[0][1]
        if preferred or case.at_once or fills_in(source, others, case.age_ms, room.now_ms):
            return listing, Purpose.REGULAR
    if not case.failing:
        return None
    for listing, source in sorted(case.usable, key=lambda pair: pair[1].pace.hurried_ms):
        if room.out_of_turn(source, case):
            return listing, Purpose.FAILOVER
    return None


def _check(case: _Case, pushing: str, room: _Room) -> tuple[Listing, Purpose] | None:
    """Return the source to check a pushed price at, if it is time; rather another one than that which pushes it."""
    if case.age_ms < CHECK_EVERY_MS:
        return None
    by_need = sorted(case.usable, key=lambda pair: pair[1].name == pushing)
    return next(((listing, Purpose.CHECK) for listing, source in by_need if room.in_turn(source, case)), None)


def _put_off(case: _Case, waiting: dict[str, Listing], withheld: dict[str, str]) -> None:
    if not case.usable:
        withheld[case.symbol] = ", ".join(case.reasons)
        return
    most_often = min(case.usable, key=lambda pair: pair[1].pace.round_ms)
    waiting[case.symbol] = most_often[0]


def _yields(source: SourceView, symbol: str, now_ms: int) -> bool:
    """Return whether a process that asks for other symbols has waited longer here: it has a moment to take the turn."""
    course = source.course
    if not course.foreign or source.quota.next_ms + YIELD_MS <= now_ms:
        return False
    ours_ms = source.last_asked_ms.get(symbol, -1)
    theirs = (s for s in course.foreign if is_open(course.sessions[s], now_ms))
    return any(source.last_asked_ms.get(s, -1) < ours_ms for s in theirs)

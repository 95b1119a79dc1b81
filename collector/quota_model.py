"""What a budget is: values and pure rules. collector/quota.py does the same inside Redis.

This is the reference that the Lua scripts are tested against, and the reader of the stored hash. Its fields:

`since`               when counting began. A hash without it was lost: all counts as spent until it is rebuilt.
`w:<window>:<bucket>` credits used in that bucket of a window.
`r:<window>:<bucket>` those of them that were counted against the reserve.
`next_ms`             when the plan allows the next call in turn.
`asked:<symbol>`      when the source was last asked for the symbol's price, by any collector.

What collector/blocks.py keeps is in the same hash.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from collector.limits import Plan, Purpose, Window, counted, frees_at

MISSING = "missing"


@dataclass(frozen=True)
class Reservation:
    """Whether a call may be made."""

    granted: bool
    window: str = ""
    """Which window refused it; "missing": the counter itself is lost."""


@dataclass(frozen=True)
class Terms:
    """Under which terms a call is paid for."""

    purpose: Purpose = Purpose.REGULAR
    spacing_ms: int = 0
    """Until the next turn, per credit; only calls in turn move it."""
    kept: Mapping[str, int] = field(default_factory=dict)
    """Window -> credits that history leaves to regular asking."""
    symbols: tuple[str, ...] = ()
    """Whose prices it asks for."""


@dataclass(frozen=True)
class Usage:
    """What is used of one window at one moment."""

    window: Window
    buckets: tuple[tuple[int, int, int], ...] = ()
    """Start, credits used, those of them counted against the reserve; oldest first."""

    @cached_property
    def used(self) -> int:
        """Credits used, whatever for."""
        return sum(n for _, n, _ in self.buckets)

    @cached_property
    def of_reserve(self) -> int:
        """Those of them that were counted against the reserve."""
        return sum(n for _, _, n in self.buckets)

    @property
    def reserve_left(self) -> int:
        """What regular asking must leave untouched."""
        return max(0, self.window.reserve - self.of_reserve)

    def left(self, purpose: Purpose, kept: int = 0) -> int:
        """Return the credits that calls of this purpose may still take now. kept: see Terms."""
        left = self.window.credits - self.used
        if not purpose.of_reserve:
            left -= self.reserve_left
        elif purpose is Purpose.BACKFILL and self.window.reserve:
            left -= max(0, kept - (self.used - self.of_reserve))
        return max(0, left)

    def room_ms(self) -> int:
        """Return when a regular call has room; 0: now."""
        for gone in range(len(self.buckets) + 1):
            if Usage(self.window, self.buckets[gone:]).left(Purpose.REGULAR) > 0:
                return frees_at(self.window, self.buckets[gone - 1][0]) if gone else 0
        return frees_at(self.window, self.buckets[-1][0])

    def resets_at_ms(self) -> int | None:
        """Return when credits come back next. None: none is used."""
        return frees_at(self.window, self.buckets[0][0]) if self.buckets else None


@dataclass(frozen=True)
class QuotaView:
    """A source's budget at one moment."""

    usages: tuple[Usage, ...] = ()
    """One for each window; none: unlimited."""
    next_ms: int = 0
    """When the plan allows the next call in turn."""
    lost: bool = False
    """The counter is lost: everything counts as spent."""

    def left(self, purpose: Purpose, kept: Mapping[str, int] | None = None) -> int | None:
        """Return the credits that calls of this purpose may take now. None: unlimited."""
        if self.lost:
            return 0
        return min((u.left(purpose, (kept or {}).get(u.window.name, 0)) for u in self.usages), default=None)

    @cached_property
    def turn_ms(self) -> int | None:
        """When the next regular call is due and has room. None: not known, the counter is lost."""
        if self.lost:
            return None
        return max((self.next_ms, *[u.room_ms() for u in self.usages]))


def view_of(plan: Plan, stored: Mapping[bytes, bytes], now_ms: int) -> QuotaView:
    """Return the budget that a hash holds (HGETALL as a dict)."""
    if not plan.windows:
        return QuotaView()
    if b"since" not in stored:
        return QuotaView(tuple(Usage(w, ((0, w.credits, 0),)) for w in plan.windows), lost=True)
    next_ms = int(stored.get(b"next_ms", b"0"))
    if next_ms > now_ms + plan.longest_ms:  # the clock was put back
        next_ms = 0
    return QuotaView(tuple(usage_of(w, stored, now_ms) for w in plan.windows), next_ms)


def usage_of(window: Window, stored: Mapping[bytes, bytes], now_ms: int) -> Usage:
    """Return what the hash says of one window, in the buckets that count now."""
    span = counted(window, now_ms)
    used, of_reserve = f"w:{window.name}:".encode(), f"r:{window.name}:".encode()
    found = ((int(f[len(used) :]), int(n), f) for f, n in stored.items() if f.startswith(used))
    return Usage(
        window,
        tuple(
            (start, n, int(stored.get(of_reserve + f[len(used) :], b"0")))
            for start, n, f in sorted(found)
            if span.oldest_ms <= start <= span.newest_ms
        ),
    )


def asked_ms(stored: Mapping[bytes, bytes]) -> dict[str, int]:
    """Return when each symbol was last asked for, by any collector."""
    prefix = b"asked:"
    return {f[len(prefix) :].decode(): int(at) for f, at in stored.items() if f.startswith(prefix)}


def buckets_of(plan: Plan, cost: int, now_ms: int, purpose: Purpose = Purpose.REGULAR) -> dict[str, int]:
    """Return the fields that a reservation adds to, with what it adds."""
    prefixes = "wr" if purpose.of_reserve else "w"
    return {f"{p}:{w.name}:{counted(w, now_ms).bucket_ms}": cost for w in plan.windows for p in prefixes}


def reserve(
    plan: Plan, stored: Mapping[bytes, bytes], cost: int, now_ms: int, terms: Terms
) -> tuple[Reservation, dict[bytes, bytes]]:
    """Return whether a call may be made, and the hash after that: in every window, or in none."""
    after = dict(stored)
    if not plan.windows:
        return Reservation(granted=True), after
    if b"since" not in stored:
        return Reservation(granted=False, window=MISSING), after
    for window in plan.windows:
        if usage_of(window, stored, now_ms).left(terms.purpose, terms.kept.get(window.name, 0)) < cost:
            return Reservation(granted=False, window=window.name), after
    _forget(plan, after, now_ms)
    _add(after, buckets_of(plan, cost, now_ms, terms.purpose))
    if not terms.purpose.of_reserve:
        after[b"next_ms"] = b"%d" % next_turn_ms(plan, int(stored.get(b"next_ms", b"0")), cost, now_ms, terms)
    after |= {b"asked:" + symbol.encode(): b"%d" % now_ms for symbol in terms.symbols}
    return Reservation(granted=True), after


def next_turn_ms(plan: Plan, due_ms: int, cost: int, now_ms: int, terms: Terms) -> int:
    """Return when the next turn is. A turn taken a little late keeps the rhythm; one missed is not made up for."""
    takes_ms = cost * terms.spacing_ms
    begins_ms = due_ms if now_ms - takes_ms <= due_ms <= now_ms + plan.longest_ms else now_ms
    return begins_ms + takes_ms


def correct(plan: Plan, stored: Mapping[bytes, bytes], credits_left: int, now_ms: int) -> dict[bytes, bytes]:
    """Return the hash after the vendor said what its own window has left: never less is counted than before.

    The vendor's window begins with the clock's minute (the zone's day), ours slides: what we used before the vendor's
    began is not in its count, and must not hide what another program uses now. What that one used is gone from every
    window.
    """
    after = dict(stored)
    window = next((w for w in plan.windows if w.name == plan.reported), None)
    if window is None or b"since" not in stored:
        return after
    begins_ms = reported_since_ms(window, now_ms)
    seen = sum(n for start, n, _ in usage_of(window, stored, now_ms).buckets if start >= begins_ms)
    unseen = window.credits - credits_left - seen
    if unseen > 0:
        _add(after, buckets_of(plan, unseen, now_ms))
    return after


def reported_since_ms(window: Window, now_ms: int) -> int:
    """Return when the vendor's own window began."""
    return counted(window, now_ms).oldest_ms if window.zone else now_ms // window.length_ms * window.length_ms


def _add(stored: dict[bytes, bytes], credits_: Mapping[str, int]) -> None:
    for name, n in credits_.items():
        stored[name.encode()] = b"%d" % (int(stored.get(name.encode(), b"0")) + n)


def _forget(plan: Plan, stored: dict[bytes, bytes], now_ms: int) -> None:
    """Drop the buckets that no window counts any more."""
    for window in plan.windows:
        span = counted(window, now_ms)
        for prefix in (f"w:{window.name}:".encode(), f"r:{window.name}:".encode()):
            for name in [f for f in stored if f.startswith(prefix)]:
                if not span.oldest_ms <= int(name[len(prefix) :]) <= span.newest_ms:
                    del stored[name]

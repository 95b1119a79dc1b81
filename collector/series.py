"""Which class feeds a symbol's series: pure decisions over what is known of the classes that may.

The prices at which the client trades go first: while its terminal is there, the terminal's class feeds the series. Else
the symbol's own class does, and while that has no source the others that the user allows, in his order. A class that
is preferred comes back when it has served steadily for minutes: each change starts the series anew, so that one too
many costs more than one too few.
"""

from typing import NamedTuple, Protocol

from msgspec import Struct
from msgspec.structs import replace

from common.symbols import TERMINAL, Symbol

TERMINAL_GONE_MS = 30_000
"""Without a sign of life for longer than this, in an open session, the terminal is gone."""
NO_SOURCE_MS = 60_000
"""Without a source for so long, a class gives way to the next one that is allowed and serves."""
STEADY_MS = 180_000
"""So long a preferred class must have served without a break before it comes back."""
TRY_EVERY_MS = 15_000
"""How often each other class is tried while the one that feeds the series has no source ..."""
LOOK_EVERY_MS = 60_000
"""... and how often a preferred one is looked at while another one serves."""
LOSSES_MS = 600_000
LOSSES = 2
"""A terminal that went so often in this time comes back at once no more, but when it was there steadily."""


class Good(Struct, frozen=True):
    """A class that does not feed the series, and serves when it is tried."""

    since_ms: int
    last_ms: int


class Record(Struct, frozen=True):
    """What is known of one symbol. Committed with what it led to, so that a restart decides the same."""

    own: str
    """The class that the symbol table names as the series' own."""
    active: str
    """The class that feeds the series."""
    down_ms: int | None = None
    """Since when the active class has had no source; None: it has one, or its market is closed."""
    heard_ms: int | None = None
    """The terminal's newest sign of life; None: never."""
    steady_ms: int | None = None
    """Since when it has been there without a break."""
    losses: tuple[int, ...] = ()
    """When it was lost, lately."""
    good: dict[str, Good] = {}
    """By class."""
    tried: dict[str, int] = {}
    """By class: when it was tried last."""


class Allowed(NamedTuple):
    """The classes that may feed a symbol's series."""

    terminal: str
    """The class that only the client's terminal quotes; empty if there is none."""
    vendors: tuple[str, ...]
    """The others, preferred first."""


class Look(Protocol):
    """What a decision asks about a symbol's classes, if it comes to that."""

    def is_open(self, source_class: str, for_ms: int = 0) -> bool:
        """Return whether the class's session is open, and was so long ago."""
        ...

    def can_serve(self, source_class: str) -> bool:
        """Return whether any of the class's sources can be asked now."""
        ...


class Change(NamedTuple):
    """Another class is to feed the series."""

    source_class: str
    why: str
    """As in SeriesChange."""


def allowed_of(symbol: Symbol) -> Allowed:
    """Return the classes that may feed a symbol's series. A class that vendors quote too is none of the terminal's."""
    vendors = tuple(c for c in symbol.may_feed() if any(x.vendor != TERMINAL for x in symbol.feed(c)))
    terminal = next((c for c in symbol.may_feed() if c not in vendors), "")
    return Allowed(terminal, vendors)


def begun(symbol: Symbol, record: Record | None) -> Record:
    """Return the record to go on with; a new one where the symbol table has changed beneath it."""
    if record is not None and record.own == symbol.series and record.active in symbol.may_feed():
        return record
    return Record(symbol.series, symbol.series)


# -- what happens ---------------------------------------------------------------------------------


def heard(record: Record, at_ms: int) -> Record:
    """Return the record after a sign of life of the terminal."""
    if record.heard_ms is not None and at_ms <= record.heard_ms:
        return record
    broken = record.heard_ms is None or at_ms - record.heard_ms > TERMINAL_GONE_MS
    return replace(record, heard_ms=at_ms, steady_ms=at_ms if broken or record.steady_ms is None else record.steady_ms)


def stands(record: Record, *, served: bool, closed: bool, now_ms: int) -> Record:
    """Return the record after a cycle in which the active class was served, or closed, or neither."""
    if served or closed:
        return record if record.down_ms is None else replace(record, down_ms=None)
    return replace(record, down_ms=now_ms) if record.down_ms is None else record


def was_tried(record: Record, source_class: str, *, served: bool, now_ms: int) -> Record:
    """Return the record after a class that does not feed the series was asked for a price."""
    good = {name: known for name, known in record.good.items() if name != source_class}
    if served:
        since_ms = record.good[source_class].since_ms if source_class in record.good else now_ms
        good[source_class] = Good(since_ms, now_ms)
    return replace(record, good=good, tried={**record.tried, source_class: now_ms})


def changed(record: Record, change: Change, now_ms: int) -> Record:
    """Return the record after a change."""
    losses = tuple(at_ms for at_ms in record.losses if now_ms - at_ms < LOSSES_MS)
    if change.why == "terminal_gone":
        losses = (*losses, now_ms)
    return Record(record.own, change.source_class, None, record.heard_ms, record.steady_ms, losses)


# -- what to do -----------------------------------------------------------------------------------


def decide(record: Record, allowed: Allowed, now_ms: int, look: Look) -> Change | None:
    """Return the change that is due, if any."""
    if allowed.terminal:
        if record.active == allowed.terminal:
            return _leave_terminal(record, allowed, now_ms, look)
        if is_present(record, now_ms) and _may_come(record, now_ms):
            return Change(allowed.terminal, "terminal_came")
    return _come_back(record, allowed, now_ms) or _give_way(record, allowed, now_ms)


def to_try(record: Record, allowed: Allowed, now_ms: int, look: Look) -> str:
    """Return the class to ask for a price beside the one that feeds the series; empty if none is due."""
    if record.active not in allowed.vendors:
        return ""
    down = _is_down(record, now_ms)
    others = [c for c in allowed.vendors if c != record.active]
    candidates = others if down else allowed.vendors[: allowed.vendors.index(record.active)]
    every_ms = TRY_EVERY_MS if down else LOOK_EVERY_MS
    due = (c for c in candidates if now_ms - record.tried.get(c, -every_ms) >= every_ms and look.is_open(c))
    return next(due, "")


def is_present(record: Record, now_ms: int) -> bool:
    """Return whether the terminal is there."""
    return record.heard_ms is not None and now_ms - record.heard_ms <= TERMINAL_GONE_MS


def _may_come(record: Record, now_ms: int) -> bool:
    lost = [at_ms for at_ms in record.losses if now_ms - at_ms < LOSSES_MS]
    return len(lost) < LOSSES or (record.steady_ms is not None and now_ms - record.steady_ms >= STEADY_MS)


def _leave_terminal(record: Record, allowed: Allowed, now_ms: int, look: Look) -> Change | None:
    """Its class has no other source. A closed market is no reason to leave, for it needs no price."""
    if is_present(record, now_ms) or not allowed.vendors or not look.is_open(record.active, TERMINAL_GONE_MS):
        return None
    best = next((c for c in allowed.vendors if look.can_serve(c)), allowed.vendors[0])
    return Change(best, "terminal_gone")


def _come_back(record: Record, allowed: Allowed, now_ms: int) -> Change | None:
    for source_class in allowed.vendors:
        if source_class == record.active:
            return None
        good = record.good.get(source_class)
        fresh = good is not None and now_ms - good.last_ms <= 2 * LOOK_EVERY_MS
        if good is not None and fresh and good.last_ms - good.since_ms >= STEADY_MS:
            return Change(source_class, "class_back")
    return None


def _give_way(record: Record, allowed: Allowed, now_ms: int) -> Change | None:
    if not _is_down(record, now_ms):
        return None
    for source_class in allowed.vendors:
        good = record.good.get(source_class)
        if source_class != record.active and good is not None and now_ms - good.last_ms <= TRY_EVERY_MS:
            return Change(source_class, "class_down")
    return None


def _is_down(record: Record, now_ms: int) -> bool:
    return record.down_ms is not None and now_ms - record.down_ms >= NO_SOURCE_MS

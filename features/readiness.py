"""Which values of a lane can be relied on, and why the others can't."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from math import isfinite
from typing import NamedTuple

from common.indicators import Indicator, Program
from common.indicators.program import Pick, picker


class Unready(NamedTuple):
    """Why a value is not to be relied on."""

    reason: str
    passing: bool
    """More bars will cure it; else it lies in what this series is."""
    lacking_bars: int = 0
    """How many more, where none is there yet and the earliest time depends on when it is asked."""


NO_VOLUME = Unready("no volume", passing=False)
NO_SESSION = Unready("the session's first bar is not among the kept bars", passing=False)
NO_SESSION_BEFORE = Unready("a whole session before this one is not among the kept bars", passing=False)
NO_PAIR = Unready("too few bars of both symbols at the same times", passing=False)
NOT_FINITE = Unready("not a finite number", passing=False)


class Standing(NamedTuple):
    """What readiness depends on beside the values."""

    bars_seen: int
    session_bars: int | None
    """Bars of the running session; None where its first is not known."""
    kind_run: int
    """Bars at the end of the window with volume of one kind; 0 without volume."""
    pair_bars: tuple[int, ...] = ()
    """Of each indicator over two symbols, how many bars of both it rests on."""


class Judge:
    """Judges a lane after each bar. Its verdict is worked out anew only where something that it rests on changed."""

    __slots__ = (
        "_base",
        "_judged",
        "_key",
        "_pick",
        "_places",
        "_program",
        "_ready_at",
        "lasting",
        "unready",
        "warming",
    )

    def __init__(self, program: Program, ready_at: Callable[[int, int], int]) -> None:
        """ready_at(0, bars): when so many more bars have closed at the earliest."""
        self._program = program
        self._ready_at = ready_at
        self._key: Standing | None = None
        self._base: dict[str, Unready] = {}
        self._places: dict[str, int] = {name: place for place, name in enumerate(program.names)}
        self._pick: Pick | None = None
        """Takes those out that can be relied on, if finite; None: all of them are such."""
        self._judged = False
        """Whether there are any."""
        self.unready: dict[str, Unready] = {}
        self.warming = True
        self.lasting = False
        """One more bar of this session, of the same kind, changes the verdict only by its values."""

    def look(self, at: Standing, values: list[float]) -> None:
        """Judge these values."""
        key = self._capped(at)
        if key != self._key or self.warming:  # what warms up says until when, by the last bar
            self._key = key
            self._set_base(at)
            self.lasting = self._lasts(at)
        self.look_again(values)

    def _lasts(self, at: Standing) -> bool:
        settle = self._program.settle_bars
        return not self._counts(at) and at.bars_seen >= settle and (at.kind_run == 0 or at.kind_run >= settle)

    def _counts(self, at: Standing) -> bool:
        """Tell whether it makes a difference how many bars the session has."""
        session = at.session_bars
        return session is not None and (session <= self._program.session_settle_bars or 0 < at.kind_run < session)

    def look_again(self, values: list[float]) -> None:
        """Judge these values where nothing else has changed, but for one more bar like those before."""
        if not self._judged or isfinite(sum(self._pick(values) if self._pick is not None else values)):
            self.unready = self._base
        else:
            self.unready = {**self._base, **self._not_finite(values)}

    def _capped(self, at: Standing) -> Standing:
        """Return what of it makes a difference: more bars than all indicators need do not."""
        program, session, exact = self._program, at.session_bars, self._counts(at)
        return Standing(
            min(at.bars_seen, program.settle_bars),
            session if exact or session is None else program.session_settle_bars + 1,
            at.kind_run if exact else min(at.kind_run, program.settle_bars),
            tuple(min(bars, one.settle_bars) for bars, one in zip(at.pair_bars, program.pairs, strict=False)),
        )

    def _set_base(self, at: Standing) -> None:
        base: dict[str, Unready] = {}
        program = self._program
        for indicator in (*program.indicators, *program.pairs):
            why = _why(indicator, at, self._ready_at)
            if why is not None:
                base |= dict.fromkeys(indicator.names, why)
        for indicator, bars in zip(program.pairs, at.pair_bars, strict=False):
            if bars < indicator.settle_bars:
                base = dict.fromkeys(indicator.names, _too_few(bars, indicator.settle_bars)) | base
        self._base = base
        self.warming = any(why.passing for why in base.values())
        places = [place for name, place in self._places.items() if name not in base]
        self._pick = picker(places) if places and base else None
        self._judged = bool(places)

    def _not_finite(self, values: Sequence[float]) -> dict[str, Unready]:
        program = self._program
        paired = {name for one in program.pairs for name in one.names}
        whole = {name for n in program.sessions_bound for name in program.indicators[n].names}
        found = {}
        for name, place in self._places.items():
            if name not in self._base and not isfinite(values[place]):
                found[name] = NO_PAIR if name in paired else NO_SESSION_BEFORE if name in whole else NOT_FINITE
        return found


def _why(indicator: Indicator, at: Standing, ready_at: Callable[[int, int], int]) -> Unready | None:
    if indicator.needs_volume and at.kind_run == 0 and at.bars_seen:
        return NO_VOLUME
    if indicator.memory == "session":
        if at.session_bars is None:
            return NO_SESSION
        seen, needed = at.session_bars, indicator.settle_bars
        with_volume = at.session_bars
    else:
        seen, needed = at.bars_seen, indicator.settle_bars
        with_volume = needed
    if seen < needed:
        return _warming_up(seen, needed, ready_at)
    if indicator.needs_volume and at.kind_run < with_volume:
        return Unready(f"volume of two kinds: {at.kind_run} of {with_volume} bars have the last one's", passing=True)
    return None


def _too_few(bars: int, needed: int) -> Unready:
    return NO_PAIR._replace(reason=f"{NO_PAIR.reason}: {bars} of {needed}") if bars else NO_PAIR


def _warming_up(seen: int, needed: int, ready_at: Callable[[int, int], int]) -> Unready:
    if not seen:
        return Unready(f"warming up: 0 of {needed} bars", passing=True, lacking_bars=needed)
    return Unready(f"warming up: {seen} of {needed} bars, not before {utc(ready_at(0, needed - seen))}", passing=True)


def utc(at_ms: int) -> str:
    """Return a time as texts show it, to the second."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

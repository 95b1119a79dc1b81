"""Which values of a lane can be relied on, and why the others can't."""

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from common.indicators import Indicator


class Unready(NamedTuple):
    """Why a value is not to be relied on."""

    reason: str
    passing: bool
    """More bars will cure it; else it lies in what this series is."""
    lacking_bars: int = 0
    """How many more, where none is there yet and the earliest time depends on when it is asked."""


NO_VOLUME = Unready("no volume", passing=False)
NO_SESSION = Unready("the session's first bar is not among the kept bars", passing=False)
NOT_FINITE = Unready("not a finite number", passing=False)


def unready(
    plan: Sequence[Indicator],
    values: Sequence[float],
    *,
    bars_seen: int,
    session_bars: int | None,
    kind_run: int,
    ready_at: Callable[[int], int],
) -> dict[str, Unready]:
    """Return what is not ready, by name.

    session_bars: bars of the running session, None where its first is not known. kind_run: bars at the end with
    volume of one kind, 0 without volume. ready_at: when so many more bars have closed at the earliest.
    """
    found: dict[str, Unready] = {}
    place = 0
    for indicator in plan:
        end = place + len(indicator.names)
        why = _why(indicator, bars_seen, session_bars, kind_run, ready_at)
        for name, value in zip(indicator.names, values[place:end], strict=True):
            if why is not None:
                found[name] = why
            elif not math.isfinite(value):
                found[name] = NOT_FINITE
        place = end
    return found


def _why(
    indicator: Indicator, bars_seen: int, session_bars: int | None, kind_run: int, ready_at: Callable[[int], int]
) -> Unready | None:
    if indicator.needs_volume and kind_run == 0 and bars_seen:
        return NO_VOLUME
    if indicator.memory == "session":
        if session_bars is None:
            return NO_SESSION
        seen, needed = session_bars, indicator.settle_bars
        with_volume = session_bars
    else:
        seen, needed = bars_seen, indicator.settle_bars
        with_volume = needed
    if seen < needed:
        return _warming_up(seen, needed, ready_at)
    if indicator.needs_volume and kind_run < with_volume:
        return Unready(f"volume of two kinds: {kind_run} of {with_volume} bars have the last one's", passing=True)
    return None


def _warming_up(seen: int, needed: int, ready_at: Callable[[int], int]) -> Unready:
    if not seen:
        return Unready(f"warming up: 0 of {needed} bars", passing=True, lacking_bars=needed)
    return Unready(f"warming up: {seen} of {needed} bars, not before {utc(ready_at(needed - seen))}", passing=True)


def utc(at_ms: int) -> str:
    """Return a time as texts show it, to the second."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""Are they down, or is it our own network? What is known of it, and what follows: pure.

Whatever answers proves that the network works. A source that can't be reached proves nothing by itself: where nothing
has answered since its call began, a check of well known places decides. Offline, sources rest; now and then one round
of calls is let through all the same, for the places may be closed to us while the sources are not: a check that a
source's answer has refuted is not believed again until it succeeds.

Moments named `_s` are monotonic, those named `_ms` are the stream's time.
"""

import math
from dataclasses import dataclass, replace
from enum import StrEnum

CHECK_S = 2.0
"""From one check to the next while it is open how it is."""
TRY_S = 30.0
"""Offline, sources are tried at this interval; a check that is not believed is repeated at it."""


class Contact(StrEnum):
    """What came of reaching for a source."""

    OK = "ok"
    """It answered, whatever it said."""
    UNREACHABLE = "unreachable"
    """Nothing came back."""


class Blame(StrEnum):
    """Whose fault it is that a source could not be reached."""

    OURS = "ours"
    THEIRS = "theirs"
    UNKNOWN = "unknown"
    """Only a check can tell."""


@dataclass(frozen=True)
class Reach:
    """What is known of our network."""

    worked_s: float = -math.inf
    """The newest proof that it works."""
    failing_since_ms: int | None = None
    """The first source that could not be reached since then. None: there was none."""
    offline_since_ms: int | None = None
    """None: we are not offline, as far as we know."""
    tried_s: float = -math.inf
    """The newest call that failed while we were offline."""
    checked_s: float = -math.inf
    trusted: bool = True
    """Whether a failed check counts."""
    doubted: bool = False
    """Whether a source has answered while we took ourselves for offline, and no check since."""

    @property
    def offline(self) -> bool:
        """Whether we take ourselves for offline."""
        return self.offline_since_ms is not None


def answered(reach: Reach, at_s: float) -> Reach:
    """Return what is known after a source has answered."""
    doubted = reach.doubted or reach.offline
    return replace(reach, worked_s=at_s, failing_since_ms=None, offline_since_ms=None, doubted=doubted)


def unreachable(reach: Reach, at_s: float, now_ms: int) -> Reach:
    """Return what is known after a source could not be reached."""
    since_ms = now_ms if reach.failing_since_ms is None else reach.failing_since_ms
    return replace(reach, failing_since_ms=since_ms, tried_s=at_s if reach.offline else reach.tried_s)


def checked(reach: Reach, found: bool, at_s: float, now_ms: int) -> Reach:
    """Return what is known after a check; found: whether it reached any of its places."""
    if found:
        return Reach(worked_s=at_s, checked_s=at_s, tried_s=reach.tried_s)
    if reach.doubted or not reach.trusted:
        return replace(reach, checked_s=at_s, trusted=False, doubted=False)
    if reach.offline:
        return replace(reach, checked_s=at_s)
    since_ms = now_ms if reach.failing_since_ms is None else reach.failing_since_ms
    return replace(reach, checked_s=at_s, tried_s=at_s, offline_since_ms=since_ms)


def blame(reach: Reach, started_s: float) -> Blame:
    """Return whose fault it is that a call which began at `started_s` has reached nobody."""
    if reach.offline:
        return Blame.OURS
    if reach.worked_s >= started_s or not reach.trusted:
        return Blame.THEIRS
    return Blame.UNKNOWN


def check_due(reach: Reach, at_s: float) -> bool:
    """Return whether it is time for a check that nobody waits for."""
    if reach.doubted or (reach.trusted and (reach.offline or reach.failing_since_ms is not None)):
        return at_s - reach.checked_s >= CHECK_S
    return not reach.trusted and at_s - reach.checked_s >= TRY_S


def rests(reach: Reach, at_s: float) -> bool:
    """Return whether no source is to be asked now."""
    return reach.offline and at_s - reach.tried_s < TRY_S

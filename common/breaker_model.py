"""What a circuit breaker is: values and pure transitions. common/breaker.py does the same inside Redis.

This is the reference that the Lua scripts are tested against, and the reader of the stored hash.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum


class State(StrEnum):
    """CLOSED: calls go through. OPEN: none does. HALF_OPEN: one at a time, to find out."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"


@dataclass(frozen=True)
class Rules:
    """The settings of a breaker."""

    failures_to_open: int = 5
    """Outages in a row."""
    open_ms: int = 60_000
    lease_ms: int = 10_000
    """How long one probe may take before another may start: above the worst case of a call."""


@dataclass(frozen=True)
class BreakerView:
    """One breaker as it is stored. `transitions` counts the changes of state since the hash was made."""

    state: State = State.HALF_OPEN
    failures: int = 0
    opened_at_ms: int | None = None
    """None: not open."""
    retry_at_ms: int | None = None
    """When an open breaker lets a probe through. None: not open."""
    last_error: str = ""
    transitions: int = 0
    lease: int = 0
    """Number of the newest probe ever admitted."""
    lease_until_ms: int = 0
    """When the probe in flight is given up; 0: none is in flight."""
    changed_at_ms: int = 0
    """Of the newest change of state; 0: there was none."""
    before: State = State.HALF_OPEN
    """What it was before that change."""

    def newest_transition(self) -> "Transition | None":
        """Return the newest change of state, as it was reported then; None if there was none."""
        if not self.transitions:
            return None
        return Transition(self.before, self.state, self.changed_at_ms, self.transitions, self.failures, self.last_error)

    def admits(self, now_ms: int, rules: Rules) -> bool:
        """Return whether a call would be admitted now."""
        if self.state is State.CLOSED:
            return True
        if self.state is State.OPEN:
            return not _ahead(self.retry_at_ms or 0, now_ms, rules.open_ms)
        return not _ahead(self.lease_until_ms, now_ms, rules.lease_ms)


@dataclass(frozen=True)
class Transition:
    """One change of state."""

    before: State
    after: State
    at_ms: int
    number: int
    """Its place in the count of transitions."""
    failures: int
    error: str = ""


@dataclass(frozen=True)
class Admission:
    """The answer to "may I call?", to be handed back with the call's result."""

    allowed: bool
    is_probe: bool
    state: State
    generation: int = 0
    """The count of transitions when it was admitted: results of another generation are ignored."""
    lease: int = 0
    """The probe's number; 0 for a call through a closed breaker."""
    transition: Transition | None = None
    """OPEN became HALF_OPEN by this very call."""


def _ahead(deadline_ms: int, now_ms: int, longest_ms: int) -> bool:
    # A deadline further away than it can be was set before the clock was put back: it counts as passed.
    return now_ms < deadline_ms <= now_ms + longest_ms


def admit(view: BreakerView, now_ms: int, rules: Rules) -> tuple[BreakerView, Admission]:
    """Return whether a call may be made, and the breaker after that."""
    if view.state is State.CLOSED:
        return view, Admission(allowed=True, is_probe=False, state=view.state, generation=view.transitions)
    if not view.admits(now_ms, rules):
        return view, Admission(allowed=False, is_probe=False, state=view.state, generation=view.transitions)
    transition = None
    if view.state is State.OPEN:
        view, transition = _change(view, State.HALF_OPEN, now_ms, view.last_error)
    view = replace(view, lease=view.lease + 1, lease_until_ms=now_ms + rules.lease_ms)
    return view, Admission(
        allowed=True,
        is_probe=True,
        state=view.state,
        generation=view.transitions,
        lease=view.lease,
        transition=transition,
    )


def succeed(view: BreakerView, admission: Admission, now_ms: int) -> tuple[BreakerView, Transition | None]:
    """Return the breaker after a call that was answered."""
    if not _counts(view, admission):
        return view, None
    view = replace(view, failures=0)
    if view.state is State.CLOSED:
        return view, None
    return _change(view, State.CLOSED, now_ms, "")


def fail(
    view: BreakerView, admission: Admission, now_ms: int, error: str, rules: Rules
) -> tuple[BreakerView, Transition | None]:
    """Return the breaker after a call that was not answered."""
    if not _counts(view, admission):
        return view, None
    view = replace(view, failures=view.failures + 1, last_error=error)
    if view.state is State.CLOSED and view.failures < rules.failures_to_open:
        return view, None
    view, transition = _change(view, State.OPEN, now_ms, error)
    return replace(view, opened_at_ms=now_ms, retry_at_ms=now_ms + rules.open_ms), transition


def give_back(view: BreakerView, admission: Admission) -> BreakerView:
    """Return the breaker after an admitted call was not made after all."""
    if admission.is_probe and _counts(view, admission):
        return replace(view, lease_until_ms=0)
    return view


def _counts(view: BreakerView, admission: Admission) -> bool:
    # A probe whose lease went to another one, and any call from before the last change of state, says nothing.
    if not admission.allowed or admission.generation != view.transitions:
        return False
    if view.state is State.HALF_OPEN:
        return admission.lease == view.lease and view.lease_until_ms > 0
    return view.state is State.CLOSED


def _change(view: BreakerView, after: State, now_ms: int, error: str) -> tuple[BreakerView, Transition]:
    number = view.transitions + 1
    changed = replace(
        view, state=after, transitions=number, opened_at_ms=None, retry_at_ms=None, lease_until_ms=0, last_error=error,
        changed_at_ms=now_ms, before=view.state,
    )  # fmt: skip
    return changed, Transition(view.state, after, now_ms, number, view.failures, error)


def view_of(stored: Mapping[bytes, bytes]) -> BreakerView:
    """Return the breaker that a hash holds (HGETALL as a dict). An empty one is HALF_OPEN: nothing is known."""
    if b"state" not in stored:
        return BreakerView()

    def number(field: bytes) -> int:
        return int(stored.get(field, b"0") or b"0")

    return BreakerView(
        state=State(stored[b"state"].decode()),
        failures=number(b"failures"),
        opened_at_ms=number(b"opened_at_ms") or None,
        retry_at_ms=number(b"retry_at_ms") or None,
        last_error=stored.get(b"last_error", b"").decode(errors="replace"),
        transitions=number(b"transitions"),
        lease=number(b"lease"),
        lease_until_ms=number(b"lease_until_ms"),
        changed_at_ms=number(b"changed_at_ms"),
        before=State(stored.get(b"before", b"HALF_OPEN").decode()),
    )

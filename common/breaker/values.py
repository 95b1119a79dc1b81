"""What a circuit breaker is: its states, its rules, and what is told of it."""

from dataclasses import dataclass
from enum import StrEnum

BUCKETS = 6
"""Parts of the sliding window: it moves on by one part at a time."""
LOG = 16
"""Newest changes that are kept with the breaker, for those who look at it later."""


class State(StrEnum):
    """CLOSED: calls go through. OPEN: none does. HALF_OPEN: one at a time, to find out."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"


class Force(StrEnum):
    """What an operator decided. AUTO: nothing, the rules hold."""

    AUTO = "auto"
    OPEN = "open"
    CLOSED = "closed"


class Reason(StrEnum):
    """What changed a breaker's state."""

    FAILURES = "failures_in_a_row"
    FAILURE_RATE = "failure_rate"
    SLOW_CALLS = "slow_calls"
    PROBE_FAILED = "probe_failed"
    PROBE_DUE = "probe_due"
    ANSWERED = "answered"
    FORCED_OPEN = "forced_open"
    FORCED_CLOSED = "forced_closed"
    RESET = "reset"


@dataclass(frozen=True)
class Rules:
    """The settings of a breaker. Shares are in percent, so that Redis and the model compare the same integers."""

    failures_to_open: int = 5
    """Outages in a row."""
    open_ms: int = 60_000
    """How long it stays open at first."""
    lease_ms: int = 10_000
    """How long one probe may take before another may start: above the worst case of a call."""
    window_ms: int = 60_000
    window_calls: int = 10
    """Fewer calls than this within the window say nothing about shares."""
    failure_percent: int = 50
    """Share of outages within the window that opens it."""
    slow_percent: int = 80
    """Share of slow calls that opens it: higher, for a slow answer is still an answer."""
    slow_call_ms: int = 1_500
    """A call that takes longer is slow, whatever comes of it."""
    longest_open_factor: int = 5
    """The open time doubles with each failed probe up to so many times the first one."""
    stretch_permille: int = 200
    """Jitter: up to this much is added to an open time, so that several sources are not probed at once."""
    calm_ms: int = 300_000
    """After so long closed, the next open time is the first one again."""
    clock_tolerance_ms: int = 5_000
    """A deadline that lies further ahead than it can, by more than this, was set before the clock was put back."""

    @property
    def bucket_ms(self) -> int:
        """How much of the window one bucket holds."""
        return self.window_ms // BUCKETS

    @property
    def longest_open_ms(self) -> int:
        """The longest time that it can be open without a probe."""
        return self.open_for_ms(self.longest_open_factor, self.stretch_permille)

    def open_for_ms(self, openings: int, stretch: int) -> int:
        """Return how long it stays open the n-th time in a row; stretch: this time's jitter in permille."""
        factor = min(1 << (min(openings, self.longest_open_factor) - 1), self.longest_open_factor)
        return self.open_ms * factor * (1000 + stretch) // 1000


@dataclass(frozen=True)
class Bucket:
    """The results of one part of the window."""

    number: int
    """Parts of this length since the epoch."""
    calls: int = 0
    failures: int = 0
    slow: int = 0


@dataclass(frozen=True)
class Transition:
    """One change of state, or an operator's word (which may leave the state as it is)."""

    before: State
    after: State
    at_ms: int
    number: int
    """Its place in the count of transitions."""
    failures: int
    error: str = ""
    reason: Reason = Reason.ANSWERED
    by: str = ""
    """Who forced it; empty: the rules did it."""
    why: str = ""
    """The reason that who forced it gave."""
    born_ms: int = 0
    """When the breaker's hash was made: another hash counts its transitions anew."""


@dataclass(frozen=True)
class BreakerView:
    """One breaker as it is stored. `transitions` counts its changes since the hash was made."""

    state: State = State.HALF_OPEN
    failures: int = 0
    """Outages in a row."""
    opened_at_ms: int | None = None
    """None: not open."""
    retry_at_ms: int | None = None
    """When an open breaker lets a probe through. None: not open, or forced open."""
    last_error: str = ""
    transitions: int = 0
    lease: int = 0
    """Number of the newest probe ever admitted."""
    lease_until_ms: int = 0
    """When the probe in flight is given up; 0: none is in flight."""
    changed_at_ms: int = 0
    """Of the newest transition; 0: there was none."""
    born_ms: int = 0
    """Of the first transition; 0: there was none."""
    openings: int = 0
    """How often it opened without a calm time between: the open time doubles with each."""
    window: tuple[Bucket, ...] = ()
    """Results since it closed, in the order of their places in the hash."""
    force: Force = Force.AUTO
    reason: Reason | None = None
    """Of the newest transition. None: there was none."""
    forced_by: str = ""
    forced_why: str = ""
    forced_at_ms: int = 0
    """Of the newest word of an operator, the one that ended a forced state included; 0: there was none."""

    def admits(self, now_ms: int, rules: Rules) -> bool:
        """Return whether a call would be admitted now."""
        if self.state is State.CLOSED:
            return True
        if self.force is Force.OPEN:
            return False
        if self.state is State.OPEN:
            return not ahead(self.retry_at_ms or 0, now_ms, rules.longest_open_ms, rules)
        return not ahead(self.lease_until_ms, now_ms, rules.lease_ms, rules)


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


@dataclass(frozen=True)
class Result:
    """What came of a call."""

    failed: bool = False
    slow: bool = False
    error: str = ""


def ahead(deadline_ms: int, now_ms: int, longest_ms: int, rules: Rules) -> bool:
    """Return whether a deadline is still to come. Callers' clocks differ a little; one put back by more is told."""
    return now_ms < deadline_ms <= now_ms + longest_ms + rules.clock_tolerance_ms

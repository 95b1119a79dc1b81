"""Breakers in the states that tests begin with."""

from common.breaker import Breaker, Rules, State, Transition
from common.redis_link import Link

RULES = Rules(failures_to_open=5, open_ms=60_000, lease_ms=10_000)
T0 = 1_763_800_000_000


def made(link: Link, rules: Rules = RULES, share: float = 0.0) -> Breaker:
    """A breaker whose jitter is always this share of what the rules allow."""
    return Breaker(link, "somewhere", rules, lambda _: share)


def closed(breaker: Breaker, now_ms: int = T0) -> Breaker:
    """Bring a new breaker to CLOSED: its first probe is answered."""
    assert breaker.record_success(breaker.admit(now_ms), now_ms) is not None
    return breaker


def opened(breaker: Breaker, now_ms: int = T0) -> Breaker:
    """Bring a new breaker to OPEN at `now_ms`: its first probe fails."""
    transition = breaker.record_failure(breaker.admit(now_ms), now_ms, "refused")
    assert transition is not None
    assert transition.after is State.OPEN
    return breaker


def call(breaker: Breaker, now_ms: int, *, failed: bool = False, slow: bool = False) -> Transition | None:
    admission = breaker.admit(now_ms)
    if failed:
        return breaker.record_failure(admission, now_ms, "reset", slow=slow)
    return breaker.record_success(admission, now_ms, slow=slow)


def open_times_s(breaker: Breaker, reopenings: int) -> list[float]:
    """Let one probe after the other fail, and return how long it was open before each, and after the last."""
    opened(breaker)
    found = []
    for _ in range(reopenings + 1):
        view = breaker.read()
        assert view.opened_at_ms is not None
        assert view.retry_at_ms is not None
        found.append((view.retry_at_ms - view.opened_at_ms) / 1000)
        assert not breaker.admit(view.retry_at_ms - 1).allowed
        call(breaker, view.retry_at_ms, failed=True)
    return found

"""The breaker's rules as pure transitions: the reference that the script in Redis is tested against."""

from dataclasses import replace

from common.breaker.values import (
    BUCKETS,
    Admission,
    BreakerView,
    Bucket,
    Force,
    Reason,
    Result,
    Rules,
    State,
    Transition,
)

_FORCED: dict[Force, tuple[State | None, Reason]] = {
    Force.OPEN: (State.OPEN, Reason.FORCED_OPEN),
    Force.CLOSED: (State.CLOSED, Reason.FORCED_CLOSED),
    Force.AUTO: (None, Reason.RESET),
}

Changed = tuple[BreakerView, Transition | None]


def admit(view: BreakerView, now_ms: int, rules: Rules) -> tuple[BreakerView, Admission]:
    """Return whether a call may be made, and the breaker after that."""
    if view.state is State.CLOSED:
        return view, Admission(allowed=True, is_probe=False, state=view.state, generation=view.transitions)
    if not view.admits(now_ms, rules):
        return view, Admission(allowed=False, is_probe=False, state=view.state, generation=view.transitions)
    transition = None
    if view.state is State.OPEN:
        view, transition = _change(view, State.HALF_OPEN, now_ms, Reason.PROBE_DUE, view.last_error)
    view = replace(view, lease=view.lease + 1, lease_until_ms=now_ms + rules.lease_ms)
    return view, Admission(
        allowed=True,
        is_probe=True,
        state=view.state,
        generation=view.transitions,
        lease=view.lease,
        transition=transition,
    )


def record(view: BreakerView, admission: Admission, now_ms: int, result: Result, rules: Rules, stretch: int) -> Changed:
    """Return the breaker after a call. stretch: the jitter, in permille, of the open time that may begin."""
    if not _counts(view, admission):
        return view, None
    if view.state is State.HALF_OPEN:
        if result.failed:
            failed = replace(view, failures=view.failures + 1)
            return _open(failed, now_ms, Reason.PROBE_FAILED, result.error, view.openings + 1, rules, stretch)
        return _change(replace(view, failures=0), State.CLOSED, now_ms, Reason.ANSWERED, "")
    view = _note(view, now_ms, result, rules)
    reason = None if view.force is Force.CLOSED else why_open(view, now_ms, result, rules)
    if reason is None:
        return view, None
    calm = now_ms - view.changed_at_ms >= rules.calm_ms
    openings = 1 if calm else max(1, view.openings)
    return _open(view, now_ms, reason, result.error, openings, rules, stretch)


def why_open(view: BreakerView, now_ms: int, result: Result, rules: Rules) -> Reason | None:
    """Return what opens a closed breaker after this result; None: nothing."""
    window = counted(view.window, now_ms, rules)
    enough = window.calls >= rules.window_calls
    if result.failed and view.failures >= rules.failures_to_open:
        return Reason.FAILURES
    if result.failed and enough and window.failures * 100 >= rules.failure_percent * window.calls:
        return Reason.FAILURE_RATE
    if result.slow and enough and window.slow * 100 >= rules.slow_percent * window.calls:
        return Reason.SLOW_CALLS
    return None


def counted(window: tuple[Bucket, ...], now_ms: int, rules: Rules) -> Bucket:
    """Return the sum of the buckets that count now: the next one too, for another process's clock may be ahead."""
    number = now_ms // rules.bucket_ms
    found = [b for b in window if number - BUCKETS < b.number <= number + 1]
    return Bucket(number, sum(b.calls for b in found), sum(b.failures for b in found), sum(b.slow for b in found))


def give_back(view: BreakerView, admission: Admission) -> BreakerView:
    """Return the breaker after an admitted call was not made after all."""
    if admission.is_probe and _counts(view, admission):
        return replace(view, lease_until_ms=0)
    return view


def force(view: BreakerView, wanted: Force, by: str, why: str, now_ms: int, rules: Rules) -> Changed:
    """Return the breaker after an operator's word. The same word said again, with nothing since, changes nothing."""
    after, reason = _FORCED[wanted]
    if (view.reason, view.forced_by, view.forced_why) == (reason, by, why):
        return view, None
    if after is None:
        after = _state_without_force(view, rules)
    failures = view.failures if after is not State.CLOSED else 0
    decided = replace(
        view, force=wanted, forced_by=by, forced_why=why, forced_at_ms=now_ms, openings=0, failures=failures
    )
    decided, transition = _change(decided, after, now_ms, reason, view.last_error, by=by, why=why)
    return replace(decided, opened_at_ms=now_ms if after is State.OPEN else None), transition


def _state_without_force(view: BreakerView, rules: Rules) -> State:
    healthy = view.state is State.CLOSED and view.failures < rules.failures_to_open
    return State.CLOSED if healthy else State.HALF_OPEN


def _counts(view: BreakerView, admission: Admission) -> bool:
    # A probe whose lease went to another one, and any call from before the last change of state, says nothing.
    if not admission.allowed or admission.generation != view.transitions:
        return False
    if view.state is State.HALF_OPEN:
        return admission.lease == view.lease and view.lease_until_ms > 0
    return view.state is State.CLOSED


def _note(view: BreakerView, now_ms: int, result: Result, rules: Rules) -> BreakerView:
    number = now_ms // rules.bucket_ms
    places = {bucket.number % BUCKETS: bucket for bucket in view.window}
    now = places.get(number % BUCKETS, Bucket(number))
    now = now if now.number == number else Bucket(number)
    places[number % BUCKETS] = Bucket(
        number, now.calls + 1, now.failures + int(result.failed), now.slow + int(result.slow)
    )
    window = tuple(places[place] for place in sorted(places))
    if not result.failed:
        return replace(view, window=window, failures=0)
    return replace(view, window=window, failures=view.failures + 1, last_error=result.error)


def _open(
    view: BreakerView, now_ms: int, reason: Reason, error: str, openings: int, rules: Rules, stretch: int
) -> Changed:
    view, transition = _change(view, State.OPEN, now_ms, reason, error)
    until_ms = now_ms + rules.open_for_ms(openings, stretch)
    return replace(view, opened_at_ms=now_ms, retry_at_ms=until_ms, openings=openings), transition


def _change(
    view: BreakerView, after: State, now_ms: int, reason: Reason, error: str, *, by: str = "", why: str = ""
) -> tuple[BreakerView, Transition]:
    number, born_ms = view.transitions + 1, view.born_ms or now_ms
    changed = replace(
        view, state=after, transitions=number, opened_at_ms=None, retry_at_ms=None, lease_until_ms=0, last_error=error,
        changed_at_ms=now_ms, born_ms=born_ms, window=(), reason=reason,
    )  # fmt: skip
    return changed, Transition(view.state, after, now_ms, number, view.failures, error, reason, by, why, born_ms)

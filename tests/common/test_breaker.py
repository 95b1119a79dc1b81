"""The circuit breaker's rules, one by one, on fakeredis and on the real Valkey."""

from common import keys
from common.breaker import (
    Admission,
    Breaker,
    BreakerView,
    Reason,
    State,
    Transition,
    model,
)
from common.breaker.values import Result
from common.redis_link import Link
from tests.common.breaker_rig import RULES, T0, call, closed, made, open_times_s, opened


def test_a_breaker_of_which_nothing_is_known_is_half_open(breaker: Breaker) -> None:
    assert breaker.read().state is State.HALF_OPEN
    first, second = breaker.admit(T0), breaker.admit(T0)
    assert (first.allowed, first.is_probe) == (True, True)
    assert (second.allowed, second.is_probe) == (False, False)


def test_an_answered_probe_closes_it(breaker: Breaker) -> None:
    transition = breaker.record_success(breaker.admit(T0), T0 + 5)
    assert transition == Transition(State.HALF_OPEN, State.CLOSED, T0 + 5, 1, 0, "", Reason.ANSWERED, born_ms=T0 + 5)
    assert breaker.admit(T0 + 6) == Admission(allowed=True, is_probe=False, state=State.CLOSED, generation=1)


def test_five_outages_in_a_row_open_it_for_sixty_seconds(breaker: Breaker) -> None:
    closed(breaker)
    for n in range(4):
        assert breaker.record_failure(breaker.admit(T0 + n), T0 + n, "timeout") is None
    transition = breaker.record_failure(breaker.admit(T0 + 4), T0 + 4, "timeout")
    assert transition is not None
    assert transition == Transition(
        State.CLOSED, State.OPEN, T0 + 4, 2, 5, "timeout", Reason.FAILURES, born_ms=transition.born_ms
    )
    view = breaker.read()
    assert (view.state, view.failures, view.opened_at_ms, view.retry_at_ms) == (State.OPEN, 5, T0 + 4, T0 + 60_004)
    assert view.last_error == "timeout"
    assert not breaker.admit(T0 + 60_003).allowed
    admission = breaker.admit(T0 + 60_004)
    assert admission.is_probe
    assert admission.transition == Transition(
        State.OPEN, State.HALF_OPEN, T0 + 60_004, 3, 5, "timeout", Reason.PROBE_DUE, born_ms=transition.born_ms
    )


def test_a_success_between_makes_the_count_start_again(breaker: Breaker) -> None:
    closed(breaker)
    for n in range(9):
        admission = breaker.admit(T0 + n)
        if n == 4:
            breaker.record_success(admission, T0 + n)
        else:
            assert breaker.record_failure(admission, T0 + n, "timeout") is None
    assert breaker.read().state is State.CLOSED


def test_a_failed_probe_opens_it_again(breaker: Breaker) -> None:
    opened(breaker)
    probe = breaker.admit(T0 + 60_000)
    transition = breaker.record_failure(probe, T0 + 60_100, "reset")
    assert transition is not None
    assert transition.after is State.OPEN
    assert transition.reason is Reason.PROBE_FAILED
    assert breaker.read().retry_at_ms == T0 + 60_100 + 120_000


def test_a_lost_probe_gives_its_lease_back_in_time(breaker: Breaker) -> None:
    lost = breaker.admit(T0)
    assert not breaker.admit(T0 + 9_999).allowed
    second = breaker.admit(T0 + 10_000)
    assert second.is_probe
    assert breaker.record_failure(lost, T0 + 10_001, "late") is None, "the lost probe says nothing any more"
    assert breaker.read().state is State.HALF_OPEN
    assert breaker.record_success(second, T0 + 10_002) is not None


def test_a_probe_that_was_not_made_frees_the_place(breaker: Breaker) -> None:
    breaker.give_back(breaker.admit(T0))
    assert breaker.admit(T0).is_probe


def test_what_was_admitted_before_it_opened_says_nothing_after(breaker: Breaker) -> None:
    closed(breaker)
    early = [breaker.admit(T0) for _ in range(7)]
    for admission in early[:5]:
        breaker.record_failure(admission, T0 + 1, "timeout")
    assert breaker.record_success(early[5], T0 + 2) is None
    assert breaker.record_failure(early[6], T0 + 2, "timeout") is None
    assert breaker.read().state is State.OPEN


def test_a_deleted_hash_is_half_open_and_old_results_do_not_close_it(breaker: Breaker, link: Link) -> None:
    opened(breaker)
    probe = breaker.admit(T0 + 60_000)
    link.call("FLUSHALL")
    assert breaker.read().state is State.HALF_OPEN
    assert breaker.record_success(probe, T0 + 60_001) is None
    assert breaker.read().state is State.HALF_OPEN
    assert [breaker.admit(T0 + 60_002).is_probe for _ in range(3)] == [True, False, False]


def test_no_key_of_it_ever_expires(breaker: Breaker, link: Link) -> None:
    opened(breaker)
    breaker.admit(T0 + 60_000)
    assert link.call("TTL", keys.breaker("somewhere")) == -1


def test_a_clock_put_back_by_a_day_does_not_keep_it_open_for_a_day(breaker: Breaker) -> None:
    opened(breaker)
    assert breaker.admit(T0 - 86_400_000).is_probe


def test_a_breaker_whose_clock_is_a_little_behind_is_not_taken_for_one_put_back(breaker: Breaker) -> None:
    opened(breaker)
    assert not breaker.admit(T0 - 5_000).allowed
    breaker.admit(T0 + 60_000)
    assert not breaker.admit(T0 + 59_990).allowed, "the probe is in flight"


def test_a_result_never_closes_a_breaker_without_a_live_probe() -> None:
    view = BreakerView(state=State.OPEN, failures=5, opened_at_ms=T0, retry_at_ms=T0 + 60_000, transitions=2)
    for admission in (
        Admission(allowed=True, is_probe=False, state=State.CLOSED, generation=2),
        Admission(allowed=True, is_probe=True, state=State.HALF_OPEN, generation=2, lease=1),
    ):
        assert model.record(view, admission, T0 + 1, Result(), RULES, 0) == (view, None)


# -- shares of a window ---------------------------------------------------------------------------


def test_half_of_at_least_ten_calls_within_a_minute_failing_opens_it(breaker: Breaker) -> None:
    closed(breaker)
    for n in range(9):  # every other one: never two in a row
        assert call(breaker, T0 + n * 6_000, failed=n % 2 == 1) is None
    transition = call(breaker, T0 + 54_000, failed=True)
    assert transition is not None
    assert (transition.after, transition.reason, transition.failures) == (State.OPEN, Reason.FAILURE_RATE, 1)


def test_what_lies_further_back_than_the_window_does_not_count(breaker: Breaker) -> None:
    closed(breaker)
    for n in range(9):
        call(breaker, T0 + n, failed=n % 2 == 1)
    assert call(breaker, T0 + 61_000, failed=True) is None, "one call within the last minute"
    assert breaker.read().state is State.CLOSED


def test_less_than_half_failing_leaves_it_closed(breaker: Breaker) -> None:
    closed(breaker)
    for n in range(60):
        assert call(breaker, T0 + n * 1_000, failed=n % 3 == 2) is None


def test_four_of_five_calls_being_slow_open_it_though_they_are_answered(breaker: Breaker) -> None:
    closed(breaker)
    for n in range(9):
        assert call(breaker, T0 + n, slow=n not in (0, 5)) is None
    transition = call(breaker, T0 + 9, slow=True)
    assert transition is not None
    assert (transition.after, transition.reason) == (State.OPEN, Reason.SLOW_CALLS)
    assert transition.error == "its answers are slow"


def test_a_window_begins_anew_when_it_closes_again(breaker: Breaker) -> None:
    closed(breaker)
    for n in range(10):
        call(breaker, T0 + n, failed=n % 2 == 1)
    assert breaker.read().state is State.OPEN
    call(breaker, T0 + 60_009)
    assert breaker.read().state is State.CLOSED
    assert call(breaker, T0 + 60_010, failed=True) is None


def test_the_hash_holds_a_few_buckets_however_many_calls_there_are(breaker: Breaker, link: Link) -> None:
    closed(breaker)
    for n in range(100):
        call(breaker, T0 + n * 7_777)
    assert len(breaker.stored()) < 30
    assert sum(bucket.calls for bucket in breaker.read().window) < 10


# -- how long it stays open -----------------------------------------------------------------------


def test_the_open_time_doubles_with_each_failed_probe_up_to_five_times(breaker: Breaker) -> None:
    assert open_times_s(breaker, 6) == [60, 120, 240, 300, 300, 300, 300]


def test_jitter_makes_an_open_time_up_to_a_fifth_longer_never_shorter(link: Link) -> None:
    assert open_times_s(made(link, share=0.999), 1) == [71.94, 143.88]


def test_a_short_recovery_neither_doubles_the_open_time_nor_resets_it(breaker: Breaker) -> None:
    assert open_times_s(breaker, 2) == [60, 120, 240]
    now_ms = breaker.read().retry_at_ms or 0
    call(breaker, now_ms)
    now_ms += RULES.calm_ms - 1
    for _ in range(5):
        call(breaker, now_ms, failed=True)
    assert breaker.read().retry_at_ms == now_ms + 300_000, "as long as the last time"


def test_after_a_calm_time_the_open_time_is_the_first_one_again(breaker: Breaker) -> None:
    assert open_times_s(breaker, 2) == [60, 120, 240]
    now_ms = breaker.read().retry_at_ms or 0
    call(breaker, now_ms)
    now_ms += RULES.calm_ms
    for _ in range(5):
        call(breaker, now_ms, failed=True)
    assert breaker.read().retry_at_ms == now_ms + 60_000

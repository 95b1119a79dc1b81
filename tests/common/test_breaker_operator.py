"""What an operator says of a breaker, and the newest changes that it remembers."""

import pytest

from common.breaker import (
    Breaker,
    Force,
    Reason,
    State,
    Transition,
    changes_of,
)
from common.breaker.values import LOG
from tests.common.breaker_rig import RULES, T0, call, closed, open_times_s, opened

# -- an operator's word ---------------------------------------------------------------------------


def test_forced_open_it_admits_nobody_however_long_it_lasts(breaker: Breaker) -> None:
    closed(breaker)
    transition = breaker.force(Force.OPEN, "ann", "bad prices", T0 + 1)
    assert transition == Transition(
        State.CLOSED, State.OPEN, T0 + 1, 2, 0, "", Reason.FORCED_OPEN, "ann", "bad prices", T0
    )
    assert not breaker.admit(T0 + 30 * 86_400_000).allowed
    view = breaker.read()
    assert (view.force, view.forced_by, view.forced_why, view.forced_at_ms) == (Force.OPEN, "ann", "bad prices", T0 + 1)
    assert not view.admits(T0 + 30 * 86_400_000, RULES)


def test_forced_closed_it_admits_everybody_whatever_fails(breaker: Breaker) -> None:
    opened(breaker)
    breaker.force(Force.CLOSED, "ann", "I know better", T0)
    for n in range(50):
        assert call(breaker, T0 + n, failed=True, slow=True) is None
    assert breaker.admit(T0 + 50).allowed


def test_set_free_after_forced_open_it_finds_out_by_a_probe(breaker: Breaker) -> None:
    breaker.force(Force.OPEN, "ann", "bad prices", T0)
    transition = breaker.force(Force.AUTO, "bob", "they are good again", T0 + 1)
    assert transition is not None
    assert (transition.after, transition.reason, transition.by) == (State.HALF_OPEN, Reason.RESET, "bob")
    assert breaker.read().force is Force.AUTO
    assert [breaker.admit(T0 + 2).is_probe for _ in range(2)] == [True, False]


@pytest.mark.parametrize(("failed", "state"), [(4, State.CLOSED), (5, State.HALF_OPEN)])
def test_set_free_after_forced_closed_it_stays_closed_only_if_the_last_calls_worked(
    breaker: Breaker, failed: int, state: State
) -> None:
    breaker.force(Force.CLOSED, "ann", "", T0)
    for n in range(failed):
        call(breaker, T0 + n, failed=True)
    breaker.force(Force.AUTO, "ann", "", T0 + 10)
    assert breaker.read().state is state


def test_a_reset_ends_a_long_open_time_at_once(breaker: Breaker) -> None:
    open_times_s(breaker, 3)
    now_ms = (breaker.read().opened_at_ms or 0) + 1
    assert not breaker.admit(now_ms).allowed
    breaker.force(Force.AUTO, "ann", "they called: it works", now_ms)
    probe = breaker.admit(now_ms)
    assert probe.is_probe
    breaker.record_failure(probe, now_ms, "no")
    assert breaker.read().retry_at_ms == now_ms + 60_000, "and the open time is the first one again"


def test_the_same_word_said_again_is_no_second_change(breaker: Breaker) -> None:
    assert breaker.force(Force.OPEN, "ann", "bad prices", T0) is not None
    assert breaker.force(Force.OPEN, "ann", "bad prices", T0 + 1) is None
    assert breaker.force(Force.OPEN, "ann", "bad prices still", T0 + 2) is not None
    assert breaker.read().transitions == 2


def test_what_was_admitted_before_an_operators_word_says_nothing_after(breaker: Breaker) -> None:
    closed(breaker)
    early = breaker.admit(T0)
    breaker.force(Force.OPEN, "ann", "", T0)
    assert breaker.record_success(early, T0 + 1) is None
    assert breaker.read().state is State.OPEN


def test_texts_are_kept_on_one_line_and_short(breaker: Breaker) -> None:
    breaker.force(Force.OPEN, "ann\x1f", "one\ntwo" + "x" * 300, T0)
    view = breaker.read()
    assert (view.forced_by, view.forced_why) == ("ann ", ("one two" + "x" * 300)[:200])
    assert [change.why for change in changes_of(breaker.stored())] == [view.forced_why]


# -- the newest changes ---------------------------------------------------------------------------


def test_the_newest_changes_are_remembered_in_order(breaker: Breaker) -> None:
    made_here = [breaker.force(Force.OPEN if n % 2 else Force.CLOSED, "ann", str(n), T0 + n) for n in range(LOG + 5)]
    assert list(changes_of(breaker.stored())) == made_here[-LOG:]
    assert {change.born_ms for change in changes_of(breaker.stored())} == {T0}

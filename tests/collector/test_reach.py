"""Are they down, or is it our own network: the policy alone."""

from collector import reach
from collector.reach import CHECK_S, TRY_S, Blame, Reach

T0 = 1_763_992_800_000


def test_where_nothing_has_answered_since_the_call_began_only_a_check_can_tell() -> None:
    known = reach.answered(Reach(), 10.0)
    assert reach.blame(known, 10.5) is Blame.UNKNOWN
    assert reach.blame(known, 10.0) is Blame.THEIRS, "another source answered meanwhile"


def test_a_check_that_reaches_a_place_says_that_they_are_down() -> None:
    failing = reach.unreachable(Reach(), 12.0, T0)
    known = reach.checked(failing, True, 12.5, T0 + 500)
    assert reach.blame(known, 10.0) is Blame.THEIRS
    assert known.failing_since_ms is None
    assert not known.offline


def test_a_check_that_reaches_nothing_says_that_we_are_offline_since_the_first_failure() -> None:
    failing = reach.unreachable(reach.unreachable(Reach(), 12.0, T0), 13.0, T0 + 1_000)
    known = reach.checked(failing, False, 13.5, T0 + 1_500)
    assert known.offline_since_ms == T0
    assert reach.blame(known, 13.4) is Blame.OURS
    assert reach.checked(known, False, 20.0, T0 + 8_000).offline_since_ms == T0


def test_an_answer_or_a_good_check_ends_it() -> None:
    offline = reach.checked(reach.unreachable(Reach(), 12.0, T0), False, 13.0, T0)
    assert not reach.answered(offline, 14.0).offline
    assert not reach.checked(offline, True, 14.0, T0).offline


def test_offline_sources_rest_but_for_one_round_now_and_then() -> None:
    offline = reach.checked(reach.unreachable(Reach(), 12.0, T0), False, 13.0, T0)
    assert reach.rests(offline, 13.0 + TRY_S - 0.1)
    assert not reach.rests(offline, 13.0 + TRY_S)
    tried = reach.unreachable(offline, 13.0 + TRY_S + 2.0, T0)
    assert reach.rests(tried, 13.0 + TRY_S + 2.1), "until the next round"
    assert not reach.rests(Reach(), 1e9)


def test_checks_go_on_while_we_are_offline_or_a_socket_has_failed_and_not_otherwise() -> None:
    assert not reach.check_due(reach.answered(Reach(), 5.0), 1e9)
    assert reach.check_due(reach.unreachable(Reach(), 12.0, T0), 12.0)
    offline = reach.checked(reach.unreachable(Reach(), 12.0, T0), False, 13.0, T0)
    assert not reach.check_due(offline, 13.0 + CHECK_S - 0.1)
    assert reach.check_due(offline, 13.0 + CHECK_S)


def test_a_check_that_an_answer_has_refuted_is_not_believed_until_it_succeeds() -> None:
    """The places may be closed to us where the vendors are not: that must never keep the vendors waiting."""
    offline = reach.checked(reach.unreachable(Reach(), 12.0, T0), False, 13.0, T0)
    doubted = reach.answered(offline, 43.0)
    assert reach.check_due(doubted, 43.0)
    refuted = reach.checked(doubted, False, 45.0, T0)
    failing = reach.unreachable(refuted, 60.0, T0)
    assert reach.blame(failing, 59.0) is Blame.THEIRS
    assert not reach.checked(failing, False, 61.0, T0).offline
    assert not reach.check_due(failing, 45.0 + TRY_S - 0.1)
    assert reach.check_due(failing, 45.0 + TRY_S)
    assert reach.checked(failing, True, 80.0, T0).trusted

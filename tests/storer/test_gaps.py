"""The gap ledger: what is missing is found, asked for, and known to be filled, silent or out of reach."""

import pytest

from common import keys
from tests.storer.ledger_play import SECOND, W0, Play, minute_quote, span, told_in
from tests.storer.values import MINUTE


def test_a_lane_without_holes_has_no_gaps(play: Play) -> None:
    play.bars(*range(10))
    assert play.at(10.5) == []
    assert play.gaps() == []
    assert play.open_gaps() == 0


def test_bars_that_did_not_come_are_asked_for_with_their_neighbours(play: Play) -> None:
    play.bars(0, 1, 2, 6, 7, 8, 9)
    (request,) = play.at(10.5)
    assert play.gaps() == [(3, 6, "missing", 1)]
    assert (request.symbol, request.timeframe, request.source_class) == ("EURUSD", "1m", "fx_spot")
    assert span(request) == (2, 7)
    assert play.open_gaps() == 1


def test_a_minute_is_missing_as_soon_as_no_quote_can_come_in_time_for_it(play: Play) -> None:
    play.give(keys.QUOTES, minute_quote(0))
    play.bars(0)
    assert play.at(2 + 1 * SECOND) == []
    assert [span(r) for r in play.at(2 + 2 * SECOND)] == [(0, 2)]


def test_the_vendors_answer_closes_the_gap_and_its_bars_are_marked(play: Play) -> None:
    play.bars(0, 1, 2, 6, 7, 8, 9)
    play.at(10.5)
    play.answer(2, 3, 4, 5, 6)
    assert (3, 6, "repaired", 1) in play.gaps()
    assert (3, "repaired", 0, "twelvedata", "") in play.reasons()
    assert play.stored(3)[5:] == ("vendor", 1, 1)
    assert play.stored(8)[5:] == ("built", 1, 0)


def test_the_bars_in_which_a_hole_began_and_ended_are_the_vendors_too(play: Play) -> None:
    play.bars(0, 1, 2, 6, 7, 8, 9)
    play.at(10.5)
    outcome = play.answer(2, 3, 4, 5, 6, high=1999.0)
    assert play.reasons() == [
        (2, "repaired", 1, "twelvedata", ""), (3, "repaired", 0, "twelvedata", ""),
        (6, "repaired", 1, "twelvedata", ""),
    ]  # fmt: skip
    assert [play.stored(minute)[1] for minute in (1, 2, 3, 6, 7)] == [1931.5, 1999.0, 1999.0, 1999.0, 1931.5]
    told = [b.open_ms for message in told_in(outcome) for b in message.bars]
    assert told == [W0 + 2 * MINUTE, W0 + 6 * MINUTE]
    assert play.at(11.5) != []  # minutes 10 and after: nothing of what lies before is asked for again
    assert span(play.asked[-1])[0] >= 9


def test_silence_at_the_edge_of_a_hole_hides_no_bar_in_part(play: Play) -> None:
    play.bars(0, 1, 2, 8, 9)
    play.at(10.5)
    play.answer(2, 4, 5, 8, high=1999.0)  # minutes 3, 6 and 7 did not trade
    assert [play.stored(minute)[1] for minute in (1, 2, 8, 9)] == [1931.5, 1999.0, 1999.0, 1931.5]


def test_silence_casts_no_doubt_on_the_bars_around_it(play: Play) -> None:
    play.bars(0, 1, 2, 5, 6, 7)
    play.at(8.5)
    play.answer(2, 5, high=1999.0)
    assert play.stored(2)[1] == 1931.5
    assert [row[1] for row in play.reasons()] == ["no_trade"]


def test_a_bar_that_the_answer_leaves_out_did_not_trade(play: Play) -> None:
    play.bars(0, 1, 2, 5, 6, 7)
    play.at(8.5)
    play.answer(2, 5)
    assert play.gaps() == [(3, 5, "no_trade", 1)]
    assert play.at(9) == []


def test_what_the_answer_does_not_reach_stays_missing_and_is_asked_for_again(play: Play) -> None:
    play.bars(0, 1, 2, 6, 7, 8, 9)
    play.at(10.5)
    play.answer(2, 3, 4)
    assert (5, 6, "missing", 1) in play.gaps()


def test_an_unanswered_gap_is_asked_for_at_growing_distances(play: Play) -> None:
    play.bars(*range(10), *range(11, 200))
    asked = []
    for second in range(12 * 60, 52 * 60, 5):
        asked += [second - 12 * 60] * len(play.at(second / 60))
    assert asked == [0, 10, 40, 160, 460, 2260]  # after 10 and 30 seconds, 2, 5 and 30 minutes
    assert play.gaps() == [(10, 11, "missing", 6)]


def test_an_outage_that_goes_on_is_one_gap_and_asked_for_ever_more_seldom(play: Play) -> None:
    play.bars(0)
    asked = [minute for minute in range(1, 121) if play.at(minute + 0.1)]
    assert asked == [2, 3, 4, 6, 11, 41]
    assert play.gaps() == [(1, 120, "missing", 6)]


def test_when_quotes_come_again_all_of_it_is_asked_for_at_once(play: Play) -> None:
    play.bars(0)
    for minute in range(1, 61):
        play.at(minute + 0.1)
    assert play.reads(play.entry(keys.QUOTES, minute_quote(60.2)))
    play.give(keys.QUOTES, minute_quote(60.2))
    assert [span(r) for r in play.asked[-1:]] == [(0, 60)]
    assert play.gaps() == [(1, 60, "missing", 1)]


def test_two_holes_are_two_gaps_and_one_request(play: Play) -> None:
    play.bars(0, 2, 3, 5, 6)
    assert [span(r) for r in play.at(7.1)] == [(0, 6)]
    assert play.gaps() == [(1, 2, "missing", 1), (4, 5, "missing", 1)]


def test_holes_far_apart_are_asked_for_one_by_one(play: Play) -> None:
    play.bars(*range(10), *range(11, 700), *range(702, 800))
    assert [span(r) for r in play.at(800.1)] == [(9, 12), (699, 703)]


def test_a_small_hole_right_after_a_request_waits_a_minute(play: Play) -> None:
    play.bars(0, 2, 3)
    assert len(play.at(4.1)) == 1
    play.answer(0, 2)
    play.bars(5)
    assert play.at(6.1 - 1.05) == []
    assert [span(r) for r in play.at(6.1)] == [(3, 6)]


def test_a_bar_that_comes_late_by_itself_is_not_asked_for_again(play: Play) -> None:
    play.bars(0, 2)
    assert len(play.at(3.1)) == 1
    play.bars(1, 3)
    assert play.at(4.1) == []
    assert play.reasons() == [(1, "repaired", 0, "own quotes", "")]


def test_a_bar_that_was_built_in_part_is_a_gap_until_the_vendor_fills_it(play: Play) -> None:
    play.bars(0)
    play.bars(1, complete=False, high=9.0)
    play.bars(2)
    assert [span(r) for r in play.at(3.1)] == [(0, 3)]
    assert play.reasons() == [(1, "missing", 1, "", "built from part of its quotes")]
    outcome = play.answer(0, 1, 2)
    assert play.reasons() == [(1, "repaired", 1, "twelvedata", "")]
    assert play.stored(1) == (1930.0, 1931.5, 1929.25, 1930.75, 42.0, "vendor", 1, 1)
    (told,) = told_in(outcome)
    assert (told.instead, told.repair, [b.open_ms for b in told.bars]) == (True, True, [W0 + MINUTE])


def test_a_bar_in_part_that_no_vendor_has_is_unrepairable(play: Play) -> None:
    play.bars(0)
    play.bars(1, complete=False)
    play.bars(2)
    play.at(3.1)
    play.answer(0, 2)
    (row,) = play.reasons()
    assert row[1:4] == ("unrepairable", 1, "twelvedata")


def test_a_bar_whose_quotes_are_here_is_waited_for(play: Play) -> None:
    play.bars(0)
    play.give(keys.QUOTES, minute_quote(1))
    assert play.at(2.1) == []
    assert play.gaps() == []
    play.bars(1)  # the engine has caught up
    assert play.at(2.2) == []
    assert play.gaps() == []


def test_a_bar_on_its_way_hides_no_hole_behind_it(play: Play) -> None:
    play.bars(0)
    play.give(keys.QUOTES, minute_quote(1))
    play.at(10.1)
    assert play.gaps() == [(2, 10, "missing", 1)]


def test_a_bar_whose_quotes_are_here_is_missing_when_the_engine_is_past_it(play: Play) -> None:
    play.bars(0, 2)
    play.give(keys.QUOTES, minute_quote(1))
    assert [span(r) for r in play.at(3.1)] == [(0, 3)]


def test_a_bar_that_is_waited_for_in_vain_is_asked_for_after_an_hour(play: Play) -> None:
    play.bars(0)
    for minute in range(1, 70):
        play.give(keys.QUOTES, minute_quote(minute))
    play.at(60.5)
    assert play.gaps() == []
    play.at(63.1)
    assert play.gaps()[0][:3] == (1, 4, "missing")


@pytest.mark.parametrize("changes", [{"reasons": ("late",)}, {"check": True}, {"source_class": "other"}])
def test_quotes_that_make_no_bar_promise_none(play: Play, changes: dict[str, object]) -> None:
    play.bars(0)
    play.give(keys.QUOTES, minute_quote(1, **changes))
    assert len(play.at(2.1)) == 1

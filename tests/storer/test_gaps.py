"""The gap ledger: what is missing is found, asked for, and known to be filled, silent or out of reach."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from common import keys
from common.messages import HistoryBars
from common.settings import Settings
from common.symbols import load_symbols
from storer.backfill import Lane
from storer.gaps import Watched
from storer.keeper import watched_lanes
from tests.storer.ledger_play import W0, Play, minute_bar, minute_quote, span, told_in
from tests.storer.values import MINUTE

DAY = 24 * 60
SECOND = 1 / 60


@pytest.fixture
def play(path: Path) -> Iterator[Play]:
    """A storer whose ledger begins at W0."""
    started = Play(path)
    assert started.at(2 * SECOND) == []
    yield started
    started.database.close()


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


def test_the_weekend_is_no_gap(path: Path) -> None:
    play = Play(path)
    friday_22 = 2 * DAY + 12 * 60  # minutes from W0 to Friday 2023-11-17 22:00 UTC, 17:00 in New York: the close
    sunday_22 = friday_22 + 2 * DAY
    play.at(friday_22 - 5)
    play.bars(*range(friday_22 - 6, friday_22), *range(sunday_22, sunday_22 + 10))
    assert play.at(sunday_22 + 10.1) == []
    assert play.gaps() == []
    play.database.close()


def test_an_outage_over_a_restart_is_found_at_the_first_clock_entry(path: Path) -> None:
    before = Play(path)
    before.at(0.1)
    before.bars(*range(10))
    before.at(10.1)
    before.database.close()
    after = Play(path)
    after.number = 1000
    assert after.reads(after.clock_entry(190.1))
    assert [span(r) for r in after.at(190.1)] == [(9, 190)]
    assert after.gaps() == [(10, 190, "missing", 1)]
    after.database.close()


def test_what_was_found_is_found_once_however_often_the_storer_starts(path: Path) -> None:
    for number in range(3):
        play = Play(path)
        play.number = 1000 * number
        play.at(0.1)
        play.bars(0)
        play.give(keys.QUOTES, minute_quote(1))  # on its way for ever: the ledger looks at what follows again and again
        play.at(10.1)
        assert play.gaps() == [(2, 10, "missing", 1)]
        play.database.close()


def test_what_is_older_than_any_vendors_history_is_unrepairable(play: Play) -> None:
    play.bars(0)
    now = 40 * DAY
    (request,) = play.at(now + 0.1)
    assert span(request)[0] == now - 29 * DAY + 1
    assert [(state, attempts) for _, _, state, attempts in play.gaps()] == [("unrepairable", 0), ("missing", 1)]
    assert play.reasons()[0][4] == "older than any vendor's history"


def test_a_delayed_class_is_given_its_delay(path: Path) -> None:
    play = Play(path, delay_ms=10 * MINUTE)
    play.at(10.1)
    assert play.at(11.01) == []
    assert len(play.at(11.1)) == 1
    play.database.close()


def test_another_lanes_history_says_nothing_of_this_one(play: Play) -> None:
    play.bars(0, 2)
    play.at(3.1)
    others = HistoryBars("r", "EURUSD", "5m", "fx_spot", (minute_bar(0, timeframe="5m"),), raw_id="1-1")
    play.give(keys.QUOTES, others)
    assert play.gaps() == [(1, 2, "missing", 1)]


def test_a_refusal_says_why_and_until_when(play: Play) -> None:
    play.bars(0, 2)
    play.at(3.1)
    play.answer(retry_minute=20)
    assert play.reasons() == [(1, "missing", 0, "", "twelvedata: outage: away")]
    play.bars(*range(3, 30))
    assert next(minute for minute in range(4, 25) if play.at(minute + 0.5)) == 20


def test_what_every_vendor_was_asked_for_in_vain_for_a_day_is_unrepairable(play: Play) -> None:
    play.bars(*range(10), *range(11, 3 * DAY))
    for minute in (12, 13, 14, 17, 25, 60, 200, 600, 2_100, 4_000):
        for _ in play.at(minute + 0.1):
            play.answer()
    (row,) = play.reasons()
    assert row == (10, "unrepairable", 0, "", "every vendor was asked, none has it: twelvedata: outage: away")


def test_every_class_that_may_feed_a_series_is_watched_in_every_timeframe_that_vendors_keep() -> None:
    table = load_symbols(("NAS100", "EURUSD"))
    settings = Settings(symbols=("NAS100", "EURUSD"), timeframes=("1s", "1m", "1h"))
    assert watched_lanes(table, settings, 0) == (
        Watched(Lane("NAS100", "cme_nq_future", "1m"), "cme", 600_000),
        Watched(Lane("NAS100", "cme_nq_future", "1h"), "cme", 600_000),
        Watched(Lane("NAS100", "terminal_index", "1m"), "cme", 0, history=False),
        Watched(Lane("NAS100", "terminal_index", "1h"), "cme", 0, history=False),
        Watched(Lane("EURUSD", "fx_spot", "1m"), "fx", 0),
        Watched(Lane("EURUSD", "fx_spot", "1h"), "fx", 0),
        Watched(Lane("EURUSD", "terminal_fx", "1m"), "fx", 0, history=False),
        Watched(Lane("EURUSD", "terminal_fx", "1h"), "fx", 0, history=False),
    )
    unlimited = settings.model_copy(update={"limits": "none"})
    assert {watched.delay_ms for watched in watched_lanes(table, unlimited, 0)} == {0}


def test_a_state_that_is_none_is_refused(play: Play) -> None:
    values = "('a', 'b', '1m', 0, 1, 1, 'lost', 0, 0, 0, NULL, NULL, '', '')"
    with pytest.raises(sqlite3.IntegrityError):
        play.database.connection().execute(f"INSERT INTO gaps VALUES {values}")

"""Longer bars out of shorter ones, the class that feeds a series, and the moment at which a gap shows."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from common import keys
from common.messages import Bars, SeriesChange
from common.redis_link import Link
from tests.storer.ledger_play import TERMINAL_LANE, W0, Play, minute_bar, minute_quote, span, told_in
from tests.storer.values import MINUTE


@pytest.fixture
def play(path: Path) -> Iterator[Play]:
    """A storer that minds 1m and 5m bars from W0 on."""
    started = Play(path, timeframes=("1m", "5m"))
    assert started.at(0.1) == []
    yield started
    started.database.close()


def five_minutes(play: Play, *minutes: int, **changes: object) -> None:
    play.bars(*minutes, timeframe="5m", **changes)


def walk(minute: int) -> dict[str, float]:
    """Prices of one minute, all different."""
    return {"open": 10.0 + minute, "high": 12.0 + minute, "low": 9.0 - minute, "close": 11.0 + minute, "volume": 1.5}


def give_minutes(play: Play, *minutes: int) -> None:
    for minute in minutes:
        play.bars(minute, **walk(minute))


def answer(play: Play, *minutes: int) -> None:
    """Answer the request for minutes with each minute's own prices."""
    bars = [minute_bar(minute, origin="vendor", ticks=0, source="twelvedata", **walk(minute)) for minute in minutes]
    request = next(r for r in reversed(play.asked) if r.timeframe == "1m")
    play.answer_bars(request, bars)


# -- longer bars -----------------------------------------------------------------------------------


def test_a_longer_bar_is_put_together_from_repaired_minutes_and_no_vendor_is_asked_for_it(play: Play) -> None:
    give_minutes(play, 0, 1, 2, 3, 4, 11)
    five_minutes(play, 0)
    assert [(r.timeframe, span(r)) for r in play.at(12.1)] == [("1m", (4, 12))]
    answer(play, *range(4, 12))
    assert (5, 10, "repaired", 0) in play.gaps("5m")
    assert play.stored(5, "5m") == (15.0, 21.0, 0.0, 20.0, 7.5, "built", 1, 1)
    assert all(r.timeframe == "1m" for r in play.asked)


def test_a_longer_bar_with_a_hole_in_it_is_put_together_anew(play: Play) -> None:
    give_minutes(play, 0, 3, 4, 5)
    five_minutes(play, 0, high=99.0)
    play.at(6.1)
    answer(play, 0, 1, 2, 3)
    assert play.stored(0, "5m") == (10.0, 16.0, 5.0, 15.0, 7.5, "built", 1, 1)
    assert play.reasons("5m") == [(0, "repaired", 1, "finer bars", "")]


def test_a_longer_bar_that_closes_after_the_repair_of_a_hole_in_it_is_put_together_too(play: Play) -> None:
    give_minutes(play, 0, 3)
    play.at(4.1)
    answer(play, 0, 1, 2, 3)
    give_minutes(play, 4)
    five_minutes(play, 0, high=99.0)
    play.at(5.2)
    play.at(6.2)
    assert play.stored(0, "5m")[:2] == (10.0, 16.0)


def test_a_longer_bar_is_put_together_once_more_when_one_of_its_minutes_proves_to_be_partial(play: Play) -> None:
    give_minutes(play, 0, 2, 3)
    play.at(4.1)
    answer(play, 0, 1, 2, 3)
    play.bars(4, **{**walk(4), "high": 14.0})  # all of it at first sight: an outage begins in it
    five_minutes(play, 0, high=99.0)
    play.at(5.2)
    assert play.stored(0, "5m")[1] == 15.0
    play.at(6.2)
    give_minutes(play, 8)
    play.at(9.2)
    answer(play, *range(4, 9))
    assert play.stored(0, "5m")[1] == 16.0
    assert play.gaps("5m")[0][:3] == (0, 5, "repaired")


def test_a_longer_bar_waits_while_one_of_its_minutes_is_still_missing(play: Play) -> None:
    give_minutes(play, 0, 1, 2, 3, 4)
    five_minutes(play, 0)
    play.at(12.1)
    play.answer(retry_minute=15)
    assert play.gaps("5m") == [(5, 10, "missing", 0)]
    assert {r.timeframe for minute in range(13, 30) for r in play.at(minute + 0.1)} == {"1m"}


def test_a_longer_bar_is_asked_for_itself_where_its_minutes_are_out_of_reach(play: Play) -> None:
    give_minutes(play, 0, 1, 2, 3, 4)
    five_minutes(play, 0)
    now = 40 * 24 * 60
    asked = {r.timeframe: span(r)[0] for r in play.at(now + 0.1)}
    assert asked["1m"] == now - 29 * 24 * 60 + 1
    play.answer(request=next(r for r in play.asked if r.timeframe == "1m"), retry_minute=now + 1)
    assert [part for part in play.gaps("5m") if part[2] == "unrepairable"] == []


def test_features_are_told_of_every_bar_that_was_put_together(play: Play) -> None:
    give_minutes(play, 0, 1, 2, 3, 4, 11)
    five_minutes(play, 0)
    play.at(12.1)
    request = play.asked[-1]
    bars = [minute_bar(minute, origin="vendor", ticks=0, **walk(minute)) for minute in range(4, 12)]
    told = told_in(play.answer_bars(request, bars))
    assert [(m.timeframe, m.instead, [(b.open_ms - W0) // MINUTE for b in m.bars]) for m in told] == [
        ("1m", True, [4, 11]), ("5m", True, [0, 5]),
    ]  # fmt: skip


def test_after_a_failure_features_are_told_once_more(play: Play, link: Link) -> None:
    give_minutes(play, 0, 1, 2, 3, 4, 11)
    five_minutes(play, 0)
    play.at(12.1)
    answer(play, *range(4, 12))
    play.storer.restore(link)  # the transaction that told them did not happen
    told = told_in(play.storer.handle((play.clock_entry(12.2),)))
    assert [(m.timeframe, m.instead, [(b.open_ms - W0) // MINUTE for b in m.bars]) for m in told] == [
        ("1m", True, [4]), ("1m", True, [11]), ("5m", True, [0]), ("5m", True, [5]),
    ]  # fmt: skip
    assert told_in(play.storer.handle((play.clock_entry(13.3),))) == []


# -- which class feeds the series ------------------------------------------------------------------


@pytest.fixture
def two(path: Path) -> Iterator[Play]:
    """A storer that minds a symbol with two classes: fx_spot, which feeds the series at first, and the terminal's."""
    started = Play(path, terminal=True)
    assert started.at(0.1) == []
    yield started
    started.database.close()


def change(play: Play, source_class: str, minute: float) -> None:
    before = "fx_spot" if source_class == TERMINAL_LANE.source_class else TERMINAL_LANE.source_class
    at_ms = W0 + round(minute * MINUTE)
    play.give(keys.QUOTES, SeriesChange("EURUSD", source_class, before, at_ms, "terminal_came", f"{at_ms}-3"))


def test_only_the_class_that_feeds_the_series_is_minded(two: Play) -> None:
    two.bars(*range(5))
    two.at(5.1)
    change(two, "terminal_fx", 5.1)
    two.at(30.1)
    assert two.gaps() == []


def test_on_a_change_back_the_hole_of_the_class_that_returns_is_found_and_asked_for(two: Play) -> None:
    two.bars(*range(5))
    two.at(5.1)
    change(two, "terminal_fx", 5.1)
    two.at(30.1)
    change(two, "fx_spot", 30.2)
    assert [span(r) for r in two.asked] == [(4, 30)]
    assert two.gaps() == [(5, 30, "missing", 1)]


def test_a_class_without_history_has_its_holes_called_unrepairable_at_once(two: Play) -> None:
    change(two, "terminal_fx", 0.2)
    two.at(0.3)
    two.bars(0, 3, source_class="terminal_fx")
    assert two.at(4.1) == []
    assert two.gaps(source_class="terminal_fx") == [(1, 3, "unrepairable", 0)]
    assert two.reasons()[0][4] == "no vendor keeps history of this class"


def test_changes_are_on_record(two: Play) -> None:
    change(two, "terminal_fx", 1)
    rows = two.database.connection().execute("SELECT symbol, source_class, before, at_ms, why FROM series_changes")
    assert rows.fetchall() == [("EURUSD", "terminal_fx", "fx_spot", W0 + MINUTE, "terminal_came")]


# -- the moment ------------------------------------------------------------------------------------


def test_a_hole_shows_as_it_is_read_and_only_once(play: Play) -> None:
    five_minutes(play, 0)
    for minute in range(3):
        assert not play.reads(play.entry(keys.QUOTES, minute_quote(minute + 0.5)), play.clock_entry(minute + 0.9))
    assert not play.reads(play.clock_entry(3.1))
    assert play.reads(play.clock_entry(4.1))
    play.at(4.1)
    assert not play.reads(play.clock_entry(4.2))


def test_quotes_that_come_again_show_as_they_are_read(play: Play) -> None:
    play.at(4.1)
    assert not play.reads(play.clock_entry(4.2))
    assert play.reads(play.entry(keys.QUOTES, minute_quote(4.25)))


def test_a_check_is_no_return_of_quotes(play: Play) -> None:
    play.at(4.1)
    assert not play.reads(play.entry(keys.QUOTES, minute_quote(4.2, check=True)))


def test_the_time_of_the_next_attempt_shows_as_it_is_read(play: Play) -> None:
    (asked,) = play.at(1.1)
    assert asked.timeframe == "1m"
    assert not play.reads(play.clock_entry(1.1 + 9 / 60))
    assert play.reads(play.clock_entry(1.1 + 10 / 60))


def test_a_bar_that_closes_in_part_shows_as_it_is_read(play: Play) -> None:
    play.at(1.1)
    assert play.reads(play.entry(keys.BARS, Bars(bars=(minute_bar(1, complete=False),))))

"""Where the gap ledger ends: closed markets, restarts, delays, refusals, and what no vendor has any more."""

import sqlite3
from pathlib import Path

import pytest

from common import keys
from common.messages import HistoryBars
from common.settings import Settings
from common.symbols import load_symbols
from storer.backfill import Lane
from storer.gaps import Watched
from storer.keeper import watched_lanes
from tests.storer.ledger_play import DAY, Play, minute_bar, minute_quote, span
from tests.storer.values import MINUTE


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

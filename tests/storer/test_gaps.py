"""The gap ledger: what is missing is found, asked for, and known to be filled, silent or out of reach."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from common import keys
from common.messages import BackfillRequest, Bar, Bars, HistoryBars, Quotes
from common.metrics import Metrics
from common.settings import Settings
from common.stage import Outcome
from common.symbols import load_symbols
from storer.backfill import Lane
from storer.database import Database
from storer.gaps import Watched
from storer.stage import Storer, watched_lanes
from tests.storer.values import MINUTE, bar, clock, entry, quote

W0 = 1_700_042_400_000  # Wednesday 2023-11-15 10:00 UTC: the middle of a trading day everywhere but in New York
HOUR = 60 * MINUTE
DAY = 24 * HOUR
LANE = Lane("EURUSD", "fx_spot", "1m")
GAP_ROWS = "SELECT (from_ms - :w0) / 60000, (to_ms - :w0) / 60000, state, attempts FROM gaps ORDER BY from_ms"


class Play:
    """A storer that watches one lane, and what it says as time goes on. Minutes count from W0."""

    def __init__(self, path: Path, delay_ms: int = 0) -> None:
        self.database = Database(path)
        self.metrics = Metrics("storer")
        self.storer = Storer(0, self.database, self.metrics, (Watched(LANE, "fx", delay_ms),))
        self.number = 0

    def give(self, stream: keys.Stream, message: Bars | HistoryBars | Quotes) -> Outcome:
        self.number += 1
        return self.storer.handle((entry(stream, self.number, message),))

    def bars(self, *minutes: int, **changes: object) -> None:
        self.give(keys.BARS, Bars(bars=tuple(minute_bar(minute, **changes) for minute in minutes)))

    def at(self, minute: float) -> list[BackfillRequest]:
        """Return what the vendors are asked when the stream's clock says so."""
        self.number += 1
        now_ms = W0 + int(minute * MINUTE)
        tick = clock(self.number)
        tick = type(tick)(tick.cycle, now_ms, now_ms, raw_id=tick.raw_id)
        outcome = self.storer.handle((entry(keys.QUOTES, self.number, tick),))
        return [p.message for p in outcome.publish if isinstance(p.message, BackfillRequest)]

    def answer(self, *minutes: int) -> None:
        bars = tuple(minute_bar(minute, origin="vendor", ticks=0) for minute in minutes)
        self.give(keys.QUOTES, HistoryBars("r", "EURUSD", "1m", "fx_spot", bars, raw_id=f"{W0}-{self.number}"))

    def gaps(self) -> list[tuple[int, int, str, int]]:
        """Return (first minute, minute after the last, state, attempts) of every gap that ever was."""
        return self.database.connection().execute(GAP_ROWS, {"w0": W0}).fetchall()

    def open_gaps(self) -> float:
        return self.metrics.snapshot().gauges[0].value


def minute_bar(minute: int, **changes: object) -> Bar:
    return bar(0, symbol="EURUSD", source_class="fx_spot", **{"open_ms": W0 + minute * MINUTE, **changes})


def minute_quote(minute: int, **changes: object) -> Quotes:
    at_ms = W0 + minute * MINUTE + 1
    return Quotes(quotes=(quote(1, 0, "EURUSD", source_class="fx_spot", market_ms=at_ms, **changes),))


def span(request: BackfillRequest) -> tuple[float, float]:
    return (request.from_ms - W0) / MINUTE, (request.to_ms - W0) / MINUTE


@pytest.fixture
def play(path: Path) -> Iterator[Play]:
    """A storer whose ledger begins at W0."""
    started = Play(path)
    assert started.at(0) == []
    yield started
    started.database.close()


def test_a_lane_without_holes_has_no_gaps(play: Play) -> None:
    play.bars(*range(10))
    assert play.at(11.5) == []
    assert play.gaps() == []
    assert play.open_gaps() == 0


def test_bars_that_did_not_come_are_asked_for_with_their_neighbours(play: Play) -> None:
    play.bars(0, 1, 2, 6, 7, 8, 9)
    (request,) = play.at(11)
    assert play.gaps() == [(3, 6, "missing", 1)]
    assert (request.symbol, request.timeframe, request.source_class) == ("EURUSD", "1m", "fx_spot")
    assert span(request) == (2, 7)
    assert play.open_gaps() == 1


def test_a_minute_is_given_another_minute_to_arrive(play: Play) -> None:
    play.bars(0)
    assert play.at(2.9) == []
    assert [span(r) for r in play.at(3.9)] == [(0, 3)]


def test_the_vendors_answer_closes_the_gap(play: Play) -> None:
    play.bars(0, 1, 2, 6, 7, 8, 9)
    play.at(11)
    play.answer(2, 3, 4, 5, 6)
    assert play.gaps() == [(3, 6, "repaired", 1)]
    play.bars(10)
    assert play.at(12.5) == []


def test_a_bar_that_the_answer_leaves_out_did_not_trade(play: Play) -> None:
    play.bars(0, 1, 2, 6, 7, 8, 9)
    play.at(11)
    play.answer(2, 3, 5, 6)
    assert play.gaps() == [(3, 4, "repaired", 1), (4, 5, "no_trade", 1), (5, 6, "repaired", 1)]


def test_what_the_answer_does_not_reach_stays_missing(play: Play) -> None:
    play.bars(0, 1, 2, 6, 7, 8, 9)
    play.at(11)
    play.answer(2, 3, 4)
    assert play.gaps() == [(3, 5, "repaired", 1), (5, 6, "missing", 1)]
    play.bars(*range(10, 20))
    assert [span(r) for r in play.at(13)] == [(4, 7)]


def test_an_unanswered_gap_is_asked_for_at_growing_distances(play: Play) -> None:
    play.bars(0, 2)
    asked = []
    for minute in range(4, 200):
        play.bars(minute - 1)
        asked += [minute] * len(play.at(minute))
    assert asked == [4, 5, 10, 40, 160]  # after 1, 5, 30 and 120 minutes
    assert play.gaps() == [(1, 2, "missing", 5)]


def test_an_outage_that_goes_on_is_one_gap_and_asked_for_ever_more_seldom(play: Play) -> None:
    play.bars(0)
    assert [minute for minute in range(1, 46) if play.at(minute)] == [3, 4, 9, 39]
    assert play.gaps() == [(1, 44, "missing", 4)]


def test_when_an_outage_ends_all_of_it_is_asked_for_at_once(play: Play) -> None:
    play.bars(0)
    for minute in range(1, 61):
        play.at(minute)
    play.bars(59, 60)
    assert [span(r) for r in play.at(61)] == [(0, 60)]
    assert play.gaps() == [(1, 59, "missing", 1)]


def test_two_holes_are_two_gaps_and_one_request(play: Play) -> None:
    play.bars(0, 2, 3, 5, 6)
    assert [span(r) for r in play.at(8)] == [(0, 6)]
    assert play.gaps() == [(1, 2, "missing", 1), (4, 5, "missing", 1)]


def test_a_bar_that_comes_late_by_itself_is_not_asked_for_again(play: Play) -> None:
    play.bars(0, 2)
    assert len(play.at(4)) == 1
    play.bars(1, 3)
    assert play.at(5) == []
    assert play.gaps() == [(1, 2, "repaired", 1)]


def test_a_bar_that_was_built_in_part_is_a_gap_until_the_vendor_fills_it(play: Play) -> None:
    play.bars(0, 2)
    play.bars(1, complete=False)
    assert [span(r) for r in play.at(4)] == [(0, 3)]
    play.answer(0, 1, 2)
    assert play.gaps() == [(1, 2, "repaired", 1)]


def test_a_bar_whose_quotes_are_here_is_waited_for(play: Play) -> None:
    play.bars(0)
    play.give(keys.QUOTES, minute_quote(1))
    assert play.at(50) == []
    play.bars(*range(1, 50))  # the engine has caught up
    assert play.at(51) == []
    assert play.gaps() == []


def test_a_bar_that_is_waited_for_in_vain_is_asked_for_after_an_hour(play: Play) -> None:
    play.bars(0, *range(2, 70))
    play.give(keys.QUOTES, minute_quote(1))
    assert play.at(61) == []
    assert [span(r) for r in play.at(62)] == [(0, 3)]


def test_late_quotes_promise_no_bar(play: Play) -> None:
    play.bars(0, 2)
    play.give(keys.QUOTES, minute_quote(1, reasons=("late",)))
    assert len(play.at(4)) == 1


def test_the_weekend_is_no_gap(path: Path) -> None:
    play = Play(path)
    friday_22 = 2 * 24 * 60 + 12 * 60  # minutes from W0 to Friday 2023-11-17 22:00 UTC, 17:00 in New York: the close
    sunday_22 = friday_22 + 2 * 24 * 60
    play.at(friday_22 - 5)
    play.bars(*range(friday_22 - 5, friday_22), *range(sunday_22, sunday_22 + 10))
    assert play.at(sunday_22 + 11) == []
    assert play.gaps() == []
    play.database.close()


def test_an_outage_over_a_restart_is_found(path: Path) -> None:
    before = Play(path)
    before.at(0)
    before.bars(*range(10))
    before.at(11)
    before.database.close()
    after = Play(path)
    after.number = 1000
    assert [span(r) for r in after.at(191)] == [(9, 191)]
    assert after.gaps() == [(10, 190, "missing", 1)]
    after.database.close()


def test_what_is_older_than_any_vendors_history_is_out_of_reach(play: Play) -> None:
    play.bars(0)
    now = 40 * 24 * 60
    (request,) = play.at(now)
    assert span(request)[0] == now - 29 * 24 * 60
    assert [(state, attempts) for _, _, state, attempts in play.gaps()] == [("unreachable", 0), ("missing", 1)]


def test_a_delayed_class_is_given_its_delay(path: Path) -> None:
    play = Play(path, delay_ms=10 * MINUTE)
    play.at(0)
    assert play.at(11.9) == []
    assert len(play.at(12.9)) == 1
    play.database.close()


def test_another_lanes_history_says_nothing_of_this_one(play: Play) -> None:
    play.bars(0, 2)
    play.at(4)
    others = HistoryBars("r", "EURUSD", "5m", "fx_spot", (minute_bar(0, timeframe="5m"),), raw_id="1-1")
    play.give(keys.QUOTES, others)
    assert play.gaps() == [(1, 2, "missing", 1)]


def test_every_series_is_watched_in_every_timeframe_that_vendors_keep() -> None:
    table = load_symbols(("NAS100", "EURUSD"))
    settings = Settings(symbols=("NAS100", "EURUSD"), timeframes=("1s", "1m", "1h"))
    assert watched_lanes(table, settings, 0) == (
        Watched(Lane("NAS100", "cme_nq_future", "1m"), "cme", 600_000),
        Watched(Lane("NAS100", "cme_nq_future", "1h"), "cme", 600_000),
        Watched(Lane("EURUSD", "fx_spot", "1m"), "fx", 0),
        Watched(Lane("EURUSD", "fx_spot", "1h"), "fx", 0),
    )
    unlimited = settings.model_copy(update={"limits": "none"})
    assert {watched.delay_ms for watched in watched_lanes(table, unlimited, 0)} == {0}


def test_a_state_that_is_none_is_refused(play: Play) -> None:
    values = "('a', 'b', '1m', 0, 1, 'lost', 0, 0, NULL)"
    with pytest.raises(sqlite3.IntegrityError):
        play.database.connection().execute(f"INSERT INTO gaps VALUES {values}")

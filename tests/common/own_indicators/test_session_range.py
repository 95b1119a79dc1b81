"""The session's range against wickra's, whose sessions are UTC days and whose opening range counts bars."""

from importlib import import_module

import numpy as np
import wickra

from common.indicators.own import OWN
from tests.common.own_indicators import oracles
from tests.common.own_indicators.follow import outputs, sessions_of
from tests.common.own_indicators.histories import F64, MINUTE_MS

INPUTS = ("open", "high", "low", "time", "session")
NAMES = ("session_open", "session_high", "session_low", "opening_high", "opening_low")


def ranges(bars: dict[str, F64], minutes: int) -> dict[str, F64]:
    return outputs("SESSION_RANGE", [bars[name] for name in INPUTS], minutes=minutes)


def bars_at(*minutes: float) -> dict[str, F64]:
    """Return bars that open so many minutes after the session began, each one higher and lower than the last."""
    step = np.arange(len(minutes), dtype=np.float64)
    return {
        "open": 100.0 + step / 2,
        "high": 101.0 + step,
        "low": 99.0 - step,
        "time": np.array(minutes) * MINUTE_MS,
        "session": np.zeros(len(minutes)),
    }


def test_session_high_and_low_are_those_of_wickra(market_bars: dict[str, F64]) -> None:
    candles = zip(*(market_bars[name].tolist() for name in ("open", "high", "low", "close", "volume")), strict=True)
    stamps = [int(time_ms) for time_ms in market_bars["time"]]
    theirs = wickra.SessionHighLow()
    high, low = np.array([theirs.update((*candle, at_ms)) for candle, at_ms in zip(candles, stamps, strict=True)]).T
    ours = [ranges(session, 30) for session in sessions_of(market_bars)]
    np.testing.assert_array_equal(np.concatenate([one["session_high"] for one in ours]), high)
    np.testing.assert_array_equal(np.concatenate([one["session_low"] for one in ours]), low)


def test_session_open_is_that_of_pandas_daily_bars(market_bars: dict[str, F64]) -> None:
    pandas = import_module("pandas")
    series = pandas.Series(market_bars["open"], index=pandas.to_datetime(market_bars["time"], unit="ms"))
    daily = series.resample("D").first().tolist()
    ours = [ranges(session, 30)["session_open"] for session in sessions_of(market_bars)]
    assert [set(column.tolist()) for column in ours] == [{opened} for opened in daily]


def test_opening_range_is_that_of_wickra_once_it_is_locked(market_bars: dict[str, F64]) -> None:
    """Thirty minutes are six bars of five: wickra's is locked with the sixth, ours known with the seventh."""
    for session in sessions_of(market_bars):
        theirs = wickra.OpeningRange(6).batch(*(session[name].tolist() for name in ("high", "low", "close")))
        high, low, _ = oracles.matrix(theirs)
        ours = ranges(session, 30)
        np.testing.assert_array_equal(ours["opening_high"][6:], high[6:])
        np.testing.assert_array_equal(ours["opening_low"][6:], low[6:])
        assert np.isnan(ours["opening_high"][:6]).all()
        assert np.isnan(ours["opening_low"][:6]).all()


def test_opening_is_over_with_a_bar_that_opens_at_its_end() -> None:
    ours = ranges(bars_at(0, 29, 30, 31), 30)
    np.testing.assert_array_equal(ours["opening_high"], [np.nan, np.nan, 102.0, 102.0])
    np.testing.assert_array_equal(ours["opening_low"], [np.nan, np.nan, 98.0, 98.0])


def test_opening_after_a_gap_is_known_with_the_next_bar() -> None:
    ours = ranges(bars_at(0, 90), 30)
    np.testing.assert_array_equal(ours["opening_high"], [np.nan, 101.0])


def test_a_bar_longer_than_the_opening_takes_part_whole() -> None:
    ours = ranges(bars_at(0, 60, 120), 30)
    np.testing.assert_array_equal(ours["opening_high"], [np.nan, 101.0, 101.0])


def test_a_session_without_a_bar_in_its_opening_has_no_opening_range() -> None:
    ours = ranges(bars_at(45, 50), 30)
    assert {name: column.tolist() for name, column in ours.items() if name.startswith("session")} == {
        "session_open": [100.0, 100.0],
        "session_high": [101.0, 102.0],
        "session_low": [99.0, 98.0],
    }
    assert np.isnan(ours["opening_high"]).all()
    assert np.isnan(ours["opening_low"]).all()


def test_outputs() -> None:
    assert OWN["SESSION_RANGE"].outputs == NAMES

"""The z-score against wickra, pandas-ta-classic, and TA-Lib's mean and deviation."""

from importlib import import_module
from math import isnan, sqrt

import numpy as np
import pytest
import talib
import wickra

from common.indicators.own import OWN
from tests.common.own_indicators import oracles
from tests.common.own_indicators.follow import outputs
from tests.common.own_indicators.histories import F64


def zscore(close: F64, timeperiod: int) -> F64:
    return outputs("ZSCORE", [close], timeperiod=timeperiod)["zscore"]


@pytest.mark.parametrize("timeperiod", [2, 5, 20, 200])
def test_equals_wickra(timeperiod: int, market_bars: dict[str, F64]) -> None:
    """Its running sums lose digits where the window is calm."""
    close = market_bars["close"]
    theirs = np.array(wickra.ZScore(timeperiod).batch(close.tolist()))
    np.testing.assert_allclose(zscore(close, timeperiod), theirs, rtol=1e-5, atol=1e-7)


def test_equals_pandas_ta_but_for_the_sample_deviation(market_bars: dict[str, F64]) -> None:
    """pandas-ta divides by the sample's deviation (n - 1 below), which is larger by sqrt(n / (n - 1))."""
    pandas = import_module("pandas")
    theirs = np.asarray(oracles.pandas_ta().zscore(pandas.Series(market_bars["close"]), length=20))
    np.testing.assert_allclose(zscore(market_bars["close"], 20), theirs * sqrt(20 / 19), rtol=1e-10, atol=1e-10)


def test_equals_talibs_mean_and_deviation(market_bars: dict[str, F64]) -> None:
    close = market_bars["close"]
    theirs = (close - talib.SMA(close, timeperiod=20)) / talib.STDDEV(close, timeperiod=20, nbdev=1.0)
    np.testing.assert_allclose(zscore(close, 20), theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("price", [0.1, 108.44, 111.51, 1e300, 1e-300])
def test_a_flat_window_has_none(price: float) -> None:
    """Of twenty times 108.44 or 111.51 not even the exact sum, rounded once, has the price for its mean."""
    assert isnan(OWN["ZSCORE"].open(np.full(20, price)).value)  # type: ignore[arg-type]  # one output: a float


def test_prices_whose_sum_no_float_can_hold_have_none() -> None:
    close = np.array([1.7e308, 1.7e308, 1.7e308, 1.7e308, 1.0])
    assert isnan(OWN["ZSCORE"].open(close, timeperiod=5).value)  # type: ignore[arg-type]  # one output: a float


@pytest.mark.parametrize("unit", [1.0, 1e300, 1e-300])
def test_one_step_up_reaches_the_bound_whatever_the_unit(unit: float) -> None:
    """Of n numbers of which one differs, that one is sqrt(n - 1) deviations away (Samuelson's inequality, attained)."""
    close = np.array([1.0, 1.0, 1.0, 1.0, 2.0]) * unit
    assert OWN["ZSCORE"].open(close, timeperiod=5).value == pytest.approx(2.0, rel=1e-15)

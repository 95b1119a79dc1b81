"""The volatilities against TTR's (R), whose numbers stand in ttr_volatility.csv, wickra and pandas-ta-classic.

volstats 0.1.1 is no oracle for Yang-Zhang: it weighs the overnight variance by k, and has no Rogers-Satchell term.
"""

from math import isnan, log, sqrt
from pathlib import Path

import numpy as np
import pytest
import wickra

from common.indicators.own import OWN
from tests.common.own_indicators import oracles
from tests.common.own_indicators.follow import outputs
from tests.common.own_indicators.histories import F64

BY_TTR = Path(__file__).with_name("ttr_volatility.csv")
NAMES = ("VOLATILITY_CLOSE", "VOLATILITY_PARKINSON", "VOLATILITY_GARMAN_KLASS", "VOLATILITY_YANG_ZHANG")
BY_WICKRA = {
    "VOLATILITY_CLOSE": "HistoricalVolatility",
    "VOLATILITY_PARKINSON": "ParkinsonVolatility",
    "VOLATILITY_GARMAN_KLASS": "GarmanKlassVolatility",
    "VOLATILITY_YANG_ZHANG": "YangZhangVolatility",
}
LOOSE = {"VOLATILITY_CLOSE": 1e-10}
"""Where wickra keeps running sums, which lose digits as they go; it is one part in 1e12 elsewhere."""


def volatility(name: str, bars: dict[str, F64], **params: int) -> F64:
    return outputs(name, [bars[column] for column in OWN[name].inputs], **params)["volatility"]


@pytest.mark.parametrize("name", NAMES)
def test_equals_ttr(name: str) -> None:
    table = np.genfromtxt(BY_TTR, delimiter=",", names=True)
    bars = {column: np.ascontiguousarray(table[column]) for column in ("open", "high", "low", "close")}
    ours = volatility(name, bars, timeperiod=20, periods_per_year=252)
    np.testing.assert_allclose(ours, table[name.lower()], rtol=1e-12)
    assert np.isfinite(ours).sum() == len(ours) - OWN[name].lookback()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("timeperiod", [2, 5, 20, 100])
def test_equals_wickra(name: str, timeperiod: int, market_bars: dict[str, F64]) -> None:
    """wickra gives per cent."""
    columns = [market_bars[column].tolist() for column in OWN[name].inputs]
    theirs = np.array(getattr(wickra, BY_WICKRA[name])(timeperiod, 525_600).batch(*columns)) / 100.0
    ours = volatility(name, market_bars, timeperiod=timeperiod, periods_per_year=525_600)
    np.testing.assert_allclose(ours, theirs, rtol=LOOSE.get(name, 1e-12))


def test_close_to_close_equals_pandas_ta(market_bars: dict[str, F64]) -> None:
    theirs = oracles.close_volatility(market_bars["close"], timeperiod=20, periods_per_year=252)
    ours = volatility("VOLATILITY_CLOSE", market_bars, timeperiod=20, periods_per_year=252)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_without_a_number_of_periods_it_is_per_bar(name: str, market_bars: dict[str, F64]) -> None:
    per_year = volatility(name, market_bars, periods_per_year=252)
    np.testing.assert_allclose(volatility(name, market_bars) * sqrt(252), per_year, rtol=1e-14)


@pytest.mark.parametrize("name", NAMES)
def test_estimates_the_deviation_that_a_random_walk_was_made_with(name: str) -> None:
    """5,000 bars of 1,000 steps each, without drift or gaps. Ranges of a discrete walk are too short by a few per cent.

    Yang-Zhang's overnight part sees no gaps here. Standard error: under one per cent of the value for each.
    """
    rng = np.random.default_rng(5)
    path = np.exp(rng.normal(0.0, 1e-3 / sqrt(1_000), (5_000, 1_000)).cumsum(axis=1))
    open_ = np.concatenate(([1.0], path[:-1, -1].cumprod()))
    bars = {
        "open": open_,
        "high": open_ * np.maximum(path.max(axis=1), 1.0),
        "low": open_ * np.minimum(path.min(axis=1), 1.0),
        "close": open_ * path[:, -1],
    }
    found = volatility(name, bars, timeperiod=4_999)
    assert found[-1] == pytest.approx(1e-3, rel=0.04)


@pytest.mark.parametrize("name", NAMES)
def test_a_flat_window_has_no_volatility(name: str) -> None:
    columns = [np.full(21, 1.1) for _ in OWN[name].inputs]
    assert OWN[name].open(*columns).value == 0.0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("price", [0.0, -1.0, float("nan"), float("inf")])
def test_a_price_without_a_logarithm_leaves_no_value_until_it_is_gone(
    name: str, price: float, market_bars: dict[str, F64]
) -> None:
    bars = {column: market_bars[column][:60].copy() for column in ("open", "high", "low", "close")}
    for column in bars.values():
        column[30] = price
    ours = volatility(name, bars, timeperiod=5)
    last = 30 + OWN[name].lookback({"timeperiod": 5})
    assert np.isnan(ours[30 : last + 1]).all()
    assert np.isfinite(ours[25:30]).all()
    assert np.isfinite(ours[last + 1 :]).all()


def test_a_negative_variance_has_no_root() -> None:
    """A bar of no range that closes far from its open can't be; Garman-Klass makes -0.386 ln(close/open)^2 of it."""
    flat, close = np.full(5, 1.0), np.full(5, 2.0)
    value = OWN["VOLATILITY_GARMAN_KLASS"].open(flat, flat, flat, close, timeperiod=5).value
    assert isinstance(value, float)
    assert isnan(value)


def test_prices_farther_apart_than_a_float_can_hold_the_ratio_of() -> None:
    """By hand: one bar from 1e-300 to 1e300 has a log range of 600 ln 10."""
    high, low = np.full(2, 1e300), np.full(2, 1e-300)
    expected = 600 * log(10) / sqrt(4 * log(2))
    assert OWN["VOLATILITY_PARKINSON"].open(high, low, timeperiod=2).value == pytest.approx(expected, rel=1e-14)

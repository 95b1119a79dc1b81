"""VWAP bands against wickra, numpy's weighted covariance, TA-Lib, pandas-ta-classic and exact fractions."""

from fractions import Fraction
from math import isnan, nan, sqrt

import numpy as np
import pytest
import talib
import wickra

from common.indicators.own import OWN
from tests.common.own_indicators import oracles
from tests.common.own_indicators.follow import outputs, sessions_of
from tests.common.own_indicators.histories import F64

INPUTS = ("high", "low", "close", "volume")


def bands(bars: dict[str, F64], nbdev: float = 2.0) -> dict[str, F64]:
    return outputs("VWAP_BANDS", [bars[name] for name in INPUTS], nbdev=nbdev)


def test_equals_wickra(market_bars: dict[str, F64]) -> None:
    for session in sessions_of(market_bars):
        theirs = wickra.VwapStdDevBands(1.5).batch(*(session[name].tolist() for name in INPUTS))
        upper, vwap, lower, _ = oracles.matrix(theirs)
        ours = bands(session, nbdev=1.5)
        np.testing.assert_allclose(ours["vwap"], vwap, rtol=1e-13)
        np.testing.assert_allclose(ours["upper"] - ours["vwap"], upper - vwap, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(ours["lower"] - ours["vwap"], lower - vwap, rtol=1e-6, atol=1e-9)


def test_width_is_the_weighted_standard_deviation_of_numpy(market_bars: dict[str, F64]) -> None:
    session = sessions_of(market_bars)[0]
    typical = (session["high"] + session["low"] + session["close"]) / 3
    ours = bands(session, nbdev=1.0)
    for count in (2, 3, 50, len(typical)):
        variance = float(np.cov(typical[:count], aweights=session["volume"][:count], ddof=0))
        width = float(ours["upper"][count - 1] - ours["vwap"][count - 1])
        assert width == pytest.approx(sqrt(variance), rel=1e-9)


def test_vwap_is_that_of_talib_and_pandas_ta(market_bars: dict[str, F64]) -> None:
    by_session = [bands(session)["vwap"] for session in sessions_of(market_bars)]
    np.testing.assert_allclose(np.concatenate(by_session), oracles.vwap(market_bars), rtol=1e-13)
    first = sessions_of(market_bars)[0]
    np.testing.assert_allclose(by_session[0], talib.VWAP(*(first[name] for name in INPUTS)), rtol=1e-13)


def test_a_quiet_market_at_a_high_price_keeps_its_deviation() -> None:
    """The mean square less the squared mean, at 1e8 with steps of 0.01, has not one right digit. Exact: fractions."""
    rng = np.random.default_rng(3)
    price = 1e8 + 0.01 * rng.integers(-3, 4, 2_000).astype(np.float64)
    volume = rng.integers(1, 100, 2_000).astype(np.float64)
    # Both sides see the rounded typical price: what is tested is the deviation of it.
    typical = [Fraction(float(price_)) for price_ in (price + price + price) / 3.0]
    weights = [Fraction(float(traded)) for traded in volume]
    mean = sum(w * p for w, p in zip(weights, typical, strict=True)) / sum(weights)
    variance = sum(w * (p - mean) ** 2 for w, p in zip(weights, typical, strict=True)) / sum(weights)
    running = OWN["VWAP_BANDS"].open(price, price, price, volume, nbdev=1e3)
    assert isinstance(running.value, tuple)
    vwap, upper, _ = running.value
    assert (upper - vwap) / 1e3 == pytest.approx(sqrt(variance), rel=1e-6)


def test_no_value_before_the_first_trade() -> None:
    running = OWN["VWAP_BANDS"].open(*(np.array([number]) for number in (3.0, 1.0, 2.0, 0.0)))
    assert isinstance(running.value, tuple)
    assert [isnan(number) for number in running.value] == [True] * 3
    assert running.update(3.0, 1.0, 2.0, 10.0) == (2.0, 2.0, 2.0)


def test_a_bar_without_volume_changes_nothing() -> None:
    running = OWN["VWAP_BANDS"].open(*(np.array([number]) for number in (3.0, 1.0, 2.0, 10.0)))
    for volume in (0.0, -1.0, nan):
        assert running.update(9.0, 9.0, 9.0, volume) == (2.0, 2.0, 2.0)

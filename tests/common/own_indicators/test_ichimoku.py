"""Ichimoku against TA-Lib's midpoint, pandas-ta-classic, and wickra, which draws as TradingView does."""

import numpy as np
import talib
import wickra

from common.indicators.own import OWN
from tests.common.own_indicators import oracles
from tests.common.own_indicators.follow import outputs
from tests.common.own_indicators.histories import F64


def cloud(bars: dict[str, F64], **params: int) -> dict[str, F64]:
    return outputs("ICHIMOKU", [bars["high"], bars["low"]], **params)


def since(first: int, columns: dict[str, F64]) -> dict[str, F64]:
    return {name: column[first:] for name, column in columns.items()}


def test_lines_are_the_midpoints_of_talib(market_bars: dict[str, F64]) -> None:
    ours = since(77, cloud(market_bars))
    for name, period in (("tenkan", 9), ("kijun", 26), ("lead_b", 52)):
        theirs = talib.MIDPRICE(market_bars["high"], market_bars["low"], timeperiod=period)[77:]
        np.testing.assert_array_equal(ours[name], theirs)


def test_cloud_is_drawn_where_pandas_ta_draws_it(market_bars: dict[str, F64]) -> None:
    ours, theirs = since(77, cloud(market_bars)), oracles.ichimoku(market_bars)
    count = len(market_bars["close"])
    for name, column in theirs.items():
        np.testing.assert_allclose(ours[name], column[77:count], rtol=1e-15)
    # Its rows after the last bar are our leads of the last 26 bars.
    np.testing.assert_allclose(ours["lead_a"][-26:], theirs["senkou_a"][count:], rtol=1e-15)
    np.testing.assert_allclose(ours["lead_b"][-26:], theirs["senkou_b"][count:], rtol=1e-15)


def test_displacement_25_draws_as_tradingview_does(market_bars: dict[str, F64]) -> None:
    """wickra, like TradingView, takes the bar itself for the first of its 26: its first cloud of 52 is at bar 76."""
    columns = (market_bars[name].tolist() for name in ("high", "low", "close"))
    tenkan, kijun, senkou_a, senkou_b, _ = oracles.matrix(wickra.Ichimoku(9, 26, 52, 26).batch(*columns))
    assert np.flatnonzero(np.isfinite(senkou_b))[0] == 76
    ours = since(76, cloud(market_bars, displacement=25))
    for name, column in (("tenkan", tenkan), ("kijun", kijun), ("senkou_a", senkou_a), ("senkou_b", senkou_b)):
        np.testing.assert_allclose(ours[name], column[76:], rtol=1e-15)


def test_periods_may_be_equal(market_bars: dict[str, F64]) -> None:
    ours = since(15, cloud(market_bars, conversion=10, base=10, span=10, displacement=6))
    np.testing.assert_array_equal(ours["tenkan"], ours["lead_b"])
    theirs = talib.MIDPRICE(market_bars["high"], market_bars["low"], timeperiod=10)
    np.testing.assert_array_equal(ours["lead_b"], theirs[15:])
    np.testing.assert_array_equal(ours["senkou_b"], theirs[9:-6])


def test_a_price_that_is_not_a_number_leaves_no_value_until_it_is_gone(market_bars: dict[str, F64]) -> None:
    high, low = market_bars["high"][:10].copy(), market_bars["low"][:10]
    high[3] = np.nan
    params = {"conversion": 2, "base": 3, "span": 4, "displacement": 1}
    ours = outputs("ICHIMOKU", [high, low], **params)
    assert np.flatnonzero(np.isfinite(ours["tenkan"])).tolist() == [5, 6, 7, 8, 9]
    assert np.flatnonzero(np.isfinite(ours["lead_b"])).tolist() == [7, 8, 9]
    assert np.flatnonzero(np.isfinite(ours["senkou_b"])).tolist() == [8, 9]


def test_chikou_is_left_out() -> None:
    assert OWN["ICHIMOKU"].outputs == ("tenkan", "kijun", "senkou_a", "senkou_b", "lead_a", "lead_b")

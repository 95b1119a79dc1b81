"""Realised volatility of the last bars, by four estimators.

All: of log prices, per bar, times the root of periods_per_year (1: not annualised; 0.01 is one per cent). A flat window
gives 0; a price in it that is not above zero gives NaN, as does a variance below zero, which bars whose high and low do
not enclose open and close can produce. They equal TTR's `volatility` (R), save that TTR counts prices for the
close-to-close one where we count returns: our timeperiod is its n - 1.
"""

from collections import deque
from functools import partial
from math import hypot, log, sqrt

from common.indicators.columns import F64
from common.indicators.own.arithmetic import Terms, distance_from, finite, log_ratio, mean, root
from common.indicators.own.bars import Bar
from common.indicators.own.rolling import Rolling

YangZhangTerm = tuple[float, float, float]
"""A bar's overnight return, its return from open to close, and its Rogers-Satchell variance."""


def open_close(close: F64, *, timeperiod: int, periods_per_year: int) -> Rolling[float]:
    """Open the sample standard deviation (n - 1 below, around the mean) of the last `timeperiod` log returns.

    Source: Hull, Options, Futures, and Other Derivatives, Estimating Volatility from Historical Data.
    """
    scale = sqrt(periods_per_year / (timeperiod - 1))
    return Rolling.over((close,), timeperiod, _log_return, partial(_scaled_deviation, scale))


def open_parkinson(high: F64, low: F64, *, timeperiod: int, periods_per_year: int) -> Rolling[float]:
    """Open the root of the mean of ln(high / low)^2 / (4 ln 2).

    Source: Parkinson, The Extreme Value Method for Estimating the Variance of the Rate of Return (Journal of Business,
    1980). It assumes no drift and no gaps.
    """
    scale = sqrt(periods_per_year / (4.0 * timeperiod * log(2.0)))
    return Rolling.over((high, low), timeperiod, _log_range, partial(_scaled_length, scale))


def open_garman_klass(
    open_: F64, high: F64, low: F64, close: F64, *, timeperiod: int, periods_per_year: int
) -> Rolling[float]:
    """Open the root of the mean of ln(high / low)^2 / 2 - (2 ln 2 - 1) ln(close / open)^2.

    Source: Garman, Klass, On the Estimation of Security Price Volatilities from Historical Data (Journal of Business,
    1980), the practical form without cross terms. It assumes no drift and no gaps.
    """
    value_of = partial(_scaled_root_mean, float(periods_per_year))
    return Rolling.over((open_, high, low, close), timeperiod, _garman_klass_term, value_of)


def open_yang_zhang(
    open_: F64, high: F64, low: F64, close: F64, *, timeperiod: int, periods_per_year: int
) -> Rolling[YangZhangTerm]:
    """Open the root of V_overnight + k V_open_to_close + (1 - k) V_RS, k = 0.34 / (1.34 + (n + 1) / (n - 1)).

    The first two are sample variances (n - 1 below, around the mean) of ln(open / close before) and ln(close / open);
    V_RS is the mean of ln(high/close) ln(high/open) + ln(low/close) ln(low/open), of Rogers and Satchell.
    Source: Yang, Zhang, Drift-Independent Volatility Estimation Based on High, Low, Open, and Close Prices (Journal of
    Business, 2000). Free of drift, and right with gaps.
    """
    weight = 0.34 / (1.34 + (timeperiod + 1) / (timeperiod - 1))
    value_of = partial(_yang_zhang, weight, float(periods_per_year))
    return Rolling.over((open_, high, low, close), timeperiod, _yang_zhang_term, value_of)


def _log_return(before: Bar, bar: Bar) -> float:
    return log_ratio(bar[0], before[0])


def _log_range(_: Bar, bar: Bar) -> float:
    return log_ratio(bar[0], bar[1])


def _garman_klass_term(_: Bar, bar: Bar) -> float:
    open_, high, low, close = bar
    high_to_low, open_to_close = log_ratio(high, low), log_ratio(close, open_)
    return 0.5 * high_to_low * high_to_low - (2.0 * log(2.0) - 1.0) * open_to_close * open_to_close


def _yang_zhang_term(before: Bar, bar: Bar) -> YangZhangTerm:
    open_, high, low, close = bar
    up, down, open_to_close = log_ratio(high, open_), log_ratio(low, open_), log_ratio(close, open_)
    rogers_satchell = up * (up - open_to_close) + down * (down - open_to_close)
    return log_ratio(open_, before[3]), open_to_close, rogers_satchell


def _scaled_deviation(scale: float, returns: deque[float]) -> float:
    return finite(scale * distance_from(mean(returns), returns))


def _scaled_length(scale: float, log_ranges: deque[float]) -> float:
    return finite(scale * hypot(*log_ranges))


def _scaled_root_mean(periods_per_year: float, variances: deque[float]) -> float:
    return root(mean(variances) * periods_per_year)


def _yang_zhang(weight: float, periods_per_year: float, terms: deque[YangZhangTerm]) -> float:
    overnight, open_to_close, rogers_satchell = zip(*terms, strict=True)
    variance = _variance(overnight) + weight * _variance(open_to_close) + (1.0 - weight) * mean(rogers_satchell)
    return root(variance * periods_per_year)


def _variance(terms: Terms) -> float:
    length = distance_from(mean(terms), terms)
    return length * length / (len(terms) - 1)

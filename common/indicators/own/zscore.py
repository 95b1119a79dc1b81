"""How far the last close stands from the mean of its window, in standard deviations."""

from collections import deque
from math import inf, nan, sqrt

from common.indicators.columns import F64
from common.indicators.own.arithmetic import distance_from, finite, mean
from common.indicators.own.bars import Bar
from common.indicators.own.rolling import Rolling


def open_zscore(close: F64, *, timeperiod: int) -> Rolling[float]:
    """Open (close - mean) / standard deviation of the last `timeperiod` closes, this one included.

    The deviation is the population's (n below), as in TA-Lib's STDDEV and BBANDS: a close at the upper band of BBANDS
    with nbdevup=2 has a z-score of 2. A flat window has none: NaN. At most sqrt(n - 1) in size.
    Source: Kreyszig, Advanced Engineering Mathematics (1979), the standard score, on a rolling window.
    """
    return Rolling.over((close,), timeperiod, _close, _zscore)


def _close(_: Bar, bar: Bar) -> float:
    return bar[0]


def _zscore(closes: deque[float]) -> float:
    newest = closes[-1]
    # Asked of the closes: the mean of equal ones can differ from them in the last bit, which would make it 1 or -1.
    if newest == closes[0] and closes.count(newest) == len(closes):
        return nan
    centre = mean(closes)
    deviation = distance_from(centre, closes) / sqrt(len(closes))
    return finite((newest - centre) / deviation) if 0.0 < deviation < inf else nan

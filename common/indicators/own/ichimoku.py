"""Ichimoku Kinko Hyo: midpoints of the price range over three periods, and the cloud between two of them."""

from collections import deque

from common.indicators.columns import F64
from common.indicators.own.arithmetic import finite
from common.indicators.own.tops import Tops

Cloud = tuple[float, float]
"""Its two edges at one bar."""
Lines = tuple[float, float, float, float]
"""tenkan, kijun, lead_a, lead_b."""


class Ichimoku:
    """tenkan, kijun, senkou_a, senkou_b, lead_a, lead_b, in price.

    tenkan, kijun and lead_b are (highest high + lowest low) / 2 of the last `conversion`, `base` and `span` bars;
    lead_a is (tenkan + kijun) / 2. The leads are drawn `displacement` bars ahead of this one. senkou_a and senkou_b,
    the cloud drawn at this bar, are the leads of `displacement` bars ago: with 26, the 26th bar before this one.
    That is the convention of pandas-ta and talipp. TradingView and wickra count this bar as the first of the 26, and
    draw what displacement=25 gives here. The chikou, this close drawn in the past, says nothing new.
    Source: Hosoda, Ichimoku Kinko Hyo (1969), as in Elliott, Ichimoku Charts (2007).
    """

    __slots__ = ("_depths", "_leads", "_tops", "value")

    def __init__(self, tops: Tops, depths: Tops, leads: deque[Cloud]) -> None:
        """`tops`: of the highs. depths: of the lows with their signs changed. leads: until the last bar's, full."""
        self._tops, self._depths, self._leads = tops, depths, leads
        self.value = _value(_lines(tops.value, depths.value), leads[0])

    @classmethod
    def over(cls, high: F64, low: F64, *, conversion: int, base: int, span: int, displacement: int) -> "Ichimoku":
        """Open it over at least span + displacement bars, oldest first."""
        periods = (conversion, base, span)
        highs, depths = high[-span - displacement :].tolist(), (-low[-span - displacement :]).tolist()
        top, depth = Tops(highs[:span], periods), Tops(depths[:span], periods)
        lines = [_lines(top.value, depth.value)]
        for newest in zip(highs[span:], depths[span:], strict=True):
            lines.append(_lines(top.update(newest[0]), depth.update(newest[1])))  # noqa: PERF401  # it changes the tops
        return cls(top, depth, deque((line[2:] for line in lines), displacement + 1))

    def update(self, high: float, low: float) -> tuple[float, ...]:
        """Take the next bar in and return the new values."""
        lines = _lines(self._tops.update(high), self._depths.update(-low))
        self._leads.append(lines[2:])
        self.value = _value(lines, self._leads[0])
        return self.value

    def peek(self, high: float, low: float) -> tuple[float, ...]:
        """Return the values that update() would give, and change nothing."""
        return _value(_lines(self._tops.peek(high), self._depths.peek(-low)), self._leads[1])

    def copy(self) -> "Ichimoku":
        """Return an independent one in the same state."""
        return Ichimoku(self._tops.copy(), self._depths.copy(), self._leads.copy())


def _lines(tops: list[float], depths: list[float]) -> Lines:
    tenkan, kijun, lead_b = [finite((top - depth) / 2.0) for top, depth in zip(tops, depths, strict=True)]
    return tenkan, kijun, finite((tenkan + kijun) / 2.0), lead_b


def _value(lines: Lines, cloud: Cloud) -> tuple[float, ...]:
    tenkan, kijun, lead_a, lead_b = lines
    return tenkan, kijun, *cloud, lead_a, lead_b

"""The volume-weighted average price of a session, and bands of its volume-weighted standard deviation around it."""

from math import nan, sqrt

from common.indicators.columns import F64
from common.indicators.own.arithmetic import finite
from common.indicators.own.bars import bars_of

Sums = tuple[float, float, float]
"""Volume traded, mean price by volume, and the sum of squared distances from that mean times volume."""


class VwapBands:
    """vwap, upper, lower: vwap +- nbdev standard deviations, in price, over all bars since the first one.

    A bar trades its whole volume at its typical price, (high + low + close) / 3. The deviation is the population's:
    sqrt(sum(volume * (price - vwap)^2) / sum(volume)), around the vwap as it now stands. One bar: all three equal.
    No value (NaN) while nothing was traded; bars without volume change nothing. The vwap equals TA-Lib's and that of
    vwap.py but for rounding: it is moved by steps rather than divided out.
    Source: West, Updating Mean and Variance Estimates: An Improved Method (Communications of the ACM 22/9, 1979); the
    usual difference of the mean square and the squared mean loses a session's quiet deviation to rounding.
    """

    __slots__ = ("_nbdev", "_sums", "value")

    def __init__(self, sums: Sums, nbdev: float) -> None:
        self._sums, self._nbdev = sums, nbdev
        self.value = _bands(sums, nbdev)

    @classmethod
    def over(cls, high: F64, low: F64, close: F64, volume: F64, *, nbdev: float) -> "VwapBands":
        """Open it over the bars of a session, oldest first, at least one."""
        sums = (0.0, 0.0, 0.0)
        for bar in bars_of((high, low, close, volume)):
            sums = _after(sums, *bar)
        return cls(sums, nbdev)

    def update(self, high: float, low: float, close: float, volume: float) -> tuple[float, float, float]:
        """Take the next bar in and return the new values."""
        self._sums = _after(self._sums, high, low, close, volume)
        self.value = _bands(self._sums, self._nbdev)
        return self.value

    def peek(self, high: float, low: float, close: float, volume: float) -> tuple[float, float, float]:
        """Return the values that update() would give, and change nothing."""
        return _bands(_after(self._sums, high, low, close, volume), self._nbdev)

    def copy(self) -> "VwapBands":
        """Return an independent one in the same state."""
        return VwapBands(self._sums, self._nbdev)


def _after(sums: Sums, high: float, low: float, close: float, volume: float) -> Sums:
    """Return the sums with one more bar, by West's recurrence."""
    if not volume > 0.0:
        return sums
    traded, vwap, squares = sums
    off = (high + low + close) / 3.0 - vwap
    step = off * (volume / (traded + volume))
    return traded + volume, vwap + step, squares + traded * off * step


def _bands(sums: Sums, nbdev: float) -> tuple[float, float, float]:
    traded, vwap, squares = sums
    if not traded > 0.0:
        return nan, nan, nan
    width = nbdev * sqrt(squares / traded)
    return finite(vwap), finite(vwap + width), finite(vwap - width)

"""Pivot levels: prices drawn all session long, made of the high, low and close of the whole session before it.

The close is that of the session's last bar, not an exchange's settlement. All are NaN until one whole session has been
seen. With H, L, C of the session before, the pivot of all three kinds is P = (H + L + C) / 3.
"""

from collections.abc import Callable
from math import nan

from common.indicators.columns import F64
from common.indicators.own.arithmetic import finite
from common.indicators.own.bars import bars_of

Levels = tuple[float, ...]
LevelsOf = Callable[[float, float, float], Levels]
"""(high, low, close) of a whole session -> the levels of the next one."""


class Pivots:
    """The levels of the running session, in price. The first bar it is opened over must be a session's first one."""

    __slots__ = ("_close", "_high", "_levels_of", "_low", "_session", "value")

    def __init__(
        self, levels_of: LevelsOf, value: Levels, session: float, extremes: tuple[float, float, float]
    ) -> None:
        """`session`: the running one, by the moment it began. extremes: its high, low and close until now."""
        self._levels_of, self.value, self._session = levels_of, value, session
        self._high, self._low, self._close = extremes

    @classmethod
    def over(cls, columns: tuple[F64, F64, F64, F64], levels_of: LevelsOf, count: int) -> "Pivots":
        """Open it over high, low, close and session: oldest first, at least one bar."""
        bars = bars_of(columns)
        high, low, close, session = bars[0]
        pivots = cls(levels_of, (nan,) * count, session, (high, low, close))
        for high, low, close, session in bars[1:]:
            pivots.update(high, low, close, session)
        return pivots

    def update(self, high: float, low: float, close: float, session: float) -> Levels:
        """Take the next bar in and return the levels that hold for it."""
        if session != self._session:
            self.value = self._next_levels()
            self._session, self._high, self._low = session, high, low
        elif high > self._high or low < self._low:
            self._high, self._low = max(high, self._high), min(low, self._low)
        self._close = close
        return self.value

    def peek(self, high: float, low: float, close: float, session: float) -> Levels:  # noqa: ARG002  # update's inputs
        """Return the levels that update() would give, and change nothing."""
        return self.value if session == self._session else self._next_levels()

    def copy(self) -> "Pivots":
        """Return an independent one in the same state."""
        return Pivots(self._levels_of, self.value, self._session, (self._high, self._low, self._close))

    def _next_levels(self) -> Levels:
        return tuple(finite(level) for level in self._levels_of(self._high, self._low, self._close))


def open_classic(high: F64, low: F64, close: F64, session: F64) -> Pivots:
    """Open the floor traders' pivots: pivot, r1, r2, r3, s1, s2, s3.

    r1 = 2P - L, r2 = P + (H - L), r3 = H + 2(P - L); s1 = 2P - H, s2 = P - (H - L), s3 = L - 2(H - P).
    Source: TradingView, Pivot Points Standard, which calls these Traditional; its Classic has another third level,
    P +- 2(H - L).
    """
    return Pivots.over((high, low, close, session), _classic, 7)


def open_fibonacci(high: F64, low: F64, close: F64, session: F64) -> Pivots:
    """Open the Fibonacci pivots: pivot, r1, r2, r3, s1, s2, s3 = P +- 0.382, 0.618 and 1 times (H - L).

    Source: StockCharts ChartSchool, Pivot Points.
    """
    return Pivots.over((high, low, close, session), _fibonacci, 7)


def open_camarilla(high: F64, low: F64, close: F64, session: F64) -> Pivots:
    """Open the Camarilla pivots: pivot, r1 to r4, s1 to s4 = C +- 1.1 (H - L) / 12, / 6, / 4 and / 2.

    Source: Nick Scott's Camarilla Equation (camarillaequation.com), in the form of TradingView, Pivot Points Standard,
    which adds the pivot itself.
    """
    return Pivots.over((high, low, close, session), _camarilla, 9)


def _pivot(high: float, low: float, close: float) -> float:
    return (high + low + close) / 3.0


def _classic(high: float, low: float, close: float) -> Levels:
    pivot, span = _pivot(high, low, close), high - low
    above = 2.0 * pivot - low, pivot + span, high + 2.0 * (pivot - low)
    below = 2.0 * pivot - high, pivot - span, low - 2.0 * (high - pivot)
    return pivot, *above, *below


def _fibonacci(high: float, low: float, close: float) -> Levels:
    pivot, span = _pivot(high, low, close), high - low
    steps = 0.382 * span, 0.618 * span, span
    return pivot, *(pivot + step for step in steps), *(pivot - step for step in steps)


def _camarilla(high: float, low: float, close: float) -> Levels:
    span = 1.1 * (high - low)
    steps = span / 12.0, span / 6.0, span / 4.0, span / 2.0
    return _pivot(high, low, close), *(close + step for step in steps), *(close - step for step in steps)

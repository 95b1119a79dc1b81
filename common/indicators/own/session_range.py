"""Where a session opened, how far it has gone, and the range of its first minutes."""

from math import nan
from typing import NamedTuple

from common.indicators.columns import F64
from common.indicators.own.arithmetic import finite
from common.indicators.own.bars import Bar, bars_of

MINUTE_MS = 60_000.0


class _Seen(NamedTuple):
    """What was seen of a session; the opening's are NaN until a bar falls into it."""

    open: float
    high: float
    low: float
    opening_high: float
    opening_low: float
    opening_over: bool


class SessionRange:
    """session_open, session_high, session_low, opening_high, opening_low, in price.

    The opening range is that of the bars that open less than `minutes` after the session began, each with its whole
    high and low. It is final, and NaN until then, when a bar opens at or after the end of those minutes: only that
    tells that no more will come. It stays NaN if no bar opened in time. A bar longer than the opening takes part whole
    where it opens in it, so `minutes` should be a multiple of the bar's length.
    Source: Crabel, Day Trading with Short Term Price Patterns and Opening Range Breakout (1990).
    """

    __slots__ = ("_minutes", "_seen", "value")

    def __init__(self, seen: _Seen, minutes: int) -> None:
        self._seen, self._minutes = seen, minutes
        self.value = _value(seen)

    @classmethod
    def over(cls, open_: F64, high: F64, low: F64, time: F64, session: F64, *, minutes: int) -> "SessionRange":
        """Open it over the bars of a session, oldest first, at least one. time, session: epoch milliseconds."""
        bars = bars_of((open_, high, low, time, session))
        seen = _Seen(bars[0][0], bars[0][1], bars[0][2], nan, nan, opening_over=False)
        for bar in bars:
            seen = _after(seen, minutes, bar)
        return cls(seen, minutes)

    def update(self, *bar: float) -> tuple[float, ...]:
        """Take the next bar in (open, high, low, time, session) and return the new values."""
        self._seen = _after(self._seen, self._minutes, bar)
        self.value = _value(self._seen)
        return self.value

    def peek(self, *bar: float) -> tuple[float, ...]:
        """Return the values that update() would give, and change nothing."""
        return _value(_after(self._seen, self._minutes, bar))

    def copy(self) -> "SessionRange":
        """Return an independent one in the same state."""
        return SessionRange(self._seen, self._minutes)


def _after(seen: _Seen, minutes: int, bar: Bar) -> _Seen:
    """Return what was seen with one more bar."""
    _, high, low, time, session = bar
    opened, top, bottom, opening_high, opening_low, _ = seen
    top, bottom = max(high, top), min(low, bottom)
    if time >= session + minutes * MINUTE_MS:
        return _Seen(opened, top, bottom, opening_high, opening_low, opening_over=True)
    # Until the opening is over, its bars are all there have been.
    return _Seen(opened, top, bottom, top, bottom, opening_over=False)


def _value(seen: _Seen) -> tuple[float, ...]:
    opening = (seen.opening_high, seen.opening_low) if seen.opening_over else (nan, nan)
    return (finite(seen.open), finite(seen.high), finite(seen.low), *map(finite, opening))

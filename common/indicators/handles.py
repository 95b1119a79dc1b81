"""Running indicators: opened over a history, then updated bar by bar at constant cost.

TA-Lib's own stream handles do the mathematics: `update` and `peek` equal its batch functions bit for bit.
"""

from collections.abc import Callable, Mapping
from functools import cache
from operator import itemgetter
from typing import NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from talib import InsufficientHistory, stream  # type: ignore[attr-defined]  # the first: missing in TA-Lib's stubs

from common.indicators.plan import Column, Indicator
from common.indicators.vwap import VWAP, Vwap

Columns = Mapping[Column, NDArray[np.float64]]
"""A history: one contiguous array per column, oldest first, closed bars only."""


class Candle(NamedTuple):
    """One bar, as far as indicators look at it."""

    open: float
    high: float
    low: float
    close: float
    volume: float


class Running(Protocol):
    """What TA-Lib's stream handles and our own indicators have in common."""

    @property
    def value(self) -> float | tuple[float, ...]: ...
    def update(self, *inputs: float) -> float | tuple[float, ...]: ...
    def peek(self, *inputs: float) -> float | tuple[float, ...]: ...
    def copy(self) -> "Running": ...


_OWN: dict[str, Callable[..., Running]] = {VWAP: cast(Callable[..., Running], Vwap.over)}
_PLACE: dict[Column, int] = {"open": 0, "high": 1, "low": 2, "close": 3, "volume": 4}


class Handle:
    """One indicator at one moment: its value after the last bar it was given. Values are in the order of its names."""

    __slots__ = ("_pick", "_places", "_running")

    def __init__(self, running: Running, places: tuple[int, ...]) -> None:
        self._running = running
        self._places = places
        self._pick = _picker(places)

    @property
    def value(self) -> tuple[float, ...]:
        """The values after the last bar."""
        value = self._running.value
        return value if isinstance(value, tuple) else (value,)

    def update(self, bar: Candle) -> tuple[float, ...]:
        """Take the next closed bar in and return the new values."""
        value = self._running.update(*self._pick(bar))
        return value if isinstance(value, tuple) else (value,)

    def peek(self, bar: Candle) -> tuple[float, ...]:
        """Return what update() would give, and change nothing."""
        value = self._running.peek(*self._pick(bar))
        return value if isinstance(value, tuple) else (value,)

    def copy(self) -> "Handle":
        """Return an independent handle in the same state."""
        return Handle(self._running.copy(), self._places)


def open_handle(indicator: Indicator, history: Columns) -> Handle | None:
    """Return the indicator's handle over the history; None where that is too short for a value."""
    if len(history["close"]) <= indicator.lookback:
        return None
    make = _OWN.get(indicator.function) or cast(Callable[..., Running], getattr(stream, indicator.function))
    try:
        running = make(*[history[name] for name in indicator.inputs], **dict(indicator.params))
    except InsufficientHistory:
        return None
    return Handle(running, tuple(_PLACE[name] for name in indicator.inputs))


@cache
def _picker(places: tuple[int, ...]) -> Callable[[Candle], tuple[float, ...]]:
    """Return what takes an indicator's inputs out of a bar."""
    if len(places) > 1:
        return cast(Callable[[Candle], tuple[float, ...]], itemgetter(*places))
    start = places[0]
    return cast(Callable[[Candle], tuple[float, ...]], itemgetter(slice(start, start + 1)))

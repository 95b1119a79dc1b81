"""Ticks and bars as arrays, and what of them can be seen at a moment."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Ticks:
    """Ticks of one instrument, oldest first; all arrays have the same length."""

    market_ms: I64
    arrival_ms: I64
    """When each can be seen without a delay: never before market_ms."""
    price: F64
    volume: I64
    day_volume: I64
    """Cumulative since the session began."""
    first_number: int
    """Number of the first tick here. Those that come before the simulation starts have numbers below 1."""
    bid: F64 | None = None
    ask: F64 | None = None

    def number(self, index: int) -> int:
        """Return the tick's number; 0 stands for all that was before the start."""
        return max(0, self.first_number + index)


@dataclass(frozen=True)
class Bars:
    """Bars, oldest first; only those in which something was traded or quoted."""

    open_ms: I64
    open: F64
    high: F64
    low: F64
    close: F64
    volume: I64
    ticks: I64

    def __len__(self) -> int:
        return len(self.open_ms)

    def part(self, start: int, stop: int) -> "Bars":
        """Return the bars [start, stop) of these."""
        cut = slice(start, stop)
        return Bars(
            self.open_ms[cut], self.open[cut], self.high[cut], self.low[cut], self.close[cut], self.volume[cut],
            self.ticks[cut],
        )  # fmt: skip

    def between(self, from_ms: int, to_ms: int) -> "Bars":
        """Return the bars that open in [from_ms, to_ms)."""
        start, stop = np.searchsorted(self.open_ms, [from_ms, to_ms], "left")
        return self.part(int(start), int(stop))


class Snapshot(NamedTuple):
    """The newest tick of an instrument at a moment, and its trading day up to then."""

    number: int
    market_ms: int
    price: float
    bid: float
    ask: float
    volume: int
    day_volume: int
    day_open: float
    day_high: float
    day_low: float
    previous_close: float
    year_high: float
    year_low: float


class Sight(NamedTuple):
    """What of an instrument can be seen: arrivals up to `until_ms`, of those at exactly it up to `ordinal`."""

    until_ms: int
    ordinal: int | None = None


class Extremes:
    """Highest and lowest prices of a day up to a tick; asking for the next tick looks at that tick only."""

    def __init__(self) -> None:
        self._prices: F64 | None = None
        self._first = self._index = 0
        self._high = self._low = 0.0

    def upto(self, prices: F64, first: int, index: int) -> tuple[float, float]:
        """Return high and low of the prices [first, index]."""
        known = prices is self._prices and first == self._first and index >= self._index
        fresh = prices[self._index if known else first : index + 1]
        high, low = float(fresh.max()), float(fresh.min())
        if known:
            high, low = max(high, self._high), min(low, self._low)
        self._prices, self._first, self._index, self._high, self._low = prices, first, index, high, low
        return high, low


class Series(Protocol):
    """One instrument's prices."""

    def snapshot(self, sight: Sight) -> Snapshot | None:
        """Return the newest tick; None before the first one."""
        ...

    def bars(self, width_ms: int, from_ms: int, to_ms: int, sight: Sight) -> Bars:
        """Return the bars that open in [from_ms, to_ms), the forming one included."""
        ...


NO_BARS = Bars(*(np.empty(0, dtype=kind) for kind in ("i8", "f8", "f8", "f8", "f8", "i8", "i8")))


def aggregate(ticks: Ticks, start: int, stop: int, width_ms: int) -> Bars:
    """Return the bars of the ticks [start, stop): bucket = floor(market_ms / width)."""
    if stop <= start:
        return NO_BARS
    open_ms = ticks.market_ms[start:stop] // width_ms * width_ms
    first = np.flatnonzero(np.concatenate(([True], open_ms[1:] != open_ms[:-1])))
    last = np.append(first[1:], stop - start) - 1
    price = ticks.price[start:stop]
    return Bars(
        open_ms[first],
        price[first],
        np.maximum.reduceat(price, first),
        np.minimum.reduceat(price, first),
        price[last],
        np.add.reduceat(ticks.volume[start:stop], first),
        (last - first + 1).astype(np.int64),
    )


def coarsen(bars: Bars, width_ms: int) -> Bars:
    """Return wider bars made of `bars`, whose width divides `width_ms`."""
    if not len(bars):
        return bars
    open_ms = bars.open_ms // width_ms * width_ms
    first = np.flatnonzero(np.concatenate(([True], open_ms[1:] != open_ms[:-1])))
    last = np.append(first[1:], len(bars)) - 1
    return Bars(
        open_ms[first],
        bars.open[first],
        np.maximum.reduceat(bars.high, first),
        np.minimum.reduceat(bars.low, first),
        bars.close[last],
        np.add.reduceat(bars.volume, first),
        np.add.reduceat(bars.ticks, first),
    )


def join(parts: list[Bars]) -> Bars:
    """Return the bars of all parts, which follow each other in time."""
    if not parts:
        return NO_BARS
    if len(parts) == 1:
        return parts[0]
    names = ("open_ms", "open", "high", "low", "close", "volume", "ticks")
    return Bars(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

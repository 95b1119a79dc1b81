"""Recorded prices as series: the symbol's own class gets them exactly, its other classes are set off from them."""

from dataclasses import dataclass

import numpy as np

from simulator.csv_source import Recording, day_starts, day_volumes
from simulator.instruments import Instrument, Terms
from simulator.sessions import open_mask
from simulator.spelling import decimals
from simulator.ticks import F64, Bars, Extremes, Sight, Snapshot, Ticks, aggregate
from simulator.timeline import seen

_SPREAD_TRIES = 8


@dataclass(frozen=True)
class Offset:
    """From the price of the symbol's own class to that of another class."""

    own: Terms
    other: Terms

    def prices(self, price: F64) -> F64:
        """Return the other class's prices, on its grid."""
        spot = (price - self.own.offset) / self.own.ratio
        unit = self.other.steps_per_unit
        return np.asarray(np.round((spot * self.other.ratio + self.other.offset) * unit) / unit, dtype=np.float64)


def ticks_of(recording: Recording, instrument: Instrument, offset: Offset | None) -> Ticks:
    """Return an instrument's ticks: the recording itself (`offset` None), or what another class makes of it."""
    keep = np.ones(len(recording.market_ms), dtype=bool)
    if offset is not None:
        keep = open_mask(instrument.session, recording.market_ms)
    market_ms, volume = recording.market_ms[keep], recording.volume[keep]
    sides = [side if side is None else side[keep] for side in (recording.bid, recording.ask)]
    price = recording.price[keep]
    if offset is not None:
        price = offset.prices(price)
        sides = [side if side is None else offset.prices(side) for side in sides]
    total = day_volumes(volume, day_starts(market_ms)) if len(market_ms) else volume
    return Ticks(market_ms, market_ms, price, volume, total, 1, *sides)


def spread_around(price: float, step: float, steps: int) -> tuple[float, float]:
    """Return a bid and an ask whose middle is `price`, if possible to the last bit."""
    places = max(decimals(price), decimals(step))
    for extra in range(_SPREAD_TRIES):
        half = (steps + extra) * step
        bid, ask = round(price - half, places), round(price + half, places)
        if (bid + ask) / 2 == price:
            return bid, ask
    return round(price - steps * step, places), round(price + steps * step, places)


class ReplaySeries:
    """One instrument's recorded ticks. What comes later than the sight is never told."""

    def __init__(self, ticks: Ticks, terms: Terms) -> None:
        self.ticks = ticks
        self._terms = terms
        self._days = day_starts(ticks.market_ms) if len(ticks.market_ms) else np.zeros(1, dtype=np.int64)
        self._extremes = Extremes()
        self._highest = np.maximum.accumulate(ticks.price)
        self._lowest = np.minimum.accumulate(ticks.price)

    def snapshot(self, sight: Sight) -> Snapshot | None:
        """Return the newest tick that has come; None before the first one."""
        index = seen(self.ticks.market_ms, sight.until_ms, sight.ordinal) - 1
        return None if index < 0 else self._describe(index)

    def _sides(self, index: int) -> tuple[float, float]:
        ticks = self.ticks
        if ticks.bid is not None and ticks.ask is not None:
            return float(ticks.bid[index]), float(ticks.ask[index])
        return spread_around(float(ticks.price[index]), 1 / self._terms.steps_per_unit, self._terms.half_spread_steps)

    def _describe(self, index: int) -> Snapshot:
        ticks = self.ticks
        first = int(self._days[np.searchsorted(self._days, index, "right") - 1])
        high, low = self._extremes.upto(ticks.price, first, index)
        bid, ask = self._sides(index)
        return Snapshot(
            number=ticks.number(index),
            market_ms=int(ticks.market_ms[index]),
            price=float(ticks.price[index]),
            bid=bid,
            ask=ask,
            volume=int(ticks.volume[index]),
            day_volume=int(ticks.day_volume[index]),
            day_open=float(ticks.price[first]),
            day_high=high,
            day_low=low,
            previous_close=float(ticks.price[max(0, first - 1)]),
            year_high=float(self._highest[index]),
            year_low=float(self._lowest[index]),
        )

    def bars(self, width_ms: int, from_ms: int, to_ms: int, sight: Sight) -> Bars:
        """Return the bars that open in [from_ms, to_ms), made of the ticks that have come."""
        first_ms = from_ms // width_ms * width_ms
        start = int(np.searchsorted(self.ticks.market_ms, first_ms, "left"))
        stop = min(
            seen(self.ticks.market_ms, sight.until_ms, sight.ordinal),
            int(np.searchsorted(self.ticks.market_ms, to_ms + width_ms, "left")),
        )
        return aggregate(self.ticks, start, stop, width_ms).between(from_ms, to_ms)

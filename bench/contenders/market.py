"""Seeded bars that all contenders compute on, and the lanes' surroundings."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from common.bars import pack
from common.indicators import F64, Plan, SessionClock
from common.messages import Bar
from common.sessions import after_open_time, next_open_ms
from features.builder import Forming

HISTORY = 5_000
"""Bars before the first one that is measured: the default MAX_BARS_CACHE."""
SPAN = 500
"""Bars that are measured, at the most. With the history they end three hours before the session does."""
START_MS = 1_642_377_600_000  # Monday, 2022-01-17 00:00 UTC
MINUTE_MS = 60_000
TICK = 0.01


@dataclass(frozen=True)
class Series:
    """One walk of minute bars; HISTORY of them stand before those that are measured."""

    columns: Mapping[str, F64]

    def bar(self, place: int) -> Bar:
        """Return a bar; 0 is the history's first."""
        opened, high, low, close, volume = (float(self.columns[name][place]) for name in PRICES)
        open_ms = START_MS + place * MINUTE_MS
        return Bar("X", "1m", open_ms, opened, high, low, close, volume, "traded", 9, "made", "made")

    @cached_property
    def records(self) -> list[bytes]:
        """The history as the bar cache holds it."""
        return [pack(self.bar(place)) for place in range(HISTORY)]

    @cached_property
    def closing(self) -> list[Bar]:
        """The bars that are measured."""
        return [self.bar(place) for place in range(HISTORY, HISTORY + SPAN)]

    @cached_property
    def forming(self) -> list[tuple[Forming]]:
        """The same while they are open."""
        return [
            (
                Forming(
                    b.open_ms, b.open, b.high, b.low, b.close, b.volume, "traded", 9, b.open_ms, b.open_ms, "made", 9
                ),
            )
            for b in self.closing
        ]


PRICES = ("open", "high", "low", "close", "volume")


def made(count: int) -> list[Series]:
    """Return so many walks, each seeded by its number."""
    return [_walk(seed) for seed in range(count)]


def _walk(seed: int) -> Series:
    rng, bars = np.random.default_rng(seed), HISTORY + SPAN
    close = 1_900 + rng.normal(0, 0.3, bars).cumsum()
    opened = np.concatenate((close[:1], close[:-1])) + rng.normal(0, 0.05, bars)
    high = np.maximum(opened, close) + np.abs(rng.normal(0, 0.2, bars))
    low = np.minimum(opened, close) - np.abs(rng.normal(0, 0.2, bars))
    found = {"open": opened, "high": high, "low": low, "close": close}
    return Series({n: np.round(c / TICK) * TICK for n, c in found.items()} | {"volume": _volume(rng, bars)})


def _volume(rng: np.random.Generator, bars: int) -> F64:
    return rng.integers(1, 500, bars).astype(np.float64)


def session_clock() -> SessionClock:
    """Return the sessions of foreign exchange."""
    return SessionClock(partial(next_open_ms, "fx"), partial(after_open_time, "fx"))


def session_start() -> int:
    """Return which of the bars is the first of the session that the measured ones belong to."""
    start_ms = session_clock().start_ms(START_MS + HISTORY * MINUTE_MS)
    return (start_ms - START_MS) // MINUTE_MS


def part(plan: Plan, names: frozenset[str]) -> Plan:
    """Return a plan of some of its indicators, by their outputs' names; of several outputs, all must be there."""
    return Plan(tuple(one for one in plan.indicators if names.issuperset(one.names)))

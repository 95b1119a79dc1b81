"""TA-Lib's batch functions over a window, anew for each bar; over all bars they are the reference for accuracy."""

from collections.abc import Mapping, Sequence

import numpy as np
import talib

from bench.contenders.market import HISTORY, Series
from common.indicators import F64, Indicator, Plan


class Batch:
    """Recomputes a plan's indicators over the last `bars` bars of each symbol."""

    def __init__(self, market: Sequence[Series], plan: Plan, symbols: int, bars: int) -> None:
        self.symbols = symbols
        self._market, self._plan, self._bars = market, plan, bars
        self.values: list[float] = []

    def peek(self, place: int) -> None:
        """Compute with an open bar: no less than with a closed one."""
        self.close(place)

    def close(self, place: int) -> None:
        """Recompute with one more bar."""
        for number in range(self.symbols):
            series = self._market[number % len(self._market)]
            self.values = _last(self._plan, series, HISTORY + place, self._bars)


def outputs(one: Indicator, columns: Mapping[str, F64]) -> tuple[F64, ...]:
    """Return what TA-Lib's batch function makes of the columns."""
    found = getattr(talib, one.function.name)(*(columns[ref] for ref in one.inputs), **one.params)
    return found if isinstance(found, tuple) else (found,)


def over_all(plan: Plan, series: Series, places: slice) -> dict[str, F64]:
    """Return by name the outputs over all bars from the history's first one on, at some of them."""
    columns = {name: column[: places.stop] for name, column in series.columns.items()}
    return {
        name: output[places].astype(np.float64)
        for one in plan.indicators
        for name, output in zip(one.names, outputs(one, columns), strict=True)
    }


def windowed(plan: Plan, series: Series, places: slice, bars: int) -> dict[str, F64]:
    """Return the same, recomputed for each bar over the last `bars` ones."""
    rows = np.array([_last(plan, series, place, bars) for place in range(places.start, places.stop)])
    return dict(zip((name for one in plan.indicators for name in one.names), rows.T, strict=True))


def _last(plan: Plan, series: Series, place: int, bars: int) -> list[float]:
    window = {name: column[place + 1 - bars : place + 1] for name, column in series.columns.items()}
    return [float(output[-1]) for one in plan.indicators for output in outputs(one, window)]

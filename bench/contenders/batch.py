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


def outputs(plan: Sequence[Indicator], columns: Mapping[str, F64]) -> list[tuple[F64, ...]]:
    """Return what TA-Lib's batch functions make of the columns, and of each other's outputs."""
    known, found = dict(columns), list[tuple[F64, ...]]()
    for one in plan:
        found.append(_output(one, [known[ref] for ref in one.inputs]))
        known |= zip(one.names, found[-1], strict=True)
    return found


def _output(one: Indicator, inputs: Sequence[F64]) -> tuple[F64, ...]:
    first = max((int(np.argmax(~np.isnan(column))) for column in inputs), default=0) if one.chained else 0
    found = getattr(talib, one.function.name)(*(column[first:] for column in inputs), **one.params)
    found = found if isinstance(found, tuple) else (found,)
    return tuple(np.concatenate([np.full(first, np.nan), column]) for column in found) if first else found


def over_all(plan: Plan, series: Series, places: slice) -> dict[str, F64]:
    """Return by name the outputs over all bars from the history's first one on, at some of them."""
    columns = {name: column[: places.stop] for name, column in series.columns.items()}
    return {
        name: output[places].astype(np.float64)
        for one, found in zip(plan.indicators, outputs(plan.indicators, columns), strict=True)
        for name, output in zip(one.names, found, strict=True)
    }


def windowed(plan: Plan, series: Series, places: slice, bars: int) -> dict[str, F64]:
    """Return the same, recomputed for each bar over the last `bars` ones."""
    rows = np.array([_last(plan, series, place, bars) for place in range(places.start, places.stop)])
    return dict(zip((name for one in plan.indicators for name in one.names), rows.T, strict=True))


def _last(plan: Plan, series: Series, place: int, bars: int) -> list[float]:
    window = {name: column[place + 1 - bars : place + 1] for name, column in series.columns.items()}
    return [float(output[-1]) for found in outputs(plan.indicators, window) for output in found]

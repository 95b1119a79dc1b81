"""Running functions without a lane around them: TA-Lib's bare handles, or what another library has in their place."""

from collections.abc import Callable, Sequence
from typing import Protocol

from bench.contenders.market import HISTORY, PRICES, SPAN, Series, session_start
from common.indicators import NAN, Indicator, Plan, Running

Outputs = float | tuple[float, ...]
Arguments = list[tuple[float, ...]]
"""Of one bar: each function's inputs, ready to be given."""


class Follower(Protocol):
    """One function of one symbol."""

    def update(self, *inputs: float) -> Outputs:
        """Take the next bar in and return what it gives."""
        ...

    def peek(self, *inputs: float) -> Outputs:
        """Return what update() would give."""
        ...


class Steps:
    """Some functions for each symbol, called one after the other with inputs that were made ready before."""

    def __init__(
        self, market: Sequence[Series], plan: Plan, symbols: int, follow: Callable[[Series], Sequence[Follower]]
    ) -> None:
        """`follow`: returns running functions of a symbol, in the plan's order."""
        self.symbols = symbols
        rows = [_rows(series, plan) for series in market]
        self._symbols = []
        for number in range(symbols):
            followers = follow(market[number % len(market)])
            updates, peeks = [one.update for one in followers], [one.peek for one in followers]
            self._symbols.append((updates, peeks, rows[number % len(market)]))
        self._closed: list[list[Outputs]] = []
        self._peeked: list[list[Outputs]] = []

    @property
    def values(self) -> list[list[float]]:
        """What the last closed bar gave, for each symbol."""
        return [[value for outputs in one for value in _flat(outputs)] for one in self._closed]

    def peek(self, place: int) -> None:
        """Compute with an open bar."""
        self._peeked = [
            [step(*row) for step, row in zip(peeks, rows[place], strict=True)] for _, peeks, rows in self._symbols
        ]

    def close(self, place: int) -> None:
        """Take in a closed bar."""
        self._closed = [
            [step(*row) for step, row in zip(updates, rows[place], strict=True)] for updates, _, rows in self._symbols
        ]


class Unrolled:
    """The same of TA-Lib's handles, called by the straight-line code that a plan's program is."""

    def __init__(
        self, market: Sequence[Series], plan: Plan, symbols: int, follow: Callable[[Series], Sequence[Follower]]
    ) -> None:
        self.symbols = symbols
        self._step = plan.program("X", "1m").step
        cells = [_cells(series) for series in market]
        self._symbols = []
        for number in range(symbols):
            followers = follow(market[number % len(market)])
            updates, peeks = [one.update for one in followers], [one.peek for one in followers]
            self._symbols.append((updates, peeks, cells[number % len(market)]))
        self.values: list[list[float]] = []
        """What the last closed bar gave, for each symbol."""
        self._peeked: list[list[float]] = []

    def peek(self, place: int) -> None:
        """Compute with an open bar."""
        step = self._step
        self._peeked = [step(cells[place], peeks) for _, peeks, cells in self._symbols]

    def close(self, place: int) -> None:
        """Take in a closed bar."""
        step = self._step
        self.values = [step(cells[place], updates) for updates, _, cells in self._symbols]


def _flat(outputs: Outputs) -> tuple[float, ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)


def _cells(series: Series) -> list[list[float]]:
    """Return the measured bars as the program takes them; no function here asks for the time or the session."""
    columns = [series.columns[name][HISTORY : HISTORY + SPAN].tolist() for name in PRICES]
    return [[*bar, NAN, NAN] for bar in zip(*columns, strict=True)]


def _rows(series: Series, plan: Plan) -> list[Arguments]:
    """Return the inputs of each of the measured bars."""
    by_function = []
    for one in plan.indicators:
        columns = [series.columns[ref][HISTORY : HISTORY + SPAN].tolist() for ref in one.inputs]
        by_function.append(list(zip(*columns, strict=True)))
    return [list(bar) for bar in zip(*by_function, strict=True)]


class Handles:
    """Opens the same functions as the engine does, TA-Lib's own handles nearly all, over the same bars."""

    def __init__(self, plan: Plan, max_bars: int) -> None:
        self._plan, self._max_bars = plan, max_bars
        self._opened: dict[int, list[Running]] = {}

    def follow(self, series: Series) -> list[Running]:
        """Return handles of their own for a symbol."""
        if id(series) not in self._opened:
            self._opened[id(series)] = [self._open(one, series) for one in self._plan.indicators]
        return [handle.copy() for handle in self._opened[id(series)]]

    def _open(self, one: Indicator, series: Series) -> Running:
        start = session_start() if one.memory == "session" else HISTORY - self._max_bars
        return one.function.start([series.columns[ref][start:HISTORY] for ref in one.inputs], one.params)

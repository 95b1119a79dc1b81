"""All indicators of one lane at one moment: opened over a history, then updated bar by bar at constant cost."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from talib import InsufficientHistory  # type: ignore[attr-defined]  # missing in TA-Lib's stubs

from common.indicators.columns import F64, NAN, Cells, Columns
from common.indicators.function import Running
from common.indicators.plan import Indicator
from common.indicators.program import Program, Step

StartOf = Callable[[Indicator], int | None]
"""Where in a history an indicator starts; None: not yet, since the beginning of its session is not known."""


@dataclass(frozen=True)
class Opened:
    """A set after a history, with the values after its last bar and after the one before."""

    running: "RunningSet"
    values: list[float]
    previous: list[float]


class RunningSet:
    """One running function for each indicator of a program. A new one has seen no bar."""

    __slots__ = ("_peeks", "_step", "_updates", "program", "running")

    def __init__(self, program: Program) -> None:
        self.program = program
        self.running: list[Running] = [Unstarted(len(one.names)) for one in program.indicators]
        # The methods stand beside the objects: looking them up would cost as much as some of them take.
        self._updates: list[Step] = [one.update for one in self.running]
        self._peeks: list[Step] = [one.peek for one in self.running]
        self._step = program.step
        for index, indicator in enumerate(program.indicators):
            if indicator.memory not in ("session", "sessions"):
                self.await_history(index)

    def put(self, index: int, running: Running) -> None:
        """Have an indicator run so from now on."""
        self.running[index], self._updates[index], self._peeks[index] = running, running.update, running.peek

    def await_history(self, index: int, rows: Sequence[Sequence[float]] = ()) -> None:
        """Begin an indicator with the next bar, after inputs that do not suffice for a value."""
        self.put(index, Waiting(self, index, rows))

    def begin_session(self) -> None:
        """Begin anew with the next bar what starts at a session's first bar."""
        for index in self.program.session_bound:
            self.await_history(index)
        for index in self.program.sessions_bound:
            if isinstance(self.running[index], Unstarted):
                self.await_history(index)

    def update(self, cells: Cells) -> list[float]:
        """Take the next closed bar in and return the values after it, in the program's order."""
        return self._step(cells, self._updates)

    def peek(self, cells: Cells) -> list[float]:
        """Return what update() would give, and change nothing."""
        return self._step(cells, self._peeks)

    def copy(self) -> "RunningSet":
        """Return an independent set in the same state."""
        twin = RunningSet.__new__(RunningSet)
        twin.program, twin._step = self.program, self._step  # noqa: SLF001  # its own class
        twin.running = [one.copy() for one in self.running]
        twin._updates = [one.update for one in twin.running]  # noqa: SLF001
        twin._peeks = [one.peek for one in twin.running]  # noqa: SLF001
        for index, running in enumerate(self.running):
            if isinstance(running, Waiting):
                twin.await_history(index, running.rows)
        return twin


class Unstarted:
    """An indicator whose beginning is not in sight: no value."""

    __slots__ = ("value",)

    def __init__(self, outputs: int) -> None:
        self.value = no_value(outputs)

    def update(self, *_: float) -> float | tuple[float, ...]:
        """Return no value."""
        return self.value

    def peek(self, *_: float) -> float | tuple[float, ...]:
        """Return no value."""
        return self.value

    def copy(self) -> "Unstarted":
        """Return this one: it has no state."""
        return self


class Waiting:
    """An indicator with fewer inputs than its first value takes. It opens itself over them when they suffice."""

    __slots__ = ("_index", "_indicator", "_set", "rows", "value")

    def __init__(self, of: RunningSet, index: int, rows: Sequence[Sequence[float]]) -> None:
        self._set, self._index, self._indicator = of, index, of.program.indicators[index]
        self.rows = list(rows)
        self.value = no_value(len(self._indicator.names))

    def update(self, *inputs: float) -> float | tuple[float, ...]:
        """Take the next inputs; with the last of those that are needed, the indicator runs."""
        if not self.rows and _is_blank(inputs):
            return self.value  # an input that is an indicator itself has no value yet
        self.rows.append(inputs)
        opened = self._opened(self.rows)
        if opened is None:
            return self.value
        self._set.put(self._index, opened)
        return opened.value

    def peek(self, *inputs: float) -> float | tuple[float, ...]:
        """Return what update() would give."""
        if not self.rows and _is_blank(inputs):
            return self.value
        opened = self._opened([*self.rows, inputs])
        return self.value if opened is None else opened.value

    def copy(self) -> "Waiting":
        """Return an independent one of the same set."""
        return Waiting(self._set, self._index, self.rows)

    def _opened(self, rows: Sequence[Sequence[float]]) -> Running | None:
        if len(rows) <= self._indicator.own_lookback:
            return None
        return open_running(self._indicator, [np.array(column, dtype=np.float64) for column in zip(*rows, strict=True)])


def open_running(indicator: Indicator, arrays: Sequence[F64]) -> Running | None:
    """Return the indicator's function over its inputs; None where they do not suffice for a value."""
    if len(arrays[0]) <= indicator.own_lookback:
        return None
    try:
        return indicator.function.start(arrays, indicator.params)
    except InsufficientHistory:
        return None


def open_set(program: Program, columns: Columns, count: int, start_of: StartOf) -> Opened:
    """Open all indicators over a history of `count` bars, at least one.

    All but the last bar first: the values before the last bar must rest on the same history.
    """
    opened = Opened(RunningSet(program), [], [])
    series: dict[str, F64] = dict(columns)
    for index, indicator in enumerate(program.indicators):
        start = start_of(indicator)
        arrays = [series[ref] for ref in indicator.inputs]
        if start is None:
            outputs: Sequence[F64] = _nothing(opened, len(indicator.names), count)
        else:
            begin = first_given(arrays, start) if indicator.chained else start
            arrays = [array[begin:count] for array in arrays]
            outputs = _open_one(opened, index, arrays, count)
        if index in program.feeding:
            series |= dict(zip(indicator.names, outputs, strict=True))
    return opened


def _open_one(opened: Opened, index: int, arrays: Sequence[F64], count: int) -> Sequence[F64]:
    """Open one indicator; return its outputs over the history if others rest on it."""
    program = opened.running.program
    indicator = program.indicators[index]
    given = len(arrays[0])
    if given <= indicator.own_lookback:
        opened.running.await_history(index, list(zip(*(array.tolist() for array in arrays), strict=True)))
        return _nothing(opened, len(indicator.names), count)
    if index in program.feeding:
        running, outputs = indicator.function.fill(arrays, indicator.params)
        before: Sequence[float] = [float(output[-2]) if given > 1 else NAN for output in outputs]
        filled = [np.concatenate((np.full(count - given, NAN), output)) for output in outputs]
    else:
        running, before, filled = _opened_at_last(indicator, arrays)
    opened.running.put(index, running)
    opened.previous.extend(before)
    opened.values.extend(_flat(running.value))
    return filled


def _opened_at_last(indicator: Indicator, arrays: Sequence[F64]) -> tuple[Running, Sequence[float], list[F64]]:
    """Open an indicator over all bars but the last one, then take that in."""
    running = open_running(indicator, [array[:-1] for array in arrays])
    if running is None:
        return indicator.function.start(arrays, indicator.params), [NAN] * len(indicator.names), []
    before = _flat(running.value)
    running.update(*(float(array[-1]) for array in arrays))
    return running, before, []


def _nothing(opened: Opened, outputs: int, count: int) -> list[F64]:
    opened.values.extend(repeat(NAN, outputs))
    opened.previous.extend(repeat(NAN, outputs))
    return [np.full(count, NAN) for _ in range(outputs)]


def first_given(arrays: Sequence[F64], start: int) -> int:
    """Return the index from which on all inputs have a value."""
    blank = np.logical_or.reduce([np.isnan(array[start:]) for array in arrays])
    given = np.flatnonzero(~blank)
    return start + (int(given[0]) if len(given) else len(blank))


def _flat(value: float | tuple[float, ...]) -> tuple[float, ...]:
    return value if isinstance(value, tuple) else (value,)


def _is_blank(inputs: Sequence[float]) -> bool:
    return any(value != value for value in inputs)  # noqa: PLR0124  # NaN alone differs from itself


def no_value(outputs: int) -> float | tuple[float, ...]:
    """Return what stands where there is no value yet."""
    return NAN if outputs == 1 else (NAN,) * outputs

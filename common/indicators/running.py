"""All indicators of one lane at one moment: opened over a history, then updated bar by bar at constant cost."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import repeat
from math import isfinite

import numpy as np
from numpy.typing import NDArray
from talib import InsufficientHistory  # type: ignore[attr-defined]  # missing in TA-Lib's stubs

from common.indicators.columns import F64, NAN, Cells, Columns
from common.indicators.function import Running
from common.indicators.plan import Indicator
from common.indicators.program import Program, Step

StartOf = Callable[[Indicator], int | None]
"""Where in a history an indicator starts; None: not yet, since the beginning of its session is not known."""

Places = NDArray[np.intp]
"""Indices in a history."""


@dataclass(frozen=True)
class Opened:
    """A set after a history, with the values after its last bar and after the one before."""

    running: "RunningSet"
    values: list[float]
    previous: list[float]


class RunningSet:
    """One running function for each indicator of a program. A new one has seen no bar."""

    __slots__ = ("_peeks", "_step", "_updates", "_waiting", "program", "running")

    def __init__(self, program: Program, *, to_be_opened: bool = False) -> None:
        """to_be_opened: nothing waits for bars yet, since each indicator is put in its place at once."""
        self.program = program
        self.running: list[Running] = [Unstarted(len(one.names)) for one in program.indicators]
        # The methods stand beside the objects: looking them up would cost as much as some of them take.
        self._updates: list[Step] = [one.update for one in self.running]
        self._peeks: list[Step] = [one.peek for one in self.running]
        self._step = program.step
        self._waiting: set[int] = set()
        for index, indicator in enumerate(program.indicators):
            if not to_be_opened and indicator.memory not in ("session", "sessions"):
                self.await_history(index)

    def start(self, index: int, running: Running) -> None:
        """Have an indicator run so from now on."""
        indicator = self.program.indicators[index]
        self._put(index, Chained(running, len(indicator.names)) if indicator.chained else running)
        self._waiting.discard(index)

    def _put(self, index: int, running: Running) -> None:
        self.running[index], self._updates[index], self._peeks[index] = running, running.update, running.peek

    def await_history(self, index: int, rows: Sequence[Sequence[float]] = ()) -> None:
        """Begin an indicator with the next bar, after inputs that do not suffice for a value."""
        self._put(index, Waiting(self.program.indicators[index], rows))
        self._waiting.add(index)

    def begin_session(self) -> None:
        """Begin anew with the next bar what starts at a session's first bar."""
        for index in self.program.session_bound:
            self.await_history(index)
        for index in self.program.sessions_bound:
            if isinstance(self.running[index], Unstarted):
                self.await_history(index)

    def update(self, cells: Cells) -> list[float]:
        """Take the next closed bar in and return the values after it, in the program's order."""
        values = self._step(cells, self._updates)
        if self._waiting:
            self._start_those_that_can()
        return values

    def _start_those_that_can(self) -> None:
        for index in tuple(self._waiting):
            waiting = self.running[index]
            if isinstance(waiting, Waiting) and waiting.opened is not None:
                self.start(index, waiting.opened)

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
        twin._waiting = set(self._waiting)  # noqa: SLF001
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


class Chained:
    """A running indicator that rests on others: a bar at which one of those has no value passes it by.

    TA-Lib's handles refuse what is not a finite number, and an average would never be rid of it.
    """

    __slots__ = ("_none", "_running", "value")

    def __init__(self, running: Running, outputs: int) -> None:
        self._running, self._none = running, no_value(outputs)
        self.value = running.value

    def update(self, *inputs: float) -> float | tuple[float, ...]:
        """Take the next inputs and return the new value: none where one of them has none."""
        self.value = self._running.update(*inputs) if _is_given(inputs) else self._none
        return self.value

    def peek(self, *inputs: float) -> float | tuple[float, ...]:
        """Return what update() would give, and change nothing."""
        return self._running.peek(*inputs) if _is_given(inputs) else self._none

    def copy(self) -> "Chained":
        """Return an independent one in the same state."""
        twin = Chained.__new__(Chained)
        twin._running, twin._none, twin.value = self._running.copy(), self._none, self.value  # noqa: SLF001  # its own
        return twin


class Waiting:
    """An indicator with fewer inputs than its first value takes. It opens over them when they suffice."""

    __slots__ = ("_indicator", "opened", "rows", "value")

    def __init__(self, indicator: Indicator, rows: Sequence[Sequence[float]]) -> None:
        self._indicator = indicator
        self.rows = list(rows)
        self.value = no_value(len(indicator.names))
        self.opened: Running | None = None
        """What is to run from now on. No reference to the set: thousands of lanes must leave no cycles behind."""

    def update(self, *inputs: float) -> float | tuple[float, ...]:
        """Take the next inputs; with the last of those that are needed, the indicator runs."""
        if not _is_given(inputs):
            return self.value
        self.rows.append(inputs)
        self.opened = self._open(self.rows)
        return self.value if self.opened is None else self.opened.value

    def peek(self, *inputs: float) -> float | tuple[float, ...]:
        """Return what update() would give."""
        if not _is_given(inputs):
            return self.value
        opened = self._open([*self.rows, inputs])
        return self.value if opened is None else opened.value

    def copy(self) -> "Waiting":
        """Return an independent one."""
        return Waiting(self._indicator, self.rows)

    def _open(self, rows: Sequence[Sequence[float]]) -> Running | None:
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
    opened = Opened(RunningSet(program, to_be_opened=True), [], [])
    series: dict[str, F64] = dict(columns)
    for index, indicator in enumerate(program.indicators):
        start = start_of(indicator)
        arrays = [series[ref] for ref in indicator.inputs]
        if start is None:
            outputs: Sequence[F64] = _nothing(opened, len(indicator.names), count)
        else:
            places = given_places(arrays, start) if indicator.chained else slice(start, count)
            outputs = _open_one(opened, index, [array[places] for array in arrays], places, count)
        if index in program.feeding:
            series |= dict(zip(indicator.names, outputs, strict=True))
    return opened


def _open_one(opened: Opened, index: int, arrays: Sequence[F64], places: Places | slice, count: int) -> Sequence[F64]:
    """Open one indicator over its inputs at these places; return its outputs at all of them if others rest on it."""
    program = opened.running.program
    indicator = program.indicators[index]
    if len(arrays[0]) <= indicator.own_lookback:
        opened.running.await_history(index, list(zip(*(array.tolist() for array in arrays), strict=True)))
        return _nothing(opened, len(indicator.names), count)
    last = isinstance(places, slice) or places[-1] == count - 1
    if index not in program.feeding:
        _open_at_last(opened, index, arrays, last=last, before=isinstance(places, slice) or count - 2 in places[-2:])
        return []
    running, outputs = indicator.function.fill(arrays, indicator.params)
    opened.running.start(index, running)
    filled = [spread(output, places, count) for output in outputs]
    opened.previous.extend(float(output[-2]) if count > 1 else NAN for output in filled)
    opened.values.extend(_flat(running.value) if last else repeat(NAN, len(filled)))
    return filled


def _open_at_last(opened: Opened, index: int, arrays: Sequence[F64], *, last: bool, before: bool) -> None:
    """Open an indicator over all inputs but the last ones, then take those in.

    last, before: whether there are any at the last bar, and at the one before it.
    """
    indicator = opened.running.program.indicators[index]
    nothing = (NAN,) * len(indicator.names)
    running = open_running(indicator, [array[:-1] for array in arrays] if last else arrays)
    opened.previous.extend(nothing if running is None or not before else _flat(running.value))
    if running is None:
        running = indicator.function.start(arrays, indicator.params)
    elif last:
        running.update(*(float(array[-1]) for array in arrays))
    opened.running.start(index, running)
    opened.values.extend(_flat(running.value) if last else nothing)


def _nothing(opened: Opened, outputs: int, count: int) -> list[F64]:
    opened.values.extend(repeat(NAN, outputs))
    opened.previous.extend(repeat(NAN, outputs))
    return [np.full(count, NAN) for _ in range(outputs)]


def given_places(arrays: Sequence[F64], start: int) -> Places:
    """Return where, from `start` on, all inputs have a value."""
    given = np.logical_and.reduce([np.isfinite(array[start:]) for array in arrays])
    return start + np.flatnonzero(given)


def spread(values: F64, places: Places | slice, count: int) -> F64:
    """Return so many numbers: the values at their places, NaN elsewhere."""
    found = np.full(count, NAN)
    found[places] = values
    return found


def _flat(value: float | tuple[float, ...]) -> tuple[float, ...]:
    return value if isinstance(value, tuple) else (value,)


def _is_given(inputs: Sequence[float]) -> bool:
    return all(map(isfinite, inputs))


def no_value(outputs: int) -> float | tuple[float, ...]:
    """Return what stands where there is no value yet."""
    return NAN if outputs == 1 else (NAN,) * outputs

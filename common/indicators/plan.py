"""The plan: which indicators run on which lanes. Values; common/indicators/plan_file.py reads them from a file."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from common.indicators.columns import PLACE
from common.indicators.function import Function, Memory, Params
from common.indicators.program import Program, make_program

CONVERGENCE = 5
"""A recursive value counts as converged after so many lookbacks: an EMA(200) is then within 2e-7 of its limit."""
_STRENGTH: tuple[Memory, ...] = ("window", "recursive", "sessions", "session")
"""What rests on something rests on what that rests on: the later one wins."""


@dataclass(frozen=True)
class Indicator:
    """One function over a lane's bars, or over what another indicator makes of them."""

    name: str
    function: Function
    params: Params
    """All of them."""
    inputs: tuple[str, ...]
    """Columns, outputs of indicators before it in the plan, or "SYMBOL:column" of another symbol's lane."""
    names: tuple[str, ...]
    """Of the outputs, in the function's order. They are the API's names."""
    own_lookback: int
    """Inputs before the first one that has a value."""
    lookback: int
    """Bars before the first one that has a value: with those that its inputs need."""
    memory: Memory
    needs_volume: bool
    """Whether it means nothing without volume."""
    settle_least: int
    """Bars that it takes to forget where it, or what it rests on, has started, if its lookback does not tell; or 0."""
    timeframes: frozenset[str] | None = None
    """Of the lanes that it runs on; None: of all."""
    symbols: frozenset[str] | None = None

    @cached_property
    def settle_bars(self) -> int:
        """Bars after which its value can be relied on."""
        if self.memory != "recursive":
            return self.lookback + 1
        return max(self.lookback * CONVERGENCE, self.lookback + 1, self.settle_least)

    @cached_property
    def needed_bars(self) -> int:
        """Bars that a lane must keep for it to converge."""
        settle = self.settle_bars if self.memory == "recursive" else 0
        # One over two symbols begins half a window before the anchor.
        return max(self.lookback * CONVERGENCE, settle if self.other is None else 2 * self.settle_bars)

    @cached_property
    def other(self) -> str | None:
        """The other symbol that it looks at; None for one symbol's own indicator."""
        return next((ref.rpartition(":")[0] for ref in self.inputs if ":" in ref), None)

    @cached_property
    def chained(self) -> bool:
        """Whether it rests on another indicator."""
        return any(ref not in PLACE and ":" not in ref for ref in self.inputs)

    def runs_on(self, symbol: str, timeframe: str) -> bool:
        """Tell whether a lane computes it."""
        fits = self.symbols is None or symbol in self.symbols
        return fits and (self.timeframes is None or timeframe in self.timeframes)


@dataclass(frozen=True)
class Plan:
    """All indicators, in the order of the file: what one rests on stands before it."""

    indicators: tuple[Indicator, ...]
    _programs: dict[tuple[str, ...], Program] = field(default_factory=dict, compare=False, repr=False)

    def program(self, symbol: str, timeframe: str) -> Program:
        """Return what a lane computes: the same object for all lanes that compute the same."""
        chosen = tuple(i for i in self.indicators if i.runs_on(symbol, timeframe))
        key = tuple(i.name for i in chosen)
        found = self._programs.get(key)
        if found is None:
            found = self._programs[key] = make_program(chosen)
        return found

    @cached_property
    def needed_bars(self) -> int:
        """Bars that a lane must keep for all of it to converge."""
        return max((i.needed_bars for i in self.indicators), default=0)

    def unchained(self) -> "Plan":
        """Return the plan without what rests on other indicators."""
        return Plan(tuple(i for i in self.indicators if not i.chained))

    def pairs(self) -> Iterable[Indicator]:
        """Return those that look at another symbol."""
        return (i for i in self.indicators if i.other is not None)


def indicator(
    name: str,
    function: Function,
    *,
    params: Params | None = None,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    before: Mapping[str, Indicator] | None = None,
    timeframes: Iterable[str] | None = None,
    symbols: Iterable[str] | None = None,
) -> Indicator:
    """Return an indicator with all that follows from its definition.

    inputs: for the function's free inputs, in their order; those that are not given are the default columns.
    before: by output name, what it may rest on. ValueError if a parameter is out of its range.
    """
    given = {**function.params, **(params or {})}
    refs = _refs(function, inputs)
    below = [(before or {})[ref] for ref in refs if ref not in PLACE and ":" not in ref]
    own = function.lookback_of(given)
    settle_below = max((one.settle_least for one in below), default=0)
    return Indicator(
        name=name,
        function=function,
        params=given,
        inputs=refs,
        names=tuple(outputs) or output_names(name, function),
        own_lookback=own,
        lookback=own + max((one.lookback for one in below), default=0),
        memory=max((function.memory_of(given), *(one.memory for one in below)), key=_STRENGTH.index),
        needs_volume=any(_column(ref) == "volume" for ref in refs) or any(one.needs_volume for one in below),
        settle_least=max(function.settle_least_of(given, own), settle_below + own if settle_below else 0),
        timeframes=None if timeframes is None else frozenset(timeframes),
        symbols=None if symbols is None else frozenset(symbols),
    )


def output_names(name: str, function: Function) -> tuple[str, ...]:
    """Return how the outputs are called where the plan does not say."""
    return (name,) if len(function.outputs) == 1 else tuple(f"{name}_{output}" for output in function.outputs)


def _column(ref: str) -> str:
    """Return an input's name without the symbol."""
    return ref.rpartition(":")[2]


def _refs(function: Function, given: Sequence[str]) -> tuple[str, ...]:
    left = list(given)
    refs = tuple(left.pop(0) if one.free and left else one.column for one in function.inputs)
    if left or "" in refs:
        free = [one.name for one in function.inputs if one.free]
        raise ValueError(f"{function.name}: expected {len(free)} inputs ({', '.join(free)}), found {len(given)}")
    return refs

"""What a lane computes, as straight-line code: one call of a bound method for each indicator, and nothing else.

A loop over the indicators would cost as much as half of them take (measured); so the few lines that it would run are
written out once for each plan, and compiled.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING, cast

from common.indicators.columns import COLUMNS, Cells

if TYPE_CHECKING:
    from common.indicators.plan import Indicator

Pick = Callable[[list[float]], Sequence[float]]
"""Takes some places out of a row."""
Step = Callable[..., float | tuple[float, ...]]
"""`update` or `peek` of one running indicator."""


@dataclass(frozen=True)
class Program:
    """The indicators of a lane, in the plan's order; values stand in the order of `names`."""

    indicators: tuple["Indicator", ...]
    pairs: tuple["Indicator", ...]
    """Those that look at another symbol: their values are the last ones, and worked out elsewhere."""

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of all values."""
        return tuple(name for one in (*self.indicators, *self.pairs) for name in one.names)

    @cached_property
    def of_volume(self) -> tuple[str, ...]:
        """Of the values that mean nothing without volume of one kind."""
        return tuple(name for one in (*self.indicators, *self.pairs) if one.needs_volume for name in one.names)

    @cached_property
    def own_values(self) -> int:
        """How many values there are without the pairs'."""
        return sum(len(one.names) for one in self.indicators)

    @cached_property
    def step(self) -> Callable[[Cells, Sequence[Step]], list[float]]:
        """Take a bar's cells and each indicator's `update` (or each one's `peek`); return the values."""
        return _compiled(_source(self.indicators))

    @cached_property
    def feeding(self) -> frozenset[int]:
        """Indicators that others rest on."""
        used = {ref for one in self.indicators for ref in one.inputs}
        return frozenset(n for n, one in enumerate(self.indicators) if used & set(one.names))

    @cached_property
    def feeders(self) -> frozenset[str]:
        """Their names."""
        return frozenset(self.indicators[n].name for n in self.feeding)

    @cached_property
    def session_bound(self) -> tuple[int, ...]:
        """Indicators that begin anew with each session."""
        return tuple(n for n, one in enumerate(self.indicators) if one.memory == "session")

    @cached_property
    def sessions_bound(self) -> tuple[int, ...]:
        """Indicators that need whole sessions."""
        return tuple(n for n, one in enumerate(self.indicators) if one.memory == "sessions")

    @cached_property
    def looks_at_sessions(self) -> bool:
        """Whether a bar's session is an input."""
        return any("session" in one.inputs for one in self.indicators) or bool(self.sessions_bound)

    @cached_property
    def settle_bars(self) -> int:
        """Bars after which nothing is left to warm up but what counts by sessions."""
        return max((one.settle_bars for one in (*self.indicators, *self.pairs) if one.memory != "session"), default=0)

    @cached_property
    def session_settle_bars(self) -> int:
        """The same of a session's bars."""
        return max((one.settle_bars for one in self.indicators if one.memory == "session"), default=0)


def make_program(indicators: Sequence["Indicator"]) -> Program:
    """Return what lanes with these indicators compute."""
    return Program(
        tuple(one for one in indicators if one.other is None), tuple(one for one in indicators if one.other is not None)
    )


def picker(places: Sequence[int]) -> Pick:
    """Return what takes the numbers at these places, one at the least, out of a row."""
    if len(places) > 1:
        return cast(Pick, itemgetter(*places))
    return cast(Pick, itemgetter(slice(places[0], places[0] + 1)))


def _source(indicators: Sequence["Indicator"]) -> str:
    """Return the code of a step: columns are c0, c1, ..., steps s0, s1, ..., values v0, v1, ... No name of a user's."""
    variable: dict[str, str] = {column: f"c{place}" for place, column in enumerate(COLUMNS)}
    lines, count = [], 0
    for place, one in enumerate(indicators):
        outputs = [f"v{count + n}" for n in range(len(one.names))]
        count += len(outputs)
        inputs = ", ".join(variable[ref] for ref in one.inputs)
        lines.append(f"    {', '.join(outputs)} = s{place}({inputs})")
        variable |= dict(zip(one.names, outputs, strict=True))
    steps = "".join(f"s{place}, " for place in range(len(indicators)))
    return "\n".join(
        (
            "def step(cells, steps):",
            f"    {', '.join(f'c{place}' for place in range(len(COLUMNS)))} = cells",
            *([f"    {steps}= steps"] if indicators else []),
            *lines,
            f"    return [{', '.join(f'v{n}' for n in range(count))}]",
        )
    )


def _compiled(source: str) -> Callable[[Cells, Sequence[Step]], list[float]]:
    space: dict[str, Callable[[Cells, Sequence[Step]], list[float]]] = {}
    exec(compile(source, "<indicators>", "exec"), space)  # noqa: S102  # made of numbered names only
    return space["step"]

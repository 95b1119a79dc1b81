"""What can be computed on a lane: a function of TA-Lib or of our own, described alike."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from common.indicators.columns import F64

Memory = Literal["window", "recursive", "session", "sessions"]
"""What a value rests on: the last `lookback + 1` bars alone; all bars, fading (an average of averages); all bars since
the session's first one, which is where it starts; or whole sessions before this one."""

Params = Mapping[str, float]
"""Whole numbers where the default is one."""


class Running(Protocol):
    """A function at one moment of a series: what TA-Lib's stream handles and our own classes have in common.

    A function of one output gives numbers, one of several gives tuples.
    """

    @property
    def value(self) -> float | tuple[float, ...]:
        """After the last bar."""
        ...

    def update(self, *inputs: float) -> float | tuple[float, ...]:
        """Take the next closed bar in and return the new value."""
        ...

    def peek(self, *inputs: float) -> float | tuple[float, ...]:
        """Return what update() would give, and change nothing."""
        ...

    def copy(self) -> "Running":
        """Return an independent one in the same state."""
        ...


@dataclass(frozen=True)
class Input:
    """One series that a function takes."""

    name: str
    """TA-Lib's name of it: "price", "periods", or the column's."""
    column: str
    """What it is unless the plan says otherwise; empty where the plan must say."""
    free: bool
    """Whether the plan may give it another series."""


@dataclass(frozen=True)
class Function:
    """One function."""

    name: str
    title: str
    group: str
    inputs: tuple[Input, ...]
    params: Params
    """With their defaults."""
    outputs: tuple[str, ...]
    memory_of: Callable[[Params], Memory]
    lookback_of: Callable[[Params], int]
    """Bars before the first one that has a value. ValueError if a parameter is out of its range."""
    start: Callable[[Sequence[F64], Params], Running]
    """Open it over a history of more than `lookback` bars: the inputs' arrays, oldest first."""
    fill: Callable[[Sequence[F64], Params], tuple[Running, tuple[F64, ...]]]
    """The same, with each output over the whole history, NaN where it has no value."""
    source: str
    """Who defines it, and how it is called there."""
    span: int | None = None
    """Open it over so many bars before the anchor; None: over as many as the bar cache gives."""
    settle_least_of: Callable[[Params, int], int] = lambda _params, _lookback: 0
    """Bars that it needs at the least to forget where it started, where its lookback does not tell."""

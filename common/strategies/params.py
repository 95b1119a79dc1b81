"""Kinds of parameters in the strategies' file: a rule's fields are declared with them, and checked by them."""

from typing import Annotated, NamedTuple


class Between(NamedTuple):
    """A number's limits, both included."""

    least: float
    most: float


class Named(NamedTuple):
    """The name of one of the plan's outputs."""


Output = Annotated[str, Named()]
Level = Annotated[float, Between(0.0, 100.0)]
"""Of an oscillator from 0 to 100."""
Factor = Annotated[float, Between(0.01, 100.0)]
"""Times something: ATRs, mostly."""

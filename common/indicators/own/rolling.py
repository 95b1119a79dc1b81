"""A running value of the last so many bars, each reduced to one term when it arrives."""

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from common.indicators.columns import F64
from common.indicators.own.bars import Bar, bars_of

Term = TypeVar("Term")
TermOf = Callable[[Bar, Bar], Term]
"""(the bar before, the bar) -> the bar's term."""
ValueOf = Callable[[deque[Term]], float]
"""Terms, oldest first -> the value."""


class Rolling(Generic[Term]):
    """The value of the last terms, computed from all of them at every bar.

    A sum that is kept and corrected would be cheaper and drift; this equals, bit for bit, one opened over the window.
    """

    __slots__ = ("_last", "_term_of", "_terms", "_value_of", "value")

    def __init__(self, terms: deque[Term], last: Bar, term_of: TermOf[Term], value_of: ValueOf[Term]) -> None:
        self._terms, self._last = terms, last
        self._term_of, self._value_of = term_of, value_of
        self.value = value_of(terms)

    @classmethod
    def over(
        cls, columns: tuple[F64, ...], size: int, term_of: TermOf[Term], value_of: ValueOf[Term]
    ) -> "Rolling[Term]":
        """Open it over a history of at least `size` bars, and one more where a term looks at the bar before."""
        bars = bars_of(tuple(column[-size - 1 :] for column in columns))
        # The oldest bar stands in for the one before it: its term either does not look there, or drops out.
        terms = deque((term_of(before, bar) for before, bar in zip([bars[0], *bars], bars, strict=False)), size)
        return cls(terms, bars[-1], term_of, value_of)

    def update(self, *bar: float) -> float:
        """Take the next bar in and return the new value."""
        self._terms.append(self._term_of(self._last, bar))
        self._last = bar
        self.value = self._value_of(self._terms)
        return self.value

    def peek(self, *bar: float) -> float:
        """Return the value that update() would give, and change nothing."""
        terms = self._terms.copy()
        terms.append(self._term_of(self._last, bar))
        return self._value_of(terms)

    def copy(self) -> "Rolling[Term]":
        """Return an independent one in the same state."""
        return Rolling(self._terms.copy(), self._last, self._term_of, self._value_of)

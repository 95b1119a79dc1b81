"""Bars as the indicators of this package take them in."""

from common.indicators.columns import F64

Bar = tuple[float, ...]
"""One bar's inputs, in the order of the function's columns."""


def bars_of(columns: tuple[F64, ...]) -> list[Bar]:
    """Return a history as bars of plain floats, oldest first."""
    return list(zip(*(column.tolist() for column in columns), strict=True))

"""Bars of two symbols, joined by the time at which they open: what an indicator over both is computed from."""

import numpy as np

from common.bars import Records
from common.indicators.anchors import I64
from common.indicators.columns import F64
from common.indicators.plan import Indicator

OTHER = ":"


def joined(indicator: Indicator, own: Records, other: Records) -> tuple[list[F64], I64]:
    """Return the indicator's inputs over the bars that both have, oldest first, and when those open."""
    opens, mine, theirs = np.intersect1d(own["open_ms"], other["open_ms"], assume_unique=True, return_indices=True)
    arrays = []
    for ref in indicator.inputs:
        _, is_other, column = ref.rpartition(OTHER)
        records, places = (other, theirs) if is_other else (own, mine)
        name = "open_ms" if column == "time" else column
        arrays.append(np.ascontiguousarray(records[name][places], dtype=np.float64))
    return arrays, opens


def falls_short(first_ms: int | None, bars: int, kept_bars: int, start_ms: int) -> bool:
    """Tell whether bars of the other symbol from the beginning on were cut off, or could have been.

    first_ms, bars: its oldest stored bar (None without one) and how many there are, of at most kept_bars.
    start_ms: when the first bar opens that the indicator may rest on.
    """
    return first_ms is None or (bars >= kept_bars and first_ms > start_ms)

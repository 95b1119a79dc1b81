"""What a bar gives to indicators: its columns, in one order everywhere."""

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from common.bars import Records

F64 = NDArray[np.float64]
NAN = float("nan")

Column = Literal["open", "high", "low", "close", "volume", "time", "session"]
"""`time`: when the bar opened; `session`: when the trading session began that it belongs to; both in epoch ms."""
COLUMNS: tuple[Column, ...] = get_args(Column)
PLACE: dict[str, int] = {name: place for place, name in enumerate(COLUMNS)}

Columns = Mapping[str, F64]
"""A history: one contiguous array per column, oldest first, closed bars only."""

Cells = list[float]
"""One bar: a number per column, in the order of COLUMNS."""


def columns_of(records: Records, session_starts: F64 | None = None) -> Columns:
    """Return the columns of packed bars. session_starts: each bar's; None where nobody looks at it."""
    found = {name: np.ascontiguousarray(records[name]) for name in ("open", "high", "low", "close", "volume")}
    found["time"] = records["open_ms"].astype(np.float64)
    return found if session_starts is None else {**found, "session": session_starts}

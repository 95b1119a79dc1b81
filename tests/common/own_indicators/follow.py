"""What a function gives bar by bar."""

from collections.abc import Sequence

import numpy as np

from common.indicators.own import OWN
from tests.common.own_indicators.histories import F64


def outputs(name: str, columns: Sequence[F64], **params: float) -> dict[str, F64]:
    """Return each output after every bar, NaN before the first value: opened as late as can be, then updated."""
    function = OWN[name]
    first = function.lookback(params)
    running = function.open(*(column[: first + 1] for column in columns), **params)
    later = zip(*(column[first + 1 :] for column in columns), strict=True)
    rows = [running.value, *(running.update(*map(float, bar)) for bar in later)]
    values = np.array(rows, dtype=np.float64).reshape(len(rows), -1)
    found = np.full((len(columns[0]), values.shape[1]), np.nan)
    found[first:] = values
    return dict(zip(function.outputs, found.T, strict=True))


def sessions_of(bars: dict[str, F64]) -> list[dict[str, F64]]:
    """Return the bars session by session."""
    starts = np.flatnonzero(np.diff(bars["session"])) + 1
    parts = {name: np.split(column, starts) for name, column in bars.items()}
    return [{name: parts[name][index] for name in parts} for index in range(len(starts) + 1)]

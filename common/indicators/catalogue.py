"""Every function that a plan may name: TA-Lib's, and what TA-Lib lacks."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, partial

import numpy as np

from common.indicators.columns import F64
from common.indicators.function import Function, Input, Params, Running
from common.indicators.own import OWN, OwnFunction
from common.indicators.talib_functions import functions as talib_functions


@cache
def catalogue() -> Mapping[str, Function]:
    """Return all functions by name: TA-Lib's in its own order, then ours."""
    found = {function.name: function for function in talib_functions()}
    return found | {name: _ours(own) for name, own in OWN.items()}


def nearest(name: str, names: Iterable[str]) -> str:
    """Return "; did you mean X?" for the name that is nearest, or nothing."""
    by_lower = {one.lower(): one for one in names}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return f"; did you mean {by_lower[near[0]]}?" if near else ""


def _ours(own: OwnFunction) -> Function:
    return Function(
        name=own.name,
        title=own.title,
        group="Not in TA-Lib",
        inputs=tuple(Input(column, column, free=len(own.inputs) == 1) for column in own.inputs),
        params=own.params,
        outputs=own.outputs,
        memory_of=lambda _: own.memory,
        lookback_of=partial(_lookback, own),
        start=lambda arrays, params: own.open(*arrays, **{**own.params, **params}),
        fill=partial(_fill, own),
        source=own.source,
    )


def _lookback(own: OwnFunction, params: Params) -> int:
    given = {**own.params, **params}
    own.check(given)
    return own.lookback(given)


def _fill(own: OwnFunction, arrays: Sequence[F64], params: Params) -> tuple[Running, tuple[F64, ...]]:
    """Open over the shortest history and follow it bar by bar: the same as opening over all of it, bit for bit."""
    given = {**own.params, **params}
    first, count = own.lookback(given), len(arrays[0])
    running = own.open(*(array[: first + 1] for array in arrays), **given)
    filled = [np.full(count, np.nan) for _ in own.outputs]
    for place in range(first, count):
        found = running.value if place == first else running.update(*(float(array[place]) for array in arrays))
        for output, value in zip(filled, found if isinstance(found, tuple) else (found,), strict=True):
            output[place] = value
    return running, tuple(filled)

"""All functions of TA-Lib, as its own abstract interface describes them.

Its stream handles do the mathematics: `update` and `peek` equal the batch functions bit for bit.
"""

from collections.abc import Iterator, Sequence
from functools import cache, partial
from math import ceil
from typing import Any, cast

import numpy as np
import talib
from talib import MA_Type, abstract, stream  # type: ignore[attr-defined]  # the first: not in its stubs

from common.indicators.columns import F64, PLACE
from common.indicators.function import Function, Input, Memory, Params, Running

CUMULATIVE = frozenset(
    ("AD", "CUMSUM", "MAXINDEX", "MININDEX", "MINMAXINDEX", "NVI", "OBV", "PVI", "PVT", "VWAP", "WAD")
)
"""Sums and counts over all bars so far, which never fade: they start at the session's first bar."""
RECURSIVE = frozenset(
    (
        "ADOSC", "ADXR", "CVI", "DEMA", "EFI", "ERI", "KC", "MACD", "MACDFIX", "MASSI", "SAR", "SAREXT", "SMI",
        "STOCHRSI", "SUPERTREND", "TEMA", "TRIX", "TSI", "ZLEMA",
    )
)  # fmt: skip
"""Averages of averages that TA-Lib does not flag with an unstable period of their own."""
FADING_AVERAGES = frozenset(
    (MA_Type.EMA, MA_Type.DEMA, MA_Type.TEMA, MA_Type.KAMA, MA_Type.MAMA, MA_Type.T3, MA_Type.RMA, MA_Type.ZLEMA)
)
"""Types of moving average that make a function recursive where it is told to use them."""
KAMA, WILDERS = frozenset((MA_Type.KAMA,)), frozenset((MA_Type.RMA,))
USUAL_AVERAGE = cast(int, MA_Type.DEFAULT)
"""Asks for the type that is the parameter's default."""
CANDLE_SPAN = 100
"""Bars before the anchor over which candlestick patterns open: the longest looks back 14 bars, and opening all of them
over 5,000 bars would cost more than all other indicators together."""
SLOW_TO_FADE = frozenset(
    (
        "ADOSC", "ADX", "APO", "ATR", "CMO", "DX", "EFI", "ERI", "HT_DCPERIOD", "HT_PHASOR", "MACD", "MACDFIX",
        "MINUS_DI", "MINUS_DM", "NATR", "PLUS_DI", "PLUS_DM", "PPO", "PVO", "RMA", "RSI", "RVI", "STOCHRSI",
    )
)  # fmt: skip
"""Wilder's averages, which fade by 1 / period a bar and not by 2 / (period + 1), and small differences of averages:
after five lookbacks up to 9 % of their usual size still came of where they had started, after ten at most 6e-4
(measured)."""
SLOW_LOOKBACKS = 10
SETTLE_LEAST = {"HA": 60, "KAMA": 300, "SAR": 200, "SAREXT": 200, "SUPERTREND": 300}
"""Where they start ends with the first reversal, or fades more slowly than their lookback tells. Measured on seven
series of real bars: after so many they were all right; after five lookbacks SUPERTREND still pointed the wrong way at
one bar in twenty, and SAR after 60 bars at one in twelve. Those of TURNING are for their usual parameters: the wider
SUPERTREND's bands and the smaller SAR's steps, the later the price first crosses one."""
TURNING = frozenset(("SAR", "SAREXT", "SUPERTREND"))
USUAL_STEP, USUAL_MOST = 0.02, 0.2  # of SAR's acceleration
MOST_SLOWED = 1_000.0
"""SAR without a step forgets nothing: then it asks for more bars than any cache keeps."""


def functions() -> Iterator[Function]:
    """Yield every function that the installed TA-Lib can stream."""
    for name in talib.get_functions():  # type: ignore[no-untyped-call]  # as its stubs have it
        yield _function(name)


def call_text(function: Function, inputs: Sequence[str], params: Params) -> str:
    """Return the call of TA-Lib's Python package that gives the same: "talib.RSI(close, timeperiod=14)"."""
    given = [*inputs, *(f"{name}={value!r}" for name, value in params.items())]
    return f"talib.{function.name}({', '.join(given)})"


def _function(name: str) -> Function:
    described = _described(name)
    info = described.info
    unstable = "Function has an unstable period" in info["function_flags"]
    inputs = tuple(_inputs(described.input_names))
    return Function(
        name=name,
        title=info["display_name"],
        group=info["group"],
        inputs=inputs,
        params=dict(described.parameters),
        outputs=tuple(described.output_names),
        memory_of=partial(_memory, name, unstable),
        lookback_of=partial(_lookback, name),
        start=partial(_start, name),
        fill=partial(_fill, name),
        source="TA-Lib",
        span=CANDLE_SPAN if name.startswith("CDL") else None,
        settle_least_of=partial(_settle_least, name),
    )


@cache
def _described(name: str) -> Any:  # noqa: ANN401  # TA-Lib's stubs don't know its abstract functions
    return abstract.Function(name)  # type: ignore[attr-defined]  # missing in TA-Lib's stubs


def _inputs(names: dict[str, str | list[str]]) -> Iterator[Input]:
    """`prices` are columns of a bar that belong together; every other input is a series of the caller's choice."""
    for label, columns in names.items():
        if isinstance(columns, list):
            alone = len(columns) == 1 and len(names) == 1  # a function of volume alone takes any series as well
            yield from (Input(column, column, free=alone) for column in columns)
        else:
            yield Input(label, columns if columns in PLACE else "", free=True)


def _memory(name: str, unstable: bool, params: Params) -> Memory:  # bound once, by partial
    if name in CUMULATIVE:
        return "session"
    return "recursive" if unstable or name in RECURSIVE or _averages(name, params) & FADING_AVERAGES else "window"


def _settle_least(name: str, params: Params, lookback: int) -> int:
    if name in TURNING:
        return max(ceil(SETTLE_LEAST[name] * _slowed(name, params)), SLOW_LOOKBACKS * lookback)
    averages = _averages(name, params)
    if averages & KAMA:
        return SETTLE_LEAST["KAMA"] + lookback
    slow = name in SLOW_TO_FADE or averages & WILDERS
    return SLOW_LOOKBACKS * lookback if slow else SETTLE_LEAST.get(name, 0)


def _slowed(name: str, params: Params) -> float:
    """Return how many times as long as with its usual parameters it takes to turn: 1 at the least."""
    if name == "SUPERTREND":
        return max(1.0, params["multiplier"] / float(_described(name).parameters["multiplier"]))
    if name == "SAR":
        return _sar_slowed(params["acceleration"], params["acceleration"], params["maximum"])
    sides = [[params[f"acceleration{what}{side}"] for what in ("init", "", "max")] for side in ("long", "short")]
    return max(_sar_slowed(*side) for side in sides)


def _sar_slowed(first: float, step: float, most: float) -> float:
    """first, step, most: of the acceleration. Without steps the first one has to do, a tenth of the usual most."""
    step_share, most_share = max(step, first / 10.0) / USUAL_STEP, most / USUAL_MOST
    return max(1.0, 1.0 / max(1.0 / MOST_SLOWED, min(step_share, most_share)))


def _averages(name: str, params: Params) -> set[int]:
    """Return the types of moving average that the parameters ask for."""
    return {_average(name, key, value) for key, value in params.items() if key.endswith("matype")}


def _average(name: str, key: str, value: float) -> int:
    """Return the type of moving average that a parameter asks for."""
    return int(_described(name).parameters[key] if value == USUAL_AVERAGE else value)


def _lookback(name: str, params: Params) -> int:
    described = abstract.Function(name)  # type: ignore[attr-defined]  # as above; a new one, for it keeps parameters
    if params:
        described.parameters = dict(params)
    found = int(described.lookback)
    if found < 0:
        given = ", ".join(f"{key} = {value:g}" for key, value in params.items())
        raise ValueError(f"expected parameters in TA-Lib's ranges, found {given}")
    return found


def _start(name: str, arrays: Sequence[F64], params: Params) -> Running:
    return cast(Running, getattr(stream, name)(*arrays, **params))


def _fill(name: str, arrays: Sequence[F64], params: Params) -> tuple[Running, tuple[F64, ...]]:
    running, found = getattr(stream, name).open_and_fill(*arrays, **params)
    outputs = found if isinstance(found, tuple) else (found,)
    count = len(arrays[0])
    return running, tuple(_floats(output, count, _lookback(name, params)) for output in outputs)


def _floats(output: Any, count: int, lookback: int) -> F64:  # noqa: ANN401  # of floats, or of whole numbers
    """Return an output as floats, NaN before its first value: TA-Lib has 0 there where it gives whole numbers."""
    found = np.array(output, dtype=np.float64)
    if not np.issubdtype(np.asarray(output).dtype, np.floating):
        found[: min(lookback, count)] = np.nan
    return found

"""The plan: which indicators every lane computes. Data; a new line here is all that a new indicator needs."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from talib import abstract

from common.indicators.vwap import VWAP

Column = Literal["open", "high", "low", "close", "volume"]
Memory = Literal["window", "recursive", "session"]
"""What a value rests on: the last `lookback + 1` bars alone; all bars, fading (an average of averages); or all bars
since the session's first one, which is where it starts."""

CONVERGENCE = 5
"""A recursive value counts as converged after so many lookbacks: an EMA(200) is then within 2e-7 of its limit."""


@dataclass(frozen=True)
class Indicator:
    """One function of a lane's bars, and the names of its outputs."""

    names: tuple[str, ...]
    """Of the outputs, in TA-Lib's order. They are the API's names: never change one."""
    function: str
    """TA-Lib's name, or that of one of our own (common/indicators/handles.py)."""
    inputs: tuple[Column, ...]
    """In the order of TA-Lib's batch function."""
    params: tuple[tuple[str, float], ...] = ()
    """What differs from TA-Lib's defaults."""
    memory: Memory = "window"

    @cached_property
    def needs_volume(self) -> bool:
        """Whether it means nothing without volume."""
        return "volume" in self.inputs

    @cached_property
    def lookback(self) -> int:
        """Bars before the first one that has a value."""
        return _lookback(self.function, self.params)

    @cached_property
    def settle_bars(self) -> int:
        """Bars after which its value can be relied on."""
        return max(self.lookback * CONVERGENCE, self.lookback + 1) if self.memory == "recursive" else self.lookback + 1


def _ema(period: int) -> Indicator:
    return Indicator((f"ema_{period}",), "EMA", ("close",), (("timeperiod", period),), "recursive")


PLAN: tuple[Indicator, ...] = (
    Indicator(("rsi_14",), "RSI", ("close",), (("timeperiod", 14),), "recursive"),
    *(_ema(period) for period in (9, 20, 50, 200)),
    Indicator(
        ("bollinger_upper", "bollinger_middle", "bollinger_lower"),
        "BBANDS",
        ("close",),
        (("timeperiod", 20), ("nbdevup", 2.0), ("nbdevdn", 2.0)),
    ),
    Indicator(("atr_14",), "ATR", ("high", "low", "close"), (("timeperiod", 14),), "recursive"),
    Indicator(
        ("macd", "macd_signal", "macd_hist"),
        "MACD",
        ("close",),
        (("fastperiod", 12), ("slowperiod", 26), ("signalperiod", 9)),
        "recursive",
    ),
    Indicator(("vwap",), VWAP, ("high", "low", "close", "volume"), memory="session"),
    Indicator(("volume_sma_20",), "SMA", ("volume",), (("timeperiod", 20),)),
    Indicator(("momentum",), "MOM", ("close",), (("timeperiod", 10),)),
    Indicator(("roc_10",), "ROC", ("close",), (("timeperiod", 10),)),
)


def names_of(plan: Sequence[Indicator]) -> tuple[str, ...]:
    """Return the names of all outputs, in the plan's order."""
    return tuple(name for indicator in plan for name in indicator.names)


def longest_lookback(plan: Sequence[Indicator]) -> int:
    """Return the longest lookback of the plan, in bars."""
    return max(indicator.lookback for indicator in plan)


def _lookback(function: str, params: tuple[tuple[str, float], ...]) -> int:
    if function == VWAP:
        return 0
    described = abstract.Function(function)  # type: ignore[attr-defined]  # missing in TA-Lib's stubs
    if params:
        described.parameters = dict(params)
    return int(described.lookback)

"""What a strategy is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

Action = Literal["BUY", "SELL"]
Side = Literal[1, -1]
"""1 for BUY, -1 for SELL: what mirrors a rule."""
Values = Mapping[str, float]


@dataclass(frozen=True)
class View:
    """What a strategy sees: one lane after a closed bar."""

    timeframe: str
    open: float
    high: float
    low: float
    close: float
    now: Values
    """The strategy's `needs` after this bar."""
    before: Values
    """The same one bar earlier."""


@dataclass(frozen=True)
class Candidate:
    """Advice of one strategy: a trade at the bar's close, with its stop and targets as absolute prices."""

    action: Action
    entry: float
    stop_loss: float
    take_profit_1: float
    take_profit_2: float
    confidence: float
    """In [0.5, 0.95]."""
    quality: float
    """In [0, 10]."""
    regime: str
    reasons: tuple[str, ...]
    """In words and numbers, ASCII."""


@dataclass(frozen=True)
class Strategy:
    """A named rule. `evaluate` is pure and is called only when all `needs` are there and have converged."""

    name: str
    needs: tuple[str, ...]
    """Names of the plan's values, `atr` among them."""
    timeframes: tuple[str, ...]
    cooldown_bars: int
    """Bars of its timeframe for which it is silent on a symbol after a signal there."""
    evaluate: Callable[[View], Candidate | None]
    atr: str = "atr_14"
    """The value that its stop is measured in: every signal carries it."""
    lookback_bars: int = 0
    """The longest lookback of its needs."""

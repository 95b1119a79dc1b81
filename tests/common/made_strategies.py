"""The project's strategies, and values set by hand."""

from common.indicators import load_plan
from common.strategies import LaneOutputs, load_strategies

TIMEFRAMES = ("1m", "5m", "15m")
QUIET = {"adx_14": 20.0, "atr_14_sma_50": 2.0}
"""What beside an ATR of 2 and averages less than that apart is a range."""


def lanes() -> list[LaneOutputs]:
    """What the project's plan gives EURUSD."""
    program = load_plan(None).program("EURUSD", "1m")
    lookbacks = {name: i.lookback for i in program.indicators for name in i.names}
    return [LaneOutputs("EURUSD", timeframe, lookbacks) for timeframe in TIMEFRAMES]


SHIPPED = {strategy.name: strategy for strategy in load_strategies(None, lanes())}


def mirrored(values: dict[str, float], about: float = 100.0) -> dict[str, float]:
    """The same market upside down: prices about a price, oscillators about their middle."""
    pairs = {"upper": "lower", "lower": "upper", "plus": "minus", "minus": "plus"}
    turned = {}
    for name, value in values.items():
        other = next((name.replace(a, b) for a, b in pairs.items() if a in name), name)
        if name.startswith(("ema", "bollinger", "keltner", "donchian")):
            turned[other] = 2 * about - value
        elif name.startswith("rsi"):
            turned[name] = 100.0 - value
        elif name in ("macd_hist", "momentum"):
            turned[name] = -value
        else:
            turned[other] = value
    return turned

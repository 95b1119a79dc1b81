"""The market's regime on one lane: trend up, trend down, range or high volatility. All strategies share it.

- "high_volatility" where the ATR is `volatile_ratio` times its own average, or more. It goes before the others: what
  the averages say was learned in a calmer market, and stops of so many ATR are set by a number that is still moving.
- "trend_up" or "trend_down" where the ADX is `trend_adx` or more and the faster average is `trend_atr` ATR or more
  above or below the slower one: ADX alone has no direction and stays high after a turn, distance alone mistakes a
  drift for a trend.
- "range" otherwise.

Why the ATR's average and not its percentile: an average is an indicator of the plan, incremental and reproduced at a
restart from the stored bars like any other; a percentile would need a window of its own beside them.
"""

from dataclasses import dataclass
from typing import Literal

from common.strategies.base import Side, Values
from common.strategies.params import Factor, Level, Output

Regime = Literal["trend_up", "trend_down", "range", "high_volatility"]
Allowed = Literal["trend", "range", "high_volatility"]
"""What a strategy's filter names; "trend" is a trend in the direction of the trade: against one there is no trade."""
REGIMES: tuple[Allowed, ...] = ("trend", "range", "high_volatility")


@dataclass(frozen=True)
class Classifier:
    """The outputs and thresholds that tell regimes apart: the file's table [regime]."""

    adx: Output
    fast: Output
    slow: Output
    atr: Output
    atr_average: Output
    trend_adx: Level
    trend_atr: Factor
    volatile_ratio: Factor

    def classify(self, values: Values) -> Regime:
        """Return the regime."""
        if values[self.atr] >= self.volatile_ratio * values[self.atr_average]:
            return "high_volatility"
        distance = values[self.fast] - values[self.slow]
        if values[self.adx] < self.trend_adx or abs(distance) < self.trend_atr * values[self.atr]:
            return "range"
        return "trend_up" if distance > 0 else "trend_down"

    def reason(self, regime: Regime, values: Values) -> str:
        """Return what the regime rests on."""
        distance = (values[self.fast] - values[self.slow]) / values[self.atr]
        ratio = values[self.atr] / values[self.atr_average] if values[self.atr_average] else 0.0
        return (
            f"regime {regime}: ADX {values[self.adx]:.1f}, averages {distance:+.2f} ATR apart, ATR {ratio:.2f} times"
            f" its average"
        )


def allows(allowed: tuple[Allowed, ...], regime: Regime, side: Side) -> bool:
    """Tell whether a strategy with this filter may trade on this side."""
    if regime in ("trend_up", "trend_down"):
        return "trend" in allowed and (regime == "trend_up") == (side > 0)
    return regime in allowed

"""Pullback to the average: in a trend, a bar dips to the average and closes back on the trend's side.

Why it may work: those who missed the trend buy its average, and the stop behind it is near. It fails when the dip is
the turn: hence a trend by the shared classifier, averages in order, and a close that has come back. Regime: trend only.

Setup, for a BUY (a SELL mirrors it): `fast` above `slow`; the bar's low within `touch_atr` ATR of `fast` or beyond it;
the close above `fast` and above the open; `rsi` up to `rsi_max`. Agreement: 1 where `macd_hist` grew, else 1/3.
Strength: how far `fast` is from `slow`, full at two ATR. Room: how near the close still is to `fast`, none at one ATR.
"""

from dataclasses import dataclass

from common.strategies.base import Side, View
from common.strategies.params import Factor, Level, Output
from common.strategies.rules import Setup, ahead, mirrored, unit, word


@dataclass(frozen=True)
class Pullback:
    """The rule's parameters."""

    fast: Output
    slow: Output
    macd_hist: Output
    rsi: Output
    rsi_max: Level
    touch_atr: Factor

    def setup(self, view: View, side: Side, atr: float) -> Setup | None:
        """Return the setup that this bar completed on this side."""
        now, average = view.now, view.now[self.fast]
        low = view.low if side > 0 else view.high
        trend_atr, close_atr = ahead(now, self.fast, self.slow, side) / atr, side * (view.close - average) / atr
        came_back = close_atr > 0 and side * (view.close - view.open) > 0
        touched = side * (low - average) / atr <= self.touch_atr
        if trend_atr <= 0 or not came_back or not touched or mirrored(now[self.rsi], side) > self.rsi_max:
            return None
        grew = side * (now[self.macd_hist] - view.before[self.macd_hist]) > 0
        return Setup(
            agreement=1.0 if grew else 1.0 / 3.0,
            strength=unit(trend_atr / 2.0),
            room=unit(1.0 - close_atr),
            reasons=(
                f"{self.fast} {average:.6g} is {trend_atr:.2f} ATR {word(side)} {self.slow} {now[self.slow]:.6g}",
                f"the bar reached {low:.6g} and closed {close_atr:.2f} ATR {word(side)} {self.fast}",
                f"{self.macd_hist} {'grows' if grew else 'does not grow'} in the direction of the trade",
                f"{self.rsi} {now[self.rsi]:.1f} leaves room",
            ),
        )

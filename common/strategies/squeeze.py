"""Volatility squeeze: bands of the standard deviation come out of those of the range, and the price picks a side.

Why it may work: volatility clusters and returns to its mean, so that very quiet stretches end in wide ones; the
direction is the market's first step. It tells when, hardly where: hence the close beyond the middle and the MACD.
Regimes: range and trend; not high volatility, where nothing was squeezed.

Setup, for a BUY (a SELL mirrors it): one bar ago both Bollinger bands inside the Keltner channel, now not; the close
above `middle` by `least_atr` ATR or more; `macd_hist` above 0. Agreement: 1 where `macd_hist` grew, too, else 1/3.
Strength: the distance of the close from `middle`, full at two ATR. Room: how far `rsi` is from `rsi_max`, full at 50.
Source: the TTM Squeeze of John Carter, Mastering the Trade (2005).
"""

from dataclasses import dataclass

from common.strategies.base import Side, Values, View
from common.strategies.params import Factor, Level, Output
from common.strategies.rules import Setup, mirrored, unit, word


@dataclass(frozen=True)
class Squeeze:
    """The rule's parameters."""

    upper: Output
    middle: Output
    lower: Output
    channel_upper: Output
    channel_lower: Output
    macd_hist: Output
    rsi: Output
    rsi_max: Level
    least_atr: Factor

    def setup(self, view: View, side: Side, atr: float) -> Setup | None:
        """Return the setup that this bar completed on this side."""
        now, rsi = view.now, mirrored(view.now[self.rsi], side)
        distance_atr, hist = side * (view.close - now[self.middle]) / atr, side * now[self.macd_hist]
        released = self._squeezed(view.before) and not self._squeezed(now)
        if not released or distance_atr < self.least_atr or hist <= 0 or rsi > self.rsi_max:
            return None
        grew = hist > side * view.before[self.macd_hist]
        return Setup(
            agreement=1.0 if grew else 1.0 / 3.0,
            strength=unit(distance_atr / 2.0),
            room=unit((self.rsi_max - rsi) / max(self.rsi_max - 50.0, 1e-9)),
            reasons=(
                f"{self.upper} {now[self.upper]:.6g} and {self.lower} {now[self.lower]:.6g} came out of the channel",
                f"close {view.close:.6g} is {distance_atr:.2f} ATR {word(side)} {self.middle} {now[self.middle]:.6g}",
                f"{self.macd_hist} {now[self.macd_hist]:.3g} is {word(side)} 0 and {'grows' if grew else 'shrinks'}",
            ),
        )

    def _squeezed(self, values: Values) -> bool:
        inside = values[self.upper] < values[self.channel_upper]
        return inside and values[self.lower] > values[self.channel_lower]

"""Breakout: a close beyond the highest high (lowest low) of a narrow channel.

Why it may work: orders gather beyond the ends of a range, and a close there sets them off. Most breakouts fail, above
all those of channels that are wide already, where the move has been: hence the limit on the width. Regimes: range and
trend; not high volatility, where ends of channels are passed all the time.

Setup, for a BUY (a SELL mirrors it): the close above `upper` of the bar before by `least_atr` ATR or more; the channel
of the bar before no wider than `most_width_atr` ATR. Agreement: 1 where `macd_hist` agrees, else 1/3. Strength: the
distance beyond the channel, full at one ATR. Room: how much narrower the channel was than allowed, full at half.
"""

from dataclasses import dataclass

from common.strategies.base import Side, View
from common.strategies.params import Factor, Output
from common.strategies.rules import Setup, unit, word


@dataclass(frozen=True)
class Breakout:
    """The rule's parameters."""

    upper: Output
    lower: Output
    macd_hist: Output
    least_atr: Factor
    most_width_atr: Factor

    def setup(self, view: View, side: Side, atr: float) -> Setup | None:
        """Return the setup that this bar completed on this side."""
        end = self.upper if side > 0 else self.lower
        beyond_atr = side * (view.close - view.before[end]) / atr
        width_atr = (view.before[self.upper] - view.before[self.lower]) / atr
        if beyond_atr < self.least_atr or width_atr > self.most_width_atr:
            return None
        agrees = side * view.now[self.macd_hist] > 0
        return Setup(
            agreement=1.0 if agrees else 1.0 / 3.0,
            strength=unit(beyond_atr),
            room=unit(2.0 * (1.0 - width_atr / self.most_width_atr)),
            reasons=(
                f"close {view.close:.6g} is {beyond_atr:.2f} ATR {word(side)} {end} {view.before[end]:.6g}",
                f"the channel was {width_atr:.2f} ATR wide, at most {self.most_width_atr:g}",
                f"{self.macd_hist} {view.now[self.macd_hist]:.3g} {'agrees' if agrees else 'does not agree'}",
            ),
        )

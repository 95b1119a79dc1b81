"""Mean reversion: in a range, RSI comes back from an extreme while the mean is still far enough to pay for the risk.

Why it may work: without news, a price that ran from its mean did so on orders that spend themselves, and whoever
supplied them is paid for it. It loses everything it gained when a trend begins: hence range only, and entry on the
way back, never into the fall.

Setup, for a BUY (a SELL mirrors it): `rsi` was at `rsi_extreme` or below one bar ago and is above it now; the close is
below `mean`, at least `least_atr` ATR away. Agreement: 1 where the bar closed upward, too, else 1/3. Strength: how far
beyond `rsi_extreme` it was, full at half of it. Room: the distance to `mean` beyond `least_atr`, full at twice that.
"""

from dataclasses import dataclass

from common.strategies.base import Side, View
from common.strategies.params import Factor, Level, Output
from common.strategies.rules import Setup, mirrored, unit, word


@dataclass(frozen=True)
class MeanReversion:
    """The rule's parameters."""

    rsi: Output
    mean: Output
    rsi_extreme: Level
    least_atr: Factor

    def setup(self, view: View, side: Side, atr: float) -> Setup | None:
        """Return the setup that this bar completed on this side."""
        before, now = mirrored(view.before[self.rsi], side), mirrored(view.now[self.rsi], side)
        distance_atr = side * (view.now[self.mean] - view.close) / atr
        if not before <= self.rsi_extreme < now or distance_atr < self.least_atr:
            return None
        turned = side * (view.close - view.open) > 0
        return Setup(
            agreement=1.0 if turned else 1.0 / 3.0,
            strength=unit((self.rsi_extreme - before) / max(self.rsi_extreme / 2.0, 1e-9)),
            room=unit(distance_atr / self.least_atr - 1.0),
            reasons=(
                f"{self.rsi} came back from {view.before[self.rsi]:.1f} to {view.now[self.rsi]:.1f}",
                f"{self.mean} {view.now[self.mean]:.6g} is {distance_atr:.2f} ATR {word(side)} the close",
                f"the bar {'closed' if turned else 'did not close'} in the direction of the trade",
            ),
        )

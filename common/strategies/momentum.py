"""Momentum: the price has come a long way in few bars, with direction and strength, and is not exhausted.

Why it may work: the strongest moves draw in those who wait for proof. It fails when it comes last, at the end of the
move: hence the limit on RSI, and that it fires only on the bar that reaches the distance. Regimes: trend and range;
not high volatility, where any distance is soon covered.

Setup, for a BUY (a SELL mirrors it): `momentum` (a price difference) `least_atr` ATR or more, one bar ago less;
`plus_di` above `minus_di`; `rsi` up to `rsi_max`. Agreement: 1 where `adx` rose too, else 1/3. Strength: how far
`momentum` is beyond `least_atr`, full at twice that. Room: how far `rsi` is from `rsi_max`, full at 50.
"""

from dataclasses import dataclass

from common.strategies.base import Side, Values, View
from common.strategies.params import Factor, Level, Output
from common.strategies.rules import Setup, ahead, mirrored, unit, word


@dataclass(frozen=True)
class Momentum:
    """The rule's parameters."""

    momentum: Output
    plus_di: Output
    minus_di: Output
    adx: Output
    rsi: Output
    least_atr: Factor
    rsi_max: Level

    def setup(self, view: View, side: Side, atr: float) -> Setup | None:
        """Return the setup that this bar completed on this side."""
        now, before = view.now, view.before
        distance_atr, rsi = side * now[self.momentum] / atr, mirrored(now[self.rsi], side)
        reached = distance_atr >= self.least_atr > side * before[self.momentum] / atr
        if not reached or rsi > self.rsi_max or not self._directed(now, side):
            return None
        rises = now[self.adx] > before[self.adx]
        return Setup(
            agreement=1.0 if rises else 1.0 / 3.0,
            strength=unit(distance_atr / self.least_atr - 1.0),
            room=unit((self.rsi_max - rsi) / max(self.rsi_max - 50.0, 1e-9)),
            reasons=(
                f"{self.momentum} {now[self.momentum]:.4g} is {distance_atr:.2f} ATR, at least {self.least_atr:g}",
                f"{self.plus_di} {now[self.plus_di]:.1f} is {word(side)} {self.minus_di} {now[self.minus_di]:.1f}",
                f"{self.adx} {now[self.adx]:.1f} {'rises' if rises else 'does not rise'}",
                f"{self.rsi} {now[self.rsi]:.1f} leaves room",
            ),
        )

    def _directed(self, values: Values, side: Side) -> bool:
        return ahead(values, self.plus_di, self.minus_di, side) > 0

"""Trend following: a fast average crosses a slower one, the long trend or the MACD confirms it, RSI leaves room.

Why it may work: prices under-react to news and herds follow, so that moves of many bars persist. It loses in a market
without direction, where averages cross to and fro: hence the confirmation. Regimes: trend and range, for a new trend
begins in what was a range; not high volatility, where a cross is noise.

Setup, for a BUY (a SELL mirrors it): `fast` above `slow`; `long_fast` above `long_slow` or `macd_hist` above 0; `rsi`
from `rsi_min` to `rsi_max`. It fires on the bar that completes the setup: the cross, or the confirmation after it.
Agreement: 1 where both confirmations hold, else 1/3. Strength: `macd_hist` in ATR against `strong_hist_atr`. Room: how
far `rsi` is from `rsi_max`, in the band.
"""

from dataclasses import dataclass

from common.strategies.base import Side, Values, View
from common.strategies.params import Factor, Level, Output
from common.strategies.rules import Setup, ahead, mirrored, unit, word


@dataclass(frozen=True)
class TrendFollowing:
    """The rule's parameters."""

    fast: Output
    slow: Output
    long_fast: Output
    long_slow: Output
    macd_hist: Output
    rsi: Output
    rsi_min: Level
    rsi_max: Level
    strong_hist_atr: Factor

    def setup(self, view: View, side: Side, atr: float) -> Setup | None:
        """Return the setup that this bar completed on this side."""
        if not self._stands(view.now, side) or self._stands(view.before, side):
            return None
        return Setup(
            agreement=1.0 if self._confirmations(view.now, side) == 2 else 1.0 / 3.0,
            strength=unit(side * view.now[self.macd_hist] / atr / self.strong_hist_atr),
            room=self._room(view.now, side),
            reasons=self._reasons(view, side),
        )

    def _stands(self, values: Values, side: Side) -> bool:
        crossed = ahead(values, self.fast, self.slow, side) > 0
        return crossed and self._confirmations(values, side) > 0 and self._room(values, side) >= 0.0

    def _confirmations(self, values: Values, side: Side) -> int:
        return (ahead(values, self.long_fast, self.long_slow, side) > 0) + (side * values[self.macd_hist] > 0)

    def _room(self, values: Values, side: Side) -> float:
        """Return how much of the RSI's band lies ahead, in [0, 1]; below 0 outside of it."""
        rsi = mirrored(values[self.rsi], side)
        within = self.rsi_min <= rsi <= self.rsi_max
        return (self.rsi_max - rsi) / max(self.rsi_max - self.rsi_min, 1e-9) if within else -1.0

    def _reasons(self, view: View, side: Side) -> tuple[str, ...]:
        now = view.now
        fresh = ahead(view.before, self.fast, self.slow, side) <= 0
        verb = "crossed" if fresh else "is"
        found = [f"{self.fast} {now[self.fast]:.6g} {verb} {word(side)} {self.slow} {now[self.slow]:.6g}"]
        if ahead(now, self.long_fast, self.long_slow, side) > 0:
            long_fast, long_slow = now[self.long_fast], now[self.long_slow]
            found.append(f"{self.long_fast} {long_fast:.6g} is {word(side)} {self.long_slow} {long_slow:.6g}")
        if side * now[self.macd_hist] > 0:
            found.append(f"{self.macd_hist} {now[self.macd_hist]:.3g} is {word(side)} 0")
        found.append(f"{self.rsi} {now[self.rsi]:.1f} leaves room")
        return tuple(found)

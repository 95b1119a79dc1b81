"""Trend following: EMA 9 crosses EMA 20, the slower trend or the MACD confirms it, RSI leaves room.

Setup, for a BUY (a SELL mirrors it): EMA 9 above EMA 20; EMA 50 above EMA 200 or the MACD histogram above 0; RSI 14
from 45 to 70. It fires on the bar that completes the setup: the cross itself, or the confirmation after it.
Stop 1.5 ATR from the entry (the risk, R), first target 1 R, second target 2 R.

Regime: the distance of EMA 20 from EMA 50 in ATR, from TREND_ATR on, is "trend_up" or "trend_down", below it "range".
Confidence: 0.5 + 0.15 where both confirmations hold + 0.15 x strength + 0.15 x room, at most 0.95.
Quality: 10 x (0.3 where both confirmations hold, else 0.1; + 0.4 x strength + 0.3 x room).
Strength is the MACD histogram in the direction of the trade, in ATR, against STRONG_HIST_ATR; room is how far RSI is
from the end of its band. Both are held in [0, 1].
"""

from collections.abc import Mapping

from common.strategies.base import Candidate, Strategy, View

STOP_ATR = 1.5
TARGETS_R = (1.0, 2.0)
RSI_MIN, RSI_MAX = 45.0, 70.0  # for a BUY; a SELL mirrors them at 50
TREND_ATR = 1.0
STRONG_HIST_ATR = 0.25
MIN_ATR_SHARE = 1e-6  # of the price: below, the market stands still and a stop would be inside the spread


def evaluate(view: View) -> Candidate | None:
    """Return the trade whose setup this bar completed."""
    atr = view.now["atr_14"]
    if not atr > abs(view.close) * MIN_ATR_SHARE:
        return None
    for side in (1, -1):
        if _stands(view.now, side) and not _stands(view.before, side):
            return _candidate(view, side, atr)
    return None


def _stands(values: Mapping[str, float], side: int) -> bool:
    """Tell whether the setup holds. side: 1 for BUY, -1 for SELL."""
    crossed = side * (values["ema_9"] - values["ema_20"]) > 0
    return crossed and _confirmations(values, side) > 0 and _room(values, side) >= 0.0


def _confirmations(values: Mapping[str, float], side: int) -> int:
    return (side * (values["ema_50"] - values["ema_200"]) > 0) + (side * values["macd_hist"] > 0)


def _room(values: Mapping[str, float], side: int) -> float:
    """Return how much of the RSI's band lies ahead, in [0, 1]; below 0 outside of it."""
    rsi = values["rsi_14"] if side > 0 else 100.0 - values["rsi_14"]
    return (RSI_MAX - rsi) / (RSI_MAX - RSI_MIN) if RSI_MIN <= rsi <= RSI_MAX else -1.0


def _candidate(view: View, side: int, atr: float) -> Candidate:
    both = _confirmations(view.now, side) == 2
    strength = min(1.0, max(0.0, side * view.now["macd_hist"] / atr / STRONG_HIST_ATR))
    room = _room(view.now, side)
    risk = STOP_ATR * atr
    return Candidate(
        action="BUY" if side > 0 else "SELL",
        entry=view.close,
        stop_loss=view.close - side * risk,
        take_profit_1=view.close + side * TARGETS_R[0] * risk,
        take_profit_2=view.close + side * TARGETS_R[1] * risk,
        confidence=min(0.95, 0.5 + 0.15 * both + 0.15 * strength + 0.15 * room),
        quality=10.0 * ((0.3 if both else 0.1) + 0.4 * strength + 0.3 * room),
        regime=regime(view.now),
        reasons=_reasons(view, side, atr),
    )


def regime(values: Mapping[str, float]) -> str:
    """Return "trend_up", "trend_down" or "range"."""
    distance = values["ema_20"] - values["ema_50"]
    if abs(distance) < TREND_ATR * values["atr_14"]:
        return "range"
    return "trend_up" if distance > 0 else "trend_down"


def _reasons(view: View, side: int, atr: float) -> tuple[str, ...]:
    now, above = view.now, "above" if side > 0 else "below"
    fresh = side * (view.before["ema_9"] - view.before["ema_20"]) <= 0
    found = [f"EMA 9 {now['ema_9']:.6g} {'crossed' if fresh else 'is'} {above} EMA 20 {now['ema_20']:.6g}"]
    if side * (now["ema_50"] - now["ema_200"]) > 0:
        found.append(f"EMA 50 {now['ema_50']:.6g} is {above} EMA 200 {now['ema_200']:.6g}")
    if side * now["macd_hist"] > 0:
        found.append(f"MACD histogram {now['macd_hist']:.3g} is {above} 0")
    found.append(f"RSI 14 {now['rsi_14']:.1f} leaves room")
    found.append(f"stop {STOP_ATR} x ATR 14 {atr:.4g}")
    return tuple(found)


TREND_FOLLOWING = Strategy(
    name="trend_following",
    needs=("ema_9", "ema_20", "ema_50", "ema_200", "macd_hist", "rsi_14", "atr_14"),
    timeframes=("1m", "5m"),
    cooldown_bars=5,
    evaluate=evaluate,
)

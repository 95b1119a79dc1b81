"""From a rule to a strategy: what all of them share, so that their advice can be compared.

A rule says whether its setup stands on one side, and gives three numbers in [0, 1]:

- agreement: how much independent evidence points the same way;
- strength: how far the decisive number is beyond its threshold;
- room: how much of the way lies ahead before the move is exhausted.

Quality = 10 x (0.3 agreement + 0.4 strength + 0.3 room), in [0, 10].
Confidence = 0.5 + 0.15 (agreement + strength + room), in [0.5, 0.95]: a degree of agreement on one scale for all
strategies, not a probability of gain. What a strategy gained on recorded prices is for `make backtest` to say.

Stop: `stop_atr` ATR from the entry (the risk, R); targets `targets_r` R on the other side.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from common.strategies.base import Candidate, Side, Strategy, Values, View
from common.strategies.params import Factor, Output
from common.strategies.regime import Allowed, Classifier, Regime, allows

MIN_ATR_SHARE = 1e-6  # of the price: below, the market stands still and a stop would be inside the spread
MOST_CONFIDENCE = 0.95
SIDES: tuple[Side, ...] = (1, -1)


@dataclass(frozen=True)
class Setup:
    """What a rule found on one side."""

    agreement: float
    strength: float
    room: float
    reasons: tuple[str, ...]


class Rule(Protocol):
    """A rule with its parameters: a frozen dataclass whose fields are the parameters in the file."""

    def setup(self, view: View, side: Side, atr: float) -> Setup | None:
        """Return the setup that this bar completed on this side; None if it did not. atr: of the frame, above 0."""


@dataclass(frozen=True)
class Frame:
    """What every strategy has beside its rule's parameters."""

    timeframes: tuple[str, ...]
    regimes: tuple[Allowed, ...]
    cooldown_bars: int
    atr: Output
    stop_atr: Factor
    targets_r: tuple[float, float]


def unit(value: float) -> float:
    """Return the value held in [0, 1]."""
    return min(1.0, max(0.0, value))


def make_strategy(
    name: str, frame: Frame, rule: Rule, needs: tuple[str, ...], regime: Classifier, lookback_bars: int = 0
) -> Strategy:
    """Return the strategy.

    needs: all outputs that rule, frame and regime name; lookback_bars: the longest of theirs.
    """
    evaluate = _evaluator(frame, rule, regime)
    return Strategy(name, needs, frame.timeframes, frame.cooldown_bars, evaluate, frame.atr, lookback_bars)


def _evaluator(frame: Frame, rule: Rule, classifier: Classifier) -> Callable[[View], Candidate | None]:
    def evaluate(view: View) -> Candidate | None:
        atr = view.now[frame.atr]
        if not atr > abs(view.close) * MIN_ATR_SHARE:
            return None
        regime = classifier.classify(view.now)
        for side in SIDES:
            found = rule.setup(view, side, atr) if allows(frame.regimes, regime, side) else None
            if found is not None:
                return _candidate(frame, view, side, found, (regime, classifier.reason(regime, view.now)))
        return None

    return evaluate


def _candidate(frame: Frame, view: View, side: Side, setup: Setup, regime: tuple[Regime, str]) -> Candidate:
    atr = view.now[frame.atr]
    risk = frame.stop_atr * atr
    first, second = frame.targets_r
    quality = 10.0 * (0.3 * setup.agreement + 0.4 * setup.strength + 0.3 * setup.room)
    return Candidate(
        action="BUY" if side > 0 else "SELL",
        entry=view.close,
        stop_loss=view.close - side * risk,
        take_profit_1=view.close + side * first * risk,
        take_profit_2=view.close + side * second * risk,
        confidence=min(MOST_CONFIDENCE, 0.5 + 0.15 * (setup.agreement + setup.strength + setup.room)),
        quality=min(10.0, quality),
        regime=regime[0],
        reasons=(*setup.reasons, regime[1], f"stop {frame.stop_atr:g} x ATR {atr:.4g}"),
    )


def mirrored(level: float, side: Side) -> float:
    """Return an oscillator of 0 to 100 as a BUY would see it."""
    return level if side > 0 else 100.0 - level


def word(side: Side) -> str:
    """Return on which side of something a BUY (or SELL) wants it."""
    return "above" if side > 0 else "below"


def ahead(values: Values, one: str, other: str, side: Side) -> float:
    """Return how far one output is beyond another, in the direction of the trade."""
    return side * (values[one] - values[other])

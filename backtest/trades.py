"""From signals to trades: filled at the next bar's open, with half the spread and slippage against us at each end.

A trade ends at its stop or its last target, the stop counting where one bar crosses both, or after 24 hours: as the
api judges outcomes. A position is held once for each strategy; signals meanwhile are passed by, and so are those whose
fill is beyond their stop or first target, or after which no bar follows at once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from backtest.history import History
from common.indicators import F64
from common.indicators.anchors import I64
from common.messages import TIMEFRAME_MS, Signal

LONGEST_MS = 24 * 3_600_000


@dataclass(frozen=True)
class Costs:
    """In the price's unit."""

    spread: float
    slippage: float

    @property
    def side(self) -> float:
        """What one fill at the market costs beside the middle price."""
        return self.spread / 2 + self.slippage


@dataclass(frozen=True)
class Trade:
    """One position, from its fill to its end."""

    signal_id: str
    side: int
    first: int
    """Place of the bar at whose open it was filled."""
    last: int
    """Place of the bar in which it ended."""
    entry: float
    exit: float
    risk: float
    """From the signal's entry to its stop: what its size rests on."""
    closed_ms: int
    why: str

    @property
    def r(self) -> float:
        """Gain in multiples of the risk."""
        return self.side * (self.exit - self.entry) / self.risk

    @property
    def gain(self) -> float:
        """Gain as a share of the price at entry, without leverage."""
        return self.side * (self.exit - self.entry) / self.entry


class Market:
    """A history as columns."""

    def __init__(self, history: History) -> None:
        self.length_ms = history.length_ms
        self.open_ms: I64 = history.times()
        self.open, self.high, self.low, self.close = (history.prices(n) for n in ("open", "high", "low", "close"))


def trades_of(signals: Iterable[Signal], market: Market, costs: Costs) -> list[Trade]:
    """Return one strategy's trades. signals: its own, in their order."""
    found: list[Trade] = []
    free_from = 0
    for signal in signals:
        end_ms = signal.bar_open_ms + TIMEFRAME_MS[signal.timeframe]
        place = int(np.searchsorted(market.open_ms, end_ms))
        if place < free_from or place >= len(market.open_ms) or market.open_ms[place] - end_ms >= market.length_ms:
            continue
        trade = _trade(signal, place, market, costs)
        if trade is not None:
            found.append(trade)
            free_from = trade.last + 1
    return found


def _trade(signal: Signal, place: int, market: Market, costs: Costs) -> Trade | None:
    side = 1 if signal.action == "BUY" else -1
    entry = float(market.open[place]) + side * costs.side
    if side * (entry - signal.stop_loss) <= 0 or side * (signal.take_profit_1 - entry) <= 0:
        return None
    until = int(np.searchsorted(market.open_ms, market.open_ms[place] + LONGEST_MS))
    last, price, why = _end(signal, side, slice(place, until), market, costs)
    risk = abs(signal.entry - signal.stop_loss)
    closed_ms = int(market.open_ms[last]) + market.length_ms
    return Trade(signal.id, side, place, last, entry, price, risk, closed_ms, why)


def _end(signal: Signal, side: int, span: slice, market: Market, costs: Costs) -> tuple[int, float, str]:
    """Return the place, price and reason of a position's end. A BUY is closed at the bid, a SELL at the ask."""
    half = costs.spread / 2
    against, along = (market.low, market.high) if side > 0 else (market.high, market.low)
    stopped = _first(side * (against[span] - side * half - signal.stop_loss) <= 0)
    reached = _first(side * (along[span] - side * half - signal.take_profit_2) >= 0)
    if stopped is not None and (reached is None or stopped <= reached):
        place = span.start + stopped
        gapped = float(market.open[place]) - side * half  # a market that opens beyond the stop fills there
        price = min(side * gapped, side * signal.stop_loss) * side
        return place, price - side * costs.slippage, "stop"
    if reached is not None:
        return span.start + reached, signal.take_profit_2, "target"
    return span.stop - 1, float(market.close[span.stop - 1]) - side * costs.side, "time"


def _first(hits: "np.typing.NDArray[np.bool_]") -> int | None:
    place = int(np.argmax(hits))
    return place if hits[place] else None


def gains(trades: Sequence[Trade]) -> F64:
    """Return each trade's gain in R."""
    return np.array([trade.r for trade in trades])

"""What a list of trades is worth, and whether it is more than chance.

All chance here is seeded: the same trades give the same figures.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backtest.trades import Costs, Market, Trade, gains
from common.indicators import F64

RESAMPLES = 4_000
LEVEL = 0.05
FEWEST_TRADES = 30  # below, the bootstrap's interval is of the sample, not of the strategy
_SEED = 20_220_117


@dataclass(frozen=True)
class Figures:
    """One strategy on one history."""

    trades: int
    hit_rate: float
    expectancy_r: float
    low_r: float
    """Lower end of the expectancy's 95 % interval, by bootstrap."""
    high_r: float
    profit_factor: float
    """Gains over losses; infinite without a loss."""
    drawdown_r: float
    """The deepest fall of the sum of R from its highest point."""
    exposure: float
    """Share of the bars in which it held a position."""
    gain: float
    """Sum of the trades' gains without leverage, as shares of the price."""
    random_gain: float
    """Mean of the same for as many random entries of the same sides, lengths and costs."""
    random_beats: float
    """Share of random runs that gained as much, or more."""
    splits_r: tuple[float | None, ...]
    """Expectancy in each stretch of the history, in their order; None without trades there."""
    verdict: str


def figures(trades: Sequence[Trade], market: Market, costs: Costs, splits: int, tests: int) -> Figures:
    """Return the figures of one strategy. tests: how many strategies on how many histories are judged together."""
    r = gains(trades)
    if not len(r):
        empty = (0.0,) * 5
        return Figures(0, 0.0, 0.0, 0.0, 0.0, *empty, 1.0, (None,) * splits, "no trades")
    means = resampled_means(r)
    low_r, high_r = np.quantile(means, (LEVEL / 2, 1 - LEVEL / 2))
    gain = sum(trade.gain for trade in trades)
    random = random_gains(trades, market, costs)
    beats = (1 + int(np.sum(random >= gain))) / (1 + len(random))
    by_split = split_means(trades, market, splits)
    sure_low_r = float(np.quantile(means, LEVEL / 2 / max(1, tests)))
    return Figures(
        trades=len(r),
        hit_rate=float(np.mean(r > 0)),
        expectancy_r=float(np.mean(r)),
        low_r=float(low_r),
        high_r=float(high_r),
        profit_factor=profit_factor(r),
        drawdown_r=drawdown(r),
        exposure=sum(trade.last - trade.first + 1 for trade in trades) / len(market.open_ms),
        gain=gain,
        random_gain=float(np.mean(random)),
        random_beats=beats,
        splits_r=by_split,
        verdict=verdict(len(r), sure_low_r, beats * max(1, tests), by_split),
    )


def verdict(trades: int, sure_low_r: float, corrected_beats: float, splits_r: Sequence[float | None]) -> str:
    """Return in words whether there is an edge.

    sure_low_r, corrected_beats: after the correction for the number of tests (Bonferroni): of many strategies one is
    good by chance.
    """
    if trades < FEWEST_TRADES:
        return f"too few trades to tell (fewer than {FEWEST_TRADES})"
    if sure_low_r <= 0:
        return "NO EDGE on this data: the expectancy may well be 0 or less"
    if corrected_beats >= LEVEL:
        return "NO EDGE on this data: random entries do as well"
    if sum(1 for one in splits_r if one is not None and one > 0) * 2 <= len(splits_r):
        return "NO EDGE on this data: the gain is from one stretch of it"
    return "an edge on this data, which is no promise for other data"


def resampled_means(r: F64) -> F64:
    """Return the means of resamples, each as long as the sample."""
    rng = np.random.default_rng(_SEED)
    return np.array([np.mean(r[rng.integers(0, len(r), len(r))]) for _ in range(RESAMPLES)])


def profit_factor(r: F64) -> float:
    """Return the sum of gains over the sum of losses."""
    lost = -float(np.sum(r[r < 0]))
    return float(np.sum(r[r > 0])) / lost if lost > 0 else float("inf")


def drawdown(r: F64) -> float:
    """Return the deepest fall of the sum from its highest point, 0 at the start included."""
    total = np.concatenate(([0.0], np.cumsum(r)))
    return float(np.max(np.maximum.accumulate(total) - total))


def random_gains(trades: Sequence[Trade], market: Market, costs: Costs) -> F64:
    """Return the gains of random runs: as many entries, on the same sides, held as many bars, at the same costs."""
    rng = np.random.default_rng(_SEED)
    total = np.zeros(RESAMPLES)
    for trade in trades:
        bars = trade.last - trade.first
        first = rng.integers(0, len(market.open) - bars, RESAMPLES)
        moved = market.close[first + bars] - market.open[first]
        total += (trade.side * moved - 2 * costs.side) / market.open[first]
    return total


def split_means(trades: Sequence[Trade], market: Market, splits: int) -> tuple[float | None, ...]:
    """Return the expectancy in each of so many stretches of equally many bars, by the bar of entry."""
    ends = [len(market.open_ms) * (n + 1) // splits for n in range(splits)]
    by_split: list[list[float]] = [[] for _ in range(splits)]
    for trade in trades:
        by_split[next(n for n, end in enumerate(ends) if trade.first < end)].append(trade.r)
    return tuple(float(np.mean(one)) if one else None for one in by_split)


def buy_and_hold(market: Market, costs: Costs) -> float:
    """Return the gain of one BUY from the first open to the last close, with its costs."""
    return float((market.close[-1] - market.open[0] - 2 * costs.side) / market.open[0])

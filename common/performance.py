"""What reported trades came to: pure. What nobody reported, and can't be told from prices, is None."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Trade:
    """One reported fill and its end."""

    trade_id: str
    strategy: str
    symbol: str
    opened_ms: int
    closed_ms: int | None = None
    """None: it is open."""
    won: bool | None = None
    """None: nobody knows."""
    pnl: float | None = None
    """In account currency; None: not known."""
    estimated: bool = False
    """Whether `pnl` follows from the prices and not from a report: without spread, commission and swap."""


@dataclass(frozen=True)
class Performance:
    """Figures of some trades; money in account currency, over the closed trades whose result is known."""

    trades: int
    open: int
    wins: int
    losses: int
    unknown: int
    """Closed, but nobody knows how. One that ended where it began is known, and neither won nor lost."""
    estimated: int
    hit_rate: float | None
    """Wins of all whose outcome is known."""
    net: float | None
    expectancy: float | None
    """Mean result of a trade."""
    profit_factor: float | None
    """What was won over what was lost; None without a loss."""
    max_drawdown: float | None
    """Largest fall of the summed results from their highest point (at least 0), in order of closing."""


def performance_of(trades: Iterable[Trade]) -> Performance:
    """Return the figures of trades, in whatever order they stand."""
    every = tuple(trades)
    closed = sorted((t for t in every if t.closed_ms is not None), key=lambda t: (t.closed_ms, t.trade_id))
    wins, losses = sum(t.won is True for t in closed), sum(t.won is False for t in closed)
    results = [t.pnl for t in closed if t.pnl is not None]
    return Performance(
        trades=len(every),
        open=len(every) - len(closed),
        wins=wins,
        losses=losses,
        unknown=sum(t.won is None and t.pnl is None for t in closed),
        estimated=sum(t.estimated for t in closed),
        hit_rate=wins / (wins + losses) if wins + losses else None,
        net=sum(results) if results else None,
        expectancy=sum(results) / len(results) if results else None,
        profit_factor=_profit_factor(results),
        max_drawdown=_max_drawdown(results),
    )


def _profit_factor(results: Sequence[float]) -> float | None:
    lost = -sum(result for result in results if result < 0)
    return sum(result for result in results if result > 0) / lost if lost else None


def _max_drawdown(results: Sequence[float]) -> float | None:
    if not results:
        return None
    total = highest = deepest = 0.0
    for result in results:
        total += result
        highest = max(highest, total)
        deepest = max(deepest, highest - total)
    return deepest

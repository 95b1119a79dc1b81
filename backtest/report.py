"""The report: one block for each history, one line for each strategy, in words what it means."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from backtest.figures import Figures
from backtest.trades import Costs, Trade
from backtest.walk import Forward
from backtest.walk_report import forward_lines


@dataclass(frozen=True)
class Result:
    """One strategy on one history."""

    strategy: str
    figures: Figures
    trades: tuple[Trade, ...]


@dataclass(frozen=True)
class Tested:
    """One history, tested."""

    name: str
    symbol: str
    bars: int
    from_ms: int
    to_ms: int
    costs: Costs
    digits: int
    signals: int
    hold: float
    """Gain of buying at the first open and holding to the last close."""
    peeked: tuple[str, ...]
    """Signals that rest on what came after them."""
    results: tuple[Result, ...]
    forward: Forward | None = None
    """None: nothing was walked."""


HEAD = (
    f"{'strategy':<20} {'trades':>6} {'hits':>6} {'R/trade':>8} {'95 % interval':>18} {'factor':>7} {'drawdown':>9}"
    f" {'in market':>9} {'gain':>8} {'random':>8} {'beaten by':>9}  by stretch (R/trade)"
)


def lines(tested: Sequence[Tested]) -> Iterator[str]:
    """Return the report."""
    for one in tested:
        yield from _block(one)
        yield ""
    yield from _summary(tested)


def _block(one: Tested) -> Iterator[str]:
    digits = one.digits + 1
    yield (
        f"{one.symbol}  {one.name}: {one.bars} bars, {day(one.from_ms)} to {day(one.to_ms)}; {one.signals} signals;"
        f" spread {one.costs.spread:.{digits}f}, slippage {one.costs.slippage:.{digits}f} a fill"
    )
    yield f"  buy and hold: {one.hold:+.2%}"
    if one.peeked:
        yield f"  INVALID: {len(one.peeked)} signals rest on what came after them, such as {one.peeked[0]}"
    yield f"  {HEAD}"
    for result in one.results:
        yield f"  {_line(result.strategy, result.figures)}"
        yield f"  {'':<20} {result.figures.verdict}"
    if one.forward is not None:
        yield from forward_lines(one.forward)


def _line(name: str, f: Figures) -> str:
    if not f.trades:
        return f"{name:<20} {0:>6}"
    interval = f"{f.low_r:+.3f} to {f.high_r:+.3f}"
    stretches = "  ".join("    -" if one is None else f"{one:+.2f}" for one in f.splits_r)
    return (
        f"{name:<20} {f.trades:>6} {f.hit_rate:>6.1%} {f.expectancy_r:>+8.3f} {interval:>18} {f.profit_factor:>7.2f}"
        f" {f.drawdown_r:>7.1f} R {f.exposure:>9.1%} {f.gain:>+8.2%} {f.random_gain:>+8.2%} {f.random_beats:>9.1%}"
        f"  {stretches}"
    )


def _summary(tested: Sequence[Tested]) -> Iterator[str]:
    results = [result for one in tested for result in one.results]
    edges = [r for r in results if r.figures.verdict.startswith("an edge")]
    yield f"{len(edges)} of {len(results)} combinations of strategy and history show an edge on their data."
    if not edges:
        yield "NO STRATEGY HAS AN EDGE ON THIS DATA. Do not trade these signals with real money on its strength."
    yield (
        "Nothing was fitted to these files by this run: every stretch is out of sample for it. Whoever changes"
        " parameters after reading this has fitted them, and needs other files; so does a choice by the walk-forward's"
        " figures. Gains are without leverage."
    )


def day(at_ms: int) -> str:
    """Return a date."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d")

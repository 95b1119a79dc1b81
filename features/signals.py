"""From a closed bar to a signal: when no strategy is asked, which of several candidates is published, and as what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from common.messages import SUSPECT_BELOW, Bar, Signal
from common.strategies import Candidate, Strategy, View
from common.symbols import Symbol

MAX_AGE_MS = 30_000
"""Age of the bar's last quote when it closes, above which the market was silent or the source is behind."""
MAX_HOLE_BARS = 3
"""Missing bars of open market time, above which a price jump is no trend, nor what averages make of it."""
MAX_SPREAD_ATR = 0.25
"""Spread above which a trade begins with a sixth of its risk lost (the stop is 1.5 ATR away). docs/decisions/0012."""


@dataclass(frozen=True)
class Closed:
    """One bar that just closed, and its lane after it."""

    bar: Bar
    score: float
    """Mean quality of its quotes."""
    age_ms: int
    hole_bars: int
    delay_ms: int
    values: Mapping[str, float]
    """Those that are ready."""
    previous: Mapping[str, float]
    spread: float | None = None
    """Of the newest quote in the bar with bid and ask; None: its sources give none."""
    changed: bool = False
    """Another class began to feed the series, and not all lanes that strategies look at have warmed up since."""


@dataclass(frozen=True)
class Proposal:
    """A candidate with what it came from."""

    strategy: Strategy
    closed: Closed
    candidate: Candidate


def withheld(closed: Closed) -> str | None:
    """Return why no strategy may look at this bar, as a slug; None if one may."""
    if closed.delay_ms > 0:
        return "delayed"
    if closed.changed:
        return "series_changed"
    if not closed.bar.complete:
        return "incomplete_bar"
    if closed.age_ms > MAX_AGE_MS:
        return "stale"
    if closed.score < SUSPECT_BELOW:
        return "suspect"
    if closed.hole_bars > MAX_HOLE_BARS:
        return "after_a_hole"
    return None


def propose(strategy: Strategy, closed: Closed, timeframe_ms: int, last_signal_ms: int | None) -> Proposal | None:
    """Return the strategy's candidate. last_signal_ms: open time of the bar of its last signal on this lane."""
    if last_signal_ms is not None and closed.bar.open_ms - last_signal_ms <= strategy.cooldown_bars * timeframe_ms:
        return None
    if not has_needs(strategy, closed):
        return None
    bar = closed.bar
    view = View(bar.timeframe, bar.open, bar.high, bar.low, bar.close, closed.values, closed.previous)
    candidate = strategy.evaluate(view)
    return Proposal(strategy, closed, candidate) if candidate is not None else None


def has_needs(strategy: Strategy, closed: Closed) -> bool:
    """Tell whether all values that the strategy rests on are there and have converged."""
    return all(name in closed.values and name in closed.previous for name in strategy.needs)


def dropped(proposal: Proposal, hole_bars: int) -> str | None:
    """Return why a proposal must not be published, as a slug; None if it may.

    hole_bars: the longest hole, in bars of open market time, within what the strategy's values look back on.
    """
    if hole_bars > MAX_HOLE_BARS:
        return "hole_in_lookback"
    spread, atr = proposal.closed.spread, proposal.closed.values[proposal.strategy.atr]
    if spread is not None and not 0.0 <= spread <= MAX_SPREAD_ATR * atr:
        return "wide_spread"
    return None


def best(proposals: Sequence[Proposal]) -> Proposal:
    """Return the one to publish of a symbol's proposals: by quality, then confidence, then the order of evaluation."""
    return max(proposals, key=lambda p: (p.candidate.quality, p.candidate.confidence))


def publish(proposal: Proposal, symbol: Symbol, now_ms: int, expiry_ms: int) -> Signal | None:
    """Return the signal, its prices in the symbol's digits; None where those leave no room between the prices."""
    c, bar = proposal.candidate, proposal.closed.bar
    entry, stop, first, second = (
        round(price, symbol.digits) for price in (c.entry, c.stop_loss, c.take_profit_1, c.take_profit_2)
    )
    rising = (stop, entry, first, second) if c.action == "BUY" else (second, first, entry, stop)
    if not 0 < rising[0] < rising[1] < rising[2] < rising[3]:
        return None
    return Signal(
        id=f"{bar.symbol}|{bar.timeframe}|{proposal.strategy.name}|{bar.open_ms}",
        symbol=bar.symbol,
        timeframe=bar.timeframe,
        strategy=proposal.strategy.name,
        bar_open_ms=bar.open_ms,
        action=c.action,
        entry=entry,
        stop_loss=stop,
        take_profit_1=first,
        take_profit_2=second,
        confidence=round(c.confidence, 4),
        quality=round(c.quality, 2),
        regime=c.regime,
        reasons=c.reasons,
        published_ms=now_ms,
        expires_ms=now_ms + expiry_ms,
        data_age_ms=proposal.closed.age_ms,
        atr=proposal.closed.values[proposal.strategy.atr],
        source=bar.source,
        source_class=bar.source_class,
        values=dict(proposal.closed.values),
        data_score=round(proposal.closed.score, 4),
        spread=proposal.closed.spread,
    )

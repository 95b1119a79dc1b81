"""Proof that signals rest on the past alone: with another future, they are the same up to then."""

from collections.abc import Callable, Sequence

import numpy as np

from backtest.history import FileBar
from common.messages import Signal

Signals = Callable[[Sequence[FileBar]], Sequence[Signal]]
"""Runs bars through an engine."""
CUTS_EACH = 3
"""Signals of each strategy after whose bars the future is changed."""
FUTURE_BARS = 20


def peeks(signals: Signals, bars: Sequence[FileBar], length_ms: int) -> list[str]:
    """Return ids of signals that come, or don't, by what follows them; empty where all rest on the past.

    After the bar of some signals of each strategy the market is turned upside down. What was published by then must
    come out again, all of it and nothing else.
    """
    found = signals(bars)
    open_ms = np.array([bar.open_ms for bar in bars])
    differing: set[str] = set()
    for published_ms in sorted(_moments(found)):
        cut = int(np.searchsorted(open_ms + length_ms, published_ms, side="right"))
        expected = {repr(signal) for signal in found if signal.published_ms <= published_ms}
        came = {repr(s): s for s in signals(turned_after(bars, cut)) if s.published_ms <= published_ms}
        differing |= {s.id for text, s in came.items() if text not in expected}
        differing |= {s.id for s in found if s.published_ms <= published_ms and repr(s) not in came}
    return sorted(differing)


def _moments(found: Sequence[Signal]) -> set[int]:
    """Return when the first few signals of each strategy were published."""
    by_strategy: dict[str, list[int]] = {}
    for signal in found:
        by_strategy.setdefault(signal.strategy, []).append(signal.published_ms)
    return {at for moments in by_strategy.values() for at in moments[:CUTS_EACH]}


def turned_after(bars: Sequence[FileBar], cut: int) -> list[FileBar]:
    """Return the first bars as they are, and a few of those from `cut` on turned upside down about the last close."""
    about = bars[cut - 1].close ** 2
    turned = [
        bar._replace(open=about / bar.open, high=about / bar.low, low=about / bar.high, close=about / bar.close)
        for bar in bars[cut : cut + FUTURE_BARS]
    ]
    return [*bars[:cut], *turned]

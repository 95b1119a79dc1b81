"""Which symbols to ask a source for now, so that its budget lasts: the one place where budgets are spread.

The rule is simple and fair: a source's budget is spread evenly over its windows (a call costs its share of time, and
the next one waits for it), and when it can't carry all symbols the stalest go first.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from collector.quota import QuotaView
from collector.vendors.base import Ask

# So long a symbol waits for a source that is preferred and soon due, before it goes to the next one.
PATIENCE_MS = 15_000


class Turn(StrEnum):
    """Whether it is a source's turn."""

    NOW = "now"
    SOON = "soon"
    """By the even spread, within patience: the symbol stays with this source."""
    LATER = "later"
    """By the even spread, beyond patience: another source goes first, if one can be asked."""
    EXHAUSTED = "exhausted"
    """Not within its even spread."""


def turn(quota: QuotaView, spacing_ms: int, now_ms: int) -> Turn:
    """Return whether the source may be asked now, soon, later, or not in its regular time."""
    if quota.room_ms is None or quota.room_ms > now_ms + spacing_ms:
        return Turn.EXHAUSTED
    wait_ms = max(quota.room_ms, quota.next_ms) - now_ms
    if wait_ms <= 0:
        return Turn.NOW
    return Turn.SOON if wait_ms <= PATIENCE_MS else Turn.LATER


def affordable(
    asks: Sequence[Ask], quota: QuotaView, last_asked_ms: Mapping[str, int], *, per_symbol: bool
) -> tuple[Ask, ...]:
    """Return the asks that the budget carries now, in their order: the stalest, if not all.

    last_asked_ms: symbol -> when this source was last asked for it; absent is stalest of all.
    """
    left = quota.remaining
    if left is None or not per_symbol:
        return tuple(asks)
    by_age = sorted(asks, key=lambda ask: last_asked_ms.get(ask.symbol, 0))
    chosen = {ask.symbol for ask in by_age[:left]}
    return tuple(ask for ask in asks if ask.symbol in chosen)

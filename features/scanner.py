"""Of all that the strategies propose for one symbol at one moment, on all its timeframes: what is published.

Never BUY and SELL at once:

- Proposals on both sides in one moment: the better one by quality stands if it is better by CLEAR_QUALITY or more.
  Where it is not, the evidence contradicts itself, and none stands.
- A proposal against a signal that has not expired is never published: whoever acted on the signal would be told to
  turn within its life. If it is worse than the signal by CLEAR_QUALITY or more, the signal stands; else both are
  dropped: the signal is withdrawn, and bars the other side until it would have expired.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from common.strategies import Action
from features.signals import Proposal, best, dropped
from features.state import Live

CLEAR_QUALITY = 1.0
"""By how much one side must be better, of 10: a third of what the least of the scale's three parts is worth."""
CONFLICT = "conflict"


class Resolution(NamedTuple):
    """What becomes of a symbol's proposals."""

    chosen: Proposal | None
    withdraw: bool
    """The signal that has not expired is to be served no longer."""


def sift(found: Sequence[Proposal], longest_hole_bars: Callable[[int], int], lost: list[str]) -> list[Proposal]:
    """Return the proposals that may be published; add to `lost` why the others may not.

    longest_hole_bars: tells the longest hole within so many bars before the last one of the lane.
    """
    why = [dropped(proposal, longest_hole_bars(proposal.strategy.lookback_bars)) for proposal in found]
    lost += [slug for slug in why if slug is not None]
    return [proposal for proposal, slug in zip(found, why, strict=True) if slug is None]


def resolve(proposals: Sequence[Proposal], live: Live | None, now_ms: int) -> Resolution:
    """Return what to publish of at least one proposal. live: the symbol's last signal."""
    chosen = best(proposals)
    contested = _contested(chosen, proposals)
    if live is None or live.expires_ms <= now_ms:
        return Resolution(None if contested else chosen, withdraw=False)
    against = [p for p in proposals if p.candidate.action != live.action]
    withdraw = bool(against) and best(against).candidate.quality > live.quality - CLEAR_QUALITY
    stands = not contested and not withdraw and chosen.candidate.action == live.action
    return Resolution(chosen if stands else None, withdraw)


def _contested(chosen: Proposal, proposals: Sequence[Proposal]) -> bool:
    others = [p for p in proposals if p.candidate.action != _side(chosen)]
    return bool(others) and chosen.candidate.quality - best(others).candidate.quality < CLEAR_QUALITY


def _side(proposal: Proposal) -> Action:
    return proposal.candidate.action

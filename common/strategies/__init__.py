"""Strategies: from the values of a closed bar and the one before it to a candidate for a signal, or None."""

from common.strategies.base import Action, Candidate, Strategy, View
from common.strategies.trend import TREND_FOLLOWING

STRATEGIES: tuple[Strategy, ...] = (TREND_FOLLOWING,)
"""All that run, in the order that breaks ties."""

__all__ = ["STRATEGIES", "TREND_FOLLOWING", "Action", "Candidate", "Strategy", "View"]

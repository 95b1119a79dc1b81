"""Strategies: from the values of a closed bar and the one before it to a candidate for a signal, or None."""

from common.strategies.base import Action, Candidate, Side, Strategy, Values, View
from common.strategies.regime import REGIMES, Classifier, allows
from common.strategies.rules import Frame, Rule, Setup, make_strategy
from common.strategies.strategy_file import RULES, LaneOutputs, load_strategies, parse_strategies

__all__ = [
    "REGIMES",
    "RULES",
    "Action",
    "Candidate",
    "Classifier",
    "Frame",
    "LaneOutputs",
    "Rule",
    "Setup",
    "Side",
    "Strategy",
    "Values",
    "View",
    "allows",
    "load_strategies",
    "make_strategy",
    "parse_strategies",
]

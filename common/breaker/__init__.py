"""Circuit breakers: when a source that fails is left alone, and how it is found out that it works again."""

from common.breaker.client import Breaker, Caller, Draw, force_command, forced
from common.breaker.stored import changes_of, view_of
from common.breaker.values import Admission, BreakerView, Force, Reason, Rules, State, Transition

__all__ = [
    "Admission", "Breaker", "BreakerView", "Caller", "Draw", "Force", "Reason", "Rules", "State", "Transition",
    "changes_of", "force_command", "forced", "view_of",
]  # fmt: skip

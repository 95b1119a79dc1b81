"""Whose turn it is, for one symbol and one source: the one place where budgets are shared out. Pure.

A source's budget is spread evenly (collector/pace.py): each call in turn puts the next turn off. For a symbol that
several sources of one class quote:

- The preferred one that can serve is asked whenever its turn comes.
- The others fill in between: in its turn, a source is asked once the price is as old as the time until the next source
  will bring one anyway (the middle of the gap, where a call helps most), or as old as its own round.
- A source that comes round ten times more rarely than that gap would hardly be noticed: it is left alone, and its
  budget is there for standing in and for checks.
- Where the preferred sources fail, another one is asked at once, out of turn, from its reserve: of those whose turn
  it is not the one that can bear it best, and faster than usual, as long as the reserve has something left.
- A price that is pushed is asked for rarely, in turn, to check it: rather at another source than the one that pushes.
"""

from collections.abc import Sequence
from typing import Protocol

from collector.limits import Purpose
from collector.pace import Course, Pace
from collector.quota_model import QuotaView

CHECK_EVERY_MS = 600_000
KEPT_ROUNDS = 10
# So long a turn is left to another process whose symbols have waited longer at this source.
YIELD_MS = 2_000

PERMANENT = frozenset({"", "no_key", "unknown", "bad_key", "not_entitled", "unknown_symbol"})
"""Why a source does not serve a symbol at all: nobody needs to stand in for what it never brought."""


class Budgeted(Protocol):
    """What sharing out needs of a source."""

    @property
    def quota(self) -> QuotaView: ...
    @property
    def course(self) -> Course: ...
    @property
    def pace(self) -> Pace: ...


def wait_ms(source: Budgeted, now_ms: int) -> int | None:
    """Return how long it is to the source's turn; 0: now. None: never, its counter is lost."""
    turn_ms = source.quota.turn_ms
    return None if turn_ms is None else max(0, turn_ms - now_ms)


def is_spent(source: Budgeted, now_ms: int) -> bool:
    """Return whether the source can't be asked now, nor in its turn: its budget was used up before its time."""
    wait = wait_ms(source, now_ms)
    return wait is None or (wait > source.pace.round_ms and source.quota.left(Purpose.FAILOVER) == 0)


def fills_in(source: Budgeted, others: Sequence[Budgeted], age_ms: int, now_ms: int) -> bool:
    """Return whether a source whose turn it is, and which is not the preferred one, serves a symbol of that age.

    others: the other sources that can serve the symbol.
    """
    waits = [wait for other in others if (wait := wait_ms(other, now_ms))]
    if not waits:
        return age_ms >= source.pace.round_ms
    if source.pace.round_ms > KEPT_ROUNDS * (age_ms + min(waits)):
        return False
    return age_ms >= min(*waits, source.pace.round_ms)


def stands_in(source: Budgeted, age_ms: int, *, at_once: bool) -> bool:
    """Return whether a source is asked out of turn for a symbol whose preferred sources fail.

    at_once: one of them has failed just now.
    """
    usages = [usage for usage in source.quota.usages if usage.window.reserve]
    if not usages or source.quota.left(Purpose.FAILOVER) == 0 or any(usage.reserve_left == 0 for usage in usages):
        return False
    return at_once or age_ms >= source.pace.hurried_ms

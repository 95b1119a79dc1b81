"""What makes a gap: which bars were to be expected, what an answer of a vendor says of one, when to ask again."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Literal, NamedTuple

from common.messages import BackfillRequest
from common.sessions import is_open, next_open_ms
from storer.backfill import DAY_MS, MINUTE_MS, REACH_MS, Lane, backfill

State = Literal["missing", "repaired", "no_trade", "unreachable"]

# A vendor's history follows the market by a minute or more; then failures stretch the distance.
WAITS_MS = (MINUTE_MS, 5 * MINUTE_MS, 30 * MINUTE_MS, 120 * MINUTE_MS, 360 * MINUTE_MS, DAY_MS)

# How far to look for the neighbours of a gap: past the longest closed time, a weekend with holidays on both sides.
NEIGHBOURS_MS = 5 * DAY_MS


class Watched(NamedTuple):
    """A lane that the ledger looks after."""

    lane: Lane
    session: str
    delay_ms: int
    """How late its quotes come by contract."""


class Gap(NamedTuple):
    """Bars that were expected in [from_ms, to_ms); closed time inside doesn't count."""

    from_ms: int
    to_ms: int
    state: State
    attempts: int
    found_ms: int
    next_attempt_ms: int | None
    """None where nothing is left to do."""


def expected(watched: Watched, from_ms: int, to_ms: int) -> Iterator[int]:
    """Yield the open times of all bars in [from_ms, to_ms) during which the market trades."""
    bar_ms = watched.lane.bar_ms
    open_ms = -(-from_ms // bar_ms) * bar_ms
    while open_ms < to_ms:
        if not is_open(watched.session, open_ms):
            opening_ms = next_open_ms(watched.session, open_ms) // bar_ms * bar_ms
            open_ms = max(opening_ms, open_ms)
            if open_ms >= to_ms:
                return
        yield open_ms
        open_ms += bar_ms


def as_gaps(slots: Iterable[tuple[int, State]], bar_ms: int, like: Gap) -> list[Gap]:
    """Return one gap for each run of slots of the same state; `like` gives the rest. Slots: open times, ascending."""
    gaps = []
    for state, run in groupby(slots, key=lambda slot: slot[1]):
        opens = [open_ms for open_ms, _ in run]
        again_ms = like.next_attempt_ms if state == "missing" else None
        gaps.append(Gap(opens[0], opens[-1] + bar_ms, state, like.attempts, like.found_ms, again_ms))
    return gaps


def state_of(open_ms: int, present: set[int], answered: Sequence[int], oldest_ms: int) -> State:
    """Return what is known of one expected bar.

    answered: the open times in a vendor's answer: a bar that is missing between two of them did not trade.
    oldest_ms: how far back vendors reach.
    """
    if open_ms in present:
        return "repaired"
    if answered and answered[0] < open_ms < answered[-1]:
        return "no_trade"
    return "unreachable" if open_ms < oldest_ms else "missing"


def oldest_reachable(lane: Lane, now_ms: int) -> int:
    """Return the open time before which no vendor has bars of this timeframe."""
    return now_ms - REACH_MS[lane.timeframe]


def tried(gap: Gap, now_ms: int) -> Gap:
    """Return the gap after one more attempt to fill it."""
    wait_ms = WAITS_MS[min(gap.attempts, len(WAITS_MS) - 1)]
    return gap._replace(attempts=gap.attempts + 1, next_attempt_ms=now_ms + wait_ms)


def repair_request(watched: Watched, gaps: Sequence[Gap], now_ms: int) -> BackfillRequest | None:
    """Return one request for all the gaps of a lane, with the neighbours that tell a silent bar from an untold one."""
    from_ms, to_ms = gaps[0].from_ms, gaps[-1].to_ms
    before = list(expected(watched, from_ms - NEIGHBOURS_MS, from_ms))
    after_ms = next(expected(watched, to_ms, to_ms + NEIGHBOURS_MS), to_ms) + watched.lane.bar_ms
    from_ms = max(before[-1] if before else from_ms, oldest_reachable(watched.lane, now_ms))
    return backfill(f"gap{gaps[0].attempts + 1}", watched.lane, from_ms, min(after_ms, now_ms))

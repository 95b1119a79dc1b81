"""What makes a gap: which bars were to be expected, what an answer of a vendor says of one, when to ask again."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Literal, NamedTuple

from common.messages import TIMEFRAME_MS, BackfillRequest, Timeframe
from common.messages.quotes import REPAIR
from common.sessions import expected_opens
from storer.backfill import DAY_MS, MINUTE_MS, REACH_MS, Lane, backfill

State = Literal["missing", "repaired", "no_trade", "unrepairable"]

# A vendor's newest minute may not be served yet: seconds at first; then failures stretch the distance.
WAITS_MS = (
    10_000, 30_000, 2 * MINUTE_MS, 5 * MINUTE_MS, 30 * MINUTE_MS, 120 * MINUTE_MS, 360 * MINUTE_MS, DAY_MS,
)  # fmt: skip
# A few bars may be missing for want of trades. A lane that was asked for lately waits with them: budgets are small.
SMALL_BARS = 5
PAUSE_SMALL_MS = MINUTE_MS
# How far to look for the neighbours of a gap: past the longest closed time, a weekend with holidays on both sides.
NEIGHBOURS_MS = 5 * DAY_MS
# Gaps further apart than this are asked for one by one, so many at a time.
APART_BARS = 500
AT_ONCE = 4

OWN = "own quotes"
"""Source of a bar that came late by itself."""
FINER = "finer bars"
"""Source of a bar that was put together from repaired ones of a shorter timeframe."""

PART = "built from part of its quotes"
NO_HISTORY = "no vendor keeps history of this class"
TOO_OLD = "older than any vendor's history"
VENDORS_LACK_IT = "no vendor has it; ours is built from part of its quotes"
NOBODY_HAS_IT = "every vendor was asked, none has it"


class Watched(NamedTuple):
    """A lane that the ledger looks after."""

    lane: Lane
    session: str
    delay_ms: int
    """How late its quotes come by contract."""
    finest: Timeframe = "1m"
    """The shortest timeframe that is watched: what holes are told by."""
    history: bool = True
    """Whether any vendor keeps history of it."""

    @property
    def is_finest(self) -> bool:
        """Tell whether this is the lane that holes are told by."""
        return self.lane.timeframe == self.finest

    @property
    def finest_ms(self) -> int:
        """Return the length of the shortest bars watched."""
        return TIMEFRAME_MS[self.finest]

    def expected(self, from_ms: int, to_ms: int) -> Iterable[int]:
        """Return the open times of the bars to be expected in [from_ms, to_ms)."""
        return expected_opens(self.session, self.lane.bar_ms, from_ms, to_ms)


class Gap(NamedTuple):
    """Bars that were expected in [from_ms, to_ms); closed time inside doesn't count."""

    from_ms: int
    to_ms: int
    bars: int
    """How many were expected."""
    state: State
    partial: bool
    """There are bars, but built from part of their quotes."""
    attempts: int
    found_ms: int
    next_attempt_ms: int | None
    """None where nothing is left to do."""
    closed_ms: int | None
    """When it stopped being missing."""
    source: str
    """Where the bars, or the word that there are none, came from."""
    detail: str


def found_now(now_ms: int) -> Gap:
    """Return what all gaps that are found now have in common."""
    return Gap(0, 0, 0, "missing", partial=False, attempts=0, found_ms=now_ms, next_attempt_ms=now_ms, closed_ms=None,
               source="", detail="")  # fmt: skip


class Held(NamedTuple):
    """What is stored of one bar."""

    origin: str
    complete: bool
    source: str
    repaired: bool

    @property
    def good(self) -> bool:
        """Tell whether it holds all that happened in its time."""
        return self.complete or self.origin == "vendor"


class Slot(NamedTuple):
    """What is known of one expected bar."""

    open_ms: int
    state: State | Literal["present", "elsewhere"]
    """elsewhere: another row of the ledger says what it is, or it is on its way."""
    partial: bool = False
    source: str = ""
    detail: str = ""


def as_gaps(slots: Iterable[Slot], bar_ms: int, like: Gap, now_ms: int) -> list[Gap]:
    """Return one gap for each run of slots of which the same is known; `like` gives the rest. Slots: ascending."""
    gaps = []
    for (state, partial, source, detail), run in groupby(slots, key=lambda slot: slot[1:]):
        if state in ("present", "elsewhere"):
            continue
        opens = [slot.open_ms for slot in run]
        missing = state == "missing"
        gaps.append(
            Gap(
                opens[0], opens[-1] + bar_ms, len(opens), state, partial, like.attempts, like.found_ms,
                like.next_attempt_ms if missing else None, None if missing else like.closed_ms or now_ms, source,
                detail or (like.detail if missing else ""),
            )
        )  # fmt: skip
    return gaps


def lacking(open_ms: int, watched: Watched, now_ms: int, *, partial: bool) -> Slot:
    """Return what is known of an expected bar that is not there, or there in part."""
    why = PART if partial else ""
    if not watched.history:
        return Slot(open_ms, "unrepairable", partial, "", f"{why}; {NO_HISTORY}" if why else NO_HISTORY)
    if open_ms < oldest_reachable(watched.lane, now_ms):
        return Slot(open_ms, "unrepairable", partial, "", f"{why}; {TOO_OLD}" if why else TOO_OLD)
    return Slot(open_ms, "missing", partial, "", why)


class Answered(NamedTuple):
    """What is known of bars that are not there."""

    opens: Sequence[int] = ()
    """The open times in an answer, ascending: a bar that is missing between two of them did not trade."""
    source: str = ""
    silent: frozenset[int] = frozenset()
    """Open times of bars that did not trade, by what is known of shorter ones."""


NOTHING = Answered()


def slot_after(open_ms: int, gap: Gap, held: Mapping[int, Held], answered: Answered) -> Slot | None:
    """Return what became of a missing bar; None if it is still missing."""
    bar = held.get(open_ms)
    if bar is not None and (bar.repaired or bar.origin == "vendor"):
        return Slot(open_ms, "repaired", gap.partial, bar.source if bar.origin == "vendor" else FINER)
    if bar is not None and bar.good and not gap.partial:
        return Slot(open_ms, "repaired", gap.partial, OWN)
    between = bool(answered.opens) and answered.opens[0] < open_ms < answered.opens[-1]
    if between and gap.partial:
        return Slot(open_ms, "unrepairable", gap.partial, answered.source, VENDORS_LACK_IT)
    if between or open_ms in answered.silent:
        return Slot(open_ms, "no_trade", gap.partial, answered.source)
    return None


def oldest_reachable(lane: Lane, now_ms: int) -> int:
    """Return the open time before which no vendor has bars of this timeframe."""
    return now_ms - REACH_MS[lane.timeframe]


def tried(gap: Gap, now_ms: int) -> Gap:
    """Return the gap after one more attempt to fill it."""
    wait_ms = WAITS_MS[min(gap.attempts, len(WAITS_MS) - 1)]
    return gap._replace(attempts=gap.attempts + 1, next_attempt_ms=now_ms + wait_ms)


def is_due(gap: Gap, now_ms: int) -> bool:
    """Tell whether it is time to ask for it."""
    return gap.next_attempt_ms is not None and gap.next_attempt_ms <= now_ms


def together(gaps: Sequence[Gap], bar_ms: int) -> list[list[Gap]]:
    """Return the gaps, oldest first, in groups that one request may cover."""
    groups: list[list[Gap]] = []
    for gap in gaps:
        if groups and gap.from_ms - groups[-1][-1].to_ms <= APART_BARS * bar_ms:
            groups[-1].append(gap)
        else:
            groups.append([gap])
    return groups


def repair_request(watched: Watched, gaps: Sequence[Gap], now_ms: int, closed_ms: int) -> BackfillRequest | None:
    """Return one request for all these gaps, with the neighbours that tell a silent bar from an untold one.

    closed_ms: nothing that opens then or later: the engine takes no history of bars that are still open.
    """
    from_ms, to_ms = gaps[0].from_ms, gaps[-1].to_ms
    before = list(watched.expected(from_ms - NEIGHBOURS_MS, from_ms))
    after_ms = next(iter(watched.expected(to_ms, to_ms + NEIGHBOURS_MS)), to_ms) + watched.lane.bar_ms
    from_ms = max(before[-1] if before else from_ms, oldest_reachable(watched.lane, now_ms))
    return backfill(f"{REPAIR}{gaps[0].attempts + 1}", watched.lane, from_ms, min(after_ms, closed_ms))


def asked_span(request_id: str) -> tuple[int, int]:
    """Return [from_ms, to_ms) of a request, as its id says it."""
    from_ms, to_ms = request_id.rsplit("|", 2)[-2:]
    return int(from_ms), int(to_ms)

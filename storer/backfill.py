"""Which part of a lane's history to ask of the vendors, and when not to ask again."""

from collections.abc import Sequence
from typing import NamedTuple

from common.messages import TIMEFRAME_MS, BackfillRequest, Bar, HistoryBars, HistoryRequest, Timeframe

MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS

# How far back vendors give bars of each timeframe, a day less than the best of them documents: 30 days of 1m, 60 of 5m
# and 15m, 730 of 1h. Nobody gives 1s.
REACH_MS: dict[Timeframe, int] = {"1m": 29 * DAY_MS, "5m": 59 * DAY_MS, "15m": 59 * DAY_MS, "1h": 729 * DAY_MS}

# Markets are closed for about a third of the week; on short spans a long weekend counts for more.
CLOSED_TIME = 1.6
LONG_WEEKEND_MS = 3 * DAY_MS

# A lane's history is not asked again within this: the answer may be on its way, or the vendors have no more.
PAUSE_MS = 15 * MINUTE_MS


class Lane(NamedTuple):
    """One series of bars."""

    symbol: str
    source_class: str
    timeframe: Timeframe

    @property
    def name(self) -> str:
        """Return the lane as the beginning of its bars' ids."""
        return "|".join(self)

    @property
    def bar_ms(self) -> int:
        """Return the length of its bars."""
        return TIMEFRAME_MS[self.timeframe]


def lane_of(request: HistoryRequest | BackfillRequest | HistoryBars) -> Lane:
    """Return the lane that a message is about."""
    return Lane(request.symbol, request.source_class, request.timeframe)


def older_history(request: HistoryRequest, stored: Sequence[Bar]) -> BackfillRequest | None:
    """Return what to ask the vendors, for a request that `stored` (oldest first) answers; None if that is nothing.

    Asked is what is older than the oldest stored bar, as far back as `count` bars may need and vendors reach.
    """
    lane = lane_of(request)
    if len(stored) >= request.count or lane.timeframe not in REACH_MS:
        return None
    span_ms = int(request.count * lane.bar_ms * CLOSED_TIME) + LONG_WEEKEND_MS
    from_ms = request.before_ms - min(span_ms, REACH_MS[lane.timeframe])
    to_ms = stored[0].open_ms if stored else request.before_ms
    return backfill("older", lane, from_ms, to_ms)


def backfill(why: str, lane: Lane, from_ms: int, to_ms: int) -> BackfillRequest | None:
    """Return the request for the bars that open in [from_ms, to_ms); None if none can. Its id says lane and range."""
    from_ms = -(-from_ms // lane.bar_ms) * lane.bar_ms
    to_ms = -(-to_ms // lane.bar_ms) * lane.bar_ms
    if from_ms >= to_ms:
        return None
    request_id = f"{why}|{lane.name}|{from_ms}|{to_ms}"
    return BackfillRequest(request_id, lane.symbol, lane.timeframe, lane.source_class, from_ms, to_ms)

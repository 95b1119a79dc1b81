"""GET /api/gaps: what became of every bar that was to be expected, and how it stands with each lane."""

import asyncio
from typing import cast

from msgspec import Struct
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from api.context import Context, context_of
from api.errors import away, invalid, json_response
from api.gap_account import UNWRITTEN, Interval, account
from api.params import choices, moment_ms, symbol_of, text_of, timeframe_of, whole
from api.pipeline_state import Pipeline
from api.times import iso
from common.errors import Retryable
from common.gap_history import STATES, GapQuery, LaneRecord, Place
from common.messages import TIMEFRAME_MS
from common.symbols import Symbol

DEFAULT_LIMIT, LARGEST_LIMIT = 100, 1_000
DEFAULT_SPAN_MS = 7 * 86_400_000
LARGEST_ACCOUNT_BARS = 20_000  # half a month of minutes
LAST_SESSIONS_MS = 4_102_444_800_000  # 2100; what exchanges do centuries away can't be worked out
FAR_MS = 2**53


class LaneView(Struct, frozen=True):
    """How it stands with one lane. `bars`: state -> how many, since the ledger's beginning."""

    symbol: str
    source_class: str
    timeframe: str
    feeds_series: bool
    begun_ms: int
    checked_ms: int
    bars: dict[str, int]
    oldest_missing_ms: int | None
    next_attempt_ms: int | None


class GapsReply(Struct, frozen=True):
    """The whole reply."""

    from_ms: int
    to_ms: int
    count: int
    gaps: list[Interval]
    next: str | None
    """What to give as `after` for the rest; None: this is all."""
    lanes: list[LaneView]
    timestamp: str
    simulated: bool


class _Question(Struct, frozen=True):
    """What is asked for."""

    query: GapQuery
    symbol: Symbol | None
    states: tuple[str, ...]
    limit: int
    after: Place


async def get_gaps(request: Request) -> Response:
    """Answer with intervals, oldest first, and a summary of each lane that was asked for."""
    context = context_of(request)
    pipeline = await context.state.read()
    wall_ms = context.wall_ms()
    asked = _question(request.query_params, context, pipeline.now(wall_ms).stream_ms or wall_ms)
    try:
        lanes = await asyncio.to_thread(context.history.lanes)
        found = await _found(context, pipeline, asked, lanes)
    except Retryable as e:
        raise away("history_away", "the gap ledger can't be read", str(e)) from e
    more = found[asked.limit :]
    shown = found[: asked.limit]
    reply = GapsReply(
        from_ms=asked.query.from_ms,
        to_ms=asked.query.to_ms,
        count=len(shown),
        gaps=shown,
        next=_cursor(shown[-1]) if more else None,
        lanes=[_lane_view(lane, pipeline) for lane in lanes if _concerns(lane, asked.query)],
        timestamp=iso(wall_ms),
        simulated=context.settings.simulated,
    )
    return json_response(reply)


def _question(query: QueryParams, context: Context, now_ms: int) -> _Question:
    to_ms = moment_ms(query, "to", now_ms)
    from_ms = moment_ms(query, "from", to_ms - DEFAULT_SPAN_MS)
    if from_ms >= to_ms:
        raise invalid("from is not before to", "a time before to", f"from {from_ms}, to {to_ms}")
    name = text_of(query, "symbol")
    symbol = symbol_of(name, context.table) if name else None
    timeframe = timeframe_of(query, context.settings.timeframes) if text_of(query, "timeframe") else ""
    states = choices(query, "state", (*STATES, *UNWRITTEN)) or STATES
    if set(states) & set(UNWRITTEN):
        _check_account(symbol, timeframe, from_ms, to_ms)
    limit = whole(query, "limit", DEFAULT_LIMIT, LARGEST_LIMIT)
    asked = GapQuery(from_ms, to_ms, symbol.name if symbol else "", timeframe, states)
    return _Question(asked, symbol, states, limit, _place(text_of(query, "after")))


def _check_account(symbol: Symbol | None, timeframe: str, from_ms: int, to_ms: int) -> None:
    words = ", ".join(UNWRITTEN)
    if symbol is None or not timeframe:
        raise invalid(f"{words} are told of one lane only", "symbol and timeframe", "none")
    bars = (to_ms - from_ms) // TIMEFRAME_MS[timeframe]
    if bars > LARGEST_ACCOUNT_BARS:
        raise invalid(f"{words} are told of at most {LARGEST_ACCOUNT_BARS} bars", "a shorter time", f"{bars} bars")
    if from_ms < 0 or to_ms > LAST_SESSIONS_MS:
        raise invalid(f"{words} are told by sessions", "a time from 1970 to 2099", f"from {from_ms}, to {to_ms}")


async def _found(context: Context, pipeline: Pipeline, asked: _Question, lanes: list[LaneRecord]) -> list[Interval]:
    """Return one interval more than the limit, if there is one."""
    history = context.history
    if not set(asked.states) & set(UNWRITTEN):
        rows = await asyncio.to_thread(history.gaps, asked.query, asked.after, asked.limit + 1)
        return [Interval.of(row) for row in rows]
    symbol = cast(Symbol, asked.symbol)
    source_class = pipeline.symbols[symbol.name].source_class
    name = (symbol.name, source_class, asked.query.timeframe)
    every = asked.query._replace(states=STATES)
    rows = await asyncio.to_thread(history.gaps, every, Place(), LARGEST_ACCOUNT_BARS)
    present = await asyncio.to_thread(history.present, name, asked.query.from_ms, asked.query.to_ms)
    lane = next((lane for lane in lanes if (lane.symbol, lane.source_class, lane.timeframe) == name), None)
    known = [row for row in rows if row.source_class == source_class]
    session = context.table.session_of(symbol.name, source_class)
    intervals = account(name, session, asked.query, known, present, lane)
    wanted = [one for one in intervals if one.state in asked.states and one.from_ms > asked.after.from_ms]
    return wanted[: asked.limit + 1]


def _lane_view(lane: LaneRecord, pipeline: Pipeline) -> LaneView:
    state = pipeline.symbols.get(lane.symbol)
    feeds = state is not None and state.source_class == lane.source_class
    return LaneView(
        lane.symbol, lane.source_class, lane.timeframe, feeds, lane.begun_ms, lane.checked_ms, lane.bars,
        lane.oldest_missing_ms, lane.next_attempt_ms,
    )  # fmt: skip


def _concerns(lane: LaneRecord, query: GapQuery) -> bool:
    return query.symbol in ("", lane.symbol) and query.timeframe in ("", lane.timeframe)


def _cursor(last: Interval) -> str:
    return f"{last.from_ms}|{last.symbol}|{last.source_class}|{last.timeframe}"


def _place(text: str) -> Place:
    if not text:
        return Place()
    from_ms, *rest = text.split("|")
    if not (from_ms.isascii() and from_ms.isdigit() and len(rest) == 3 and int(from_ms) < FAR_MS):
        raise invalid("after is no place in the list", "`next` of the reply before", text)
    return Place(int(from_ms), *rest)

"""GET /api/bars/{symbol}: the newest final bars, from the cache where it is long enough, else from SQLite too."""

import asyncio
from typing import cast

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from api.context import Context, context_of
from api.errors import away, json_response
from api.freshness import data_age_ms
from api.params import symbol_of, timeframe_of, truth, whole
from api.symbol_columns import SymbolState
from api.times import iso
from common import keys
from common.bars import readable, to_bars
from common.errors import Retryable
from common.features import FeatureSet
from common.messages import Bar, Timeframe
from common.redis_link import Command
from common.symbols import Symbol

DEFAULT_LIMIT = 100


class BarRow(Struct, frozen=True):
    """One bar as it is served. `time`: when it opened, UTC epoch milliseconds."""

    time: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    volume_kind: str
    ticks: int
    source: str
    origin: str
    complete: bool
    repaired: bool
    """The gap ledger had it put there."""


class BarsReply(Struct, frozen=True):
    """The whole reply."""

    symbol: str
    broker: str
    timeframe: str
    source_class: str
    count: int
    bars: list[BarRow]
    served_from: str
    """cache, sqlite, or cache+sqlite."""
    forming: dict[str, float] | None
    """The bar that is being built, where it was asked for and there is one; it is not final."""
    data_age_ms: int | None
    timestamp: str
    simulated: bool


async def get_bars(request: Request) -> Response:
    """Answer with bars, oldest first."""
    context, query = context_of(request), request.query_params
    symbol = symbol_of(request.path_params["symbol"], context.table)
    timeframe = cast(Timeframe, timeframe_of(query, context.settings.timeframes))
    # All that the cache keeps: current values may rest on any of them.
    limit = whole(query, "limit", DEFAULT_LIMIT, context.settings.max_bars_cache + context.settings.anchor_bars)
    wants_forming = truth(query, "forming")
    pipeline = await context.state.read()
    state = pipeline.symbols[symbol.name]
    source_class, bars, served_from = await _bars(context, state, timeframe, limit)
    wall_ms = context.wall_ms()
    reply = BarsReply(
        symbol=symbol.name,
        broker=symbol.broker,
        timeframe=timeframe,
        source_class=source_class,
        count=len(bars),
        bars=[_row(bar) for bar in bars],
        served_from=served_from,
        forming=await _forming(context, symbol, timeframe) if wants_forming else None,
        data_age_ms=data_age_ms(state, pipeline.now(wall_ms, state.partition)),
        timestamp=iso(wall_ms),
        simulated=context.settings.simulated,
    )
    return json_response(reply)


async def _bars(context: Context, state: SymbolState, timeframe: Timeframe, limit: int) -> tuple[str, list[Bar], str]:
    """Return the class of the bars, the bars, and where they are from."""
    source_class, cached = await cached_bars(context, state, timeframe, limit)
    if len(cached) >= limit:
        context.metrics.count("md_cache_hits_total")
        return source_class, cached, "cache"
    context.metrics.count("md_cache_misses_total")
    before_ms = cached[0].open_ms if cached else 2**62
    try:
        older = await asyncio.to_thread(
            context.history.bars, state.symbol.name, source_class, timeframe, before_ms, limit - len(cached)
        )
    except Retryable as e:
        if not cached:
            raise away("history_away", "no bars in the cache, and the history can't be read", str(e)) from e
        return source_class, cached, "cache"
    return source_class, [*older, *cached], "cache+sqlite" if cached else "sqlite"


class _ClassOf(Struct, frozen=True, gc=False):
    """Of a FeatureSet, the one thing that is asked for."""

    source_class: str


async def cached_bars(context: Context, state: SymbolState, timeframe: Timeframe, count: int) -> tuple[str, list[Bar]]:
    """Return the class that the cache's bars are of, and the newest `count` of them. RedisAway if Redis can't say.

    Both at one moment: the engine changes both in one transaction when another class begins to feed the series.
    """
    name = state.symbol.name
    bars_key, lane_key = (make(state.partition, name, timeframe) for make in (keys.bar_cache, keys.feature_values))
    both: list[Command] = [("LRANGE", bars_key, -count, -1), ("GET", lane_key)]
    found = (await context.pool.exchange([("MULTI",), *both, ("EXEC",)]))[-1]
    packed, body = found if isinstance(found, list) else (None, None)
    lane = context.decoder.decode(_ClassOf, lane_key, body)
    source_class = lane.source_class if lane is not None else state.source_class
    records = readable(cast(list[bytes], packed)) if isinstance(packed, list) else ()
    return source_class, to_bars(records, name, timeframe, source_class)


async def _forming(context: Context, symbol: Symbol, timeframe: str) -> dict[str, float] | None:
    features = await read_features(context, symbol, timeframe)
    forming = None if features is None else features.forming
    if forming is None:
        return None
    return {
        "time": forming.open_ms,
        "open": forming.open,
        "high": forming.high,
        "low": forming.low,
        "close": forming.close,
        "volume": forming.volume,
        "ticks": forming.ticks,
    }


async def read_features(context: Context, symbol: Symbol, timeframe: str) -> FeatureSet | None:
    """Return what the engine says of one lane; None if it never said anything. RedisAway if Redis can't say."""
    key = keys.feature_values(symbol.partition(context.settings.stream_partitions), symbol.name, timeframe)
    reply = (await context.pool.exchange([("GET", key)]))[0]
    return context.decoder.decode(FeatureSet, key, reply)


def _row(bar: Bar) -> BarRow:
    return BarRow(
        bar.open_ms, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.volume_kind, bar.ticks, bar.source,
        bar.origin, bar.complete, bar.repaired,
    )  # fmt: skip

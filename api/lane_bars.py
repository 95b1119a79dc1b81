"""A lane as Redis has it at one moment: its stored bars, and what the engine says of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import cast

from api.context import Context
from common import keys
from common.bars import Records, readable, unpack
from common.features import FeatureSet
from common.indicators import SessionClock
from common.indicators.anchors import lane_name
from common.indicators.history import LaneBars
from common.messages import TIMEFRAME_MS
from common.redis_link import Command, Reply
from common.sessions import after_open_time, next_open_ms
from common.symbols import Symbol


@dataclass(frozen=True)
class StoredLane:
    """One lane, and the bars that it is compared with."""

    bars: LaneBars
    others: Mapping[str, Records]
    """By symbol: bars of the same timeframe."""
    source_class: str
    features: FeatureSet | None
    """None: the engine never said anything."""


async def read_lane(context: Context, symbol: Symbol, timeframe: str, others: Iterable[Symbol]) -> StoredLane | None:
    """Return a lane that has bars; None if it has none. RedisAway if Redis can't say.

    All at one moment: the engine changes it in one transaction when another class begins to feed the series.
    """
    settings = context.settings
    looked_at = (symbol, *others)
    values_key = keys.feature_values(symbol.partition(settings.stream_partitions), symbol.name, timeframe)
    commands = [_all_bars(context, one, timeframe) for one in looked_at]
    replies = (await context.pool.exchange([("MULTI",), ("GET", values_key), *commands, ("EXEC",)]))[-1]
    body, *lists = replies if isinstance(replies, list) else (None,)
    bars = {one.name: _records(packed) for one, packed in zip(looked_at, lists, strict=False)}
    stored = bars.pop(symbol.name, _records(None))
    if not len(stored):
        return None
    features = context.decoder.decode(FeatureSet, values_key, body)
    source_class = await _source_class(context, symbol) if features is None else features.source_class
    session = context.table.session_of(symbol.name, source_class)
    lane = LaneBars(
        name=lane_name(symbol.name, timeframe),
        stored=stored,
        timeframe_ms=TIMEFRAME_MS[timeframe],
        max_bars=settings.max_bars_cache,
        anchor_bars=settings.anchor_bars,
        # One of its own: it remembers its last answer, and threads must not share that.
        session=SessionClock(partial(next_open_ms, session), partial(after_open_time, session)),
    )
    return StoredLane(lane, bars, source_class, features)


def _all_bars(context: Context, symbol: Symbol, timeframe: str) -> Command:
    settings = context.settings
    key = keys.bar_cache(symbol.partition(settings.stream_partitions), symbol.name, timeframe)
    return ("LRANGE", key, -(settings.max_bars_cache + settings.anchor_bars), -1)


def _records(packed: Reply) -> Records:
    return unpack(readable(cast(list[bytes], packed)) if isinstance(packed, list) else ())


async def _source_class(context: Context, symbol: Symbol) -> str:
    return (await context.state.read()).symbols[symbol.name].source_class

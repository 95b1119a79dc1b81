"""Presume the end of positions that nobody closes: the first client never reports a close."""

from dataclasses import dataclass, field
from typing import cast

from api.bars import cached_bars
from api.context import Context
from api.pipeline_state import Pipeline
from api.positions import Position, PriceRange, presumed_closing
from common.messages import TIMEFRAME_MS, Timeframe
from common.symbols import TERMINAL, Symbol

OVERLAP_BARS = 5


def _comparable(position: Position, symbol: Symbol, source_class: str) -> bool:
    """Whether prices of a class can tell the end of a position: those it was opened by, or those it is traded at.

    A future and its spot price lie further apart than many a stop.
    """
    traded_at = any(listing.vendor == TERMINAL for listing in symbol.feed(source_class))
    return traded_at or position.source_class in ("", source_class)


@dataclass
class Watch:
    """How far each open position's prices were looked at, in market time."""

    _seen_ms: dict[str, int] = field(default_factory=dict)

    async def look(self, context: Context) -> None:
        """Close what must have ended by our quotes or its age. RedisAway or Retryable leaves it for the next look."""
        opened = context.ledger.positions.opened()
        self._seen_ms = {p.trade_id: self._seen_ms.get(p.trade_id, p.opened_ms) for p in opened}
        if not opened:
            return
        wall_ms = context.wall_ms()
        pipeline = await context.state.some(position.symbol for position in opened)
        for position in opened:
            stream_ms = pipeline.now(wall_ms).stream_ms or wall_ms
            closing = presumed_closing(position, await self._ranges(context, position, pipeline), stream_ms, wall_ms)
            if closing is not None:
                await context.ledger.presume(position, closing, wall_ms)

    async def _ranges(self, context: Context, position: Position, pipeline: Pipeline) -> list[PriceRange]:
        """Return the prices since the last look: final bars of the shortest timeframe, and the newest price."""
        state = pipeline.symbols.get(position.symbol)
        if state is None or state.lane is None or state.lane.market_ms is None:
            return []
        timeframe = cast(Timeframe, min(context.settings.timeframes, key=TIMEFRAME_MS.__getitem__))
        since_ms = self._seen_ms[position.trade_id]
        behind = (state.lane.market_ms - since_ms) // TIMEFRAME_MS[timeframe] + OVERLAP_BARS
        count = max(OVERLAP_BARS, min(context.settings.max_bars_cache, behind))
        source_class, bars = await cached_bars(context, state, timeframe, count)
        if not _comparable(position, state.symbol, source_class):
            return []
        if bars:
            self._seen_ms[position.trade_id] = max(since_ms, bars[-1].open_ms)
        ranges = [PriceRange(bar.open_ms, bar.high, bar.low) for bar in bars]
        if state.lane.forming is not None and state.lane.source_class == source_class:
            ranges.append(PriceRange(state.lane.market_ms, state.lane.forming.close, state.lane.forming.close))
        return ranges

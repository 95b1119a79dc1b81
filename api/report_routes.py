"""The three POST routes, and GET /api/positions: what clients report, and what it amounts to.

A POST is always answered with 200 when its report is kept, also when it was known.
"""

import asyncio

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from api import reports
from api.body import first_object
from api.context import Context, context_of
from api.errors import ApiError, json_response
from api.ledger import Receipt
from api.pipeline_state import Pipeline
from api.positions import Deal, Position
from api.redis_pool import RedisAway
from api.times import iso
from common.errors import Retryable


async def post_execution(request: Request) -> Response:
    """Keep the report of a fill."""
    context, body = context_of(request), await first_object(request)
    pipeline, stream_ms, wall_ms = await present(context)
    feeding = {} if pipeline is None else {name: state.source_class for name, state in pipeline.symbols.items()}
    before = await _before(context, reports.fill_of(body).trade_id)
    return _answer(context, await context.ledger.fill(body, stream_ms, wall_ms, feeding, before), wall_ms)


async def _before(context: Context, trade_id: str) -> Deal | None:
    """Return the deal under a trade id that only the history remembers; None if it knows none, or can't be read."""
    if context.ledger.positions.get(trade_id) is not None or not context.history.path.exists():
        return None
    try:
        found = await asyncio.to_thread(context.history.execution, f"open:{trade_id}")
        fill = None if found is None else reports.fill_of(found.body)
    except (Retryable, ApiError, msgspec.MsgspecError):
        return None
    return None if found is None or fill is None else (found.symbol, fill.action, fill.lots, fill.entry)


async def post_close(request: Request) -> Response:
    """Keep the report of a close."""
    context, body = context_of(request), await first_object(request)
    stream_ms, wall_ms = await times(context)
    return _answer(context, await context.ledger.close(body, stream_ms, wall_ms), wall_ms)


async def post_event(request: Request) -> Response:
    """Keep another report."""
    context, body = context_of(request), await first_object(request)
    stream_ms, wall_ms = await times(context)
    return _answer(context, await context.ledger.event(body, stream_ms, wall_ms), wall_ms)


async def get_positions(request: Request) -> Response:
    """Answer with what was reported as executed, newest first; presumed ends are marked."""
    context = context_of(request)
    positions = [_position(position) for position in reversed(tuple(context.ledger.positions.every()))]
    head = {"timestamp": iso(context.wall_ms()), "simulated": context.settings.simulated}
    return json_response({**head, "count": len(positions), "positions": positions})


async def times(context: Context) -> tuple[int, int]:
    """Return the stream's time and real time. A report is taken without Redis too: real time stands for both then."""
    wall_ms = context.wall_ms()
    stream_ms = await stream_time(context, wall_ms)
    return wall_ms if stream_ms is None else stream_ms, wall_ms


async def stream_time(context: Context, wall_ms: int) -> int | None:
    """Return the stream's time; None where it can't be known, without Redis or a clock entry."""
    try:
        return (await context.state.now(wall_ms)).stream_ms
    except RedisAway:
        return None


async def present(context: Context) -> tuple[Pipeline | None, int, int]:
    """Return the pipeline's state, None without Redis, and both times."""
    wall_ms = context.wall_ms()
    try:
        pipeline = await context.state.read()
    except RedisAway:
        pipeline = None
    stream_ms = None if pipeline is None else pipeline.now(wall_ms).stream_ms
    return pipeline, wall_ms if stream_ms is None else stream_ms, wall_ms


def _answer(context: Context, receipt: Receipt, wall_ms: int) -> Response:
    context.sightings.report_wall_ms = wall_ms
    position = receipt.position
    content: dict[str, object] = {"status": "ok", "id": receipt.id, "duplicate": receipt.duplicate}
    if position is not None:
        content |= {
            "trade_id": position.trade_id,
            "position": "open" if position.closing is None else "closed",
            "signal_id": position.signal_id,
        }
    return json_response(content)


def _position(position: Position) -> dict[str, object]:
    closing = position.closing
    return {
        "trade_id": position.trade_id,
        "instrument": position.symbol,
        "alpha_id": position.alpha_id,
        "action": position.action,
        "lots": position.lots,
        "entry_price": position.entry,
        "stop_loss": position.stop,
        "take_profit": position.target,
        "signal_id": position.signal_id,
        "opened": iso(position.opened_ms),
        "status": "open" if closing is None else "closed",
        "presumed": closing is not None and closing.presumed,
        "closed": None if closing is None else iso(closing.at_ms),
        "outcome": None if closing is None else closing.outcome,
        "exit_reason": None if closing is None else closing.reason,
        "exit_price": None if closing is None else closing.price,
        "counts_as_loss": None if closing is None or not closing.presumed else closing.counts_as_loss,
    }

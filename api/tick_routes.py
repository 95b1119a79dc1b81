"""POST /api/ticks: the prices of the client's own terminal."""

from starlette.requests import Request
from starlette.responses import Response

from api.body import first_object
from api.context import context_of
from api.errors import json_response
from api.report_routes import times


async def post_ticks(request: Request) -> Response:
    """Keep a batch of ticks; 200 when it is kept, also when it was known."""
    context, body = context_of(request), await first_object(request)
    stream_ms, wall_ms = await times(context)
    batch = context.ticks.read(body, stream_ms)
    receipt = await context.ticks.accept(batch, stream_ms, wall_ms)
    context.sightings.report_wall_ms = wall_ms
    content: dict[str, object] = {
        "status": "ok",
        "id": receipt.id,
        "duplicate": receipt.duplicate,
        "ticks": len(batch.ticks),
        "symbols": [symbol.name for symbol in batch.present],
        "gmt_offset_s": batch.offset_s,
    }
    return json_response(content)

"""POST /api/heartbeat: a bot's sign of life, with its equity and what it holds."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from api.body import first_object
from api.context import context_of
from api.errors import invalid, json_response, shown
from api.ledger import MINUTE_MS
from api.params import LARGEST_EQUITY
from api.report_routes import stream_time
from api.reports import Body, is_number

EVENT = "heartbeat"
MOST_POSITIONS = 10_000


@dataclass(frozen=True)
class Heartbeat:
    """A checked sign of life, in account currency. None: it wasn't told."""

    equity: float
    balance: float | None
    free_margin: float | None
    positions: int | None


async def post_heartbeat(request: Request) -> Response:
    """Take a sign of life; the first of each minute goes to the history."""
    context, body = context_of(request), await first_object(request)
    told = heartbeat_of(body)
    wall_ms = context.wall_ms()
    stream_ms = await stream_time(context, wall_ms)
    seen, opened = context.sightings, context.ledger.positions.opened()
    seen.report_wall_ms = seen.heartbeat_wall_ms = wall_ms
    seen.equity, seen.free_margin, seen.positions = told.equity, told.free_margin, told.positions
    if stream_ms is not None:  # by real time a day might begin too early
        flat = not opened and not told.positions
        if context.account.observe(told.equity, stream_ms, told.balance, flat=flat):
            await context.memory.keep_at_once(wall_ms)
    receipt = await context.ledger.tell(f"heartbeat:{wall_ms // MINUTE_MS}", EVENT, body, stream_ms or wall_ms, wall_ms)
    return json_response(
        {"status": "ok", "id": receipt.id, "duplicate": receipt.duplicate, "open_positions": len(opened)}
    )


def heartbeat_of(body: Body) -> Heartbeat:
    """Return the checked heartbeat. ApiError 422 names the field that is wrong."""
    return Heartbeat(_equity(body), _money(body, "balance"), _money(body, "free_margin"), _positions(body))


def _equity(body: Body) -> float:
    value = body.get("equity")
    if not is_number(value) or not 0 < value <= LARGEST_EQUITY:
        raise invalid("equity is wrong", f"a number above 0, at most {LARGEST_EQUITY:.0f}", shown(value)[:60])
    return float(value)


def _money(body: Body, key: str) -> float | None:
    value = body.get(key)
    if value is None:
        return None
    if not is_number(value) or abs(value) > LARGEST_EQUITY:
        expected = f"a number from {-LARGEST_EQUITY:.0f} to {LARGEST_EQUITY:.0f}"
        raise invalid(f"{key} is wrong", expected, str(value)[:60])
    return float(value)


def _positions(body: Body) -> int | None:
    value = body.get("positions")
    if value is None:
        return None
    count = len(value) if isinstance(value, list) else value
    if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= MOST_POSITIONS:
        raise invalid("positions is wrong", f"how many are open (at most {MOST_POSITIONS}), or a list", str(value)[:60])
    return count

"""POST /api/sources/{name}/breaker: an operator forces a source's breaker open or closed, or sets it free again."""

from starlette.requests import Request
from starlette.responses import Response

from api.body import first_object
from api.context import Context, context_of
from api.errors import ApiError, invalid, json_response, shown
from api.sources import breaker_view
from api.times import iso
from common.breaker import Force, Rules, force_command, forced
from common.redis_link import CommandRefused, Reply
from common.symbols import TERMINAL

STATES = ", ".join(Force)


async def post_breaker(request: Request) -> Response:
    """Take the word, and answer with the breaker as it is then."""
    context, name = context_of(request), request.path_params["name"]
    known = [source for source in context.self_reports.vendors if source != TERMINAL]
    if name not in known:
        raise ApiError(404, "unknown_source", "no such source is asked for prices", f"one of {', '.join(known)}", name)
    wanted, why = _word(await first_object(request))
    wall_ms = context.wall_ms()
    now_ms = (await context.state.read()).now(wall_ms).stream_ms or wall_ms
    client = request.client.host if request.client is not None else "an unknown host"
    changed = await _force(context, name, wanted, f"api, from {client}", why, now_ms)
    view = (await context.self_reports.breakers())[name]
    head = {"status": "ok", "timestamp": iso(wall_ms), "source": name, "duplicate": not changed}
    return json_response({**head, "breaker": breaker_view(view, now_ms)})


async def _force(context: Context, source: str, wanted: Force, by: str, why: str, now_ms: int) -> bool:
    rules = Rules(failures_to_open=context.settings.breaker_failures)
    reply: Reply = (await context.pool.exchange([force_command(source, wanted, by, why, now_ms, rules)]))[0]
    if isinstance(reply, Exception):
        raise CommandRefused(f"{context.pool.where}: {reply}") from reply
    return forced(reply) is not None


def _word(body: dict[str, object]) -> tuple[Force, str]:
    state, why = shown(body.get("state")), body.get("why")
    if state not in tuple(Force):
        raise invalid("state is unknown", f"one of {STATES}", state)
    if not isinstance(why, str) or not why.strip():
        raise invalid("why is missing", "a text that says why, for those who read it later", shown(why))
    return Force(state), why.strip()

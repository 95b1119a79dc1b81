"""GET /api/signals: the advice for one caller's equity, and why there is none where there is none."""

from starlette.requests import Request
from starlette.responses import Response

from api.context import Context, context_of
from api.errors import ascii_response
from api.params import equity_of, whole
from api.signal_answer import Answer, Caller, answer
from api.signals_text import write_signals

DEFAULT_LIMIT = 1  # the first client handles the first of several twice, and never the last
LARGEST_LIMIT = 100


async def get_signals(request: Request) -> Response:
    """Answer with at most `limit` signals, the best first."""
    context = context_of(request)
    caller = caller_of(request, DEFAULT_LIMIT)
    found = await served(context, caller)
    currency, simulated = context.settings.account_currency, context.settings.simulated
    return ascii_response(write_signals(found.shown, found.withheld, found.wall_ms, caller.equity, currency, simulated))


def caller_of(request: Request, default_limit: int) -> Caller:
    """Return who asks, by the query. ApiError 422 says what is wrong with it."""
    query = request.query_params
    equity = equity_of(query, context_of(request).settings.default_equity)
    return Caller(equity, "equity" in query, whole(query, "limit", default_limit, LARGEST_LIMIT))


async def served(context: Context, caller: Caller) -> Answer:
    """Return the answer to a request, which counts as a poll: what is shown is served, the equity observed."""
    wall_ms = context.wall_ms()
    if caller.told:
        context.sightings.poll_wall_ms, context.sightings.equity = wall_ms, caller.equity
    found = await answer(context, caller, wall_ms)
    for refused in found.withheld:
        context.metrics.count("md_signal_withheld_total", reason=refused.reason)
    for advice in found.shown:
        context.ledger.remember_served(advice.signal)
    return found

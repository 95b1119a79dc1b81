"""GET /api/signals: the advice for one caller's equity, and why there is none where there is none."""

from collections import Counter

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
    return ascii_response(_text(context, caller, await served(context, caller)))


def caller_of(request: Request, default_limit: int) -> Caller:
    """Return who asks, by the query. ApiError 422 says what is wrong with it."""
    query = request.query_params
    equity = equity_of(query, context_of(request).settings.default_equity)
    return Caller(equity, "equity" in query, whole(query, "limit", default_limit, LARGEST_LIMIT))


async def served(context: Context, caller: Caller) -> Answer:
    """Return the answer to a request, which counts as a poll: what is shown is served, the equity observed."""
    if caller.told:
        context.sightings.poll_wall_ms, context.sightings.equity = context.wall_ms(), caller.equity
    found = await answer(context, caller)
    for reason, count in Counter([refused.reason for refused in found.withheld]).items():
        context.metrics.count("md_signal_withheld_total", count, reason=reason)
    for advice in found.shown:
        context.ledger.remember_served(advice.signal)
    return found


def _text(context: Context, caller: Caller, found: Answer) -> bytes:
    settings = context.settings
    return write_signals(
        found.shown, found.withheld, found.wall_ms, caller.equity, settings.account_currency, settings.simulated
    )

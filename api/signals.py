"""GET /api/signals: the advice for one caller's equity, and why there is none where there is none."""

from collections import Counter

from starlette.requests import Request
from starlette.responses import Response

from api.context import Context, context_of
from api.errors import ascii_response
from api.params import equity_of, whole
from api.signal_advice import Advice, Withheld, judge
from api.signals_text import write_signals
from api.trust import Question

DEFAULT_LIMIT = 1  # the first client handles the first of several twice, and never the last
LARGEST_LIMIT = 100


async def get_signals(request: Request) -> Response:
    """Answer with at most `limit` signals, the best first."""
    context = context_of(request)
    query = request.query_params
    equity = equity_of(query, context.settings.default_equity)
    limit = whole(query, "limit", DEFAULT_LIMIT, LARGEST_LIMIT)
    wall_ms = context.wall_ms()
    if "equity" in query:
        context.sightings.poll_wall_ms, context.sightings.equity = wall_ms, equity
    judged = await _judged(context, equity, wall_ms, told="equity" in query)
    advice = sorted((item for item in judged if isinstance(item, Advice)), key=_worth, reverse=True)
    withheld = [item for item in judged if isinstance(item, Withheld)]
    for reason, count in Counter(refused.reason for refused in withheld).items():
        context.metrics.count("md_signal_withheld_total", count, reason=reason)
    # Under rules each is sized as if it were the only one: the room to a limit isn't there twice.
    shown = advice[: limit if context.account.rules is None else 1]
    for served in shown:
        context.ledger.remember_served(served.signal)
    currency, simulated = context.settings.account_currency, context.settings.simulated
    return ascii_response(write_signals(shown, withheld, wall_ms, equity, currency, simulated))


async def _judged(context: Context, equity: float, wall_ms: int, told: bool) -> list[Advice | Withheld]:
    """Judge every symbol. told: the caller named the equity, so that it is an observation, too."""
    pipeline = await context.state.read()
    ledger, account = context.ledger, context.account
    stream_ms = pipeline.now(wall_ms).stream_ms
    if told and stream_ms is not None:
        flat = not ledger.positions.opened() and not context.sightings.positions_now(wall_ms)
        if account.observe(equity, stream_ms, None, flat=flat):
            await context.memory.keep_at_once(wall_ms)
    account_equity = equity if told or account.state is None else account.state.equity
    # Asked after the read: a connection that the read found broken counts.
    delivered = context.publisher.delivered
    question = Question(
        context.settings,
        context.table,
        pipeline,
        ledger.positions,
        ledger.broker,
        account,
        wall_ms,
        equity,
        account_equity,
        context.sightings.free_margin_now(wall_ms),
        context.sightings.positions_now(wall_ms),
        delivered,
        past_known=context.past_known,
    )
    return [judge(question, state) for state in pipeline.symbols.values()]


def _worth(advice: Advice) -> tuple[float, float]:
    return advice.signal.quality, advice.signal.confidence

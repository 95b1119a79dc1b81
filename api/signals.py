"""GET /api/signals: the advice for one caller's equity, and why there is none where there is none."""

from collections import Counter
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from api.context import Context, context_of
from api.errors import ascii_response
from api.params import equity_of, whole
from api.signal_advice import Advice, Unsized, Withheld, size_up, weigh
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
    told = "equity" in query
    if told:
        context.sightings.poll_wall_ms, context.sightings.equity = context.wall_ms(), equity
    question = await _question(context, equity, told=told)
    # Under rules each is sized as if it were the only one: the room to a limit isn't there twice.
    shown, withheld = _judged(question, limit if context.account.rules is None else 1)
    for reason, count in Counter(refused.reason for refused in withheld).items():
        context.metrics.count("md_signal_withheld_total", count, reason=reason)
    for served in shown:
        context.ledger.remember_served(served.signal)
    return ascii_response(_text(context, question, shown, withheld))


async def rehearse(context: Context) -> None:
    """Answer once to nobody, so that what a first reply has to find out is known then. Retryable without Redis."""
    question = await _question(context, context.settings.default_equity, told=False)
    _text(context, question, *_judged(question, LARGEST_LIMIT))


async def _question(context: Context, equity: float, *, told: bool) -> Question:
    """Return what the answer rests on. told: the caller named the equity, so that it is an observation, too."""
    pipeline = await context.state.read()
    ledger, account = context.ledger, context.account
    stream_ms = pipeline.now(context.wall_ms()).stream_ms
    if told and stream_ms is not None:
        flat = not ledger.positions.opened() and not context.sightings.positions_now(context.wall_ms())
        if account.observe(equity, stream_ms, None, flat=flat):
            await context.memory.keep_at_once(context.wall_ms())
    # Asked after the read, which may have taken a while: what expired meanwhile has, and a connection that the read
    # found broken counts.
    wall_ms = context.wall_ms()
    return Question(
        context.settings,
        context.table,
        pipeline,
        ledger.positions,
        ledger.broker,
        account,
        wall_ms,
        equity,
        equity if told or account.state is None else account.state.equity,
        context.sightings.free_margin_now(wall_ms),
        context.sightings.positions_now(wall_ms),
        context.publisher.delivered,
        past_known=context.past_known,
    )


def _judged(question: Question, limit: int) -> tuple[list[Advice], list[Withheld]]:
    """Return the best advice, at most so much, and what is withheld. The rest is not sized: nobody would be told."""
    weighed = [weigh(question, state) for state in question.pipeline.symbols.values()]
    withheld = [one for one in weighed if isinstance(one, Withheld)]
    shown: list[Advice] = []
    for found in sorted((one for one in weighed if isinstance(one, Unsized)), key=_worth, reverse=True):
        sized = size_up(question, found)
        if isinstance(sized, Withheld):
            withheld.append(sized)
        else:
            shown.append(sized)
            question.given.append(sized.margin)
        if len(shown) == limit:
            break
    return shown, withheld


def _text(context: Context, question: Question, shown: Sequence[Advice], withheld: Sequence[Withheld]) -> bytes:
    settings = context.settings
    return write_signals(
        shown, withheld, question.wall_ms, question.equity, settings.account_currency, settings.simulated
    )


def _worth(found: Unsized) -> tuple[float, float]:
    return found.signal.quality, found.signal.confidence

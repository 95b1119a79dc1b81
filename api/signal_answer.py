"""What may be acted on now, and what may not, for one caller: the one judgement behind every way to be told."""

from collections import deque
from dataclasses import dataclass

from api.context import Context
from api.glance import look_over
from api.signal_advice import Advice, Unsized, Withheld, size_up
from api.trust import Question


@dataclass(frozen=True)
class Caller:
    """Who asks."""

    equity: float
    """Account currency."""
    told: bool
    """The caller named its equity in this very request, so that it is an observation of the account, too."""
    limit: int
    """How many signals at most."""
    symbols: frozenset[str] = frozenset()
    """Those that it trades, by their generic names; empty: all. No other one takes of its margin."""


@dataclass(frozen=True)
class Answer:
    """All symbols, judged at one moment."""

    shown: tuple[Advice, ...]
    """The best first."""
    unshown: tuple[Unsized, ...]
    """What the limit, or an account's rules, left no room for: it is not sized, since nobody would be told."""
    withheld: tuple[Withheld, ...]
    wall_ms: int
    """That moment, in real time."""


async def answer(context: Context, caller: Caller) -> Answer:
    """Judge every symbol by the present state. RedisAway if Redis can't say."""
    question = await _question(context, caller)
    # Under rules each is sized as if it were the only one: the room to a limit isn't there twice.
    return _judged(question, caller.symbols, caller.limit if context.account.rules is None else 1)


async def _question(context: Context, caller: Caller) -> Question:
    """Return what the answer rests on."""
    pipeline = await context.state.read()
    ledger, account, equity = context.ledger, context.account, caller.equity
    stream_ms = pipeline.now(context.wall_ms()).stream_ms
    if caller.told and stream_ms is not None:
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
        equity if caller.told or account.state is None else account.state.equity,
        context.sightings.free_margin_now(wall_ms),
        context.sightings.positions_now(wall_ms),
        context.publisher.delivered,
        past_known=context.past_known,
    )


def _judged(question: Question, symbols: frozenset[str], limit: int) -> Answer:
    weighed = [one for columns in question.pipeline.symbols.columns for one in look_over(question, columns, symbols)]
    withheld = [one for one in weighed if isinstance(one, Withheld)]
    waiting = deque(sorted([one for one in weighed if isinstance(one, Unsized)], key=_worth, reverse=True))
    shown: list[Advice] = []
    while waiting and len(shown) < limit:
        sized = size_up(question, waiting.popleft())
        if isinstance(sized, Withheld):
            withheld.append(sized)
        else:
            shown.append(sized)
            question.given.append(sized.size.margin)
    return Answer(tuple(shown), tuple(waiting), tuple(withheld), question.wall_ms)


def _worth(found: Unsized) -> tuple[float, float]:
    return found.signal.quality, found.signal.confidence

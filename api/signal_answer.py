"""What may be acted on now, and what may not, for one caller: the one judgement behind every way to be told."""

from dataclasses import dataclass, replace

from api.broker_book import BrokerBook
from api.context import Context
from api.pipeline_state import SymbolState
from api.signal_advice import Advice, Withheld, judge
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


@dataclass(frozen=True)
class Answer:
    """All symbols, judged at one moment."""

    shown: tuple[Advice, ...]
    """The best first."""
    unshown: tuple[Advice, ...]
    """What the limit, or an account's rules, left no room for."""
    withheld: tuple[Withheld, ...]
    wall_ms: int


async def answer(context: Context, caller: Caller, wall_ms: int) -> Answer:
    """Judge every symbol by the present state. RedisAway if Redis can't say."""
    judged = await _judged(context, caller, wall_ms)
    advice = sorted((item for item in judged if isinstance(item, Advice)), key=_worth, reverse=True)
    # Under rules each is sized as if it were the only one: the room to a limit isn't there twice.
    room = caller.limit if context.account.rules is None else 1
    withheld = tuple(item for item in judged if isinstance(item, Withheld))
    return Answer(tuple(advice[:room]), tuple(advice[room:]), withheld, wall_ms)


async def _judged(context: Context, caller: Caller, wall_ms: int) -> list[Advice | Withheld]:
    pipeline = await context.state.read()
    ledger, account, equity = context.ledger, context.account, caller.equity
    stream_ms = pipeline.now(wall_ms).stream_ms
    if caller.told and stream_ms is not None:
        account.observe(equity, stream_ms, None, flat=not ledger.positions.opened())
    account_equity = equity if caller.told or account.state is None else account.state.equity
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
    )
    return [judge(question, _as_traded(ledger.broker, state)) for state in pipeline.symbols.values()]


def _as_traded(broker: BrokerBook, state: SymbolState) -> SymbolState:
    """Return a symbol's state with the broker's terms that hold."""
    return replace(state, symbol=broker.held(state.symbol))


def _worth(advice: Advice) -> tuple[float, float]:
    return advice.signal.quality, advice.signal.confidence

"""Whether the account's rules and its last losses allow advice now, and what a trade may lose by them."""

from collections.abc import Iterator
from decimal import Decimal
from functools import partial

from api.positions import Position
from api.trust import Ground, Question, last_price, market_price
from common.account.gate import allow_another, allow_time, allowed_risk
from common.account.rates import Pair, rate
from common.errors import Rejected
from common.sizing import exact
from common.symbols import Symbol


def account_refusal(question: Question, ground: Ground) -> Rejected | None:
    """Return the rule that forbids any order now; None if none does."""
    if not ground.judged:
        ground.judged = True
        try:
            _rules_allow(question, ground.now.stream_ms or question.wall_ms)
        except Rejected as e:
            ground.forbidden = e
    return ground.forbidden


def _rules_allow(question: Question, stream_ms: int) -> None:
    rules, state = question.account.rules, question.account.state
    if rules is None:
        return
    if question.account.unknown:
        raise Rejected("account_unknown", f"what the account did before is not known yet: {question.account.unknown}")
    if state is not None and stream_ms >= state.reset_ms:
        # What the new day's limits are counted from has not been seen; the old ones may be looser.
        raise Rejected("account_unknown", "no equity was observed since the account's day began")
    if state is None:
        raise Rejected("account_unknown", "no equity was observed yet: poll with equity, or send a heartbeat")
    allowed_risk(state, rules, question.account_equity, 0.0)
    allow_time(rules, stream_ms)
    allow_another(rules, max(len(question.positions.opened()), question.told_positions))


def cooled_down(question: Question, symbol: str, stream_ms: int) -> None:
    """Rejected("cooldown") if the last loss on a symbol is too fresh."""
    lost_ms = question.positions.last_loss_ms(symbol)
    if lost_ms is None:
        return
    left_ms = lost_ms + int(question.settings.loss_cooldown * 1000) - stream_ms
    if left_ms > 0:
        raise Rejected("cooldown", f"a loss on it ended {stream_ms - lost_ms} ms ago: {left_ms} ms to wait")


def risk_of(question: Question) -> Decimal:
    """Return what a trade may lose, in account currency: the set share of the equity, or less near a limit."""
    return question.once(("risk", ""), lambda: _risk(question))


def _risk(question: Question) -> Decimal:
    share = exact(question.settings.risk_per_trade) * exact(question.equity)
    rules, state = question.account.rules, question.account.state
    if rules is None or state is None:
        return share
    open_risk = sum((_at_stop(question, position) for position in question.positions.opened()), Decimal(0))
    allowed = allowed_risk(state, rules, question.account_equity, float(open_risk))
    return share if allowed == float("inf") else min(share, exact(allowed))


def rate_of(question: Question, currency: str) -> Decimal:
    """Return what one of a currency is worth in the account's. Rejected("currency") if no fresh rate says."""
    return question.once(
        ("rate", currency), lambda: rate(currency, question.settings.account_currency, _pairs(question))
    )


def _pairs(question: Question) -> Iterator[Pair]:
    states = question.pipeline.symbols
    for symbol in (symbol for columns in states.columns for symbol in columns.members.rates):
        price = partial(market_price, question, states[symbol.name])
        yield Pair(symbol.name, symbol.base_currency, symbol.quote_currency, price)


def _at_stop(question: Question, position: Position) -> Decimal:
    """Return what an open position loses from here to its stop. Rejected("open_risk") if nobody knows.

    Where its price is old, or its market closed, the last one and the fill are both possible: the worse counts.
    """
    state = question.pipeline.symbols.get(position.symbol)
    if state is None or position.stop <= 0:
        raise Rejected("open_risk", f"what trade {position.trade_id} on {position.symbol} may lose is not known")
    try:
        prices = [market_price(question, state)]
    except Rejected:
        prices = [exact(position.entry), last_price(state) or exact(position.entry)]
    symbol = question.broker.held(state.symbol)
    up = 1 if position.action == "BUY" else -1
    distance = max(Decimal(0), *((price - exact(position.stop)) * up for price in prices))
    return exact(position.lots) * distance * _point_worth(question, symbol)


def _point_worth(question: Question, symbol: Symbol) -> Decimal:
    """Return what a lot loses in account currency when the price moves by 1: the most that the terms say."""
    worth = exact(symbol.contract_size) * rate_of(question, symbol.quote_currency)
    return worth if symbol.tick_value is None else max(worth, exact(symbol.tick_value) / exact(symbol.tick_size))

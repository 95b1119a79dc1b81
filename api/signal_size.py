"""How large the order on a signal may be, for one caller's equity."""

from dataclasses import dataclass, replace
from decimal import Decimal

from api.positions import Position
from api.signal_account import rate_of, risk_of
from api.symbol_columns import SymbolState
from api.trust import Question, last_price
from common.errors import Rejected
from common.messages import TIMEFRAME_MS, Signal
from common.sizing import Margin, Terms, es95, exact, lots_for
from common.symbols import Symbol

# How far a reported tick value may be from today's rate: it was right when the terminal sent it, perhaps days ago.
TICK_VALUE_TOLERANCE = Decimal("0.1")


@dataclass(frozen=True)
class Size:
    """Lots, what they lose where it goes wrong, and what they bind, in account currency."""

    lots: Decimal
    at_stop: float
    """What they lose at the stop, before costs."""
    es95: float
    margin: Decimal


def sized(question: Question, state: SymbolState, signal: Signal) -> Size:
    """Return the size for the caller's equity. Rejected says why there is none."""
    symbol = state.symbol
    entry = exact(signal.entry)
    market = last_price(state) or entry
    # The stop that the client gets, rounded as it gets it, is what the size is for; from where it is further away.
    stop = exact(round(signal.stop_loss, symbol.digits))
    distance = float(max(abs(entry - stop), abs(market - stop)))
    try:
        terms = _terms(question, symbol)
        margin = _margin(question, symbol, max(entry, market), terms)
        lots = lots_for(risk_of(question), distance, terms, margin)
        at_stop = float(lots * exact(distance) * terms.point_value)
        lost = es95(lots, distance, signal.atr, TIMEFRAME_MS[signal.timeframe], terms)
        return Size(lots, at_stop, lost, lots * margin.per_lot)
    except ArithmeticError as e:
        raise Rejected("terms", f"no size can be computed with the terms of {symbol.broker}: {e!r}") from e


def _terms(question: Question, symbol: Symbol) -> Terms:
    """Return the broker's terms at today's rate. Rejected("terms") if the broker's tick value contradicts them.

    A tick value is a moment's, so it only tells the worth of a point where that doesn't move.
    """
    worth = rate_of(question, symbol.quote_currency)
    terms = Terms.of(symbol.contract_size, symbol.lot_min, symbol.lot_step, symbol.lot_max, worth)
    if symbol.tick_value is None:
        return terms
    told = exact(symbol.tick_value) / exact(symbol.tick_size)
    if symbol.quote_currency == question.settings.account_currency:
        # A tick value that is too small would make sizes too large: it only ever makes them smaller.
        return replace(terms, contract_size=max(told, terms.contract_size))
    if abs(told - terms.point_value) > TICK_VALUE_TOLERANCE * told:
        found = (
            f"the broker's tick value makes a point worth {told:.4f} a lot, its contract size {terms.point_value:.4f}"
        )
        raise Rejected("terms", found)
    return terms


def _margin(question: Question, symbol: Symbol, price: Decimal, terms: Terms) -> Margin:
    allowed = question.once(("margin", len(question.given)), lambda: _allowed_margin(question))
    return Margin(_margin_per_lot(question, symbol, price, terms.rate), allowed)


def _allowed_margin(question: Question) -> Decimal:
    bound = sum((_bound_by(question, position) for position in question.positions.opened()), Decimal(0))
    allowed = exact(question.settings.margin_limit) * exact(question.equity) - bound
    allowed = allowed if question.free_margin is None else min(allowed, exact(question.free_margin))
    return allowed - sum(question.given, Decimal(0))


def _margin_per_lot(question: Question, symbol: Symbol, price: Decimal, quote_rate: Decimal) -> Decimal:
    if symbol.margin_per_lot is not None:
        return exact(symbol.margin_per_lot)
    worth = exact(symbol.contract_size) * price * quote_rate
    if symbol.margin_rate is not None:
        return worth * exact(symbol.margin_rate)
    return worth / exact(question.settings.account_leverage)


def _bound_by(question: Question, position: Position) -> Decimal:
    known = question.table.symbols.get(position.symbol)
    if known is None and question.free_margin is not None:
        return Decimal(0)  # the free margin that was told is less by what it binds
    if known is None:
        raise Rejected("margin", f"what trade {position.trade_id} on {position.symbol} binds is not known")
    symbol = question.broker.held(known)
    per_lot = _margin_per_lot(question, symbol, exact(position.entry), rate_of(question, symbol.quote_currency))
    return exact(position.lots) * per_lot

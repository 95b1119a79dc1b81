"""Whether a signal may be shown now: pure decisions over the state, the time and what was reported as executed."""

from msgspec import Struct

from api.freshness import from_the_future
from api.plain_text import plain
from api.positions import Positions
from api.signal_account import account_refusal, cooled_down
from api.signal_size import Size, sized
from api.symbol_columns import SymbolState
from api.times import Now
from api.trust import Question, age_or_refusal, last_price
from common.errors import Rejected
from common.messages import Signal
from common.symbols import Symbol

NO_SETUP = "no setup on a closed bar"


class Advice(Struct, frozen=True):
    """A signal that may be acted on now, sized for one equity."""

    signal: Signal
    symbol: Symbol
    size: Size
    expires_in_ms: int
    """Stream time left."""
    data_age_ms: int


class Withheld(Struct, frozen=True, gc=False):
    """No advice on a symbol, and why. `reason` is a slug."""

    symbol: Symbol
    reason: str
    detail: str
    written: str = ""
    """Its text in /api/signals, where that is ready made."""


class Unsized(Struct, frozen=True, gc=False):
    """A signal that may be shown now if there is a size for it."""

    state: SymbolState
    """With the broker's terms that hold."""
    signal: Signal
    stream_ms: int
    data_age_ms: int


def judge(question: Question, state: SymbolState) -> Advice | Withheld:
    """Return the advice on one symbol, or the first reason why there is none."""
    found = weigh(question, state)
    return found if isinstance(found, Withheld) else size_up(question, found)


def weigh(question: Question, state: SymbolState) -> Unsized | Withheld:
    """Return the signal of one symbol if it may be shown now, but for its size; or the first reason why not."""
    ground = question.ground(state.partition)
    symbol = state.symbol
    age_ms = age_or_refusal(question, state)
    if isinstance(age_ms, Rejected):
        return Withheld(symbol, age_ms.reason, age_ms.detail)
    forbidden = account_refusal(question, ground)
    if forbidden is not None:
        return Withheld(symbol, forbidden.reason, forbidden.detail)
    if state.signal is None or ground.now.stream_ms is None:
        return Withheld(symbol, "no_signal", NO_SETUP)
    try:
        return _weighed(question, state, state.signal, ground.now.stream_ms, age_ms)
    except Rejected as e:
        return Withheld(symbol, e.reason, e.detail)


def size_up(question: Question, found: Unsized) -> Advice | Withheld:
    """Return the advice with its size, or why there is none."""
    symbol, signal = found.state.symbol, found.signal
    try:
        size = sized(question, found.state, signal)
    except Rejected as e:
        return Withheld(symbol, e.reason, e.detail)
    return Advice(signal, symbol, size, signal.expires_ms - found.stream_ms, found.data_age_ms)


def _weighed(question: Question, state: SymbolState, signal: Signal, stream_ms: int, age_ms: int) -> Unsized:
    _is_current(state, signal, question.ground(state.partition).now)
    state = _as_traded(question, state)
    _not_taken(question.positions, state.symbol, signal)
    cooled_down(question, state.symbol.name, stream_ms)
    _sides_are_right(state, signal)
    return Unsized(state, signal, stream_ms, age_ms)


def _as_traded(question: Question, state: SymbolState) -> SymbolState:
    """Return a symbol's state with the broker's terms that hold."""
    return SymbolState(question.broker.held(state.symbol), state.partition, state.lane, state.signal, state.status)


def _is_current(state: SymbolState, signal: Signal, now: Now) -> None:
    stream_ms = now.stream_ms or 0
    if from_the_future(signal.published_ms, now):
        raise Rejected("no_signal", f"the last one, {signal.id}, is from the future: a clock was wrong when it came")
    if stream_ms >= signal.expires_ms:
        raise Rejected("expired", f"the last one, {signal.id}, expired {stream_ms - signal.expires_ms} ms ago")
    if signal.source_class != state.source_class:
        raise Rejected("wrong_class", f"it rests on {signal.source_class}, the series is {state.source_class}")


def _not_taken(positions: Positions, symbol: Symbol, signal: Signal) -> None:
    held = positions.open_on(symbol.name)
    if held is not None:
        raise Rejected("position_open", f"trade {held.trade_id} was reported and not closed")
    taken = positions.fill_of(symbol.name, plain(signal.strategy), signal.published_ms)
    if taken is not None:
        raise Rejected("executed", f"reported as executed by trade {taken.trade_id}")


def _sides_are_right(state: SymbolState, signal: Signal) -> None:
    """A client moves a stop or target on the wrong side without a word: it never gets one."""
    up = 1 if signal.action == "BUY" else -1
    market = last_price(state)
    digits = state.symbol.digits
    stop = round(signal.stop_loss, digits)
    first, last = round(signal.take_profit_1, digits), round(signal.take_profit_2, digits)
    for name, price in (("entry", signal.entry), ("market", signal.entry if market is None else float(market))):
        if not (stop > 0 and (price - stop) * up > 0 and (first - price) * up > 0 and (last - first) * up >= 0):
            found = f"stop {stop}, targets {first} and {last} are not around {name} {price}"
            raise Rejected("wrong_side", f"{signal.action}: {found}")

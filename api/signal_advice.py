"""Whether a signal may be shown now: pure decisions over the state, the time and what was reported as executed."""

from dataclasses import dataclass
from decimal import Decimal

from api.freshness import SILENT_AFTER_MS, data_age_ms, engine_current, engine_lag_ms
from api.pipeline_state import Pipeline, SymbolState
from api.plain_text import plain
from api.positions import Positions
from api.times import Now
from common.errors import Rejected
from common.messages import TIMEFRAME_MS, Signal
from common.sessions import is_open
from common.settings import Settings
from common.sizing import Terms, es95, lots_for
from common.symbols import Symbol, SymbolTable


@dataclass(frozen=True)
class Advice:
    """A signal that may be acted on now, sized for one equity."""

    signal: Signal
    symbol: Symbol
    lots: Decimal
    es95: float
    expires_in_ms: int
    """Stream time left."""
    data_age_ms: int


@dataclass(frozen=True)
class Withheld:
    """No advice on a symbol, and why. `reason` is a slug."""

    symbol: Symbol
    reason: str
    detail: str


@dataclass(frozen=True)
class Question:
    """Everything that the answer rests on, beside the symbol's own state."""

    settings: Settings
    table: SymbolTable
    pipeline: Pipeline
    positions: Positions
    wall_ms: int
    equity: float
    journal_delivered: bool
    """Whether what was accepted by POST has been sent on since Redis was last away."""


def judge(question: Question, state: SymbolState) -> Advice | Withheld:
    """Return the advice on one symbol, or the first reason why there is none."""
    now = question.pipeline.now(question.wall_ms, state.partition)
    try:
        _pipeline_works(question, state, now)
        _one_class(state)
        _on_time(question, state)
        age_ms = _data_is_fresh(question, state, now)
        signal = _current(state, now)
        _not_taken(question.positions, state.symbol, signal)
        _sides_are_right(state, signal)
        lots, shortfall = _sized(question, state.symbol, signal)
    except Rejected as e:
        return Withheld(state.symbol, e.reason, e.detail)
    return Advice(signal, state.symbol, lots, shortfall, signal.expires_ms - (now.stream_ms or 0), age_ms)


def delay_ms(symbol: Symbol, source: str, source_class: str, limits: str) -> int:
    """Return how late a source is by contract; for a source that the table lacks, the latest of its class.

    Paid plans (LIMITS=none) are not late.
    """
    if limits == "none":
        return 0
    of_class = [listing for listing in symbol.sources if listing.source_class == source_class]
    own = [listing for listing in of_class if listing.vendor == source]
    return max((listing.delay_s * 1000 for listing in own or of_class), default=0)


def _pipeline_works(question: Question, state: SymbolState, now: Now) -> None:
    if not now.alive:
        age = "there is none" if now.clock_age_ms is None else f"it is {now.clock_age_ms} ms old"
        raise Rejected("collector_silent", f"expected a clock entry of at most {now.limit_ms} ms, {age}")
    if not question.journal_delivered:
        raise Rejected("journal_not_delivered", "reports accepted earlier are being sent on; try again")
    engine = question.pipeline.partitions[state.partition].engine
    if not engine_current(engine, now, question.settings.feature_cache_ttl):
        lag_ms = engine_lag_ms(engine, now)
        found = "it never passed" if lag_ms is None else f"its last pass is {lag_ms} ms old"
        raise Rejected("engine_not_current", f"expected a pass within {question.settings.feature_cache_ttl} s, {found}")


def _data_is_fresh(question: Question, state: SymbolState, now: Now) -> int:
    session = question.table.session_of(state.symbol.name, state.source_class)
    if now.stream_ms is None or not is_open(session, now.stream_ms):
        raise Rejected("session_closed", f"session {session} is closed")
    if state.status is not None and state.status.status == "withheld":
        raise Rejected("no_source", state.status.detail)
    age_ms = data_age_ms(state, now)
    if age_ms is None:
        raise Rejected("no_data", "never collected")
    if age_ms > SILENT_AFTER_MS:
        raise Rejected("data_stale", f"session open, but nothing for {age_ms} ms; limit {SILENT_AFTER_MS} ms")
    return age_ms


def _one_class(state: SymbolState) -> None:
    """The collector is ahead of the engine for a moment; then the new class's values warm up."""
    lane = state.lane
    if lane is not None and lane.source_class != state.source_class:
        raise Rejected("series_changed", f"series changed to {state.source_class}; warming")
    if lane is not None and lane.warming:
        raise Rejected("series_changed", lane.warming)


def _on_time(question: Question, state: SymbolState) -> None:
    signal, lane = state.signal, state.lane
    source, source_class = (signal.source, signal.source_class) if signal else ("", state.source_class)
    late_ms = max(lane.delay_ms if lane else 0, delay_ms(state.symbol, source, source_class, question.settings.limits))
    if late_ms:
        raise Rejected("delayed_class", f"{source_class} is {late_ms // 1000} s late by contract: it feeds no signal")


def _current(state: SymbolState, now: Now) -> Signal:
    signal, stream_ms = state.signal, now.stream_ms
    if signal is None or stream_ms is None:
        raise Rejected("no_signal", "no setup on a closed bar")
    if stream_ms >= signal.expires_ms:
        raise Rejected("expired", f"the last one, {signal.id}, expired {stream_ms - signal.expires_ms} ms ago")
    if signal.source_class != state.source_class:
        raise Rejected("wrong_class", f"it rests on {signal.source_class}, the series is {state.source_class}")
    return signal


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
    forming = state.lane.forming if state.lane else None
    digits = state.symbol.digits
    stop, first, last = (round(p, digits) for p in (signal.stop_loss, signal.take_profit_1, signal.take_profit_2))
    for name, price in (("entry", signal.entry), ("market", forming.close if forming else signal.entry)):
        if not (stop > 0 and (price - stop) * up > 0 and (first - price) * up > 0 and (last - first) * up >= 0):
            found = f"stop {stop}, targets {first} and {last} are not around {name} {price}"
            raise Rejected("wrong_side", f"{signal.action}: {found}")


def _sized(question: Question, symbol: Symbol, signal: Signal) -> tuple[Decimal, float]:
    terms = Terms.of(symbol.contract_size, symbol.lot_min, symbol.lot_step, symbol.lot_max, symbol.quote_currency)
    # The stop that the client gets, rounded as it gets it, is what the size is for.
    distance = abs(signal.entry - round(signal.stop_loss, symbol.digits))
    lots = lots_for(question.equity, question.settings.risk_per_trade, distance, terms)
    return lots, es95(lots, distance, signal.atr, TIMEFRAME_MS[signal.timeframe], terms)

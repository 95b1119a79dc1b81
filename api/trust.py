"""Whether one symbol's data may be acted on now: the conditions that signals and exchange rates share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeVar, cast

from api.account import AccountBook
from api.broker_book import BrokerBook
from api.freshness import SILENT_AFTER_MS, data_age_ms, data_from_the_future, engine_current, engine_lag_ms
from api.pipeline_state import Pipeline
from api.positions import Positions
from api.symbol_columns import SymbolState
from api.times import Now
from common.errors import Rejected
from common.heads import warming_text
from common.messages import SUSPECT_BELOW
from common.sessions import is_open
from common.settings import Settings
from common.sizing import exact
from common.symbols import Symbol, SymbolTable

Answer = TypeVar("Answer")
NO_LIMITS = "none"
"""LIMITS of a plan that is paid for: nothing is late."""


@dataclass(frozen=True)
class Question:
    """Everything that the answer rests on, beside the symbol's own state."""

    settings: Settings
    table: SymbolTable
    pipeline: Pipeline
    positions: Positions
    broker: BrokerBook
    account: AccountBook
    wall_ms: int
    equity: float
    """What the size is for."""
    account_equity: float
    """What the account's rules are held against: the caller's equity, or what was observed last."""
    free_margin: float | None
    """As a client told it lately; None: nobody did."""
    told_positions: int
    """How many positions a client told of lately; 0 also where nobody did."""
    journal_delivered: bool
    """Whether what was accepted by POST has been sent on since Redis was last away."""
    past_known: bool = True
    """Whether positions that were reported to a lost journal are known."""
    given: list[Decimal] = field(default_factory=list)
    """What each signal of this reply that has its size binds: it isn't there for the next one."""
    answers: dict[tuple[str, str | int], object] = field(default_factory=dict)
    """What was found out once for all symbols."""
    grounds: dict[int, "Ground"] = field(default_factory=dict)
    """By partition."""

    def ground(self, partition: int) -> "Ground":
        """Return what the symbols of a partition have in common."""
        found = self.grounds.get(partition)
        if found is None:
            now = self.pipeline.now(self.wall_ms, partition)
            found = self.grounds[partition] = Ground(now, _why_not_working(self, partition, now))
        return found

    def once(self, about: tuple[str, str | int], find: Callable[[], Answer]) -> Answer:
        """Return what `find` returns, or raise its Rejected; it is asked once for each `about`, not by each symbol."""
        answer = self.answers.get(about)
        if answer is None:
            try:
                answer = find()
            except Rejected as e:
                answer = e
            self.answers[about] = answer
        if isinstance(answer, Rejected):
            raise Rejected(answer.reason, answer.detail)
        return cast(Answer, answer)


@dataclass
class Ground:
    """What the symbols of one partition have in common at one moment."""

    now: Now
    refusal: Rejected | None
    """Why none of them can be acted on; None if nothing is wrong with all."""
    open: dict[str, bool] = field(default_factory=dict)
    """By session."""
    forbidden: Rejected | None = None
    """The account's rule that forbids any order now, once `judged`."""
    judged: bool = False

    def is_open(self, session: str) -> bool:
        """Tell whether a session trades now."""
        found = self.open.get(session)
        if found is None:
            stream_ms = self.now.stream_ms
            found = self.open[session] = stream_ms is not None and is_open(session, stream_ms)
        return found


def trusted_age_ms(question: Question, state: SymbolState) -> int:
    """Return how old the symbol's data is. Rejected with the first reason why it can't be acted on now."""
    found = age_or_refusal(question, state)
    if isinstance(found, Rejected):
        raise Rejected(found.reason, found.detail)
    return found


def age_or_refusal(question: Question, state: SymbolState) -> int | Rejected:
    """Return how old the symbol's data is, or the first reason why it can't be acted on now: asked of every symbol."""
    ground, lane, source_class = question.ground(state.partition), state.lane, state.source_class
    if ground.refusal is not None:
        return ground.refusal
    # The collector is ahead of the engine for a moment; then the new class's values warm up.
    if lane is not None and lane.source_class != source_class:
        return Rejected("series_changed", warming_text(source_class))
    if lane is not None and lane.warming:
        return Rejected("series_changed", warming_text(lane.source_class))
    if question.settings.limits != NO_LIMITS or (lane is not None and lane.delay_ms):
        late = _late(question, state, source_class)
        if late is not None:
            return late
    return _fresh_age(question, state, source_class, ground)


def market_price(question: Question, state: SymbolState) -> Decimal:
    """Return the newest price of a symbol. Rejected if its data can't be acted on now, or there is none."""
    trusted_age_ms(question, state)
    price = last_price(state)
    if price is None:
        raise Rejected("no_data", "no price yet")
    return price


def last_price(state: SymbolState) -> Decimal | None:
    """Return the newest price of a symbol, however old; None before the first."""
    price = state.lane.price if state.lane is not None else None
    return exact(price) if price is not None and price > 0 else None


def delay_ms(symbol: Symbol, source: str, source_class: str, limits: str) -> int:
    """Return how late a source is by contract; for a source that the table lacks, the latest of its class.

    Paid plans (LIMITS=none) are not late.
    """
    if limits == NO_LIMITS:
        return 0
    of_class = [listing for listing in symbol.sources if listing.source_class == source_class]
    own = [listing for listing in of_class if listing.vendor == source]
    return max((listing.delay_s * 1000 for listing in own or of_class), default=0)


def _why_not_working(question: Question, partition: int, now: Now) -> Rejected | None:
    if not now.alive:
        age = "there is none" if now.clock_age_ms is None else f"it is {now.clock_age_ms} ms old"
        return Rejected("collector_silent", f"expected a clock entry of at most {now.limit_ms} ms, {age}")
    if not question.past_known:
        return Rejected("positions_unknown", "the journal is new, and the history of positions can't be read yet")
    if not question.journal_delivered:
        return Rejected("journal_not_delivered", "reports accepted earlier are being sent on; try again")
    engine, ttl_s = question.pipeline.partitions[partition].engine, question.settings.feature_cache_ttl
    if engine_current(engine, now, ttl_s):
        return None
    lag_ms = engine_lag_ms(engine, now)
    found = "it never passed" if lag_ms is None else f"its last pass is {lag_ms} ms old"
    return Rejected("engine_not_current", f"expected a pass within {ttl_s} s, {found}")


def _late(question: Question, state: SymbolState, fed_by: str) -> Rejected | None:
    signal, lane = state.signal, state.lane
    source, source_class = (signal.source, signal.source_class) if signal else ("", fed_by)
    late_ms = delay_ms(state.symbol, source, source_class, question.settings.limits)
    if lane is not None and lane.delay_ms > late_ms:
        late_ms = lane.delay_ms
    if not late_ms:
        return None
    return Rejected("delayed_class", f"{source_class} is {late_ms // 1000} s late by contract: it feeds no signal")


def _fresh_age(question: Question, state: SymbolState, source_class: str, ground: Ground) -> int | Rejected:
    session = question.table.classes[source_class].session
    if not ground.is_open(session):
        return Rejected("session_closed", f"session {session} is closed")
    status, now = state.status, ground.now
    if status is not None and status.status == "withheld":
        return Rejected("no_source", status.detail)
    age_ms = data_age_ms(state, now)
    if age_ms is None:
        return Rejected("no_data", "never collected")
    if age_ms > SILENT_AFTER_MS:
        return Rejected("data_stale", f"session open, but nothing for {age_ms} ms; limit {SILENT_AFTER_MS} ms")
    if age_ms == 0 and data_from_the_future(state, now):
        return Rejected("data_stale", "its newest data is from the future: a clock was wrong when it came")
    score = state.lane.score if state.lane is not None else None
    if score is not None and score < SUSPECT_BELOW:
        return Rejected("data_suspect", f"the quality of its newest quote is {score:.2f}; limit {SUSPECT_BELOW:.2f}")
    return age_ms

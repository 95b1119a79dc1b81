"""What holds for any state whatever: sides, sizes, expiry, and one direction on a symbol."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.account import AccountBook
from api.broker_book import BrokerBook
from api.glance import look_over
from api.journal import Journal
from api.pipeline_state import EnginePass, PartitionState, Pipeline
from api.positions import Closing, Position, Positions
from api.signal_advice import NO_SETUP, Advice, Unsized, Withheld, judge, weigh
from api.signals_text import why_not, write_signals
from api.symbol_columns import Columns, HeadColumn, Members, States, SymbolState
from api.trust import Question
from common.heads import FormingHead, LaneHead, encode_head
from common.messages import Clock, Signal
from common.settings import Settings
from common.sources import SymbolStatus
from common.symbols import load_symbols
from tests.api import ea_client
from tests.api.world import CLASSES, NOON_MS, PRICES, SYMBOLS, settings_for, signal_for
from tests.support_examples import examples

RISK = Decimal("0.01")
TABLE = load_symbols(SYMBOLS)


@dataclass(frozen=True)
class Bench:
    """The parts of a question that are the same for all."""

    settings: Settings
    account: AccountBook


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with TemporaryDirectory() as folder:
        values = settings_for(1, Path(folder))
        journal = Journal(Path(folder))
        yield Bench(values, AccountBook(values))
        journal.close()


@dataclass(frozen=True)
class Scene:
    """One symbol with a signal, at one moment."""

    signal: Signal
    market: float
    at_ms: int
    equity: float
    positions: tuple[Position, ...] = ()

    def question(self, bench: Bench) -> Question:
        """Return the question, in a pipeline that works."""
        state = PartitionState(Clock(1, self.at_ms, self.at_ms), EnginePass(self.at_ms, self.at_ms))
        held = Positions()
        for position in self.positions:
            held.add(position)
        return Question(
            bench.settings, TABLE, Pipeline({0: state}, States([columns_of([self.state])]), 3_000), held, BrokerBook(),
            bench.account, self.at_ms, self.equity, self.equity, None, 0, journal_delivered=True,
        )  # fmt: skip

    @property
    def state(self) -> SymbolState:
        """The symbol as Redis has it."""
        name = self.signal.symbol
        series = CLASSES.get(name, "fx_spot")
        forming = FormingHead(self.at_ms, self.market, self.market, self.market)
        lane = LaneHead(self.at_ms, "yahoo", series, forming=forming, price=self.market)
        status = SymbolStatus("ok", "yahoo", series, "", self.at_ms)
        return SymbolState(TABLE.symbols[name], 0, lane, self.signal, status)


def columns_of(states: Sequence[SymbolState]) -> Columns:
    """Return one partition of these symbols."""
    return Columns(
        Members(0, [s.symbol for s in states]), [s.signal for s in states],
        HeadColumn([None if s.lane is None else encode_head(s.lane) for s in states]), [s.status for s in states],
    )  # fmt: skip


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    """A signal that may be right or wrong in any way."""
    name = draw(st.sampled_from(SYMBOLS))
    price = PRICES[name]
    near = st.floats(price * 0.98, price * 1.02)
    step = price * 10 ** draw(st.floats(-7, -1))
    up = draw(st.sampled_from((1, -1)))
    right = draw(st.booleans())
    signal = signal_for(
        name, NOON_MS, action="BUY" if up > 0 else "SELL", entry=price,
        stop_loss=price - up * step if right else draw(near), take_profit_1=price + up * step if right else draw(near),
        take_profit_2=price + up * step * 2 if right else draw(near), atr=draw(st.floats(0, step)),
        expires_ms=NOON_MS + draw(st.integers(-3_000, 3_000)),
    )  # fmt: skip
    market = price + step * draw(st.floats(-1.5, 1.5))
    return Scene(signal, market, NOON_MS + draw(st.integers(0, 3_000)), round(10 ** draw(st.floats(0, 12)), 2))


@st.composite
def good_scenes(draw: st.DrawFn) -> Scene:
    """A signal that is right in every way, for an account that can afford it: it must be served."""
    name, up = draw(st.sampled_from(SYMBOLS)), draw(st.sampled_from((1, -1)))
    price = PRICES[name]
    step = price * 10 ** draw(st.floats(-3.5, -1.5))
    signal = signal_for(
        name, NOON_MS, action="BUY" if up > 0 else "SELL", entry=price, stop_loss=price - up * step,
        take_profit_1=price + up * step, take_profit_2=price + up * step * 2, atr=step, expires_ms=NOON_MS + 3_000,
    )  # fmt: skip
    market, at_ms = price + step * draw(st.floats(-0.9, 0.9)), NOON_MS + draw(st.integers(0, 2_999))
    return Scene(signal, market, at_ms, round(10 ** draw(st.floats(4.5, 7)), 2))


def order_of(advice: Advice, scene: Scene) -> ea_client.Order:
    """Return what the client reads of it; there must be exactly one."""
    body = write_signals([advice], [], scene.at_ms, scene.equity, "USD", simulated=False)
    json.loads(body)
    (order,) = ea_client.read(body)
    return order


@given(scene=scenes() | good_scenes())
@examples(500)
def test_what_is_served_is_right_fresh_and_within_the_risk(bench: Bench, scene: Scene) -> None:
    advice = judge(scene.question(bench), scene.state)
    if not isinstance(advice, Advice):
        assert advice.reason
        return
    order = order_of(advice, scene)
    symbol = TABLE.symbols[scene.signal.symbol]
    up = 1 if order.action == "BUY" else -1
    for price in (scene.signal.entry, scene.market):
        assert (price - order.stop_loss) * up > 0
        assert (order.take_profit_1 - price) * up > 0
    assert (order.take_profit_2 - order.take_profit_1) * up >= 0
    assert scene.at_ms < scene.signal.expires_ms
    assert 0 < advice.expires_in_ms == scene.signal.expires_ms - scene.at_ms
    lots = advice.size.lots
    assert lots == Decimal(repr(order.lots))
    assert Decimal(repr(symbol.lot_min)) <= lots <= Decimal(repr(symbol.lot_max))
    assert lots % Decimal(repr(symbol.lot_step)) == 0
    distance = abs(Decimal(repr(scene.signal.entry)) - Decimal(repr(order.stop_loss)))
    loss, equity = lots * Decimal(repr(symbol.contract_size)) * distance, Decimal(repr(scene.equity))
    assert loss <= equity * RISK * (1 + Decimal("1e-12"))
    margin = lots * Decimal(repr(symbol.contract_size)) * Decimal(repr(scene.signal.entry)) / 30
    assert margin <= equity / 2 * (1 + Decimal("1e-12"))


@given(scene=good_scenes(), action=st.sampled_from(("BUY", "SELL")))
@examples(200)
def test_while_a_position_is_open_neither_direction_is_served_on_its_symbol(
    bench: Bench, scene: Scene, action: Literal["BUY", "SELL"]
) -> None:
    assert isinstance(judge(scene.question(bench), scene.state), Advice)
    held = Position("1", scene.signal.symbol, "any", action, 1.0, 1.0, 0.5, 2.0, NOON_MS, NOON_MS)
    taken = replace(scene, positions=(held,))
    found = judge(taken.question(bench), taken.state)
    assert not isinstance(found, Advice)
    assert found.reason == "position_open"


@given(scene=good_scenes())
@examples(200)
def test_what_was_executed_once_is_never_served_again_though_it_was_closed(bench: Bench, scene: Scene) -> None:
    first = judge(scene.question(bench), scene.state)
    assert isinstance(first, Advice)
    order = order_of(first, scene)
    end = Closing(scene.at_ms, "reported", scene.market, "MANUAL", 1.0)
    fill = Position(
        "1", scene.signal.symbol, order.alpha_id, scene.signal.action, order.lots, scene.signal.entry, order.stop_loss,
        order.take_profit_1, scene.at_ms, scene.at_ms, closing=end,
    )  # fmt: skip
    again = replace(scene, positions=(fill,))
    found = judge(again.question(bench), again.state)
    assert not isinstance(found, Advice)
    assert found.reason == "executed"


@given(scene=good_scenes(), late_ms=st.integers(0, 10_000))
@examples(200)
def test_nothing_is_served_from_the_moment_of_its_expiry_on(bench: Bench, scene: Scene, late_ms: int) -> None:
    late = replace(scene, at_ms=scene.signal.expires_ms + late_ms)
    found = judge(late.question(bench), late.state)
    assert not isinstance(found, Advice)
    assert found.reason == "expired"


AGES_MS = (None, -5_001, -1, 0, 30_000, 30_001)
SUNDAY_MS = NOON_MS + 4 * 86_400_000


def quiet_states(at_ms: int) -> Iterator[SymbolState]:
    """A symbol without a signal in every condition that matters, one after the other."""
    classes = ("cme_nq_future", "ndx_cash")
    symbol = TABLE.symbols["NAS100"].model_copy(update={"failover": ("ndx_cash",)})
    lanes: list[LaneHead | None] = [None]
    for age_ms, source_class, late_ms, warming in product(AGES_MS, classes, (0, 600_000), (False, True)):
        market_ms = None if age_ms is None else at_ms - age_ms
        lanes.append(LaneHead(market_ms, "yahoo", source_class, late_ms, warming))
    statuses: list[SymbolStatus | None] = [None]
    for source_class, word in product(classes, ("ok", "withheld")):
        statuses.append(SymbolStatus(word, "yahoo", source_class, "why", at_ms))  # type: ignore[arg-type]  # one of them
    for lane, status in product(lanes, statuses):
        yield SymbolState(symbol, 0, lane, None, status)


def told(found: Unsized | Withheld) -> tuple[str, ...]:
    """Return what it says, but for texts that are ready made."""
    if isinstance(found, Unsized):
        return (found.state.symbol.name, found.signal.id)
    return (found.symbol.name, found.reason, found.detail)


def asked(bench: Bench, states: Sequence[SymbolState], at_ms: int, clock_age_ms: int) -> Question:
    """Return the question about these symbols, in one partition."""
    clock = Clock(1, at_ms - clock_age_ms, at_ms - clock_age_ms)
    pipeline = Pipeline({0: PartitionState(clock, EnginePass(at_ms, at_ms))}, States([columns_of(states)]), 3_000)
    return Question(
        bench.settings, TABLE, pipeline, Positions(), BrokerBook(), bench.account, at_ms, 1e3, 1e3, None, 0,
        journal_delivered=True,
    )  # fmt: skip


@pytest.mark.parametrize("limits", ["none", "real"])
@pytest.mark.parametrize("clock_age_ms", [0, 5_000])
@pytest.mark.parametrize("at_ms", [NOON_MS, SUNDAY_MS])
def test_what_is_told_at_a_glance_is_what_a_close_look_tells(
    bench: Bench, limits: str, clock_age_ms: int, at_ms: int
) -> None:
    states = list(quiet_states(at_ms))
    limited = replace(bench, settings=bench.settings.model_copy(update={"limits": limits}))
    question = asked(limited, states, at_ms, clock_age_ms)
    (columns,) = question.pipeline.symbols.columns
    found = look_over(question, columns, frozenset())
    assert [told(one) for one in found] == [told(weigh(question, s)) for s in states]
    assert {one.written for one in found if isinstance(one, Withheld)} <= {
        "", why_not(Withheld(states[0].symbol, "no_signal", NO_SETUP))
    }  # fmt: skip


@st.composite
def any_states(draw: st.DrawFn) -> list[SymbolState]:
    """The symbols of one partition, each in any condition, with a signal or without."""
    made = []
    for symbol in TABLE.symbols.values():
        right = st.just(symbol.series)
        classes = st.sampled_from(sorted({*symbol.classes(), "fx_spot"})) if draw(st.booleans()) else right
        market_ms = NOON_MS - draw(st.integers(-6_000, 31_000))
        late_ms, warming = draw(st.sampled_from((0, 0, 600_000))), draw(st.sampled_from((False, False, True)))
        score = draw(st.sampled_from((None, 1.0, 1.0, 0.69)))
        lane = LaneHead(market_ms, "yahoo", draw(classes), late_ms, warming, price=PRICES[symbol.name], score=score)
        word = draw(st.sampled_from(("ok", "ok", "withheld", "closed")))
        status = SymbolStatus(word, "yahoo", draw(classes), "why", NOON_MS)  # type: ignore[arg-type]  # one of them
        signal = signal_for(symbol.name, NOON_MS) if draw(st.integers(0, 3)) == 0 else None
        known = draw(st.integers(0, 9))
        made.append(SymbolState(symbol, 0, lane if known else None, signal, status if known != 1 else None))
    return made


@given(states=any_states(), limits=st.sampled_from(("none", "real")), wanted=st.sets(st.sampled_from(SYMBOLS)))
@examples(300)
def test_a_partition_is_looked_over_as_its_symbols_are_one_by_one(
    bench: Bench, states: list[SymbolState], limits: str, wanted: set[str]
) -> None:
    limited = replace(bench, settings=bench.settings.model_copy(update={"limits": limits}))
    question = asked(limited, states, NOON_MS, 0)
    (columns,) = question.pipeline.symbols.columns
    found = look_over(question, columns, frozenset(wanted))
    expected = [weigh(question, s) for s in states if not wanted or s.symbol.name in wanted]
    assert [told(one) for one in found] == [told(one) for one in expected]

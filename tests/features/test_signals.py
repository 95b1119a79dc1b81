"""When closed bars become signals, and when not."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import cast

import msgspec
import pytest

import features.rules as rules_module
from common import keys
from common.messages import TIMEFRAME_MS, Bar, Message, Signal, decode
from common.strategies import Candidate, Strategy, View
from common.symbols import load_symbols
from features.signals import Closed, best, propose, publish, withheld
from features.stage import FeaturesHandler
from features.state import Live
from tests.features.market import START_MS, cycles, warm_up
from tests.features.support import SIX, Entries, Store, handler

BATCH = 20
BAR = Bar("EURUSD", "1m", START_MS, 1.1, 1.1, 1.1, 1.1, 0.0, "none", 50, "yahoo", "fx_spot")
CLOSED = Closed(BAR, 1.0, 2_500, 0, 0, {"atr_14": 0.001}, {"atr_14": 0.001})
BUY = Candidate("BUY", 1.123456, 1.121956, 1.124956, 1.126456, 0.8, 7.0, "range", ("because",))


def always(view: View) -> Candidate:
    return BUY


ALWAYS = Strategy("always", ("atr_14",), ("1m",), 5, always)
EURUSD = load_symbols(("EURUSD",)).symbols["EURUSD"]


def signals(store: Store, stage: FeaturesHandler, messages: Sequence[Message]) -> list[Signal]:
    """Handle messages in batches as a busy stage gets them, and return the signals that were published."""
    found: list[Signal] = []
    left = Entries().of(*messages)  # type: ignore[arg-type]  # any message of the stream
    while left:
        outcome = store.commit(stage.handle(left[:BATCH]))
        left = left[outcome.entries :]
        found += [p.message for p in outcome.publish if isinstance(p.message, Signal)]
    return found


@pytest.mark.parametrize("seed", [1, 2])
def test_six_lively_symbols_give_signals_at_a_sane_rate(seed: int) -> None:
    store = Store()
    stage = handler(store, SIX)
    hours = 2
    found = signals(store, stage, [*warm_up(SIX), *cycles(SIX, seed, hours * 3600, every_s=10, sigma=0.002)])

    assert 0.5 <= len(found) / len(SIX) / hours <= 8.0  # a few per symbol and hour
    assert found[0].published_ms - START_MS <= 600_000  # a first one within ten minutes
    moments = [START_MS, *(s.published_ms for s in found), START_MS + hours * 3_600_000]
    # The market moves six times as much as its history did: high volatility, until the ATR's average has followed.
    assert max(b - a for a, b in pairwise(moments)) <= 2_400_000
    for signal in found:
        prices = (signal.stop_loss, signal.entry, signal.take_profit_1, signal.take_profit_2)
        assert list(prices) == sorted(prices, reverse=signal.action == "SELL")
        assert signal.expires_ms == signal.published_ms + 3_000
        assert signal.id == f"{signal.symbol}|{signal.timeframe}|{signal.strategy}|{signal.bar_open_ms}"
        assert 0 <= signal.data_age_ms <= 30_000
    places = [(s.symbol, s.published_ms) for s in found]
    assert len(places) == len(set(places))  # never two for one symbol at once
    assert_cooled_down(found)


def assert_cooled_down(found: Sequence[Signal]) -> None:
    """More than five bars lie between a lane's signals."""
    last_ms: dict[tuple[str, str, str], int] = {}
    for signal in found:
        lane = (signal.symbol, signal.timeframe, signal.strategy)
        bars = (signal.bar_open_ms - last_ms.get(lane, 0)) // TIMEFRAME_MS[signal.timeframe]
        assert bars > 5, signal.id
        last_ms[lane] = signal.bar_open_ms


def test_the_engine_keeps_a_strategys_cooldown_over_a_restart() -> None:
    store = Store()
    found: list[Signal] = []
    eager = replace(ALWAYS, timeframes=("1m", "5m"), evaluate=_each_bar)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules_module, "load_strategies", lambda _file, _lanes: (eager,))
        live = _minutes(cycles(("EURUSD",), 1, 1_500, every_s=10, sigma=0.002))
        for part in (list[Message](warm_up(("EURUSD",))), *live):
            found += signals(store, handler(store), part)

    assert len(found) >= 4
    assert_cooled_down(found)


def _each_bar(view: View) -> Candidate:
    risk = view.now["atr_14"]
    return replace(
        BUY, entry=view.close, stop_loss=view.close - risk, take_profit_1=view.close + risk,
        take_profit_2=view.close + 2 * risk,
    )  # fmt: skip


def _minutes(messages: Iterable[Message]) -> list[list[Message]]:
    """Return the messages in parts of a minute and a half."""
    whole = list(messages)
    return [whole[at : at + 18] for at in range(0, len(whole), 18)]


def test_the_newest_signal_of_a_symbol_can_be_read() -> None:
    store = Store()
    found = signals(store, handler(store, SIX), [*warm_up(SIX), *cycles(SIX, 1, 1_200, every_s=10, sigma=0.002)])

    newest = {signal.symbol: signal for signal in found}
    end_ms = cast(int, msgspec.json.decode(store.keys[keys.state(0, "features")][b"clock"])["now_ms"])
    told = {symbol: signal for symbol, signal in newest.items() if signal.expires_ms + 60_000 > end_ms}
    assert newest
    assert {s.decode(): decode(body) for s, body in store.keys[keys.newest_signals(0)].items()} == told


@pytest.mark.parametrize(("last_ms", "now_ms", "lapses"), [
    (60_999, 61_000, True), (60_998, 60_999, False), (61_000, 61_001, False), (None, 61_000, True), (0, 999_999, True),
])  # fmt: skip
def test_a_signal_is_told_of_for_a_minute_after_it_has_expired(last_ms: int | None, now_ms: int, lapses: bool) -> None:
    assert Live("BUY", 5.0, expires_ms=1_000).lapses(last_ms, now_ms) == lapses


def test_a_delayed_class_gives_no_signal_but_bars() -> None:
    store = Store()
    stage = handler(store, SIX, limits="real")
    delayed = [*warm_up(SIX), *cycles(SIX, 1, 1_800, every_s=10, sigma=0.002)]

    assert {s.symbol for s in signals(store, stage, delayed)} <= {"EURUSD", "GBPUSD"}
    reasons = {s.labels["reason"] for s in stage._metrics.snapshot().counters if s.name == "md_bars_unasked_total"}
    assert "delayed" in reasons


def test_a_lane_that_is_not_warm_gives_no_signal() -> None:
    store = Store()

    assert signals(store, handler(store, SIX), list(cycles(SIX, 1, 1_200, every_s=10, sigma=0.002))) == []


@pytest.mark.parametrize(
    ("closed", "why"),
    [
        (CLOSED, None),
        (replace(CLOSED, delay_ms=600_000), "delayed"),
        (
            replace(CLOSED, bar=Bar("EURUSD", "1m", 0, 1, 1, 1, 1, 0, "none", 1, "y", "c", complete=False)),
            "incomplete_bar",
        ),
        (replace(CLOSED, age_ms=30_001), "stale"),
        (replace(CLOSED, score=0.69), "suspect"),
        (replace(CLOSED, hole_bars=4), "after_a_hole"),
        (replace(CLOSED, changed=True), "series_changed"),
    ],
)
def test_no_strategy_is_asked_on_a_bar_that_cannot_be_trusted(closed: Closed, why: str | None) -> None:
    assert withheld(closed) == why


def test_a_strategy_is_silent_for_its_cooldown() -> None:
    later = [propose(ALWAYS, CLOSED, 60_000, START_MS - n * 60_000) is not None for n in (1, 5, 6)]

    assert later == [False, False, True]
    assert propose(ALWAYS, CLOSED, 60_000, None) is not None


def test_a_strategy_is_not_asked_without_the_values_that_it_needs() -> None:
    assert propose(ALWAYS, replace(CLOSED, values={}), 60_000, None) is None
    assert propose(ALWAYS, replace(CLOSED, previous={}), 60_000, None) is None


def test_of_a_symbols_candidates_the_best_is_published() -> None:
    first = propose(ALWAYS, CLOSED, 60_000, None)
    assert first is not None
    better = replace(first, candidate=replace(BUY, action="SELL", quality=7.1))
    surer = replace(first, candidate=replace(BUY, confidence=0.81))

    assert best([first, better, surer]) is better
    assert best([better, first]) is better
    assert best([first, surer, first]) is surer
    assert best([first, replace(first)]) is first


def test_a_signal_has_prices_in_the_symbols_digits_and_a_derived_id() -> None:
    proposal = propose(ALWAYS, CLOSED, 60_000, None)
    assert proposal is not None

    assert publish(proposal, EURUSD, START_MS + 62_000, 3_000) == Signal(
        id=f"EURUSD|1m|always|{START_MS}", symbol="EURUSD", timeframe="1m", strategy="always", bar_open_ms=START_MS,
        action="BUY", entry=1.12346, stop_loss=1.12196, take_profit_1=1.12496, take_profit_2=1.12646, confidence=0.8,
        quality=7.0, regime="range", reasons=("because",), published_ms=START_MS + 62_000, expires_ms=START_MS + 65_000,
        data_age_ms=2_500, atr=0.001, source="yahoo", source_class="fx_spot", values={"atr_14": 0.001},
        data_score=1.0, spread=None,
    )  # fmt: skip


def test_no_signal_where_the_digits_leave_no_room_for_a_stop() -> None:
    proposal = propose(ALWAYS, CLOSED, 60_000, None)
    assert proposal is not None
    tight = replace(proposal, candidate=replace(BUY, stop_loss=1.123457))

    assert publish(tight, EURUSD, START_MS, 3_000) is None

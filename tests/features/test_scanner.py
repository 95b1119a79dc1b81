"""What becomes of proposals: conflicts, holes in what values look back on, spreads, and the engine's part in it."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from msgspec.structs import replace as changed

import features.rules as rules_module
from common import keys
from common.messages import Message, Quote, Quotes, Signal
from common.strategies import Candidate, Strategy, View
from features.builder import OpenBars, admit
from features.holes import longest_hole_bars
from features.scanner import CLEAR_QUALITY, Resolution, resolve, sift
from features.signals import MAX_HOLE_BARS, Proposal, dropped
from features.stage import FeaturesHandler
from features.state import Live
from tests.features.market import START_MS, past
from tests.features.support import MONDAY_MS, Store, clock, handler, history, quote
from tests.features.test_signals import ALWAYS, BUY, CLOSED, signals

MINUTE = 60_000
StageOf = Callable[..., FeaturesHandler]
NOW_MS = START_MS + 62_000
BUY_7 = Proposal(ALWAYS, CLOSED, BUY)


def proposal(action: str, quality: float) -> Proposal:
    return replace(BUY_7, candidate=replace(BUY, action=action, quality=quality))  # type: ignore[arg-type]  # of the two


def live(action: str, quality: float, left_ms: int = 1) -> Live:
    return Live(action, quality, NOW_MS + left_ms)  # type: ignore[arg-type]  # one of the two


# -- conflicts ------------------------------------------------------------------------------------


def test_one_side_alone_is_published() -> None:
    weak, strong = proposal("BUY", 5.0), proposal("BUY", 6.0)

    assert resolve([weak, strong], None, NOW_MS) == Resolution(strong, withdraw=False)


@pytest.mark.parametrize(("sell", "published"), [(6.0, "BUY"), (6.01, None), (7.0, None), (7.99, None), (8.0, "SELL")])
def test_of_two_sides_the_clearly_better_one_stands_else_none(sell: float, published: str | None) -> None:
    chosen, withdraw = resolve([proposal("BUY", 7.0), proposal("SELL", sell)], None, NOW_MS)

    assert CLEAR_QUALITY == 1.0
    assert (chosen.candidate.action if chosen else None) == published
    assert withdraw is False


@pytest.mark.parametrize(("quality", "withdraw"), [(6.0, False), (6.01, True), (7.0, True), (9.9, True)])
def test_against_a_signal_that_lives_nothing_is_published_and_a_strong_contradiction_withdraws_it(
    quality: float, withdraw: bool
) -> None:
    assert resolve([proposal("SELL", quality)], live("BUY", 7.0), NOW_MS) == Resolution(None, withdraw)


def test_a_signal_that_has_expired_bars_nothing() -> None:
    sell = proposal("SELL", 5.0)

    assert resolve([sell], live("BUY", 7.0, left_ms=0), NOW_MS) == Resolution(sell, withdraw=False)


def test_its_own_side_may_follow_a_signal_unless_the_other_side_is_near() -> None:
    buy = proposal("BUY", 5.0)

    assert resolve([buy], live("BUY", 7.0), NOW_MS) == Resolution(buy, withdraw=False)
    assert resolve([buy, proposal("SELL", 4.0)], live("BUY", 7.0), NOW_MS) == Resolution(buy, withdraw=False)
    assert resolve([buy, proposal("SELL", 4.5)], live("BUY", 7.0), NOW_MS) == Resolution(None, withdraw=False)
    assert resolve([buy, proposal("SELL", 6.5)], live("BUY", 7.0), NOW_MS) == Resolution(None, withdraw=True)


# -- what may not be published --------------------------------------------------------------------


@pytest.mark.parametrize(
    # ATR 0.001: a quarter of it is 0.00025.
    ("spread", "why"),
    [(None, None), (0.0, None), (0.00025, None), (0.00026, "wide_spread"), (-0.00001, "wide_spread")],
)
def test_a_spread_that_eats_the_risk_forbids_the_trade(spread: float | None, why: str | None) -> None:
    assert dropped(replace(BUY_7, closed=replace(CLOSED, spread=spread)), 0) == why


def test_a_hole_in_what_the_values_look_back_on_forbids_the_trade() -> None:
    strategy, lost = replace(ALWAYS, lookback_bars=20), list[str]()
    asked: list[int] = []

    def hole(lookback_bars: int) -> int:
        asked.append(lookback_bars)
        return MAX_HOLE_BARS + 1

    assert dropped(BUY_7, MAX_HOLE_BARS) is None
    assert sift([replace(BUY_7, strategy=strategy)], hole, lost) == []
    assert (asked, lost) == ([20], ["hole_in_lookback"])


def test_the_longest_hole_counts_open_market_time_alone() -> None:
    minutes = np.array([0, 1, 2, 6, 7, 70, 71]) * MINUTE
    always_open = int.__add__

    def shut(from_ms: int, needed_ms: int) -> int:
        """Open but from minute 8 to 68: the hole of 62 bars is of 2."""
        return from_ms + needed_ms + (60 * MINUTE if from_ms + needed_ms > 8 * MINUTE >= from_ms else 0)

    assert longest_hole_bars(minutes, MINUTE, always_open) == 62
    assert longest_hole_bars(minutes[:4], MINUTE, always_open) == 3
    assert longest_hole_bars(minutes[:3], MINUTE, always_open) == 0
    assert longest_hole_bars(minutes[4:], MINUTE, shut) == 2
    assert longest_hole_bars(minutes[:1], MINUTE, always_open) == 0


def test_the_spread_of_a_bar_is_that_of_its_newest_quote_with_both_sides() -> None:
    sided = replace_quote(1, 1.1, 1.0999, 1.1001)
    newer = replace_quote(2, 1.1, 1.0998, 1.1002)
    bare = quote("EURUSD", MONDAY_MS + 3, 1.1)

    def spread(*quotes: Quote) -> float | None:
        bars: OpenBars = ()
        for one in quotes:
            bars = admit(bars, one, MINUTE)
        return bars[0].spread

    assert spread(bare) is None
    assert spread(sided, bare) == pytest.approx(0.0002)
    assert spread(sided, newer, bare) == pytest.approx(0.0004)
    assert spread(newer, sided) == pytest.approx(0.0004)  # came later, but is older


def replace_quote(at: int, price: float, bid: float, ask: float) -> Quote:
    return changed(quote("EURUSD", MONDAY_MS + at, price), bid=bid, ask=ask)


# -- in the engine --------------------------------------------------------------------------------


def by_minute(view: View) -> Candidate:
    """A BUY on bars that close below their open, a SELL on the others: as good as ALWAYS's."""
    side, risk = (1, 0.001) if view.close < view.open else (-1, 0.001)
    return replace(
        BUY, action="BUY" if side > 0 else "SELL", entry=view.close, stop_loss=view.close - side * risk,
        take_profit_1=view.close + side * risk, take_profit_2=view.close + 2 * side * risk,
    )  # fmt: skip


def minutes(prices: Sequence[tuple[float, float]]) -> list[Message]:
    """One-minute bars of EURUSD from the start on, as (open, close); a clock entry closes each."""
    found: list[Message] = []
    for number, (opened, closed) in enumerate(prices):
        at_ms = START_MS + number * MINUTE
        found += [
            clock(at_ms + 5_000),
            Quotes((quote("EURUSD", at_ms + 6_000, opened),)),
            clock(at_ms + 30_000),
            Quotes((quote("EURUSD", at_ms + 58_000, closed),)),
            clock(at_ms + 62_000),
        ]
    return found


@pytest.fixture
def stage_of(monkeypatch: pytest.MonkeyPatch) -> StageOf:
    def make(store: Store, *strategies: Strategy, **settings: object) -> FeaturesHandler:
        monkeypatch.setattr(rules_module, "load_strategies", lambda _file, _lanes: strategies)
        given = {"timeframes": ("1m",), "collection_interval": 60.0, "signal_expiry": 100.0} | settings
        return handler(store, **given)  # type: ignore[arg-type]  # settings of several kinds

    return make


FLIPPING = Strategy("flipping", ("atr_14",), ("1m",), 0, by_minute)
START: tuple[Message, ...] = (clock(START_MS - 1_000), history(past("EURUSD", "1m", 1)))
PRICES = [(1.1400, 1.1401), (1.1401, 1.1400), (1.1400, 1.1399), (1.1399, 1.1398)]


def test_a_reversal_within_a_signals_life_withdraws_it_and_is_not_published(stage_of: StageOf) -> None:
    store = Store()
    stage = stage_of(store, FLIPPING)

    # A SELL at minute 1, living for 100 s: a BUY as good at minute 2 contradicts it. It expires before minute 3.
    found = signals(store, stage, [*START, *minutes(PRICES[:2])])
    assert [(s.action, s.bar_open_ms - START_MS) for s in found] == [("SELL", 0)]
    assert not store.keys[keys.newest_signals(0)]

    rest = signals(store, stage, minutes(PRICES)[10:])
    assert [(s.action, s.bar_open_ms - START_MS) for s in rest] == [("BUY", 2 * MINUTE), ("BUY", 3 * MINUTE)]
    reasons = {s.labels["reason"]: s.value for s in stage._metrics.snapshot().counters if "dropped" in s.name}
    assert reasons == {"conflict": 1.0}


def test_a_restart_keeps_what_a_living_signal_bars(stage_of: StageOf) -> None:
    store = Store()
    first = signals(store, stage_of(store, FLIPPING), [*START, *minutes(PRICES[:1])])

    again = signals(store, stage_of(store, FLIPPING), minutes(PRICES[:2])[5:])

    assert [s.action for s in (*first, *again)] == ["SELL"]


def test_two_timeframes_never_say_both(stage_of: StageOf) -> None:
    """On the fifth minute both bars close at once: the five minutes fell, the last of them rose."""
    store = Store()
    both = replace(FLIPPING, timeframes=("1m", "5m"))
    prices = [(1.1410, 1.1405), (1.1405, 1.1404), (1.1404, 1.1403), (1.1403, 1.1400), (1.1400, 1.1401)]
    messages = [START[0], *(history(past("EURUSD", t, 1), timeframe=t) for t in ("1m", "5m"))]
    stage = stage_of(store, both, timeframes=("1m", "5m"), signal_expiry=3.0)

    found = signals(store, stage, [*messages, *minutes(prices)])

    assert [(s.timeframe, s.action) for s in found] == [("1m", "BUY")] * 4


def test_a_series_that_changed_class_is_silent_on_all_timeframes_until_all_are_warm(stage_of: StageOf) -> None:
    store = Store()
    both = replace(FLIPPING, timeframes=("1m", "5m"))
    stage = stage_of(store, both, timeframes=("1m", "5m"), signal_expiry=3.0)
    stage.engine.tracks["EURUSD"].anew_ms = START_MS - 2_000  # as after a change; 5m bars are still asked for

    found = signals(store, stage, [*START, *minutes(PRICES)])

    assert found == []
    reasons = {s.labels["reason"] for s in stage._metrics.snapshot().counters if "unasked" in s.name}
    assert reasons == {"series_changed"}


@pytest.mark.parametrize(("in_part", "silent"), [(3, False), (4, True)])
def test_bars_built_in_part_count_as_missing_until_they_are_repaired(
    stage_of: StageOf, in_part: int, silent: bool
) -> None:
    store = Store()
    stage = stage_of(store, replace(FLIPPING, lookback_bars=30))
    bars = past("EURUSD", "1m", 1)
    broken = [changed(bar, complete=False, origin="built") for bar in bars[-20 : in_part - 20]]

    found = signals(
        store, stage, [START[0], history([*bars[:-20], *broken, *bars[in_part - 20 :]]), *minutes(PRICES[:1])]
    )
    assert [s.action for s in found] == ([] if silent else ["SELL"])

    repaired = signals(store, stage, [history(bars[-20 : in_part - 20]), *minutes(PRICES[:2])[5:]])
    assert [s.action for s in repaired] == (["BUY"] if silent else [])  # else the signal to sell still lives


def test_an_unrepaired_hole_in_the_lookback_silences_until_it_is_repaired(stage_of: StageOf) -> None:
    store = Store()
    looking_back = replace(FLIPPING, lookback_bars=30)
    bars = past("EURUSD", "1m", 1)
    stage = stage_of(store, looking_back)

    holed = [START[0], history([*bars[:-20], *bars[-10:]])]
    assert signals(store, stage, [*holed, *minutes(PRICES[:1])]) == []
    reasons = {s.labels["reason"]: s.value for s in stage._metrics.snapshot().counters if "dropped" in s.name}
    assert reasons == {"hole_in_lookback": 1.0}

    repaired = signals(store, stage, [history(bars[-20:-10]), *minutes(PRICES[:2])[5:]])
    assert [s.action for s in repaired] == ["BUY"]


def test_the_same_market_with_a_wide_spread_gives_nothing(stage_of: StageOf) -> None:
    def found(half: float) -> list[Signal]:
        sided: list[Message] = []
        for message in minutes(PRICES[:1]):
            if isinstance(message, Quotes):
                (one,) = message.quotes
                spread = replace_quote(one.market_ms - MONDAY_MS, one.price, one.price - half, one.price + half)
                sided.append(Quotes((spread,)))
            else:
                sided.append(message)
        return signals(Store(), stage_of(Store(), FLIPPING), [*START, *sided])

    (narrow,) = found(0.000005)
    assert narrow.spread == pytest.approx(0.00001)
    assert narrow.data_score == 1.0
    assert narrow.atr < 0.004  # so that a spread of 0.001 is beyond a quarter of it
    assert found(0.0005) == []

"""Warm-up and repair: what is asked for, and how answers enter a lane."""

import numpy as np
import talib

from common import keys
from common.bars import to_bars
from common.features import FeatureSet, decode_features
from common.messages import Bar, Bars, HistoryRequest, Quotes
from features.stage import FeaturesHandler
from tests.features.support import MONDAY_MS, Entries, Store, bar, clock, handler, history, quote, random_walk

MINUTE = 60_000
NOW_MS = MONDAY_MS + 20 * 3_600_000


def past(count: int, until_ms: int = NOW_MS, seed: int = 1) -> list[Bar]:
    """A vendor's 1-minute bars up to a time."""
    prices = random_walk(seed, count)
    return [bar(until_ms - (count - n) * MINUTE, price) for n, price in enumerate(prices)]


def feed(stage: FeaturesHandler, store: Store, *messages: object) -> list[object]:
    """Handle messages one by one; return what was published."""
    made = Entries().of(*messages)  # type: ignore[arg-type]  # any message of the stream
    return [p.message for entry in made for p in store.commit(stage.handle((entry,))).publish]


def values(store: Store, timeframe: str = "1m") -> FeatureSet:
    return decode_features(store.keys[keys.feature_values(0, "EURUSD", timeframe)])


def stored(store: Store) -> list[Bar]:
    return to_bars(store.keys.get(keys.bar_cache(0, "EURUSD", "1m"), []), "EURUSD", "1m", "fx_spot")


def test_the_first_clock_asks_once_for_each_lanes_history() -> None:
    store = Store()
    stage = handler(store)

    published = feed(stage, store, clock(NOW_MS + 10_000), clock(NOW_MS + 11_000))

    assert [m for m in published if isinstance(m, HistoryRequest) and m.timeframe == "1m"] == [
        HistoryRequest(
            id=f"EURUSD|1m|fx_spot|{NOW_MS}|0|0",
            symbol="EURUSD",
            timeframe="1m",
            source_class="fx_spot",
            count=1000,
            before_ms=NOW_MS,
            most=1100,
        )
    ]
    assert len(published) == 5


def test_a_restart_does_not_ask_again_before_hours_have_passed() -> None:
    store = Store()
    feed(handler(store), store, clock(NOW_MS))

    assert feed(handler(store), store, clock(NOW_MS + 1_000)) == []
    assert len(feed(handler(store), store, clock(NOW_MS + 6 * 3_600_000))) == 5


def test_a_lane_with_enough_bars_asks_for_nothing() -> None:
    store = Store()
    stage = handler(store, timeframes=("1m",))
    feed(stage, store, clock(NOW_MS), history(past(1_000)))

    assert feed(handler(store, timeframes=("1m",)), store, clock(NOW_MS + 8 * 3_600_000)) == []


def test_history_makes_a_lane_ready_with_the_next_pass_and_not_before() -> None:
    store = Store()
    stage = handler(store)
    bars = past(1_000)
    feed(stage, store, clock(NOW_MS + 5_000), history(bars))

    merged = values(store)
    assert (merged.ready, merged.values, merged.bar_open_ms) == (False, {}, NOW_MS - MINUTE)
    assert set(merged.not_ready.values()) == {"the history changed, being recomputed"}

    feed(stage, store, clock(NOW_MS + 6_000))
    closes = np.array([b.close for b in bars])
    ready = values(store)
    assert ready.ready
    assert ready.values["ema_200"] == talib.EMA(closes, 200)[-1]
    assert ready.values["rsi_14"] == talib.RSI(closes, 14)[-1]
    assert stored(store) == bars


def test_bars_that_are_still_open_are_not_taken_from_history() -> None:
    store = Store()
    stage = handler(store)
    feed(stage, store, clock(NOW_MS + 1_500))  # the minute that ended at NOW_MS is open for 0.5 s yet

    feed(stage, store, history([bar(NOW_MS - 2 * MINUTE, 1.1), bar(NOW_MS - MINUTE, 1.2), bar(NOW_MS, 1.3)]))

    assert [b.open_ms for b in stored(store)] == [NOW_MS - 2 * MINUTE]


def test_a_bar_that_a_shorter_lateness_makes_due_is_closed_at_the_start_before_history_comes() -> None:
    store = Store()
    tick = Quotes((quote("EURUSD", NOW_MS - 30_000, 1.2),))
    feed(handler(store, lateness=60.0), store, clock(NOW_MS), tick, clock(NOW_MS + 30_000))
    assert stored(store) == []

    stage = handler(store, lateness=2.0)
    assert stage.unfinished
    (built,) = [p.message for p in store.commit(stage.handle(())).publish if isinstance(p.message, Bars)]
    assert [(b.open_ms, b.close) for b in built.bars if b.timeframe == "1m"] == [(NOW_MS - MINUTE, 1.2)]

    feed(stage, store, history([bar(NOW_MS - 2 * MINUTE, 1.1), bar(NOW_MS, 1.3)]))
    assert [b.open_ms for b in stored(store)] == [NOW_MS - 2 * MINUTE, NOW_MS - MINUTE]


def test_own_complete_bars_stay_and_incomplete_ones_give_way() -> None:
    store = Store()
    stage = handler(store)
    feed(stage, store, clock(NOW_MS + 20_000))
    for second in (40, 61, 90, 119, 130):
        tick = Quotes((quote("EURUSD", NOW_MS + second * 1000, 1.0 + second / 1000),))
        feed(stage, store, tick, clock(NOW_MS + second * 1000))
    built = stored(store)
    assert [(b.open_ms - NOW_MS, b.complete, b.ticks) for b in built] == [(0, False, 1), (MINUTE, True, 3)]

    vendor = [bar(NOW_MS, 2.0), bar(NOW_MS + MINUTE, 3.0)]
    feed(stage, store, history(vendor))

    assert stored(store) == [vendor[0], built[1]]


def test_a_vendors_correction_replaces_its_own_bar_and_changes_the_values() -> None:
    store = Store()
    stage = handler(store)
    bars = past(1_000)
    feed(stage, store, clock(NOW_MS + 5_000), history(bars), clock(NOW_MS + 6_000))
    corrected = [*bars[:-1], bar(bars[-1].open_ms, 1.5)]

    feed(stage, store, history([corrected[-1]]), clock(NOW_MS + 7_000))

    assert stored(store) == corrected
    assert values(store).values["ema_9"] == talib.EMA(np.array([b.close for b in corrected]), 9)[-1]


def test_the_same_answer_twice_changes_nothing() -> None:
    store = Store()
    stage = handler(store)
    bars = past(1_000)
    feed(stage, store, clock(NOW_MS + 5_000), history(bars), clock(NOW_MS + 6_000))

    outcome = stage.handle(Entries().of(history(bars)))

    assert list(outcome.writes) == []


def test_a_lane_repaired_within_a_batch_is_reopened_before_its_next_bar_closes() -> None:
    store = Store()
    stage = handler(store)
    bars = past(1_000)
    batch = [history(bars), Quotes((quote("EURUSD", NOW_MS + 1_000, 1.2),)), clock(NOW_MS + 62_000)]
    feed(stage, store, clock(NOW_MS + 5_000))

    made = Entries().of(*batch)  # type: ignore[arg-type]
    outcome = store.commit(stage.handle(made))

    assert next(m.message for m in outcome.publish if isinstance(m.message, Bars)).bars[-1].timeframe == "1m"
    closes = np.array([*(b.close for b in bars), 1.2])
    found = values(store)
    assert found.ready
    assert found.values["ema_200"] == talib.EMA(closes[-found.bars_seen :], 200)[-1]


def test_the_cache_keeps_max_bars_and_one_anchor_period() -> None:
    store = Store()
    stage = handler(store, timeframes=("1m",))
    feed(stage, store, clock(NOW_MS + 5_000), history(past(1_300)))
    assert len(stored(store)) == 1_100

    quotes = [
        (Quotes((quote("EURUSD", NOW_MS + n * MINUTE, 1.1),)), clock(NOW_MS + n * MINUTE + 62_000)) for n in range(5)
    ]
    feed(stage, store, *(m for pair in quotes for m in pair))

    assert len(stored(store)) == 1_100
    assert stored(store)[-1].open_ms == NOW_MS + 4 * MINUTE


def test_history_of_another_class_is_ignored() -> None:
    store = Store()
    stage = handler(store)
    answer = history([bar(NOW_MS - MINUTE, 1.1)])

    feed(stage, store, clock(NOW_MS + 5_000), type(answer)("r", "EURUSD", "1m", "gold_spot", answer.bars))

    assert stored(store) == []

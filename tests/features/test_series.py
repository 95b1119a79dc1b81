"""Another class begins to feed a series: it starts anew, says so, and nothing of the class before is left in it."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pytest
import talib

from common import keys
from common.bars import to_bars
from common.features import FeatureSet, decode_features
from common.messages import Bar, Clock, HistoryBars, HistoryRequest, Quotes, SeriesChange
from common.metrics import Metrics
from common.settings import Settings
from common.symbols import SymbolTable, load_symbols
from features.stage import FeaturesHandler
from tests.features.support import LONG_S, MONDAY_MS, Entries, Store, clock, quote, random_walk

OWN, OTHER = "comex_gold_future", "gold_spot"
MINUTE = 60_000
NOW_MS = MONDAY_MS + 20 * 3_600_000
BASIS = 50.0
Message = Quotes | Clock | HistoryBars | SeriesChange


def table(*failover: str) -> SymbolTable:
    """Gold, with the classes that the user allows beside its own."""
    found = load_symbols(("XAUUSD",))
    gold = found.symbols["XAUUSD"].model_copy(update={"failover": failover})
    return found.model_copy(update={"symbols": {"XAUUSD": gold}})


def handler(store: Store, *failover: str) -> FeaturesHandler:
    settings = Settings.model_validate(
        {
            "symbols": ("XAUUSD",), "limits": "none", "max_bars_cache": 1_000, "anchor_bars": 100,
            "timeframes": ("1m",),
        }
    )  # fmt: skip
    found = FeaturesHandler(0, settings, table(*failover), Metrics("features"), pass_s=LONG_S)
    store.commit(found.restore(store))  # type: ignore[arg-type]  # the store stands in for a link
    return found


def change(at_ms: int, to: str = OTHER, before: str = OWN) -> SeriesChange:
    return SeriesChange("XAUUSD", to, before, at_ms, "class_down", "7-0")


def minutes(prices: Sequence[float], from_ms: int, source_class: str, beside: str = "") -> Iterator[Message]:
    """Four quotes a minute of one class (and of another, 50 dollars higher or lower), each with the clock after it."""
    for number, price in enumerate(prices):
        for step in range(4):
            at_ms = from_ms + number * MINUTE + step * 15_000
            found = [quote("XAUUSD", at_ms, price + step * 0.1, source_class=source_class)]
            if beside:
                away = BASIS if beside == OTHER else -BASIS
                found.append(quote("XAUUSD", at_ms, price + away, source_class=beside, source="twelvedata"))
            yield Quotes(tuple(found))
            yield clock(at_ms + 1_000)


def feed(stage: FeaturesHandler, store: Store, *messages: Message) -> list[object]:
    made = Entries().of(*messages)  # type: ignore[arg-type]  # any message of the stream
    return [p.message for entry in made for p in store.commit(stage.handle((entry,))).publish]


def values(store: Store) -> FeatureSet:
    return decode_features(store.keys[keys.feature_values(0, "XAUUSD", "1m")])


def stored(store: Store, source_class: str) -> list[Bar]:
    return to_bars(store.keys.get(keys.bar_cache(0, "XAUUSD", "1m"), []), "XAUUSD", "1m", source_class)


def both_classes() -> list[Message]:
    """Two hours of the own class, the other beside it; then the change, and two hours the other way round."""
    own = random_walk(3, 120, 2_650.0)
    other = [price + BASIS for price in random_walk(4, 120, own[-1])]
    turn_ms = NOW_MS + 120 * MINUTE
    return [
        clock(NOW_MS - 1_000),
        *minutes(own, NOW_MS, OWN, beside=OTHER),
        change(turn_ms - 500),
        *minutes(other, turn_ms, OTHER, beside=OWN),
        clock(turn_ms + 121 * MINUTE),
    ]


def test_after_the_change_bars_and_values_are_those_of_the_new_class_alone() -> None:
    store = Store()
    feed(handler(store, OTHER), store, *both_classes())

    other = [price + BASIS for price in random_walk(4, 120, random_walk(3, 120, 2_650.0)[-1])]
    bars, found = stored(store, OTHER), values(store)
    assert [bar.open for bar in bars] == other
    assert [bar.open_ms for bar in bars] == [NOW_MS + (120 + n) * MINUTE for n in range(120)]
    high, low, close = (np.array([getattr(bar, name) for bar in bars]) for name in ("high", "low", "close"))
    assert found.source_class == OTHER
    assert found.values["rsi_14"] == talib.RSI(close, 14)[-1]
    assert found.values["ema_20"] == talib.EMA(close, 20)[-1]
    assert found.values["atr_14"] == talib.ATR(high, low, close, 14)[-1]
    largest = max(abs(b.close / a.close - 1) for a, b in pairwise(bars))
    assert largest < 0.5 * BASIS / 2_650.0, "no bar holds the jump from one instrument to the other"


@pytest.mark.parametrize("where", [OWN, OTHER])
def test_quotes_of_the_class_that_does_not_feed_the_series_change_nothing(where: str) -> None:
    alone, beside = Store(), Store()
    prices = random_walk(3, 30, 2_650.0)
    for store, more in ((alone, ""), (beside, OTHER if where == OWN else OWN)):
        begin = [clock(NOW_MS - 1_000)] if where == OWN else [clock(NOW_MS - 1_000), change(NOW_MS - 500)]
        feed(handler(store, OTHER), store, *begin, *minutes(prices, NOW_MS, where, beside=more))
    assert alone.keys == beside.keys


def test_without_permission_no_class_but_the_own_one_enters_the_series() -> None:
    store = Store()
    stage = handler(store)
    feed(stage, store, *both_classes())
    assert {bar.open_ms < NOW_MS + 120 * MINUTE for bar in stored(store, OWN)[:120]} == {True}
    assert values(store).source_class == OWN
    assert stage.engine.tracks["XAUUSD"].anew_ms is None


def test_the_change_empties_the_cache_and_says_so_in_the_same_transaction() -> None:
    store = Store()
    stage = handler(store, OTHER)
    feed(stage, store, clock(NOW_MS - 1_000), *minutes(random_walk(3, 90, 2_650.0), NOW_MS, OWN))
    store.call("HSET", keys.newest_signals(0), "XAUUSD", b"{}")
    assert stored(store, OWN)

    feed(stage, store, change(NOW_MS + 90 * MINUTE))

    found = values(store)
    assert stored(store, OTHER) == []
    assert not store.keys[keys.newest_signals(0)]
    assert (found.source_class, found.ready, found.market_ms) == (OTHER, False, None)
    assert set(found.values.values()) == {None}
    assert found.warming == "series changed to gold_spot; warming"
    assert found.not_ready["ema_20"].startswith("series changed to gold_spot; warming up: 0 of ")
    assert found.forming is None


def test_the_new_classs_history_is_asked_for_and_only_its_answer_is_taken() -> None:
    store = Store()
    stage = handler(store, OTHER)
    asked = [m for m in feed(stage, store, clock(NOW_MS)) if isinstance(m, HistoryRequest)]
    published = feed(stage, store, change(NOW_MS + 5_000), clock(NOW_MS + 6_000))
    again = [m for m in published if isinstance(m, HistoryRequest)]
    assert [m.source_class for m in (*asked, *again)] == [OWN, OTHER]

    prices = random_walk(5, 1_000, 2_700.0)
    bars = {
        name: tuple(
            Bar("XAUUSD", "1m", NOW_MS - (1_000 - n) * MINUTE, p, p, p, p, 0.0, "none", 0, "twelvedata", name, "vendor")
            for n, p in enumerate(prices)
        )
        for name in (OWN, OTHER)
    }
    feed(stage, store, HistoryBars(asked[0].id, "XAUUSD", "1m", OWN, bars[OWN]))
    assert stored(store, OTHER) == []
    feed(stage, store, HistoryBars(again[0].id, "XAUUSD", "1m", OTHER, bars[OTHER]), clock(NOW_MS + 7_000))
    found = values(store)
    assert stored(store, OTHER) == list(bars[OTHER])
    assert found.ready
    assert found.values["ema_200"] == talib.EMA(np.array(prices), 200)[-1]
    feed(stage, store, Quotes((quote("XAUUSD", NOW_MS + 7_000, 2_700.0, source_class=OTHER),)))
    assert values(store).warming == ""


def test_a_restart_after_any_entry_goes_on_with_the_same_class() -> None:
    whole, restarted = Store(), Store()
    messages = both_classes()
    feed(handler(whole, OTHER), whole, *messages)
    for begin in range(0, len(messages), 97):
        feed(handler(restarted, OTHER), restarted, *messages[begin : begin + 97])
    assert restarted.keys == whole.keys


def test_one_batch_with_both_sides_of_the_change_gives_the_same_as_entry_by_entry() -> None:
    single, batched = Store(), Store()
    feed(handler(single, OTHER), single, *both_classes())
    stage = handler(batched, OTHER)
    made = Entries().of(*both_classes())  # type: ignore[arg-type]  # any message of the stream
    for begin in range(0, len(made), 500):
        batched.commit(stage.handle(made[begin : begin + 500]))
    assert stored(batched, OTHER) == stored(single, OTHER)
    assert values(batched).values == values(single).values


def test_a_class_that_the_table_no_longer_allows_is_dropped_at_the_next_start() -> None:
    store = Store()
    feed(handler(store, OTHER), store, *both_classes())
    stage = handler(store)
    assert stage.engine.tracks["XAUUSD"].source_class == OWN
    assert stored(store, OWN) == []


def test_the_terminals_class_needs_no_permission_and_has_its_own_sessions_and_delay() -> None:
    store = Store()
    stage = handler(store)
    feed(stage, store, clock(NOW_MS), change(NOW_MS + 500, "terminal_metals"))
    track = stage.engine.tracks["XAUUSD"]
    assert (track.source_class, track.delay_ms) == ("terminal_metals", 0)

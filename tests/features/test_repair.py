"""What the gap ledger puts right reaches the indicators; and what is not ready says from when on it may be."""

import numpy as np
import talib

from common import keys
from common.bars import to_bars
from common.features import FeatureSet, decode_features
from common.messages import VENDORS_ASKED, Bar, HistoryBars, HistoryRequest, Quotes
from features.stage import FeaturesHandler
from tests.features.support import MONDAY_MS, Entries, Store, bar, clock, handler, history, quote, random_walk

MINUTE = 60_000
NOW_MS = MONDAY_MS + 20 * 3_600_000
GAP = f"gap1|EURUSD|fx_spot|1m|{NOW_MS - 10 * MINUTE}|{NOW_MS}"


def feed(stage: FeaturesHandler, store: Store, *messages: object) -> list[object]:
    """Handle messages one by one; return what was published."""
    made = Entries().of(*messages)  # type: ignore[arg-type]  # any message of the stream
    return [p.message for entry in made for p in store.commit(stage.handle((entry,))).publish]


def values(store: Store, timeframe: str = "1m") -> FeatureSet:
    return decode_features(store.keys[keys.feature_values(0, "EURUSD", timeframe)])


def stored(store: Store) -> list[Bar]:
    return to_bars(store.keys.get(keys.bar_cache(0, "EURUSD", "1m"), []), "EURUSD", "1m", "fx_spot")


def series(count: int = 1_000) -> list[Bar]:
    """A vendor's 1-minute bars up to now."""
    prices = random_walk(3, count)
    return [bar(NOW_MS - (count - n) * MINUTE, price) for n, price in enumerate(prices)]


def repair(bars: list[Bar], request_id: str = GAP, **changes: object) -> HistoryBars:
    return HistoryBars(request_id, "EURUSD", "1m", "fx_spot", tuple(bars), **changes)  # type: ignore[arg-type]


def test_after_a_repair_values_equal_talibs_over_the_full_series() -> None:
    store = Store()
    stage = handler(store)
    bars = series()
    hole = [b for b in bars if NOW_MS - 40 * MINUTE <= b.open_ms < NOW_MS - 10 * MINUTE]
    feed(stage, store, clock(NOW_MS + 5_000), history([b for b in bars if b not in hole]), clock(NOW_MS + 6_000))
    assert values(store).values["ema_200"] != talib.EMA(np.array([b.close for b in bars]), 200)[-1]

    feed(stage, store, repair(hole))
    assert not values(store).ready
    feed(stage, store, clock(NOW_MS + 7_000))

    closes = np.array([b.close for b in bars])
    found = values(store)
    assert found.ready
    assert (found.values["ema_200"], found.values["rsi_14"]) == (talib.EMA(closes, 200)[-1], talib.RSI(closes, 14)[-1])
    assert [b.open_ms for b in stored(store) if b.repaired] == [b.open_ms for b in hole]


def test_a_bar_built_from_part_of_its_quotes_gives_way_to_the_ledgers() -> None:
    store = Store()
    stage = handler(store)
    feed(stage, store, clock(NOW_MS - 1_000))
    for second in range(1, 145, 20):
        tick = Quotes((quote("EURUSD", NOW_MS + second * 1000, 1.0 + second / 1000),))
        feed(stage, store, tick, clock(NOW_MS + second * 1000))
    assert [b.complete for b in stored(store)] == [True, True]

    feed(stage, store, repair([bar(NOW_MS, 2.0)], f"{GAP}x"))
    assert stored(store)[0].origin == "built"
    feed(stage, store, repair([bar(NOW_MS, 2.0)], instead=True))

    assert [(b.origin, b.close, b.repaired) for b in stored(store)] == [
        ("vendor", 2.0, True), ("built", stored(store)[1].close, False),
    ]  # fmt: skip


def test_an_empty_lane_says_when_its_own_bars_would_do() -> None:
    store = Store()
    stage = handler(store, timeframes=("1m",))
    (request,) = feed(stage, store, clock(NOW_MS + 10_000))
    assert isinstance(request, HistoryRequest)
    feed(stage, store, HistoryBars(request.id, "EURUSD", "1m", "fx_spot", (), detail="asked the vendors"))
    # 20 bars, from the next minute on: 20:01 and 20 minutes.
    assert values(store).not_ready["bollinger_middle"].startswith("warming up: 0 of ")
    assert "T20:21:00Z" in values(store).not_ready["bollinger_middle"]


def test_the_vendors_next_attempt_is_named_with_the_reason() -> None:
    store = Store()
    stage = handler(store, timeframes=("1m",))
    (request,) = feed(stage, store, clock(NOW_MS + 10_000))
    assert isinstance(request, HistoryRequest)
    answer = HistoryBars(
        request.id, "EURUSD", "1m", "fx_spot", (), detail="yahoo: rate_limited: quota_spent",
        retry_ms=NOW_MS + 15 * MINUTE,
    )  # fmt: skip
    feed(stage, store, answer)
    assert (
        values(store)
        .not_ready["bollinger_middle"]
        .endswith(
            "; or with the vendors' history, asked for again at"
            f" {np.datetime64(NOW_MS + 15 * MINUTE, 'ms').astype('datetime64[s]')}Z (yahoo: rate_limited: quota_spent)"
        )
    )
    asked = f"{VENDORS_ASKED}: older|EURUSD|fx_spot|1m|0|{NOW_MS}"
    feed(stage, store, HistoryBars(request.id, "EURUSD", "1m", "fx_spot", (), detail=asked))
    assert values(store).not_ready["bollinger_middle"].endswith("Z; or with the vendors' history, which was asked for")
    feed(stage, store, HistoryBars(request.id, "EURUSD", "1m", "fx_spot", (), detail="no vendor has more"))
    assert values(store).not_ready["bollinger_middle"].endswith("; no more history: no vendor has more")


def test_time_in_which_the_market_is_closed_warms_nothing_up() -> None:
    friday_ms = MONDAY_MS + 4 * 86_400_000 + 20 * 3_600_000 + 50 * MINUTE  # 20:50 UTC; the market closes at 21 or 22:00
    store = Store()
    stage = handler(store, timeframes=("1h",))
    (request,) = feed(stage, store, clock(friday_ms))
    assert isinstance(request, HistoryRequest)
    feed(stage, store, HistoryBars(request.id, "EURUSD", "1h", "fx_spot", ()))
    text = values(store, "1h").not_ready["bollinger_middle"]
    until = np.datetime64(text.split("not before ")[1].rstrip("Z"))
    assert until - np.datetime64(friday_ms, "ms") > np.timedelta64(20 + 48, "h")

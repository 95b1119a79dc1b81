"""A bar cache that somebody deleted while its state is there: asked of the database, and the same again bit for bit."""

from collections.abc import Sequence

from common import keys
from common.bars import to_bars
from common.features import FeatureSet, decode_features
from common.messages import Bar, Bars, HistoryRequest, Quotes
from features.stage import FeaturesHandler
from tests.features.support import MONDAY_MS, Entries, Store, clock, handler, history, quote, random_walk

MINUTE = 60_000
BATCH = 20
CACHE = keys.bar_cache(0, "EURUSD", "1m")
BARS = 1_350  # the window has moved on past its first anchors: it rests on more than MAX_BARS_CACHE bars


def engine(store: Store) -> FeaturesHandler:
    """Return a stage with the one lane, restored from the store."""
    return handler(store, timeframes=("1m",))


def feed(stage: FeaturesHandler, store: Store, *messages: object) -> list[object]:
    """Handle messages in batches; return what was published."""
    left = Entries().of(*messages)  # type: ignore[arg-type]  # any message of the stream
    published: list[object] = []
    while left:
        outcome = store.commit(stage.handle(left[:BATCH]))
        left = left[outcome.entries :]
        published += [one.message for one in outcome.publish]
    return published


def play(stage: FeaturesHandler, store: Store, prices: Sequence[float], first: int) -> list[Bar]:
    """Play one quote a minute; return the 1-minute bars that were closed."""
    messages: list[object] = []
    for number, price in enumerate(prices, first):
        at_ms = MONDAY_MS + number * MINUTE
        messages += [Quotes((quote("EURUSD", at_ms + 1_000, price),)), clock(at_ms + 5_000)]
    published = feed(stage, store, *messages)
    return [bar for m in published if isinstance(m, Bars) for bar in m.bars if bar.timeframe == "1m"]


def values(store: Store) -> FeatureSet:
    return decode_features(store.keys[keys.feature_values(0, "EURUSD", "1m")])


def asked(messages: Sequence[object]) -> list[HistoryRequest]:
    return [m for m in messages if isinstance(m, HistoryRequest) and m.timeframe == "1m"]


def test_a_cache_that_is_gone_is_asked_for_whole_and_gives_the_same_values() -> None:
    prices = random_walk(3, BARS + 20)
    store, undisturbed = Store(), Store()
    stored = play(engine(store), store, prices[:BARS], 0)
    other = engine(undisturbed)
    play(other, undisturbed, prices[:BARS], 0)
    del store.keys[CACHE]

    restarted = engine(store)
    requests = asked(feed(restarted, store, clock(MONDAY_MS + (BARS - 1) * MINUTE + 6_000, 2)))
    assert [(request.count, request.most) for request in requests] == [(1_000, 1_100)]
    feed(restarted, store, history(stored[-requests[0].most :], requests[0].id))
    play(restarted, store, prices[BARS:], BARS)
    play(other, undisturbed, prices[BARS:], BARS)

    assert store.keys[CACHE] == undisturbed.keys[CACHE]
    assert values(store) == values(undisturbed)


def test_a_cache_that_is_deleted_under_a_running_engine_stays_gone_until_it_is_asked_for() -> None:
    prices = random_walk(4, 60)
    store = Store()
    stage = engine(store)
    stored = play(stage, store, prices[:50], 0)
    del store.keys[CACHE]
    stored += play(stage, store, prices[50:], 50)
    assert CACHE not in store.keys

    restarted = engine(store)
    requests = asked(feed(restarted, store, clock(MONDAY_MS + 59 * MINUTE + 6_000, 2)))
    feed(restarted, store, history(stored, requests[0].id))

    assert to_bars(store.keys[CACHE], "EURUSD", "1m", "fx_spot") == stored

"""The features stage over given settings, in hand."""

from collections.abc import Sequence

from common.bars import to_bars
from common.keys import bar_cache
from common.messages import Bars, Clock, HistoryBars, Message, Quotes, Timeframe
from common.metrics import Metrics
from common.settings import Settings
from common.stage import Outcome
from common.symbols import load_symbols
from features.stage import FeaturesHandler
from tests.features.support import LONG_S, MONDAY_MS, Entries, Store, clock, quote

PRICE = 1.1


def features_handler(settings: Settings, store: Store) -> FeaturesHandler:
    """Return the handler of partition 0 as the stage makes it, restored from the store."""
    table = load_symbols(settings.symbols, settings.symbols_file)
    handler = FeaturesHandler(0, settings, table, Metrics("features"), pass_s=LONG_S)
    store.commit(handler.restore(store))  # type: ignore[arg-type]  # the store stands in for a link
    return handler


def handle(handler: FeaturesHandler, store: Store, messages: Sequence[Quotes | Clock | HistoryBars]) -> list[Message]:
    """Handle messages one by one, commit each to the store, and return what was published."""
    found: list[Message] = []
    for entry in Entries().of(*messages):
        outcome: Outcome = store.commit(handler.handle((entry,)))
        found += [p.message for p in outcome.publish]
    return found


def first_quote(handler: FeaturesHandler, symbol: str) -> int:
    """Give one quote at the beginning of an hour, and return its time."""
    at_ms = MONDAY_MS + 15 * 3_600_000
    handle(handler, Store(), [clock(at_ms), Quotes((quote(symbol, at_ms, PRICE),))])
    return at_ms


def closed_bars(handler: FeaturesHandler, at: Clock) -> list[str]:
    """Return the timeframes of the bars that a clock entry closes."""
    published = handle(handler, Store(), [at])
    return [bar.timeframe for message in published if isinstance(message, Bars) for bar in message.bars]


def cached(store: Store, symbol: str, timeframe: Timeframe) -> int:
    """Return how many bars the cache of a lane holds."""
    return len(to_bars(store.keys[bar_cache(0, symbol, timeframe)], symbol, timeframe, "fx_spot"))

"""A Redis as the feature engine leaves it: full bar caches and the state of so many symbols, made up from a seed."""

from collections.abc import Sequence

import numpy as np

from bench.symbol_table import SERIES
from common import keys
from common.bars import RECORD
from common.messages import TIMEFRAME_MS, Timeframe
from common.redis_link import Link
from common.settings import Settings
from common.symbols import Symbol, SymbolTable
from features.coverage import NOT_COVERED
from features.state import SymbolState, encode_value, symbol_field

PRICE = 1.1


def fill(link: Link, settings: Settings, table: SymbolTable, start_ms: int) -> None:
    """Fill the bar caches of all lanes up to a time, and commit the state that goes with them."""
    walk = (
        PRICE + np.random.default_rng(1).normal(0.0, 1e-4, settings.max_bars_cache + settings.anchor_bars + 1).cumsum()
    )
    for timeframe in settings.timeframes:
        records = _records(walk, TIMEFRAME_MS[timeframe], start_ms)
        for symbol in table.symbols.values():
            partition = symbol.partition(settings.stream_partitions)
            link.call("RPUSH", keys.bar_cache(partition, symbol.name, timeframe), *records)
    for symbol in table.symbols.values():
        _commit(link, settings, symbol, start_ms)


def _records(walk: "np.ndarray[tuple[int], np.dtype[np.float64]]", length_ms: int, start_ms: int) -> Sequence[bytes]:
    count = len(walk) - 1
    bars = np.zeros(count, RECORD)
    bars["open_ms"] = start_ms // length_ms * length_ms - np.arange(count, 0, -1) * length_ms
    bars["open"], bars["close"] = walk[:-1], walk[1:]
    bars["high"], bars["low"] = np.maximum(walk[:-1], walk[1:]) + 1e-5, np.minimum(walk[:-1], walk[1:]) - 1e-5
    bars["volume"], bars["volume_kind"], bars["source"] = 5.0, 2, b"yahoo"  # ticks
    joined, size = bars.tobytes(), RECORD.itemsize
    return [joined[at : at + size] for at in range(0, len(joined), size)]


def _commit(link: Link, settings: Settings, symbol: Symbol, start_ms: int) -> None:
    lengths: dict[Timeframe, int] = {t: TIMEFRAME_MS[t] for t in settings.timeframes}  # type: ignore[misc]  # checked names
    newest = {str(name): start_ms // length_ms * length_ms - length_ms for name, length_ms in lengths.items()}
    state = SymbolState(SERIES, NOT_COVERED, {}, {}, own=SERIES, newest_bars=newest)
    key = keys.state(symbol.partition(settings.stream_partitions), "features")
    link.call("HSET", key, symbol_field(symbol.name), encode_value(state))

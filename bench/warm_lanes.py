"""A Redis as the feature engine leaves it: full bar caches and the state of so many symbols, made up from a seed."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common import keys
from common.bars import RECORD
from common.messages import TIMEFRAME_MS, Timeframe
from common.redis_link import Link
from common.settings import Settings
from common.symbols import Symbol, SymbolTable, load_symbols
from features.coverage import NOT_COVERED
from features.state import SymbolState, encode_value, symbol_field

SERIES = "fx_spot"
PRICE = 1.1
_SYMBOL = """
[symbol.{name}]
title = "made up"
broker = "{name}"
series = "fx_spot"
quote_currency = "USD"
tick_size = 0.00001
digits = 5
contract_size = 100000
lot_min = 0.01
lot_step = 0.01
lot_max = 50.0
sources = [{{ vendor = "yahoo", symbol = "{name}=X", class = "fx_spot", volume = "ticks", delay_s = 0 }}]
"""


def make_table(folder: Path, count: int) -> SymbolTable:
    """Write a symbol table of so many symbols into the folder, as symbols.toml, and return it."""
    names = [f"S{number:04}" for number in range(count)]
    head = f'[class.{SERIES}]\ntitle = "made up"\nsession = "fx"\n'
    file = folder / "symbols.toml"
    file.write_text(head + "".join(_SYMBOL.format(name=name) for name in names))
    return load_symbols(names, file)


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

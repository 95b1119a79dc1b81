"""Minute bars played through the stage as ticks: the bars come back, and every value is TA-Lib's batch, bitwise."""

import csv
import gzip
import random
import zlib
from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import talib

from common.indicators import load_plan
from common.messages import Bars, Clock, Quotes, VolumeKind
from features.lane import Lane
from tests.features.support import MONDAY_MS, Entries, Store, clock, handler, quote, random_walk

MINUTE = 60_000


class Source(NamedTuple):
    """One bar of a file."""

    open_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float


def recorded(path: Path, count: int) -> list[Source]:
    with gzip.open(path, "rt") as lines:
        rows = islice(csv.DictReader(lines), count)
        names = ("open", "high", "low", "close", "volume")
        return [Source(int(row["timestamp"]) * 1000, *(float(row[name]) for name in names)) for row in rows]


def made(seed: int, count: int) -> list[Source]:
    """A seeded walk on a tick grid, with holes of minutes and of a night."""
    rng, prices = random.Random(seed), random_walk(seed, 4 * count, 15_000.0, 0.0003)
    bars, open_ms = [], MONDAY_MS
    for n in range(count):
        four = [round(p * 4) / 4 for p in prices[4 * n : 4 * n + 4]]
        open_ms += rng.choice([1] * 40 + [2, 5, 61, 600]) * MINUTE
        bars.append(Source(open_ms, four[0], max(four), min(four), four[3], float(rng.randint(0, 900))))
    return bars


def messages(symbol: str, bars: Sequence[Source], kind: VolumeKind) -> Iterator[Quotes | Clock]:
    """Each bar as four quotes, and a clock entry that closes it."""
    yield clock(bars[0].open_ms)
    for bar in bars:
        ticks = zip((0, 15_000, 30_000, 45_000), bar[1:5], (bar.volume, 0.0, 0.0, 0.0), strict=True)
        yield Quotes(
            tuple(quote(symbol, bar.open_ms + at, price, volume=volume, kind=kind) for at, price, volume in ticks)
        )
        yield clock(bar.open_ms + MINUTE + 2_000)


def play(symbol: str, source: Sequence[Source], max_bars: int, anchor_bars: int) -> tuple[list[Source], np.ndarray]:
    """Return the bars that were built, and the values after each of them, one row a bar."""
    settings: dict[str, Any] = {
        "timeframes": ("1m",),
        "collection_interval": 600.0,
    }  # one clock entry a bar is no break here
    stage = handler(Store(), (symbol,), max_bars_cache=max_bars, anchor_bars=anchor_bars, **settings)
    lane: Lane = stage.engine.tracks[symbol].slots["1m"].lane
    built, values = [], []
    first, *entries = Entries().of(*messages(symbol, source, "traded"))
    stage.handle((first,))
    for cycle in zip(entries[::2], entries[1::2], strict=True):
        for published in stage.handle(cycle).publish:
            if isinstance(published.message, Bars):
                (bar,) = published.message.bars
                built.append(Source(bar.open_ms, bar.open, bar.high, bar.low, bar.close, bar.volume))
                values.append(lane.values)
    return built, np.array(values)


def batch(bars: Sequence[Source]) -> dict[str, np.ndarray]:
    """TA-Lib's batch functions over the bars."""
    high, low, close, volume = (
        np.array([getattr(b, name) for b in bars]) for name in ("high", "low", "close", "volume")
    )
    macd, signal, hist = talib.MACD(close, 12, 26, 9)
    upper, middle, lower = talib.BBANDS(close, 20, 2.0, 2.0)
    return {
        "rsi_14": talib.RSI(close, 14), **{f"ema_{n}": talib.EMA(close, n) for n in (9, 20, 50, 200)},
        "bollinger_upper": upper, "bollinger_middle": middle, "bollinger_lower": lower,
        "atr_14": talib.ATR(high, low, close, 14), "macd": macd, "macd_signal": signal, "macd_hist": hist,
        "volume_sma_20": talib.SMA(volume, 20), "momentum": talib.MOM(close, 10), "roc_10": talib.ROC(close, 10),
    }  # fmt: skip


def check(symbol: str, source: Sequence[Source], max_bars: int, anchor_bars: int) -> None:
    built, values = play(symbol, source, max_bars, anchor_bars)
    assert built == list(source)
    names = list(batch(source))
    order = load_plan(None).program(symbol, "1m").names
    offset = zlib.crc32(f"{symbol}|1m".encode()) % anchor_bars
    stretches = groupby(range(len(source)), key=lambda n: (source[n].open_ms // MINUTE + offset) // anchor_bars)
    for number, (_, members) in enumerate(stretches):
        places = list(members)
        # The window begins max_bars before and including the anchor, which is the stretch's first bar.
        start = max(0, places[0] + 1 - max_bars) if number else 0
        expected = batch(source[start : places[-1] + 1])
        for name in names:
            found = values[places, order.index(name)]
            assert np.array_equal(found, expected[name][places[0] - start :], equal_nan=True), (name, source[places[0]])


@pytest.mark.parametrize(
    ("symbol", "file", "count"),
    [("NAS100", "NAS100_M1_2022-01.csv.gz", 13_560), ("EURUSD", "EURUSD_M1_2022-01_02.csv.gz", 12_000)],
)
def test_recorded_minutes_give_the_same_bars_and_talibs_values(
    shared: Path, symbol: str, file: str, count: int
) -> None:
    source = recorded(shared / "market" / file, count)
    assert len(source) == count

    check(symbol, source, 5_000, 1_000)


def test_made_minutes_give_the_same_bars_and_talibs_values() -> None:
    check("NAS100", made(3, 4_000), 1_000, 150)

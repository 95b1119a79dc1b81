"""A seeded market as entries: vendors' history, then quotes and clock entries, one cycle a second."""

import random
from collections.abc import Iterator, Sequence

from common.messages import Bar, Clock, HistoryBars, Quotes
from tests.features.support import MONDAY_MS, SERIES, clock, history, quote, random_walk

START_MS = MONDAY_MS + 15 * 3_600_000  # Monday afternoon: every session is open
LENGTHS = {"1m": 60_000, "5m": 300_000, "15m": 900_000, "1h": 3_600_000}
PRICE = {"NAS100": 15_600.0, "XAUUSD": 1_818.0, "EURUSD": 1.1405, "GBPUSD": 1.3645, "US30": 35_900.0, "US500": 4_650.0}


def past(symbol: str, timeframe: str, seed: int, count: int = 1_000, until_ms: int = START_MS) -> list[Bar]:
    """A vendor's bars up to the start, ending at the symbol's price."""
    length_ms = LENGTHS[timeframe]
    prices = random_walk(seed, 3 * count, PRICE[symbol], step=0.0002)[::-1]
    bars = []
    for n in range(count):
        a, b, c = prices[3 * n : 3 * n + 3]
        bars.append(
            Bar(
                symbol, timeframe, until_ms // length_ms * length_ms - (count - n) * length_ms,  # type: ignore[arg-type]  # a key
                a, max(a, b, c), min(a, b, c), c, 10.0, "traded", 0, "twelvedata", SERIES[symbol], "vendor",
            )
        )  # fmt: skip
    return bars


def warm_up(symbols: Sequence[str], timeframes: Sequence[str] = ("1m", "5m")) -> Iterator[Clock | HistoryBars]:
    """The first clock entry, and the history that it asks for."""
    yield clock(START_MS, 0)
    for number, symbol in enumerate(symbols):
        for timeframe in timeframes:
            yield history(past(symbol, timeframe, number), symbol=symbol, timeframe=timeframe)  # type: ignore[arg-type]


def cycles(
    symbols: Sequence[str], seed: int, seconds: int, every_s: int = 1, sigma: float = 0.0003
) -> Iterator[Quotes | Clock]:
    """Quotes of each symbol `every_s` seconds, some up to 1.5 s old, some seconds silent; then the cycle's clock entry.

    sigma: standard deviation of a minute's return.
    """
    rng = random.Random(seed)
    prices = dict(PRICE)
    step = sigma * (every_s / 60) ** 0.5
    for cycle in range(1, seconds // every_s + 1):
        now_ms = START_MS + cycle * every_s * 1000
        found = []
        for symbol in symbols:
            prices[symbol] *= 1.0 + rng.gauss(0.0, step)
            if rng.random() < 0.9:
                at_ms = now_ms - rng.randint(100, 1_500)
                found.append(quote(symbol, at_ms, prices[symbol], volume=float(rng.randint(0, 9)), kind="traded"))
        if found:
            yield Quotes(tuple(found))
        yield clock(now_ms, cycle)

"""talipp: incremental, in pure Python."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from talipp.indicators import (
    ADX,
    ATR,
    BB,
    CCI,
    EMA,
    KAMA,
    MACD,
    OBV,
    ROC,
    RSI,
    SMA,
    DonchianChannels,
    KeltnerChannels,
    StdDev,
    SuperTrend,
    Williams,
)
from talipp.indicators.Indicator import Indicator as Running
from talipp.ohlcv import OHLCV

from bench.contenders.market import HISTORY, PRICES, SPAN, Series
from common.indicators import F64

LEAST_BARS = 400
"""Bars that it is opened over where only its speed is measured: enough for each of its values."""


@dataclass(frozen=True)
class Offer:
    """One of its indicators, and which of ours it stands for."""

    names: tuple[str, ...]
    make: Callable[[], Running]
    of: str = "close"
    """What it takes: a column, or a whole bar."""
    fields: tuple[str, ...] = ()
    """Of its values, in the order of `names`; none where they are numbers."""


BANDS = ("ub", "cb", "lb")
OFFERS = (
    *(Offer((f"sma_{n}",), partial(SMA, n)) for n in (20, 50, 200)),
    *(Offer((f"ema_{n}",), partial(EMA, n)) for n in (9, 20, 50, 200)),
    Offer(("kama_30",), lambda: KAMA(30, 2, 30)),
    Offer(("rsi_14",), lambda: RSI(14)),
    Offer(("macd", "macd_signal", "macd_hist"), lambda: MACD(12, 26, 9), fields=("macd", "signal", "histogram")),
    Offer(("cci_20",), lambda: CCI(20), "bar"),
    Offer(("williams_r_14",), lambda: Williams(14), "bar"),
    Offer(("roc_10",), lambda: ROC(10)),
    Offer(
        ("adx_14", "plus_di_14", "minus_di_14"), lambda: ADX(14, 14), "bar", fields=("adx", "plus_di", "minus_di")
    ),
    Offer(("supertrend", "supertrend_direction"), lambda: SuperTrend(10, 3), "bar", fields=("value", "trend")),
    Offer(("atr_14",), lambda: ATR(14), "bar"),
    Offer(("standard_deviation_20",), lambda: StdDev(20)),
    Offer(tuple(f"bollinger_{n}" for n in ("upper", "middle", "lower")), lambda: BB(20, 2.0), fields=BANDS),
    Offer(
        tuple(f"keltner_{n}" for n in ("upper", "middle", "lower")), lambda: KeltnerChannels(20, 10, 2.0, 2.0), "bar",
        fields=BANDS,
    ),
    Offer(tuple(f"donchian_{n}" for n in ("upper", "middle", "lower")), lambda: DonchianChannels(20), "bar", BANDS),
    Offer(("obv",), OBV, "bar"),
    Offer(("volume_sma_20",), lambda: SMA(20), "volume"),
)  # fmt: skip
"""Its Stoch is TA-Lib's STOCHF, and it has nothing for the others."""
NAMES = frozenset(name for offer in OFFERS for name in offer.names)


class Talipp:
    """All that it offers, for each symbol."""

    def __init__(self, market: Sequence[Series], symbols: int) -> None:
        self.symbols = symbols
        places = range(HISTORY, HISTORY + SPAN)
        bars = [{of: list(_inputs(series, of, places)) for of in (*PRICES, "bar")} for series in market]
        self._symbols = []
        for number in range(symbols):
            series = market[number % len(market)]
            self._symbols.append([(one, bars[number % len(market)][of]) for one, of in _opened(series, LEAST_BARS)])

    def peek(self, place: int) -> None:
        """Compute with an open bar: the last bar is replaced by it, as talipp has it."""
        for running in self._symbols:
            for one, bars in running:
                one.update(bars[place])

    def close(self, place: int) -> None:
        """Take in a closed bar."""
        for running in self._symbols:
            for one, bars in running:
                one.add(bars[place])


def values(series: Series, checked: int) -> dict[str, F64]:
    """Return by our names what it gives for the last of the history, so many bars of it."""
    found = {}
    for offer, (running, _) in zip(OFFERS, _opened(series, HISTORY), strict=True):
        last = running[-checked:]
        for place, name in enumerate(offer.names):
            found[name] = np.array([_number(getattr(v, offer.fields[place]) if offer.fields else v) for v in last])
    return found


def _number(value: object) -> float:
    """Its directions are members of an enumeration: UP is 1, DOWN is 2."""
    if isinstance(value, int | float):
        return float(value)
    return {"UP": 1.0, "DOWN": -1.0}[getattr(value, "name", "")]


def _opened(series: Series, bars: int) -> Iterator[tuple[Running, str]]:
    for offer in OFFERS:
        running = offer.make()
        for value in _inputs(series, offer.of, range(HISTORY - bars, HISTORY)):
            running.add(value)
        yield running, offer.of


def _inputs(series: Series, of: str, places: range) -> Iterator[object]:
    columns = [series.columns[name][places.start : places.stop].tolist() for name in PRICES]
    if of != "bar":
        return iter(columns[PRICES.index(of)])
    return (OHLCV(*bar) for bar in zip(*columns, strict=True))

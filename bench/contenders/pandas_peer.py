"""pandas-ta-classic: recomputes its window for each bar, in pandas and numpy (talib=False, its default)."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.contenders.market import HISTORY, PRICES, Series
from common.indicators import F64

warnings.filterwarnings("ignore", module="pandas_ta_classic")  # it uses what pandas 3 deprecates
import pandas_ta_classic as ta  # noqa: E402

Frame = Mapping[str, pd.Series]


@dataclass(frozen=True)
class Offer:
    """One of its indicators, and which of ours it stands for."""

    names: tuple[str, ...]
    call: Callable[[Frame], pd.Series | pd.DataFrame]
    columns: tuple[int, ...] = ()
    """Of its table, in the order of `names`; none where it gives a series."""


def _bar(frame: Frame) -> list[pd.Series]:
    return [frame[name] for name in ("high", "low", "close")]


def _pattern(name: str, theirs: str) -> Offer:
    def call(frame: Frame) -> pd.DataFrame:
        return ta.cdl_pattern(*(frame[column] for column in PRICES[:4]), name=theirs)

    return Offer((name,), call, (0,))


def _average(name: str, function: Callable[[pd.Series, int], pd.Series], period: int) -> Offer:
    return Offer((name,), lambda frame: function(frame["close"], period))


def _bands(name: str) -> tuple[str, ...]:
    return tuple(f"{name}_{band}" for band in ("lower", "middle", "upper"))


PATTERNS = {
    "cdl_doji": "doji", "cdl_engulfing": "engulfing", "cdl_hammer": "hammer", "cdl_hanging_man": "hangingman",
    "cdl_shooting_star": "shootingstar", "cdl_harami": "harami", "cdl_morning_star": "morningstar",
    "cdl_evening_star": "eveningstar", "cdl_piercing": "piercing", "cdl_dark_cloud_cover": "darkcloudcover",
    "cdl_three_white_soldiers": "3whitesoldiers", "cdl_three_black_crows": "3blackcrows",
}  # fmt: skip
OFFERS = (
    *(_average(f"sma_{n}", ta.sma, n) for n in (20, 50, 200)),
    *(_average(f"ema_{n}", ta.ema, n) for n in (9, 20, 50, 200)),
    Offer(("kama_30",), lambda frame: ta.kama(frame["close"], 30, 2, 30)),
    Offer(("rsi_14",), lambda frame: ta.rsi(frame["close"], 14)),
    Offer(("macd", "macd_hist", "macd_signal"), lambda frame: ta.macd(frame["close"], 12, 26, 9), (0, 1, 2)),
    Offer(("stochastic_k", "stochastic_d"), lambda frame: ta.stoch(*_bar(frame), 14, 3, 3), (0, 1)),
    Offer(("cci_20",), lambda frame: ta.cci(*_bar(frame), 20)),
    Offer(("williams_r_14",), lambda frame: ta.willr(*_bar(frame), 14)),
    Offer(("momentum",), lambda frame: ta.mom(frame["close"], 10)),
    Offer(("roc_10",), lambda frame: ta.roc(frame["close"], 10)),
    Offer(("adx_14", "plus_di_14", "minus_di_14"), lambda frame: ta.adx(*_bar(frame), 14), (0, 1, 2)),
    Offer(("supertrend", "supertrend_direction"), lambda frame: ta.supertrend(*_bar(frame), 10, 3.0), (0, 1)),
    Offer(("linear_regression_14",), lambda frame: ta.linreg(frame["close"], 14)),
    Offer(("linear_regression_slope_14",), lambda frame: ta.linreg(frame["close"], 14, slope=True)),
    Offer(("atr_14",), lambda frame: ta.atr(*_bar(frame), 14)),
    Offer(("standard_deviation_20",), lambda frame: ta.stdev(frame["close"], 20, ddof=0)),
    Offer(_bands("bollinger"), lambda frame: ta.bbands(frame["close"], 20, 2.0), (0, 1, 2)),
    Offer(_bands("keltner"), lambda frame: ta.kc(*_bar(frame), 20, 2.0), (0, 1, 2)),
    Offer(_bands("donchian"), lambda frame: ta.donchian(frame["high"], frame["low"], 20, 20), (0, 1, 2)),
    Offer(("mfi_14",), lambda frame: ta.mfi(*_bar(frame), frame["volume"], 14)),
    Offer(("obv",), lambda frame: ta.obv(frame["close"], frame["volume"])),
    Offer(("volume_sma_20",), lambda frame: ta.sma(frame["volume"], 20)),
    *(_pattern(name, theirs) for name, theirs in PATTERNS.items()),
)
NAMES = frozenset(name for offer in OFFERS for name in offer.names)


class PandasTa:
    """All that it offers, for each symbol."""

    def __init__(self, market: Sequence[Series], symbols: int, bars: int) -> None:
        self.symbols = symbols
        self._market, self._bars = market, bars
        self.values: list[float] = []

    def peek(self, place: int) -> None:
        """Compute with an open bar: no less than with a closed one."""
        self.close(place)

    def close(self, place: int) -> None:
        """Recompute with one more bar."""
        end = HISTORY + place + 1
        for number in range(self.symbols):
            frame = _frame(self._market[number % len(self._market)], slice(end - self._bars, end))
            self.values = [float(column[-1]) for offer in OFFERS for column in _outputs(offer, frame)]


def values(series: Series, places: slice, checked: int) -> dict[str, F64]:
    """Return by our names what it gives for the last of some bars, so many of them."""
    frame, found = _frame(series, places), {}
    for offer in OFFERS:
        for name, column in zip(offer.names, _outputs(offer, frame), strict=True):
            found[name] = column[-checked:]
    return found


def _frame(series: Series, places: slice) -> Frame:
    return {name: pd.Series(series.columns[name][places]) for name in PRICES}


def _outputs(offer: Offer, frame: Frame) -> list[F64]:
    table = offer.call(frame)
    columns = [table.iloc[:, place] for place in offer.columns] or [table]
    return [np.asarray(column, dtype=np.float64) for column in columns]

"""A replay through the real processes: every tick stored once, bars as in the source, indicators as TA-Lib's."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import talib

from common import keys
from tests.pipeline import bars_data
from tests.pipeline.bars_data import SourceBar
from tests.pipeline.forked import ForkedPipeline
from tests.pipeline.harness import Pipeline
from tests.support import wait_until

SYMBOLS = ("NAS100", "US500", "US30", "EURUSD")
RECORDED = {
    "NAS100": "NAS100_M1_2022-01",
    "US500": "US500_M1_2022-01",
    "US30": "US30_M1_2022-01",
    "EURUSD": "EURUSD_M1_2022-01_02",
}
HOUR_MS = 3_600_000
DAY_START_MS = 1_642_546_800_000  # Tuesday 2022-01-18 23:00 UTC, the open of the CME session
WITH_VOLUME = ("NAS100", "US500", "US30")  # Yahoo's format carries a volume for futures, none for currencies

Replayed = Callable[..., Pipeline]


def recorded_hours(shared: Path, folder: Path, hours: float) -> None:
    """Write the recorded bars of the first hours of a trading day."""
    for symbol, name in RECORDED.items():
        source = shared / "market" / f"{name}.csv.gz"
        bars_data.cut(source, folder / f"{symbol}_M1.csv", DAY_START_MS, DAY_START_MS + int(hours * HOUR_MS))


def made_hours(folder: Path, hours: float) -> None:
    """Write made bars of the same hours."""
    prices = {
        "NAS100": (15_200.0, 0.25),
        "US500": (4_570.0, 0.25),
        "US30": (35_300.0, 1.0),
        "EURUSD": (1.1325, 0.00001),
    }
    for seed, (symbol, (price, tick)) in enumerate(prices.items()):
        volume = symbol in WITH_VOLUME
        bars_data.make(folder / f"{symbol}_M1.csv", seed, DAY_START_MS, int(hours * 60), price, tick, volume)


def run_to_the_end(pipeline: Pipeline, data: Path, deadline_s: float, speed: str = "0") -> None:
    """Start everything, and wait until the data have ended and every stage has settled."""
    pipeline.start_simulator("--data", str(data), "--speed", speed, "--interval", "15")
    pipeline.start()
    wait_until_done(pipeline, deadline_s)


def wait_until_done(pipeline: Pipeline, deadline_s: float) -> None:
    """Wait until the simulator's data have ended, the last cycle is committed and every stage has settled."""
    last = pipeline.simulator("/sim/stats")["last_cycle"]
    wait_until(lambda: pipeline.cycle() == last, deadline_s, f"the last cycle, {last}")
    wait_until(pipeline.settled, 30, "every stage to settle")


def check_every_tick_is_stored_once(pipeline: Pipeline, data: Path) -> None:
    """Four ticks a bar: each is one row of market_data or of rejects."""
    for symbol in SYMBOLS:
        expected = 4 * len(bars_data.read(data / f"{symbol}_M1.csv"))
        accepted = [t for (t,) in pipeline.rows(f"SELECT tick FROM market_data WHERE symbol='{symbol}'")]
        raws = [json.loads(str(raw)) for (raw,) in pipeline.rows(f"SELECT raw FROM rejects WHERE symbol='{symbol}'")]
        stored = sorted([*accepted, *(raw["tick"] for raw in raws)])
        assert stored == list(range(1, expected + 1)), symbol
        assert len(raws) == 0, f"{symbol}: real prices were rejected: {raws[:3]}"


def stored_bars(pipeline: Pipeline, symbol: str) -> list[SourceBar]:
    """Return the stored 1-minute bars."""
    columns = "open_ms, open, high, low, close, volume"
    query = f"SELECT {columns} FROM bars WHERE symbol='{symbol}' AND timeframe='1m' ORDER BY 1"
    return [SourceBar(*row) for row in pipeline.rows(query)]  # type: ignore[arg-type]  # SQLite's types


def check_bars_equal_the_source(pipeline: Pipeline, data: Path) -> None:
    """Times and OHLC, and the volume where the vendor's format carries one."""
    for symbol in SYMBOLS:
        source = bars_data.read(data / f"{symbol}_M1.csv")
        stored = stored_bars(pipeline, symbol)
        if symbol not in WITH_VOLUME:
            source = [SourceBar(b.open_ms, b.open, b.high, b.low, b.close, 0.0) for b in source]
        assert stored == source, symbol


def check_indicators_equal_talib(pipeline: Pipeline, data: Path) -> None:
    """The current values of the 1-minute lane against TA-Lib's batch functions on the source's bars, bitwise."""
    for symbol in SYMBOLS:
        bars = bars_data.read(data / f"{symbol}_M1.csv")
        high, low, close = (np.array([getattr(b, n) for b in bars]) for n in ("high", "low", "close"))
        values = current_values(pipeline, symbol)
        macd = [series[-1] for series in talib.MACD(close, 12, 26, 9)]
        upper, middle, lower = (series[-1] for series in talib.BBANDS(close, 20, 2.0, 2.0))
        expected = {
            "rsi_14": talib.RSI(close, 14)[-1], "atr_14": talib.ATR(high, low, close, 14)[-1],
            **{f"ema_{n}": talib.EMA(close, n)[-1] for n in (9, 20, 50, 200)},
            "macd": macd[0], "macd_signal": macd[1], "macd_hist": macd[2],
            "bollinger_upper": upper, "bollinger_middle": middle, "bollinger_lower": lower,
        }  # fmt: skip
        known = {name: value for name, value in expected.items() if not math.isnan(value)}  # enough bars for it
        assert {name: values[name] for name in expected if values.get(name) is not None} == known, symbol


def current_values(pipeline: Pipeline, symbol: str) -> dict[str, float]:
    """Return the closed-bar values of the 1-minute lane."""
    raw = pipeline.client().get(keys.feature_values(0, symbol, "1m"))
    assert isinstance(raw, bytes), f"{symbol}: no values"
    values: dict[str, float] = json.loads(raw)["values"]
    return values


def check_all(pipeline: Pipeline, data: Path) -> None:
    """Every claim about a finished replay."""
    check_every_tick_is_stored_once(pipeline, data)
    check_bars_equal_the_source(pipeline, data)
    check_indicators_equal_talib(pipeline, data)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The folder of the replay's bar files."""
    folder = tmp_path / "bars"
    folder.mkdir()
    return folder


def test_a_replay_of_recorded_bars_is_stored_to_the_last_row(shared: Path, tmp_path: Path, data: Path) -> None:
    recorded_hours(shared, data, 1.5)
    with ForkedPipeline(tmp_path, SYMBOLS, BATCH_WRITE_INTERVAL="1") as pipeline:
        run_to_the_end(pipeline, data, 120)
        check_all(pipeline, data)


def test_a_replay_of_made_bars_is_stored_to_the_last_row(tmp_path: Path, data: Path) -> None:
    made_hours(data, 1)
    with ForkedPipeline(tmp_path, SYMBOLS, BATCH_WRITE_INTERVAL="1") as pipeline:
        run_to_the_end(pipeline, data, 120)
        check_all(pipeline, data)

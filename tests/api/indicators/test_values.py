"""Indicators' histories: the engine's own values at the end, TA-Lib's batch before, in the shape that charts take."""

import numpy as np
import pytest
import talib

from common import keys
from common.features import decode_features
from common.indicators import load_plan
from tests.api.indicators.asking import ANCHOR_BARS, MAX_BARS, Api, ask, column, lines, put, sessions, values, window
from tests.api.world import World
from tests.features.support import Store


async def test_the_last_value_is_the_engines_to_the_bit(world: World, api: Api, lived: Store) -> None:
    put(world, lived)
    told = decode_features(lived.keys[keys.feature_values(0, "EURUSD", "1m")])
    program = load_plan(world.settings.indicators_file).program("EURUSD", "1m")

    last: dict[str, float | None] = {}
    names = [one.name for one in program.indicators]
    for place in range(0, len(names), 20):
        found = await lines(api, ",".join(names[place : place + 20]), limit=1)
        last |= {name: line[0].get("value") for name, line in found.items()}
        assert {line[0]["time"] * 1000 for line in found.values()} == {told.bar_open_ms}

    assert len(last) == 81
    assert [name for name, value in last.items() if value is None] == []
    assert last == told.values


async def test_the_series_is_talibs_over_the_lanes_window(world: World, api: Api, lived: Store) -> None:
    put(world, lived)
    bars = window(lived)
    high, low, close = (column(bars, name) for name in ("high", "low", "close"))
    volume = column(bars, "volume")
    expected: dict[str, np.ndarray] = {
        "rsi_14": talib.RSI(close, 14), "ema_200": talib.EMA(close, 200), "atr_14": talib.ATR(high, low, close, 14),
        "rsi_14_ema_9": talib.EMA(talib.RSI(close, 14), 9), "mfi_14": talib.MFI(high, low, close, volume, 14),
        "volume_sma_20": talib.SMA(volume, 20),
    }  # fmt: skip
    expected |= dict(zip(("macd", "macd_signal", "macd_hist"), talib.MACD(close), strict=True))
    bollinger = ("bollinger_upper", "bollinger_middle", "bollinger_lower")
    expected |= dict(zip(bollinger, talib.BBANDS(close, 20, 2.0, 2.0), strict=True))

    reply = await ask(api, "name=rsi_14&limit=1")
    found = await lines(api, "rsi_14,ema_200,atr_14,rsi_14_ema_9,mfi_14,volume_sma_20,macd,bollinger")

    assert MAX_BARS < reply["bars_seen"] == len(bars) <= MAX_BARS + ANCHOR_BARS
    assert found.keys() == expected.keys()
    for name, line in found.items():
        assert [point["time"] * 1000 for point in line] == bars["open_ms"][-MAX_BARS:].tolist()
        assert np.array_equal(values(line), expected[name][-MAX_BARS:], equal_nan=True), name


async def test_sums_begin_anew_with_each_session(world: World, api: Api, lived: Store) -> None:
    put(world, lived)
    bars = window(lived)
    expected: dict[str, np.ndarray] = {name: np.full(len(bars), np.nan) for name in ("obv", "running_momentum")}
    momentum = talib.MOM(column(bars, "close"), 10)
    spans = list(sessions(bars))
    for first, end in spans[1:]:  # the first one's beginning is not in the window
        part = bars[first:end]
        expected["obv"][first:end] = talib.OBV(column(part, "close"), column(part, "volume"))
        expected["running_momentum"][first:end] = talib.CUMSUM(momentum[first:end])

    found = await lines(api, "obv,running_momentum")

    assert len(spans) == 3
    for name, line in found.items():
        assert np.array_equal(values(line), expected[name][-MAX_BARS:], equal_nan=True), name


async def test_levels_of_the_session_before_begin_with_the_second_whole_one(
    world: World, api: Api, lived: Store
) -> None:
    put(world, lived)
    bars = window(lived)
    (_, whole, (first, end)) = sessions(bars)
    before = bars[slice(*whole)]
    high, low, close = float(before["high"].max()), float(before["low"].min()), float(before["close"][-1])

    found = values((await lines(api, "pivots_pivot"))["pivots_pivot"])

    assert found == pytest.approx([(high + low + close) / 3 if first <= n < end else np.nan for n in
                                   range(len(bars) - MAX_BARS, len(bars))], rel=1e-15, nan_ok=True)  # fmt: skip

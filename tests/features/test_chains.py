"""Indicators over indicators on a lane: TA-Lib's batch functions, nested, bit for bit."""

from collections.abc import Callable

import numpy as np
import pytest
import talib
from hypothesis import given
from hypothesis import strategies as st

from common.indicators import parse_plan
from tests.features.made_lanes import MINUTE, NO_SHRINKING, forming, made, new_lane
from tests.features.talib_values import F64, Life, bits, life_of
from tests.support_examples import examples

CHAINS = parse_plan(
    """
    [indicators]
    rsi = { function = "RSI", timeperiod = 5 }
    rsi_ema = { function = "EMA", timeperiod = 4, input = "rsi" }
    rsi_ema_ema = { function = "EMA", timeperiod = 3, input = "rsi_ema" }
    volume_sma = { function = "SMA", timeperiod = 3, input = "volume" }
    together = { function = "CORREL", timeperiod = 4, inputs = ["rsi_ema", "volume_sma"] }
    obv = { function = "OBV" }
    obv_bands = { function = "BBANDS", timeperiod = 6, input = "obv", outputs = ["upper", "middle", "lower"] }
    obv_rsi = { function = "RSI", timeperiod = 3, input = "middle" }
    rsi_obv = { function = "OBV", input = "rsi" }
    mixed = { function = "BETA", timeperiod = 3, inputs = ["obv", "rsi"] }
    """,
    "chains",
)
# TA-Lib's relative volume has no finite value after bars without volume.
GAPS = parse_plan(
    """
    [indicators]
    rvol = { function = "RVOL", timeperiod = 2 }
    rvol_ema = { function = "EMA", timeperiod = 3, input = "rvol" }
    rvol_ema_top = { function = "MAX", timeperiod = 2, input = "rvol_ema" }
    together = { function = "CORREL", timeperiod = 3, inputs = ["rvol", "close"] }
    rvol_sum = { function = "CUMSUM", input = "rvol" }
    rvol_sum_sma = { function = "SMA", timeperiod = 2, input = "rvol_sum" }
    """,
    "gaps",
)


def chained(close: F64, volume: F64, begin: int) -> F64:
    """The values of CHAINS over a window, by TA-Lib's batch functions. begin: where the last session begins in it."""
    rsi = talib.RSI(close, 5)
    rsi_ema = talib.EMA(rsi, 4)
    volume_sma = talib.SMA(volume, 3)
    own = (rsi, rsi_ema, talib.EMA(rsi_ema, 3), volume_sma, talib.CORREL(rsi_ema, volume_sma, 4))
    obv = talib.OBV(close[begin:], volume[begin:])
    bands = talib.BBANDS(obv, 6)
    rsi_obv = where_given(talib.OBV, rsi[begin:], volume[begin:])
    of_session = (obv, *bands, talib.RSI(bands[1], 3), rsi_obv, talib.BETA(obv, rsi[begin:], 3))
    return np.column_stack((*own, *(after(begin, values) for values in of_session)))


def with_gaps(close: F64, volume: F64, begin: int) -> F64:
    """The values of GAPS: what rests on an indicator takes the bars where that has a value, and no others."""
    rvol = talib.RVOL(volume, 2)
    rvol_ema = where_given(lambda given: talib.EMA(given, 3), rvol)
    top = where_given(lambda given: talib.MAX(given, 2), rvol_ema)
    together = where_given(lambda one, other: talib.CORREL(one, other, 3), rvol, close)
    total = where_given(talib.CUMSUM, rvol[begin:])
    smooth = where_given(lambda given: talib.SMA(given, 2), total)
    return np.column_stack((rvol, rvol_ema, top, together, after(begin, total), after(begin, smooth)))


def where_given(compute: Callable[..., F64], *arrays: F64) -> F64:
    """Compute over the places at which all inputs are finite numbers; NaN at the others."""
    given = np.logical_and.reduce([np.isfinite(array) for array in arrays])
    found = np.full(len(arrays[0]), np.nan)
    if given.any():
        found[given] = compute(*(array[given] for array in arrays))
    return found


def after(begin: int, values: F64) -> F64:
    return np.concatenate((np.full(begin, np.nan), values))


@pytest.mark.parametrize("kind", ["without gaps", "with gaps"])
@examples(20, phases=NO_SHRINKING)
@given(st.integers(0, 100_000), st.integers(1, 120), st.integers(1, 60), st.integers(1, 60), st.data())
def test_chains_equal_nested_calls_of_talib_over_restarts_and_sessions(
    kind: str, seed: int, count: int, max_bars: int, anchor_bars: int, data: st.DataObject
) -> None:
    plan, values_of, quiet = (GAPS, with_gaps, 0.4) if kind == "with gaps" else (CHAINS, chained, 0.1)
    bars = made(seed, count, flat=0.1, quiet=quiet)
    restarts = data.draw(st.sets(st.integers(0, count - 1), max_size=4))
    session_ms = 40 * MINUTE
    life = life_of(bars, "EURUSD|1m", MINUTE, max_bars, anchor_bars, session_ms)
    lane = new_lane(plan, max_bars, anchor_bars, session_ms)
    for place, closing in enumerate(bars):
        if place in restarts:
            cache, lane = lane.window.stored(), new_lane(plan, max_bars, anchor_bars, session_ms)
            lane.load(b"".join(cache))
            lane.reopen()
        peeked = lane.peek([forming(closing)])
        lane.append(closing)

        part = next(part for part in life.stretches if part.anchor <= place < part.end)
        begin = session_begin(life, part.start, place) - part.start
        close, volume = (life.columns[name][part.start : place + 1] for name in ("close", "volume"))
        expected = values_of(close, volume, begin)
        assert bits(np.array(lane.values)).tolist() == bits(expected[-1]).tolist()
        if len(expected) > 1:
            assert bits(np.array(lane.previous)).tolist() == bits(expected[-2]).tolist()
        if place != part.anchor or place == 0:  # an anchor moves the window with its close
            assert bits(np.array(peeked)).tolist() == bits(expected[-1]).tolist()


def session_begin(life: Life, start: int, place: int) -> int:
    """Where the session began that a bar belongs to; the bar after it, where that is not in the window."""
    first = life.session_starts.index(life.session_starts[place])
    known = first > start or (first == start and life.opens[first] <= life.session_starts[first])
    return first if known else place + 1


def test_a_candlestick_that_others_rest_on_begins_with_the_window() -> None:
    """Alone it would begin 100 bars before the anchor, and a sum of 200 would never be there."""
    plan = parse_plan(
        """
        [indicators]
        doji = { function = "CDLDOJI" }
        dojis = { function = "SUM", timeperiod = 200, input = "doji" }
        """,
        "candlesticks",
    )
    bars = made(3, 700, flat=0.1)
    life = life_of(bars, "EURUSD|1m", MINUTE, 400, 100, 40 * MINUTE)
    lane = new_lane(plan, 400, 100, 40 * MINUTE)
    for closing in bars:
        lane.append(closing)
    restarted = new_lane(plan, 400, 100, 40 * MINUTE)
    restarted.load(b"".join(lane.window.stored()))
    restarted.reopen()

    start = next(part.start for part in life.stretches if part.anchor <= len(bars) - 1 < part.end)
    prices = [life.columns[name][start:] for name in ("open", "high", "low", "close")]
    doji = talib.CDLDOJI(*prices).astype(float)
    expected = [doji[-1], talib.SUM(doji, 200)[-1]]
    assert expected[1] > 0
    assert lane.values == restarted.values == expected

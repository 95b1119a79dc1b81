"""What a lane costs beside its updates: opening it over its history, and writing its values."""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from bench.contenders.batch import outputs
from bench.contenders.engine import ANCHOR_BARS
from bench.contenders.market import HISTORY, MINUTE_MS, Series, session_clock
from bench.row import Row
from common.features import encode_features
from common.indicators import Plan, load_plan, parse_plan
from common.symbols import load_symbols
from features.builder import Forming
from features.lane import Lane, LaneSetup
from features.track import Feed, Slot, Track
from features.writes import feature_set

ENCODINGS = 50
"""In a round."""
ROUNDS = 15
FIFTEEN = """
[indicators]
rsi_14 = { function = "RSI", timeperiod = 14 }
ema_9 = { function = "EMA", timeperiod = 9 }
ema_20 = { function = "EMA", timeperiod = 20 }
ema_50 = { function = "EMA", timeperiod = 50 }
ema_200 = { function = "EMA", timeperiod = 200 }
bollinger = { function = "BBANDS", timeperiod = 20 }
atr_14 = { function = "ATR", timeperiod = 14 }
macd = { function = "MACD" }
obv = { function = "OBV" }
volume_sma_20 = { function = "SMA", timeperiod = 20, input = "volume" }
momentum = { function = "MOM", timeperiod = 10 }
roc_10 = { function = "ROC", timeperiod = 10 }
adx_14 = { function = "ADX", timeperiod = 14 }
stochastic = { function = "STOCH", fastk_period = 14 }
cci_20 = { function = "CCI", timeperiod = 20 }
"""
"""Typical ones, for a figure that other machines and other plans can be compared with."""


def opening_rows(series: Series) -> list[Row]:
    """Return what it takes to open a lane over the bar cache's records, as at a start and at each anchor."""
    plans = {"the default plan": load_plan(None), "the 15 indicators": parse_plan(FIFTEEN, "the bench")}
    return [_opening(series, name, plan) for name, plan in plans.items()]


def _opening(series: Series, name: str, plan: Plan) -> Row:
    history = {column: values[:HISTORY] for column, values in series.columns.items()}
    known = [one for one in plan.indicators if one.function.source == "TA-Lib"]
    ours_ms, peer_ms = [], []
    for _ in range(ROUNDS):
        ours_ms.append(_timed_us(lambda: _open(series, plan, Lane)) / 1000)
        peer_ms.append(_timed_us(lambda: outputs(known, history)) / 1000)
    spread = statistics.median(ours_ms) * 1000 / ANCHOR_BARS
    return Row(
        f"opening a lane over {HISTORY:,} bars, {name}",
        "ms",
        ours_ms,
        "TA-Lib's batch, once",
        peer_ms,
        by_round=True,
        note=f"once in {ANCHOR_BARS:,} bars: {spread:.1f} us a bar",
    )


def encoding_rows(series: Series) -> list[Row]:
    """Return what it takes to make the JSON of a lane's values, beside the standard library's for the same."""
    symbol = load_symbols(("EURUSD",), None).symbols["EURUSD"]
    slot = Slot(_open(series, load_plan(None), Peeked))
    track = Track(symbol, Feed(symbol.series, 0, session_clock()), {"1m": slot})
    names = len(slot.lane.names)
    return [
        _encoding(track, slot, f"encoding {names} values after a closed bar"),
        _encoding(track, replace(slot, forming=series.forming[0]), f"the same, and {names} of the open bar"),
    ]


class Peeked(Lane):
    """One whose values of the open bar cost nothing: what writing them costs is to be seen alone."""

    def peek(self, bars: Sequence[Forming]) -> list[float]:
        """Return the closed bar's."""
        assert bars
        return self.values


def _encoding(track: Track, slot: Slot, what: str) -> Row:
    ours_us, peer_us = [], []
    plain = json.loads(_encoded(track, slot))
    for _ in range(ROUNDS):
        ours_us.append(_timed_us(lambda: _encoded(track, slot), ENCODINGS))
        peer_us.append(_timed_us(lambda: json.dumps(plain, separators=(",", ":")).encode(), ENCODINGS))
    return Row(what, "us", ours_us, "json.dumps", peer_us, by_round=True, note=f"{len(_encoded(track, slot)):,} bytes")


def _encoded(track: Track, slot: Slot) -> bytes:
    """Return the JSON; an open bar changes nothing of the closed ones', which is kept."""
    if not slot.forming:
        slot.encoded = None
    return encode_features(feature_set(track, slot, HISTORY * MINUTE_MS, ""))


def _open(series: Series, plan: Plan, kind: type[Lane]) -> Lane:
    """Return a lane that is opened over the whole history."""
    setup = LaneSetup("EURUSD", "1m", MINUTE_MS, HISTORY, ANCHOR_BARS, plan.program("EURUSD", "1m"))
    lane = kind(setup, session_clock())
    lane.load(b"".join(series.records))
    lane.reopen()
    return lane


def _timed_us(work: Callable[[], object], times: int = 1) -> float:
    """Return what one time takes of the processor."""
    began_s = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - began_s) * 1e6 / times

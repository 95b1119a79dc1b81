"""The bar caches deleted while the engine is down, as after a restored backup: filled again from SQLite."""

import random
import time
from collections.abc import Callable
from functools import partial
from math import isfinite
from pathlib import Path
from typing import cast

import pytest

from common import keys
from common.bars import INCOMPLETE, REPAIRED, pack, unpack
from common.features import decode_features
from common.history import History
from common.indicators import SessionClock, load_plan
from common.sessions import after_open_time, next_open_ms
from features.lane import Lane, LaneSetup
from tests.chaos.matrix import fault
from tests.pipeline.forked import ForkedPipeline
from tests.pipeline.test_replay import DAY_START_MS, wait_until_done
from tests.support import wait_until

SYMBOL = "EURUSD"
HISTORY_HOURS, LIVE_HOURS = 20, 2
CACHE = keys.bar_cache(0, SYMBOL, "1m")
MAX_BARS, LENGTH = 1_000, 1_100  # MAX_BARS_CACHE, and with ANCHOR_BARS below
START = "2022-01-19T19:00:00Z"  # HISTORY_HOURS after the first bar


def make_bars(target: Path) -> None:
    """Write a seeded walk of 1-minute bars without a hole: the gap ledger has nothing to ask for."""
    rng, steps = random.Random(5), 113_000
    with target.open("w") as out:
        out.write("timestamp,open,high,low,close,volume\n")
        for number in range((HISTORY_HOURS + LIVE_HOURS) * 60):
            walk = [steps := steps + rng.randint(-9, 9) for _ in range(4)]
            prices = (walk[0], max(walk), min(walk), walk[3])
            texts = ",".join(f"{price / 100_000:.5f}" for price in prices)
            out.write(f"{DAY_START_MS // 1000 + number * 60},{texts},\n")


def begun(folder: Path, data: Path) -> ForkedPipeline:
    """Return a pipeline that was just started, in the middle of the data: what was before is the vendors' history."""
    folder.mkdir()
    pipeline = ForkedPipeline(
        folder, (SYMBOL,), BATCH_WRITE_INTERVAL="0.1", TIMEFRAMES="1m", MAX_BARS_CACHE="1000", ANCHOR_BARS="100"
    )
    pipeline.start_simulator("--data", str(data), "--speed", "0", "--interval", "15", "--start", START)
    pipeline.start()
    return pipeline


def current(pipeline: ForkedPipeline) -> dict[str, float]:
    """Return the indicators after the last closed bar."""
    raw = pipeline.client().get(keys.feature_values(0, SYMBOL, "1m"))
    assert isinstance(raw, bytes)
    return {name: value for name, value in decode_features(raw).values.items() if value is not None}


def cached(pipeline: ForkedPipeline) -> list[bytes]:
    """Return the bar cache."""
    return cast(list[bytes], pipeline.client().lrange(CACHE, 0, -1))


def is_whole(records: list[bytes]) -> bool:
    """Tell whether a cache is full, and the gap ledger has had the bar replaced in which collecting began."""
    return len(records) == LENGTH and not (unpack(b"".join(records))["flags"] & INCOMPLETE).any()


def prices(records: list[bytes]) -> list[object]:
    """Return the bars without the mark of the ledger, that may come to one whose prices stay."""
    bars = unpack(b"".join(records)).copy()
    bars["flags"] &= 0xFF - REPAIRED
    return cast(list[object], bars.tolist())


def over(records: list[bytes]) -> dict[str, float]:
    """Return the indicators over these bars."""
    session = SessionClock(partial(next_open_ms, "fx"), partial(after_open_time, "fx"))
    program = load_plan(None).program(SYMBOL, "1m")
    lane = Lane(LaneSetup(SYMBOL, "1m", 60_000, MAX_BARS, LENGTH - MAX_BARS, program), session)
    lane.load(b"".join(records))
    lane.reopen()
    return {name: value for name, value in zip(lane.names, lane.values, strict=True) if isfinite(value)}


def history_calls(pipeline: ForkedPipeline) -> int:
    """Return how many backfill requests were ever published: each is a call of a vendor."""
    return int(pipeline.client().xinfo_stream(keys.BACKFILL.key(0))["entries-added"])


@fault(
    "F11",
    row="the bar caches deleted while the feature engine is down, its state kept, as after a restored backup",
    promise="filled from SQLite with all that they held, no vendor asked; bars and indicators as without it",
    teeth="features/restoring.py: `return False` in place of what _is_lost returns at the end",
)
@pytest.mark.timeout(300)
def test_caches_that_are_gone_are_filled_from_sqlite_without_a_vendor(
    tmp_path: Path, measured: Callable[..., None]
) -> None:
    (data := tmp_path / "bars").mkdir()
    make_bars(data / f"{SYMBOL}_M1.csv")
    with begun(tmp_path / "run", data) as pipeline:
        wait_until(lambda: is_whole(cached(pipeline)), 120, "a full cache")
        wait_until(lambda: not pipeline.rows("SELECT 1 FROM gaps WHERE state = 'missing'"), 60, "no gap")
        pipeline.kill("features")
        held, asked, began_s = cached(pipeline), history_calls(pipeline), time.monotonic()
        assert pipeline.client().delete(CACHE) == 1
        pipeline.start("features")
        wait_until(lambda: len(cached(pipeline)) == LENGTH, 60, "the cache to be filled")
        filled_s = time.monotonic() - began_s
        wait_until_done(pipeline, 120)

        newer = History(pipeline.database).bars(SYMBOL, "fx_spot", "1m", 2**62, LENGTH)
        closed_since = [pack(bar) for bar in newer if bar.open_ms > int(unpack(held[-1])["open_ms"][0])]
        assert closed_since
        assert prices(cached(pipeline)) == prices([*held, *closed_since][-LENGTH:])
        assert current(pipeline) == over([*held, *closed_since][-LENGTH:])
        assert history_calls(pipeline) == asked
        assert "features.cache_gone" in pipeline.log("features")
    measured(bars=LENGTH, filled_s=round(filled_s, 1), vendor_calls=0)

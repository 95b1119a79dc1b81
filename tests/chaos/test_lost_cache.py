"""The bar caches deleted while the engine is down, as after a restored backup: filled again from SQLite."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from common import keys
from common.features import FeatureSet, decode_features
from tests.chaos.forked import ForkedPipeline
from tests.chaos.matrix import fault
from tests.pipeline import bars_data
from tests.pipeline.test_replay import DAY_START_MS, wait_until_done
from tests.support import wait_until

SYMBOL = "EURUSD"
HISTORY_HOURS, LIVE_HOURS = 20, 1
CACHE = keys.bar_cache(0, SYMBOL, "1m")
LENGTH = 1_100  # MAX_BARS_CACHE and ANCHOR_BARS below
START = "2022-01-19T19:00:00Z"  # HISTORY_HOURS after the first bar
STRUCK_AT = 80


def begun(folder: Path, data: Path) -> ForkedPipeline:
    """Return a pipeline that was just started, in the middle of the data: what was before is the vendors' history."""
    folder.mkdir()
    pipeline = ForkedPipeline(
        folder, (SYMBOL,), BATCH_WRITE_INTERVAL="0.1", TIMEFRAMES="1m", MAX_BARS_CACHE="1000", ANCHOR_BARS="100"
    )
    pipeline.start_simulator("--data", str(data), "--speed", "0", "--interval", "15", "--start", START)
    pipeline.start()
    return pipeline


def values(pipeline: ForkedPipeline) -> FeatureSet:
    raw = pipeline.client().get(keys.feature_values(0, SYMBOL, "1m"))
    assert isinstance(raw, bytes)
    return decode_features(raw)


def cached(pipeline: ForkedPipeline) -> list[bytes]:
    return cast(list[bytes], pipeline.client().lrange(CACHE, 0, -1))


def history_calls(pipeline: ForkedPipeline) -> int:
    """Return how many backfill requests were ever published: each is a call of a vendor."""
    return int(pipeline.client().xinfo_stream(keys.BACKFILL.key(0))["entries-added"])


@fault(
    "F11",
    row="the bar caches deleted while the feature engine is down, its state kept, as after a restored backup",
    promise="filled from SQLite with all that they held, no vendor asked; bars and indicators as without it",
    teeth="features/stage.py: `return False` in place of what _is_lost returns at the end",
)
@pytest.mark.timeout(300)
def test_caches_that_are_gone_are_filled_from_sqlite_without_a_vendor(
    tmp_path: Path, measured: Callable[..., None]
) -> None:
    (data := tmp_path / "bars").mkdir()
    bars_data.make(data / f"{SYMBOL}_M1.csv", 5, DAY_START_MS, (HISTORY_HOURS + LIVE_HOURS) * 60, 1.13, 0.00001, False)
    with begun(tmp_path / "undisturbed", data) as pipeline:
        wait_until_done(pipeline, 120)
        expected, expected_cache = values(pipeline), cached(pipeline)
    with begun(tmp_path / "disturbed", data) as pipeline:
        wait_until(lambda: pipeline.cycle() >= STRUCK_AT and len(cached(pipeline)) == LENGTH, 90, "a full cache")
        pipeline.kill("features")
        asked, began_s = history_calls(pipeline), time.monotonic()
        assert pipeline.client().delete(CACHE) == 1
        pipeline.start("features")
        wait_until(lambda: len(cached(pipeline)) == LENGTH, 60, "the cache to be filled")
        filled_s = time.monotonic() - began_s
        wait_until_done(pipeline, 120)

        assert cached(pipeline) == expected_cache
        assert values(pipeline).values == expected.values
        assert history_calls(pipeline) == asked
        assert "features.cache_gone" in pipeline.log("features")
    measured(bars=LENGTH, filled_s=round(filled_s, 1), vendor_calls=0)

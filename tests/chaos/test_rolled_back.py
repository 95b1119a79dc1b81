"""Redis that knows less than SQLite: its append-only file cut, so that it comes back some seconds behind."""

import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from common import keys
from tests.chaos.matrix import fault
from tests.conftest import start_valkey
from tests.pipeline.forked import ForkedPipeline
from tests.pipeline.harness import STAGES
from tests.pipeline.tables import final_tables
from tests.pipeline.test_replay import SYMBOLS, made_hours, wait_until_done
from tests.support import wait_until

HOURS = 1
BACK_CYCLES = 20
AOF = "appendonlydir/appendonly.aof.1.incr.aof"
Left = tuple[dict[str, list[tuple[object, ...]]], dict[str, object]]
"""The tables, and the current indicators by lane."""
CONTENT = {
    "market_data": "symbol, source, source_class, market_ms, last, bid, ask, tick, is_check",
    "rejects": "symbol, source, received_ms, raw, raw_bar",
    "clocks": "cycle, now_ms",
    "bars": "symbol, source_class, timeframe, open_ms",
    "signals": "symbol, timeframe, strategy, bar_open_ms",
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The folder of the replay's bar files."""
    folder = tmp_path / "bars"
    folder.mkdir()
    made_hours(folder, HOURS)
    return folder


@pytest.fixture
def undisturbed(tmp_path: Path, data: Path) -> Left:
    """What a run without a fault leaves."""
    (tmp_path / "undisturbed").mkdir()
    with begun(tmp_path / "undisturbed", data) as pipeline:
        return left(pipeline)


@pytest.fixture
def pipeline(tmp_path: Path, data: Path, undisturbed: Left) -> Iterator[ForkedPipeline]:  # ends first
    """A replay under way."""
    (tmp_path / "disturbed").mkdir()
    with begun(tmp_path / "disturbed", data) as running:
        yield running


def begun(folder: Path, data: Path) -> ForkedPipeline:
    """Return a pipeline that was just started."""
    pipeline = ForkedPipeline(folder, SYMBOLS, BATCH_WRITE_INTERVAL="0.1")
    pipeline.start_simulator("--data", str(data), "--speed", "0", "--interval", "15")
    pipeline.start()
    return pipeline


def left(pipeline: ForkedPipeline) -> Left:
    """Wait for the end of the data, and return what there is."""
    wait_until_done(pipeline, 120)
    values: dict[str, object] = {}
    for symbol in SYMBOLS:
        for timeframe in ("1m", "5m"):
            raw = pipeline.client().get(keys.feature_values(0, symbol, timeframe))
            assert isinstance(raw, bytes)
            values[f"{symbol} {timeframe}"] = json.loads(raw)["values"]
    return final_tables(pipeline), values


def stored_cycle(pipeline: ForkedPipeline) -> int:
    """Return the newest cycle in SQLite."""
    if not pipeline.rows("SELECT 1 FROM sqlite_master WHERE name = 'clocks'"):
        return 0
    return cast(int, pipeline.rows("SELECT coalesce(max(cycle), 0) FROM clocks")[0][0])


def roll_back(pipeline: ForkedPipeline, after_cycles: int, *, restarted: bool) -> int:
    """Let SQLite get ahead of what Redis is taken back to. Returns how many cycles Redis lost.

    after_cycles: beyond what is stored, so that the second time is no part of what was lost the first time.
    """
    file = pipeline.folder / "valkey" / AOF
    wait_until(pipeline.database.exists, 60, "a database")
    at_cycle = stored_cycle(pipeline) + after_cycles
    wait_until(lambda: pipeline.cycle() >= at_cycle, 60, f"cycle {at_cycle}")
    length = file.stat().st_size
    wait_until(lambda: stored_cycle(pipeline) >= at_cycle + BACK_CYCLES, 60, "SQLite to be ahead")
    for stage in STAGES if restarted else ():
        pipeline.kill(stage)
    stored = stored_cycle(pipeline)
    pipeline.redis.process.kill()
    pipeline.redis.process.wait()
    os.truncate(file, length)
    pipeline.redis = start_valkey(file.parents[1], pipeline.redis.port)
    found = pipeline.client().hget(keys.state(0, "collector"), "cycle")
    if restarted:
        pipeline.start()
    return stored - int(cast(bytes, found))


def doubled(pipeline: ForkedPipeline) -> int:
    """Return how many rows say what another one says."""
    found = 0
    for table, columns in CONTENT.items():
        rows = pipeline.rows(f"SELECT {columns} FROM {table}")
        found += len(rows) - len(set(rows))
    return found


def said_in_health(pipeline: ForkedPipeline) -> object:
    """Return what /health says of the rollback."""
    components = cast(dict[str, dict[str, list[dict[str, dict[str, object]]]]], pipeline.get("/health")["components"])
    return components["storer"]["instances"][0]["info"].get("rolled_back:0")


@fault(
    "F11",
    row="Redis' append-only file cut by some seconds behind SQLite, twice, with and without a restart of the stages",
    promise="0 rows doubled, 0 lost, every table, bar and indicator as without it; the log and /health say rolled back",
    teeth="storer/repeats.py: `return False` in place of `return True` after _KEEP",
)
@pytest.mark.timeout(300)
@pytest.mark.parametrize("restarted", [True, False], ids=["everything restarted", "redis alone"])
def test_what_is_collected_again_after_a_rollback_is_stored_once(
    pipeline: ForkedPipeline, undisturbed: Left, measured: Callable[..., None], *, restarted: bool
) -> None:
    rng = random.Random(7)
    lost = [roll_back(pipeline, at + rng.randrange(10), restarted=restarted) for at in (40, 20)]
    tables, values = left(pipeline)

    assert doubled(pipeline) == 0
    assert {name: len(rows) for name, rows in tables.items() if rows != undisturbed[0][name]} == {}
    assert values == undisturbed[1]
    assert "redis.rolled_back" in pipeline.log("storer")
    wait_until(lambda: said_in_health(pipeline) is not None, 10, "/health to say it")
    assert len(pipeline.rows("SELECT * FROM rollbacks")) == 2
    repeats = len(pipeline.rows("SELECT * FROM repeats"))
    assert repeats > 0
    measured(cycles_behind=sum(lost), came_again=repeats, doubled=0, different=0)

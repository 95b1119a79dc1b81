"""Every stage killed with -9 in the middle of a replay: the same final tables as without a kill."""

import random
from pathlib import Path

import pytest

from common.messages import TIMEFRAME_MS
from replay.scratch import scratch_redis
from tests.chaos.matrix import fault
from tests.pipeline.forked import ForkedPipeline
from tests.pipeline.harness import STAGES, Pipeline
from tests.pipeline.tables import final_tables
from tests.pipeline.test_replay import SYMBOLS, check_all, made_hours, recorded_hours, run_to_the_end, wait_until_done
from tests.replay.made import replayed, settings
from tests.support import wait_until

KILLED = tuple(stage for stage in STAGES if stage != "api")
KILLS_PER_STAGE = 2


def replay(folder: Path, data: Path) -> dict[str, list[tuple[object, ...]]]:
    """Run undisturbed and return the tables."""
    folder.mkdir()
    with ForkedPipeline(folder, SYMBOLS, BATCH_WRITE_INTERVAL="0.5") as pipeline:
        run_to_the_end(pipeline, data, 120)
        return final_tables(pipeline)


def replay_with_kills(
    folder: Path, data: Path, seed: int, kills_per_stage: int = KILLS_PER_STAGE
) -> dict[str, list[tuple[object, ...]]]:
    """Run with every stage killed several times, at cycles drawn from the seed, and return the tables."""
    folder.mkdir()
    rng = random.Random(seed)
    with ForkedPipeline(folder, SYMBOLS, BATCH_WRITE_INTERVAL="0.5") as pipeline:
        pipeline.start_simulator("--data", str(data), "--speed", "0", "--interval", "15")
        pipeline.start()
        wait_until(lambda: pipeline.cycle() > 0, 60, "the first cycle")
        last = pipeline.simulator("/sim/stats")["last_cycle"]
        assert isinstance(last, int)
        victims = [stage for stage in KILLED for _ in range(kills_per_stage)]
        rng.shuffle(victims)
        moments = sorted(rng.sample(range(2, int(last * 0.9)), len(victims)))
        for moment, victim in zip(moments, victims, strict=True):
            wait_until(lambda goal=moment: pipeline.cycle() >= goal, 60, f"cycle {moment}")  # type: ignore[misc]
            pipeline.restart(victim)
        wait_until_done(pipeline, 300)
        check_all(pipeline, data)
        assert pipeline.rows("PRAGMA integrity_check") == [("ok",)]
        check_a_replay_is_identical(pipeline)
        return final_tables(pipeline)


def check_a_replay_is_identical(pipeline: Pipeline) -> None:
    """Run what is stored through the stages again: neither kills nor the batches of the time have left a trace."""
    given = settings(
        SYMBOLS, timeframes=tuple(TIMEFRAME_MS), max_bars_cache=5_000, anchor_bars=1_000, strategies_file=None
    )  # fmt: skip
    with scratch_redis() as link:
        findings = replayed(pipeline.database, link, given=given)
    assert [tally.first for tally in findings.tallies.values() if tally.first is not None] == []
    assert findings.tallies["quotes"].equal == pipeline.rows("SELECT count(*) FROM market_data")[0][0]
    assert findings.tallies["bars"].equal > 500


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The folder of the replay's bar files."""
    folder = tmp_path / "bars"
    folder.mkdir()
    return folder


@pytest.mark.long
def test_kills_of_every_stage_change_no_row_of_a_recorded_replay(shared: Path, tmp_path: Path, data: Path) -> None:
    recorded_hours(shared, data, 2)
    undisturbed = replay(tmp_path / "a", data)
    assert undisturbed["bars"]
    assert replay_with_kills(tmp_path / "b", data, seed=1) == undisturbed


@pytest.mark.short
@fault(
    "F08",
    row="every stage killed -9 twice in a replay of four symbols",
    promise="the same tables, bit for bit, as without a kill",
    teeth="collector/publish.py: in open, _Committed(fence, 0, ...): begin at the first cycle again",
)
def test_kills_of_every_stage_change_no_row_of_a_made_replay(tmp_path: Path, data: Path) -> None:
    made_hours(data, 1)
    undisturbed = replay(tmp_path / "a", data)
    assert undisturbed["bars"]
    assert replay_with_kills(tmp_path / "b", data, seed=2) == undisturbed

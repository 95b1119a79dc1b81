"""What an operator or a supervisor can do to a running replay: doubles of a stage, a key of the wrong type."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from common.keys import QUOTES
from tests.chaos.matrix import fault
from tests.pipeline.forked import ForkedPipeline
from tests.pipeline.harness import Pipeline
from tests.pipeline.test_replay import SYMBOLS, check_all, made_hours, wait_until_done
from tests.support import wait_until


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two hours of made bars."""
    folder = tmp_path / "bars"
    folder.mkdir()
    made_hours(folder, 2)
    return folder


@pytest.fixture
def pipeline(tmp_path: Path, data: Path) -> Iterator[Pipeline]:
    """A replay under way."""
    with ForkedPipeline(tmp_path, SYMBOLS, BATCH_WRITE_INTERVAL="0.5") as running:
        running.start_simulator("--data", str(data), "--speed", "0", "--interval", "15")
        running.start()
        wait_until(lambda: running.cycle() >= 20, 60, "the first cycles")
        yield running


@pytest.mark.short
@fault(
    "F08",
    row="a second process of each stage starts under the first one's name",
    promise="the older one gives way; every tick stored once, bars as in the source",
    teeth="common/fence.py: in read, if False in place of comparing the epoch",
)
def test_a_second_process_of_each_stage_under_its_name_doubles_nothing(pipeline: Pipeline, data: Path) -> None:
    for stage in ("collector", "validator", "features", "storer"):
        older = pipeline.processes.pop(stage)
        pipeline.processes[f"older {stage}"] = older
        pipeline.start(stage)
        wait_until(lambda process=older: process.poll() is not None, 20, f"the older {stage} to give way")  # type: ignore[misc]
        assert older.returncode == 3, f"{stage}: expected to end because it was overtaken"
    wait_until_done(pipeline, 120)
    check_all(pipeline, data)


@pytest.mark.short
@fault(
    "F11",
    row="a stream's key becomes a string under running stages",
    promise="they stop and say so; when it is put right nothing is lost",
    teeth="common/fence.py: in commit, return replies in place of raise ExecFailed",
)
def test_an_xadd_that_fails_inside_the_transaction_loses_nothing(pipeline: Pipeline, data: Path) -> None:
    client, key = pipeline.client(), QUOTES.key(0)
    with client.pipeline(transaction=True) as both:  # or the second would overwrite an entry written in between
        both.rename(key, "aside")
        both.set(key, "a string")
        both.execute()
    victims = ("validator", "features", "storer")
    for stage in victims:
        wait_until(lambda name=stage: pipeline.processes[name].poll() is not None, 30, f"{stage} to stop")  # type: ignore[misc]
        assert "stage.fatal" in pipeline.log(stage)
    held = list((pipeline.folder / "dead-letters").glob("validator-p0-*.json"))
    client.delete(key)
    client.rename("aside", key)
    pipeline.start(*victims)
    wait_until_done(pipeline, 120)
    check_all(pipeline, data)
    assert len(held) <= 1  # none, if the type was noticed before a transaction was under way
    assert not list((pipeline.folder / "dead-letters").glob("validator-p0-*.json"))

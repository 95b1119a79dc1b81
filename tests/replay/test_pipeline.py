"""A run of the real processes with signals and a killed stage, replayed; kills of all: tests/pipeline/test_kills."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from common.redis_link import Link
from tests.chaos.matrix import fault
from tests.pipeline.harness import Pipeline
from tests.replay.made import SYMBOLS, Copy, replayed
from tests.support import wait_until

SETTINGS = {"TIMEFRAMES": "1s,1m", "MAX_BARS_CACHE": "1000", "ANCHOR_BARS": "100"}
CYCLES = 160

pytestmark = pytest.mark.long


def run_and_kill(pipeline: Pipeline) -> None:
    """Run until signals are stored, with a kill of the stage that has most to restore."""
    pipeline.start_simulator("--speed", "150", "--interval", "5", "--seed", "5")
    pipeline.start("collector", "validator", "features", "storer")
    wait_until(lambda: pipeline.cycle() >= 30, 60, "cycle 30")
    pipeline.restart("features")
    stored = "SELECT count(*) FROM signals"
    wait_until(lambda: pipeline.cycle() >= CYCLES and pipeline.rows(stored) > [(0,)], 100, "a signal")
    pipeline.kill("collector")
    wait_until(lambda: pipeline.settled(without="collector"), 30, "every other stage to settle")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of the run."""
    folder = tmp_path_factory.mktemp("pipeline")
    with Pipeline(folder, SYMBOLS, BATCH_WRITE_INTERVAL="0.2", **SETTINGS) as pipeline:
        run_and_kill(pipeline)
        pipeline.kill("storer", 15)
    return pipeline.database


@pytest.fixture
def stored(original: Path, tmp_path: Path) -> Copy:
    """A copy of it, to be altered."""
    return Copy(Path(shutil.copy(original, tmp_path / "md.db")))


@fault(
    "F21",
    row="a stored run of the real processes, in which the feature engine was killed -9, replayed into a scratch Redis",
    promise="verdicts, bars and signals come out as they were stored live",
    teeth="features/restoring.py: in _restore_symbol, slot.forming = () in place of what was stored",
)
def test_a_run_with_a_killed_stage_is_replayed_identical(
    stored: Copy, link: Link, measured: Callable[..., None]
) -> None:
    findings = replayed(stored.path, link)

    assert [tally.first for tally in findings.tallies.values()] == [None] * 5
    compared = {kind: tally.compared for kind, tally in findings.tallies.items()}
    assert compared["quotes"] + compared["rejects"] > CYCLES
    assert compared["bars"] > CYCLES
    assert compared["signals"] == stored.one("SELECT count(*) FROM signals")
    measured(**compared, different=0)


@pytest.mark.parametrize(
    ("kind", "chosen", "statement"),
    [
        (
            "quotes",
            "SELECT raw_id FROM market_data ORDER BY raw_ms LIMIT 1 OFFSET 150",
            "UPDATE market_data SET price = price * 1.001 WHERE raw_id = '{}'",
        ),
        (
            "bars",
            "SELECT open_ms FROM bars WHERE origin = 'built' AND timeframe = '1m' AND complete ORDER BY open_ms",
            "UPDATE bars SET close = close * 1.001 WHERE origin = 'built' AND timeframe = '1m' AND open_ms = {}",
        ),
        (
            "signals",
            "SELECT id FROM signals ORDER BY published_ms DESC LIMIT 1",
            "DELETE FROM signals WHERE id = '{}'",
        ),
    ],
)
@fault(
    "F21",
    row="one stored quote, bar or signal of that run altered or deleted behind its back",
    promise="the replay names the first difference: which row, what was stored and what comes out",
    teeth="replay/bars.py: in _compare, self._tally.add_equal(1) in place of the call of self._differs",
)
def test_one_altered_row_of_it_is_found(stored: Copy, link: Link, kind: str, chosen: str, statement: str) -> None:
    altered = stored.one(chosen)
    stored.change(statement.format(altered))

    findings = replayed(stored.path, link)

    found = [tally.first for tally in findings.tallies.values() if tally.first is not None]
    assert [difference.kind for difference in found] == [kind]
    assert str(altered) in found[0].raw_id + found[0].what

"""A whole recorded trading day, undisturbed and with each stage killed many times: `make test-long`."""

from pathlib import Path

import pytest

from tests.pipeline.harness import Pipeline
from tests.pipeline.tables import final_tables
from tests.pipeline.test_kills import replay_with_kills
from tests.pipeline.test_replay import SYMBOLS, check_all, recorded_hours, run_to_the_end

TRADING_DAY_HOURS = 23
KILLS_PER_STAGE = 10


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_recorded_trading_day_with_forty_kills_is_the_same_as_without(shared: Path, tmp_path: Path) -> None:
    data = tmp_path / "bars"
    data.mkdir()
    recorded_hours(shared, data, TRADING_DAY_HOURS)
    with Pipeline(tmp_path, SYMBOLS, BATCH_WRITE_INTERVAL="1") as pipeline:
        run_to_the_end(pipeline, data, 300)
        check_all(pipeline, data)
        undisturbed = final_tables(pipeline)
    assert undisturbed["signals"], "no signal on a whole day: the comparison would say nothing about them"
    print({name: len(rows) for name, rows in undisturbed.items()})  # the figures of the run
    killed = replay_with_kills(tmp_path / "killed", data, seed=11, kills_per_stage=KILLS_PER_STAGE)
    assert killed == undisturbed

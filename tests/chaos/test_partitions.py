"""The same data over one partition and over four, and moved from one to the other in the middle of a run."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common import keys
from common.keys import partition_of
from tests.chaos.matrix import fault
from tests.pipeline.forked import ForkedPipeline
from tests.pipeline.harness import ROOT
from tests.pipeline.tables import final_tables
from tests.pipeline.test_replay import SYMBOLS, made_hours
from tests.support import wait_until

HOURS = 1
Tables = dict[str, list[tuple[object, ...]]]
HALVES = ("0,1", "2,3")


class Spread(ForkedPipeline):
    """An installation over one partition, or over four that are served by two validators and two engines."""

    partitions = 1

    def begin(self) -> None:
        """Start all stages as the number of partitions asks for."""
        self.environment |= {"STREAM_PARTITIONS": str(self.partitions)}
        self.start("collector", "storer", "api")
        for stage in ("validator", "features"):
            for number, served in enumerate(HALVES if self.partitions == 4 else ("0",)):
                self._spawn(stage, ["-m", stage], PARTITIONS=served, SUPERVISOR_PROCESS_NAME=f"{stage}-{number}")
                self.processes[f"{stage}-{number}"] = self.processes.pop(stage)

    def end(self) -> None:
        """Stop the collector in order and kill all others in the middle of what they do."""
        for name in [name for name in self.processes if name != "simulator"]:
            self.kill(name, signal.SIGTERM if name == "collector" else signal.SIGKILL)

    def move(self, partitions: int) -> "subprocess.CompletedProcess[str]":
        """Run the command of `make partitions`."""
        found = subprocess.run(
            [sys.executable, "-m", "deploy.partitions", str(partitions)], cwd=self.folder,
            env={**self.environment, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=280, check=False,
        )  # fmt: skip
        if found.returncode == 0:
            self.partitions = partitions
        return found

    def move_when_silent(self, partitions: int) -> None:
        """Do the same as soon as those that were killed have no heartbeat any more."""
        said: list[str] = []

        def moved() -> bool:
            found = self.move(partitions)
            said.append(found.stdout + found.stderr)
            return "had a heartbeat" not in found.stderr

        wait_until(moved, 300, "the heartbeats to end")
        assert self.partitions == partitions, said[-1]

    def settled(self, without: str = "") -> bool:
        """True if every group of every partition has settled everything."""
        client = self.client()
        for partition in range(self.partitions):
            for stream in keys.TRANSPORT:
                key = stream.key(partition)
                if not client.exists(key):
                    continue
                newest = client.xrevrange(key, count=1)
                for group in client.xinfo_groups(key):
                    if group["pending"] or (newest and group["last-delivered-id"] < newest[0][0]):
                        return False
        return True

    def values(self) -> dict[str, object]:
        """Return the indicators after each lane's last closed bar."""
        found = {}
        for symbol in SYMBOLS:
            for timeframe in ("1s", "1m", "5m"):
                raw = self.client().get(keys.feature_values(partition_of(symbol, self.partitions), symbol, timeframe))
                assert isinstance(raw, bytes), f"{symbol} {timeframe}"
                found[f"{symbol} {timeframe}"] = json.loads(raw)["values"]
        return found

    def reach(self, cycle: int) -> None:
        """Wait until a cycle is committed."""
        wait_until(lambda: self.cycle() >= cycle, 120, f"cycle {cycle}")

    def finish(self) -> Tables:
        """Wait for the end of the data; return the tables, without what there is once for each partition."""
        last = self.simulator("/sim/stats")["last_cycle"]
        wait_until(lambda: self.cycle() == last, 200, f"the last cycle, {last}")
        wait_until(self.settled, 60, "every stage to settle")
        tables = final_tables(self)
        return {**tables, "clocks": sorted(set(tables["clocks"]), key=repr)}


Make = Callable[[str], Spread]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Make an installation in a folder of its own, with its simulator; nothing outlives the test."""
    data = tmp_path / "bars"
    data.mkdir()
    made_hours(data, HOURS)
    made: list[Spread] = []

    def one(name: str) -> Spread:
        (tmp_path / name).mkdir()
        spread = Spread(tmp_path / name, SYMBOLS, BATCH_WRITE_INTERVAL="0.2")
        made.append(spread)
        spread.start_simulator("--data", str(data), "--speed", "0", "--interval", "15")
        return spread

    yield one
    for spread in made:
        spread.__exit__(None, None, None)


def undisturbed(make: Make) -> tuple[Tables, dict[str, object]]:
    """Return what a run over one partition leaves."""
    spread = make("undisturbed")
    spread.begin()
    tables, values = spread.finish(), spread.values()
    spread.__exit__(None, None, None)
    return tables, values


def differences(found: Tables, expected: Tables) -> dict[str, tuple[int, int]]:
    return {name: (len(rows), len(expected[name])) for name, rows in found.items() if rows != expected[name]}


@fault(
    "F19",
    row="two validators and two feature engines over four partitions, against one of each over one",
    promise="every table the same rows, the current indicators bit for bit the same",
    teeth="collector/publish.py: `not in self.partitions` in place of `!= p` in _new_quotes",
)
@pytest.mark.timeout(600)
def test_four_partitions_and_two_processes_a_stage_give_what_one_gives(
    make: Make, measured: Callable[..., None]
) -> None:
    tables, values = undisturbed(make)
    spread = make("spread")
    spread.partitions = 4
    spread.begin()
    found = spread.finish()

    assert differences(found, tables) == {}
    assert spread.values() == values
    used = {partition for (partition,) in spread.rows("SELECT DISTINCT partition FROM market_data")}
    assert used == {1, 2, 3}
    measured(rows=sum(map(len, found.values())), partitions_used=len(used), different=0)


@fault(
    "F19",
    row="moved from one partition to four and back in the middle of a run, the stages killed with -9 before each move",
    promise="0 rows lost, 0 doubled; every table and indicator as in an undisturbed run; a wrong count is refused",
    teeth='deploy/partitions/fields.py: `("asked",)` in place of `("symbol", "asked")` in _features',
)
@pytest.mark.timeout(900)
def test_a_move_to_four_partitions_and_back_loses_nothing(make: Make, measured: Callable[..., None]) -> None:
    tables, values = undisturbed(make)
    spread = make("moved")
    spread.begin()
    spread.reach(60)
    refused = spread.move(4)
    assert (refused.returncode, "had a heartbeat" in refused.stderr) == (1, True)

    for cycle, partitions in ((70, 4), (120, 1), (170, 4)):
        spread.reach(cycle)
        spread.end()
        spread.move_when_silent(partitions)
        spread.begin()
    found = spread.finish()

    assert differences(found, tables) == {}
    assert spread.values() == values
    assert spread.rows("SELECT count(*) FROM rollbacks") == [(0,)]
    measured(moves=3, rows=sum(map(len, found.values())), different=0)


def test_a_process_that_was_told_another_number_of_partitions_refuses(make: Make) -> None:
    spread = make("refused")
    spread.client().set(keys.PARTITION_COUNT, 4)
    spread.environment |= {"STREAM_PARTITIONS": "2"}
    spread.start("validator", "collector")

    for stage in ("validator", "collector"):
        wait_until(lambda name=stage: spread.processes[name].poll() is not None, 30, f"{stage} to end")  # type: ignore[misc]
        assert "STREAM_PARTITIONS: expected 4, over which the data" in spread.log(stage)
        assert "make partitions N=2" in spread.log(stage)

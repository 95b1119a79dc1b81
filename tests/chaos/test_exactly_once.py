"""A hundred thousand real quotes at full speed, with hundreds of kills: everything once, and everything the same."""

import json
import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from common.features import FeatureSet
from tests.chaos import quotes_data
from tests.chaos.commit_kills import ENDS, End, kill_inside_commit
from tests.chaos.matrix import fault
from tests.chaos.warm import Replay
from tests.pipeline.forked import ForkedPipeline
from tests.pipeline.harness import STAGES
from tests.pipeline.tables import final_tables
from tests.support import wait_until

COMMITTING = ("collector", "validator", "features", "storer")


@dataclass(frozen=True)
class Left:
    """What a run has left behind."""

    quotes: int
    tables: dict[str, list[tuple[object, ...]]]
    closed_values: dict[str, FeatureSet]


def check(replay: Replay, pipeline: ForkedPipeline) -> int:
    """Each quote of the files is one row, of market_data or of rejects, nothing is dead-lettered. Return how many."""
    assert not pipeline.client().keys("*dead*")
    assert pipeline.rows("PRAGMA integrity_check") == [("ok",)]
    told: dict[str, list[tuple[int, float]]] = {symbol: [] for symbol in replay.digits}
    for symbol, tick, price in pipeline.rows("SELECT symbol, tick, price FROM market_data"):
        told[str(symbol)].append((cast(int, tick), cast(float, price)))
    rejects = [(str(symbol), json.loads(str(raw))) for symbol, raw in pipeline.rows("SELECT symbol, raw FROM rejects")]
    for symbol, quote in rejects:
        told[symbol].append((quote["tick"], quote["last"]))
    for symbol in replay.digits:
        (file,) = replay.data.glob(f"{symbol}_*.csv")
        before, quotes = quotes_data.read(file)
        first = min(tick for tick, _ in told[symbol])
        assert first <= before + 1  # where the first step brings none, it tells the newest one from before
        assert sorted(told[symbol]) == [*enumerate(quotes[first - 1 :], first)], symbol
    stored = sum(map(len, told.values()))
    assert len(rejects) < 0.001 * stored, "real prices were rejected"
    return stored


def finish(replay: Replay, pipeline: ForkedPipeline, last: int, deadline_s: float) -> Left:
    """Wait until all data have gone through, check them, and return what there is."""
    wait_until(lambda: pipeline.cycle() == last, deadline_s, f"the last cycle, {last}")
    wait_until(pipeline.settled, 120, "empty pending lists")
    quotes = check(replay, pipeline)
    return Left(quotes, final_tables(pipeline), replay.closed_values(pipeline))


def undisturbed(replay: Replay, deadline_s: float) -> Left:
    with replay.go_on("undisturbed") as pipeline:
        return finish(replay, pipeline, replay.start(pipeline, "0"), deadline_s)


def with_kills(replay: Replay, kills: int, commit_kills: int, deadline_s: float) -> Left:
    """Kill stages at moments drawn by lot; so many more inside a commit, each stage and each end in turn."""
    rng = random.Random(kills)
    ends = [(stage, end) for end in ENDS for stage in COMMITTING]
    victims: list[tuple[str, End | None]] = [(rng.choice(STAGES), None) for _ in range(kills)]
    victims += [ends[n % len(ends)] for n in range(commit_kills)]
    rng.shuffle(victims)
    with ExitStack() as proxies, replay.go_on("killed") as pipeline:
        last = replay.start(pipeline, "0")
        first = pipeline.cycle()
        moments = sorted(rng.uniform(first + 1, last * 0.95) for _ in victims)
        for moment, (stage, end) in zip(moments, victims, strict=True):
            wait_until(lambda goal=moment: pipeline.cycle() >= goal, 60, f"cycle {moment:.0f}")  # type: ignore[misc]
            if end is None:
                pipeline.restart(stage)
            else:
                proxies.callback(kill_inside_commit(pipeline, stage, end).close)
        return finish(replay, pipeline, last, deadline_s)


def prove(replay: Replay, kills: int, commit_kills: int, measured: Callable[..., None]) -> None:
    """Run twice, with and without kills, and compare everything."""
    replay.warm_up(180)
    began_s = time.monotonic()
    expected = undisturbed(replay, 400)
    took_s = time.monotonic() - began_s
    began_s = time.monotonic()
    found = with_kills(replay, kills, commit_kills, 600)
    assert expected.tables["signals"], "no signal at all: the comparison would say nothing about them"
    for table, rows in expected.tables.items():
        assert found.tables[table] == rows, table
    assert found.closed_values == expected.closed_values
    measured(
        quotes=found.quotes, bars=len(found.tables["bars"]), signals=len(found.tables["signals"]), kills=kills,
        kills_inside_a_commit=commit_kills, undisturbed_s=took_s, with_kills_s=time.monotonic() - began_s, lost=0,
        doubled=0,
    )  # fmt: skip


@pytest.mark.timeout(1500)
@fault(
    "F08",
    row="every stage killed -9, 200 times at random and 24 times inside a commit, in a replay of 100,000 real quotes",
    promise="each quote once in SQLite; bars, indicators and signals bit-equal to an undisturbed run; nothing pending",
    teeth="common/partition_loop.py: in _commit, acknowledge by an exchange of its own before the transaction",
)
def test_kills_change_nothing_of_a_replay_of_real_quotes(
    shared: Path, tmp_path: Path, measured: Callable[..., None]
) -> None:
    (tmp_path / "data").mkdir()
    digits = quotes_data.deal(shared, tmp_path / "data", hours=6.67)
    prove(Replay(tmp_path, tmp_path / "data", digits), 200, 24, measured)


@pytest.mark.timeout(300)
@fault(
    "F08",
    row="the same in a replay of made quotes of 12 symbols, with 36 kills and 12 inside a commit",
    promise="the same",
    teeth="common/fence.py: in read, PING in place of WATCH: an EXEC that comes late is executed",
)
def test_kills_change_nothing_of_a_replay_of_made_quotes(tmp_path: Path, measured: Callable[..., None]) -> None:
    (tmp_path / "data").mkdir()
    digits = quotes_data.make(tmp_path / "data", hours=1.5, symbols=12)
    prove(Replay(tmp_path, tmp_path / "data", digits), 36, 12, measured)

"""Pushed prices through the real processes: the collector killed at random, sockets that fall silent or break."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from common.keys import FIELD, RAW
from common.messages import Clock, RawQuotes, decode
from tests.pipeline import bars_data
from tests.pipeline.forked import ForkedPipeline
from tests.pipeline.harness import Pipeline
from tests.pipeline.tables import final_tables
from tests.pipeline.test_replay import (
    SYMBOLS,
    WITH_VOLUME,
    made_hours,
    recorded_hours,
    stored_bars,
    wait_until_done,
)
from tests.support import wait_until

INTERVAL_MS = 15_000
SILENCE_MS = 60_000  # of the first source's sockets
FUTURES = ("NAS100", "US500", "US30")


@dataclass(frozen=True)
class Told:
    """One quote in the raw stream."""

    cycle: int
    symbol: str
    source: str
    market_ms: int | None
    last: object
    check: bool
    polled: bool


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The folder of the replay's bar files."""
    folder = tmp_path / "bars"
    folder.mkdir()
    return folder


def collected(
    folder: Path, data: Path, *, kills: int = 0, faults: tuple[Mapping[str, object], ...] = (), deadline_s: float = 60
) -> list[Told]:
    """Run the collector alone over the data, killed so many times, and return what it published."""
    folder.mkdir()
    rng = random.Random(5)
    with ForkedPipeline(folder, SYMBOLS, PUSH="on") as pipeline:
        pipeline.start_simulator("--data", str(data), "--speed", "0", "--interval", str(INTERVAL_MS // 1000))
        for fault in faults:
            pipeline.simulator("/sim/faults", dict(fault))
        pipeline.start("collector")
        last = pipeline.simulator("/sim/stats")["last_cycle"]
        assert isinstance(last, int)
        for moment in sorted(rng.sample(range(2, min(last, 55) if faults else last), kills)):
            wait_until(lambda goal=moment: pipeline.cycle() >= goal, deadline_s, f"cycle {moment}")  # type: ignore[misc]
            pipeline.restart("collector")
        wait_until(lambda: pipeline.cycle() == last, deadline_s, f"the last cycle, {last}")
        return told(pipeline)


def told(pipeline: Pipeline) -> list[Told]:
    found: list[Told] = []
    cycle = 1
    entries: list[tuple[bytes, dict[bytes, bytes]]] = pipeline.client().xrange(RAW.key(0))  # type: ignore[assignment]
    for _, fields in entries:
        message = decode(fields[FIELD])
        if isinstance(message, Clock):
            assert message.cycle == cycle, "each cycle once, in order"
            cycle += 1
        elif isinstance(message, RawQuotes):
            found += [
                Told(cycle, q.symbol, message.source, q.market_ms, q.last, message.check, q.tick is not None)
                for q in message.quotes
            ]
    return found


def of(rows: list[Told], symbol: str, source: str = "yahoo") -> list[Told]:
    return [row for row in rows if (row.symbol, row.source, row.check) == (symbol, source, False)]


SILENT = {"vendor": "yahoo", "fault": "silent", "from_cycle": 20, "cycles": 15}
BROKEN = {"vendor": "yahoo", "fault": "reset", "channel": "stream", "from_cycle": 60, "cycles": 1}


def test_sockets_fall_silent_and_break_and_the_collector_is_killed(tmp_path: Path, data: Path) -> None:
    made_hours(data, 0.3)
    undisturbed = collected(tmp_path / "a", data, faults=(SILENT, BROKEN))
    check_takeover(undisturbed)
    check_kills(undisturbed, collected(tmp_path / "b", data, kills=1, faults=(SILENT, BROKEN)))


def check_takeover(rows: list[Told]) -> None:
    """Polling takes over within the deadline of a silence, in the same cycle from a broken socket, and gives back."""
    for symbol in FUTURES:
        polled = [row.cycle for row in of(rows, symbol) if row.polled and 1 < row.cycle < 60]
        pushed = [row.cycle for row in of(rows, symbol) if not row.polled]
        assert polled, symbol
        assert 20 < min(polled) <= 20 + SILENCE_MS // INTERVAL_MS
        assert max(polled) < 35 <= max(pushed)
        assert set(range(20, 35)).isdisjoint(pushed)
        assert [(r.cycle, r.polled) for r in of(rows, symbol) if r.cycle in (59, 60)] == [(59, False), (60, True)]
        times = [row.market_ms for row in of(rows, symbol)]
        assert len(times) == len(set(times))
    # What other vendors push as well passes to them, without a poll.
    assert {row.source for row in rows if row.symbol == "EURUSD" and not row.check} >= {"yahoo", "twelvedata"}


def check_kills(undisturbed: list[Told], killed: list[Told]) -> None:
    """A run with kills publishes what an undisturbed one does, in the same order: until a socket has to be reopened."""
    before, after = ([row for row in rows if is_certain(row)] for rows in (undisturbed, killed))
    assert after == before
    assert len(before) > 100


def is_certain(row: Told) -> bool:
    """When a pushed price is checked by a poll, each process counts from its own start; reopening takes real time."""
    return row.cycle < 60 and not (row.check and row.polled)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_many_kills_of_the_collector_lose_nothing_that_was_pushed(tmp_path: Path, data: Path) -> None:
    made_hours(data, 2)
    undisturbed = collected(tmp_path / "a", data, deadline_s=300)
    killed = collected(tmp_path / "b", data, kills=25, deadline_s=300)
    assert [r for r in killed if not r.polled] == [r for r in undisturbed if not r.polled]
    assert not [r for r in undisturbed + killed if r.polled and not r.check]
    assert {r.source for r in undisturbed if r.check and not r.polled} == {"twelvedata", "polygon"}
    for symbol in SYMBOLS:
        times = [r.market_ms for r in of(undisturbed, symbol)]
        assert len(times) > 400
        assert len(times) == len(set(times))


# -- all stages -----------------------------------------------------------------------------------


def check_bars(pipeline: Pipeline, data: Path) -> None:
    """Bars are the source's. The first one lacks the volume of its first tick: a frame leaves out a zero."""
    for symbol in SYMBOLS:
        source, stored = bars_data.read(data / f"{symbol}_M1.csv"), stored_bars(pipeline, symbol)
        if symbol not in WITH_VOLUME:
            source = [replace(bar, volume=0.0) for bar in source]
        assert stored[1:] == source[1:], symbol
        assert stored[0] == replace(source[0], volume=stored[0].volume), symbol


def replayed(folder: Path, data: Path, kills_per_stage: int) -> dict[str, list[tuple[object, ...]]]:
    """Run all stages, each killed so many times, and return the tables."""
    folder.mkdir()
    rng = random.Random(9)
    stages = ("collector", "validator", "features", "storer")
    with ForkedPipeline(folder, SYMBOLS, BATCH_WRITE_INTERVAL="0.5", PUSH="on") as pipeline:
        pipeline.start_simulator("--data", str(data), "--speed", "0", "--interval", str(INTERVAL_MS // 1000))
        pipeline.start(*stages)
        last = pipeline.simulator("/sim/stats")["last_cycle"]
        assert isinstance(last, int)
        victims = [stage for stage in stages for _ in range(kills_per_stage)]
        rng.shuffle(victims)
        for moment, victim in zip(sorted(rng.sample(range(2, last), len(victims))), victims, strict=True):
            wait_until(lambda goal=moment: pipeline.cycle() >= goal, 120, f"cycle {moment}")  # type: ignore[misc]
            pipeline.restart(victim)
        wait_until_done(pipeline, 300)
        check_bars(pipeline, data)
        tables = final_tables(pipeline)
        return {name: rows for name, rows in tables.items() if name != "market_data"} | {
            "market_data": sorted(
                pipeline.rows(
                    "SELECT symbol, source, source_class, market_ms, received_ms, price, bid, ask, volume, score,"
                    " is_check FROM market_data WHERE NOT (is_check AND tick IS NOT NULL)"
                ),
                key=repr,
            )
        }


@pytest.mark.long
@pytest.mark.timeout(900)
def test_kills_of_every_stage_change_no_row_of_what_was_pushed(shared: Path, tmp_path: Path, data: Path) -> None:
    recorded_hours(shared, data, 2)
    undisturbed = replayed(tmp_path / "a", data, 0)
    assert undisturbed["bars"]
    assert replayed(tmp_path / "b", data, 3) == undisturbed

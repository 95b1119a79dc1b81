"""SQLite is locked, full, failing, killed, gone: the storer waits or starts anew, and every row is there once."""

import json
import random
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.chaos.matrix import fault
from tests.chaos.small_replay import struck
from tests.chaos.tracing import tampered
from tests.pipeline import bars_data
from tests.pipeline.forked import ForkedPipeline
from tests.pipeline.test_replay import SYMBOLS, WITH_VOLUME, check_all, made_hours, stored_bars, wait_until_done
from tests.support import wait_until
from tests.support_disk import small_disk

Measured = Callable[..., None]
KILLS = 100


def word_of_storer(pipeline: ForkedPipeline, word: str) -> None:
    """Wait until the storer has said this."""
    wait_until(lambda: word in pipeline.log("storer"), 60, f"the storer to say {word!r}")


def has_tables(pipeline: ForkedPipeline) -> bool:
    named = "SELECT name FROM sqlite_schema WHERE name = 'clocks'"
    return pipeline.database.exists() and bool(pipeline.rows(named))


def newest_stored(pipeline: ForkedPipeline) -> int:
    (newest,) = pipeline.rows("SELECT coalesce(max(cycle), 0) FROM clocks")[0]
    assert isinstance(newest, int)
    return newest


def seconds_to_catch_up(pipeline: ForkedPipeline) -> float:
    """Wait until what is collected by now is stored; return how long it took."""
    began_s, cycle = time.monotonic(), pipeline.cycle()
    wait_until(lambda: newest_stored(pipeline) >= cycle, 60, f"cycle {cycle} to be stored")
    return time.monotonic() - began_s


@contextmanager
def transaction(path: Path, begin: str) -> Iterator[sqlite3.Connection]:
    """Hold a transaction of somebody else on the database."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(begin)
        connection.execute("SELECT count(*) FROM market_data").fetchone()
        yield connection
        connection.execute("ROLLBACK")


@pytest.mark.short
@fault(
    "F12",
    row="locked by another writer for twenty cycles",
    promise="the batch waits unacknowledged, the log says why; then everything is stored, once",
    teeth="storer/faults.py: in _NOT_NOW, leave SQLITE_BUSY away",
)
def test_a_long_writer(tmp_path: Path, measured: Measured) -> None:
    with struck(tmp_path) as pipeline:
        with transaction(pipeline.database, "BEGIN IMMEDIATE"):
            word_of_storer(pipeline, "database is locked")
            before = newest_stored(pipeline)
            wait_until(lambda: pipeline.cycle() >= before + 20, 60, "cycles that wait to be stored")
            assert newest_stored(pipeline) == before
        measured(catch_up_s=seconds_to_catch_up(pipeline))
    measured(lost=0, doubled=0)


@fault(
    "F12",
    row="a reader that stays in its transaction for the rest of a replay",
    promise="the writer goes on, and the reader sees its own moment",
    teeth="storer/database.py: in _SETTINGS, journal_mode = DELETE",
)
def test_a_long_reader(tmp_path: Path, measured: Measured) -> None:
    with struck(tmp_path) as pipeline, transaction(pipeline.database, "BEGIN") as reader:
        (seen,) = reader.execute("SELECT count(*) FROM market_data").fetchone()
        wait_until_done(pipeline, 120)
        assert reader.execute("SELECT count(*) FROM market_data").fetchone() == (seen,)
        assert newest_stored(pipeline) == pipeline.cycle()
    measured(lost=0, doubled=0)


@fault(
    "F12",
    row="the disk is full (a tmpfs), and grows later",
    promise="the batch waits unacknowledged, the storer says what to do; then everything is stored, once",
    teeth="storer/faults.py: in _NOT_NOW, leave SQLITE_FULL away",
)
def test_a_full_disk(tmp_path: Path, measured: Measured) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, "2m") as resize, struck(tmp_path, DATABASE_PATH=str(disk / "md.db")) as pipeline:
        pipeline.database = disk / "md.db"
        word_of_storer(pipeline, "the disk is full; free some space")
        before = newest_stored(pipeline)
        wait_until(lambda: pipeline.cycle() >= before + 20, 60, "cycles that wait to be stored")
        resize("64m")
        measured(catch_up_s=seconds_to_catch_up(pipeline))
        wait_until_done(pipeline, 120)
        check_all(pipeline, tmp_path / "bars")
        assert pipeline.rows("PRAGMA integrity_check") == [("ok",)]
        pipeline.kill("storer")
    measured(lost=0, doubled=0)


@fault(
    "F12",
    row="fsync and fdatasync of the storer fail with EIO, five times",
    promise="a commit that was not synced is no commit: the batch waits and is written again, once",
    teeth="storer/faults.py: in _NOT_NOW, leave SQLITE_IOERR away",
)
def test_a_failing_sync(tmp_path: Path, measured: Measured) -> None:
    fails = ("fsync,fdatasync", "error=EIO:when=3..7")
    with struck(tmp_path) as pipeline, tampered(pipeline.processes["storer"].pid, *fails):
        word_of_storer(pipeline, "the disk fails")
        measured(catch_up_s=seconds_to_catch_up(pipeline))
    measured(lost=0, doubled=0)


def kill_inside_a_transaction(pipeline: ForkedPipeline, life: int, rng: random.Random) -> None:
    """Let one of the storer's next writes or syncs of the database be its end."""
    storer = pipeline.processes["storer"]
    wait_until(lambda: pipeline.log("storer").count('"stage.ready"') == life, 60, "the storer to be ready")
    call, latest = rng.choice((("pwrite64", 12), ("pwrite64", 40), ("fdatasync", 3)))
    with tampered(storer.pid, call, f"signal=SIGKILL:when={rng.randint(1, latest)}"):
        wait_until(lambda: storer.poll() is not None, 60, "the storer's end")


@pytest.mark.timeout(900)
@fault(
    "F12",
    row="the storer killed -9 inside a transaction, at a write or a sync drawn by lot, 100 times",
    promise="integrity_check says ok after each kill; every quote once, bars as in the source",
    teeth="storer/stage.py: in handle, write the batch before this one instead: it is acknowledged already",
)
def test_a_hundred_kills_inside_a_transaction(tmp_path: Path, measured: Measured) -> None:
    data, rng = tmp_path / "bars", random.Random(100)
    data.mkdir()
    made_hours(data, 22)
    with ForkedPipeline(tmp_path, SYMBOLS, BATCH_WRITE_INTERVAL="0.05") as pipeline:
        pipeline.start_simulator("--data", str(data), "--speed", "240", "--interval", "15")
        pipeline.start()
        for life in range(1, KILLS + 1):
            kill_inside_a_transaction(pipeline, life, rng)
            assert pipeline.rows("PRAGMA integrity_check") == [("ok",)]
            pipeline.start("storer")
        pipeline.kill("collector", signal.SIGTERM)
        wait_until(lambda: pipeline.settled(without="collector"), 60, "everything to be stored")
        check_what_was_told(pipeline, data)
    measured(kills=KILLS, integrity_checks_failed=0, lost=0, doubled=0)


def check_what_was_told(pipeline: ForkedPipeline, data: Path) -> None:
    """Every tick up to the newest is stored once, every bar as in the source, nothing is pending or dead."""
    stored = ticks(pipeline.database)
    newest = {symbol: max(n for s, n in stored if s == symbol) for symbol in SYMBOLS}
    assert sorted(stored) == sorted((s, n) for s in SYMBOLS for n in range(1, newest[s] + 1))
    for symbol in WITH_VOLUME:
        bars = stored_bars(pipeline, symbol)
        assert bars == bars_data.read(data / f"{symbol}_M1.csv")[: len(bars)]
        assert len(bars) > newest[symbol] // 4 - 3
    assert not pipeline.client().keys("*dead*")


def move_away(pipeline: ForkedPipeline, name: str) -> Path:
    """Rename the database and what is beside it, the storer at work; return its new place."""
    storer = pipeline.processes["storer"]
    storer.send_signal(signal.SIGSTOP)
    for suffix in ("", "-wal", "-shm"):
        path = pipeline.database.with_name(pipeline.database.name + suffix)
        if path.exists():
            path.rename(path.with_name(name + suffix))
    storer.send_signal(signal.SIGCONT)
    return pipeline.database.with_name(name)


def ticks(path: Path) -> list[tuple[str, int]]:
    """Return the symbol and number of each stored tick."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        rejected = [(symbol, json.loads(raw)["tick"]) for symbol, raw in connection.execute(_REJECTED)]
        return [*connection.execute("SELECT symbol, tick FROM market_data"), *rejected]


_REJECTED = "SELECT symbol, raw FROM rejects"


@fault(
    "F12",
    row="the database moved away while it is open",
    promise="the storer says so and makes a new one; the two together hold every quote, each once",
    teeth="storer/database.py: in connection, leave the comparison with _identity away",
)
def test_a_database_moved_away(tmp_path: Path, measured: Measured) -> None:
    data = tmp_path / "bars"
    data.mkdir()
    made_hours(data, 1)
    with ForkedPipeline(tmp_path, SYMBOLS, BATCH_WRITE_INTERVAL="0.2") as pipeline:
        pipeline.start_simulator("--data", str(data), "--speed", "0", "--interval", "15")
        pipeline.start()
        wait_until(lambda: has_tables(pipeline) and newest_stored(pipeline) >= 40, 60, "the first rows")
        old = move_away(pipeline, "old.db")
        wait_until_done(pipeline, 120)
        assert "database.replaced" in pipeline.log("storer")
        stored = ticks(old) + ticks(pipeline.database)
    expected = {s: 4 * (len((data / f"{s}_M1.csv").read_text().splitlines()) - 1) for s in SYMBOLS}
    assert sorted(stored) == sorted((s, n) for s, count in expected.items() for n in range(1, count + 1))
    measured(lost=0, doubled=0)

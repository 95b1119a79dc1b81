"""Backup and restore of a database that is being written to, and of the keys beside it."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis

from common.errors import Fatal
from deploy import supervise
from deploy.backup import database, keyspace
from deploy.backup.make import backups_of, make, prove
from deploy.backup.place import Place
from deploy.backup.restore import restore
from deploy.layout import Address, Folders, RedisPlace
from tests.conftest import RedisServer
from tests.deploy.conftest import Installation
from tests.support import free_port, wait_until


def silent(_line: str) -> None:
    """Say nothing."""


@pytest.fixture
def place(tmp_path: Path, redis_server: RedisServer, redis_client: "redis.Redis") -> Place:
    """An installation that does not run, with ten rows, and a key of each type that we use."""
    redis_client.hset("{0}:state:storer", "cycle", 7)
    redis_client.xadd("{0}:raw", {"m": "1"}, id="5-1")
    redis_client.xgroup_create("{0}:raw", "validator", id="0")
    redis_client.xreadgroup("validator", "validator", {"{0}:raw": ">"})
    redis_client.rpush("{0}:cache:bars:EURUSD:1m", b"x" * 72)
    redis_client.set("{0}:epoch:validator", 4)
    redis_client.set("md:heartbeat:storer:storer", "{}")
    address = Address(redis_server.host, redis_server.port, "REDIS_HOST", "REDIS_PORT")
    found = Place(Folders("live", tmp_path / "data"), tmp_path / "data" / "prices.db", RedisPlace(address, 0, ""))
    found.folders.data.mkdir()
    with closing(sqlite3.connect(found.database)) as sql:
        sql.execute("PRAGMA journal_mode = WAL")
        sql.execute("CREATE TABLE bars (symbol TEXT, open_ms INTEGER, close REAL, PRIMARY KEY (symbol, open_ms))")
        sql.executemany("INSERT INTO bars VALUES ('EURUSD', ?, ?)", [(n, n / 7) for n in range(10)])
        sql.commit()
    return found


def rows(path: Path) -> list[tuple[object, ...]]:
    """Return all rows of the one table."""
    with closing(sqlite3.connect(path)) as sql:
        return list(sql.execute("SELECT * FROM bars ORDER BY open_ms"))


def test_what_is_restored_is_what_was_backed_up(place: Place, redis_client: "redis.Redis") -> None:
    before = rows(place.database)
    file = make(place, keep=7, say=silent)
    with closing(sqlite3.connect(place.database)) as sql:
        sql.execute("DELETE FROM bars WHERE open_ms > 3")
        sql.commit()
    redis_client.xack("{0}:raw", "validator", "5-1")
    redis_client.hset("{0}:state:storer", "cycle", 9)
    redis_client.set("{0}:epoch:validator", 5)
    redis_client.set("{0}:clock", "later")

    restore(place, file, silent)

    assert rows(place.database) == before
    assert redis_client.hgetall("{0}:state:storer") == {b"cycle": b"7"}
    assert redis_client.xpending("{0}:raw", "validator")["pending"] == 1
    assert redis_client.get("{0}:epoch:validator") == b"5"
    assert not redis_client.exists("{0}:clock", "{0}:cache:bars:EURUSD:1m", "md:heartbeat:storer:storer")
    (aside,) = place.folders.data.glob("prices.db.before-*")
    assert len(rows(aside)) == 4


@pytest.mark.parametrize("name", ["a b", "a#b", "a?b", "50%25"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    with closing(sqlite3.connect(folder / "prices.db")) as sql:
        sql.execute("CREATE TABLE bars (open_ms INTEGER PRIMARY KEY)")
        sql.execute("INSERT INTO bars VALUES (5)")
        sql.commit()

    database.copy(folder / "prices.db", folder / "copy.db", lambda _done, _all: None)

    assert rows(folder / "copy.db") == [(5,)]
    assert {table: held.rows for table, held in database.contents(folder / "copy.db").items()} == {"bars": 1}
    assert list(tmp_path.iterdir()) == [folder]


@pytest.fixture
def writer(place: Place) -> Iterator[list[int]]:
    """Somebody who commits one row after the other; the list holds how many."""
    done, count = threading.Event(), [0]

    def write() -> None:
        with closing(sqlite3.connect(place.database, isolation_level=None, timeout=10)) as sql:
            while not done.is_set():
                sql.execute("INSERT INTO bars VALUES ('GBPUSD', ?, 1.0)", (count[0],))
                count[0] += 1

    thread = threading.Thread(target=write)
    thread.start()
    yield count
    done.set()
    thread.join()


def test_a_backup_during_writing_is_one_moment_of_it(place: Place, writer: list[int], tmp_path: Path) -> None:
    wait_until(lambda: writer[0] > 5, 10)

    manifest = prove(make(place, keep=7, say=silent), silent)

    assert 10 + 5 < manifest.tables["database.sqlite"]["bars"].rows <= 10 + writer[0]


def test_a_damaged_backup_is_refused_and_nothing_is_touched(place: Place, redis_client: "redis.Redis") -> None:
    file = make(place, keep=7, say=silent)
    body = bytearray(file.read_bytes())
    whole = bytes(body)
    before, keys = rows(place.database), set(redis_client.keys())
    for damage in (whole[: len(whole) // 2], whole[:100] + bytes([whole[100] ^ 255]) + whole[101:], b"", b"not a tar"):
        file.write_bytes(damage)
        with pytest.raises(Fatal, match="expected"):
            restore(place, file, silent)
    assert rows(place.database) == before
    assert set(redis_client.keys()) == keys
    assert not list(place.folders.data.glob("*.before-*"))


def test_only_the_newest_backups_stay(place: Place) -> None:
    place.backups.mkdir()
    for day in range(1, 5):
        (place.backups / f"live-2026010{day}T000000Z.tar.gz").write_bytes(b"old")

    newest = make(place, keep=2, say=silent)

    assert backups_of(place) == [newest, place.backups / "live-20260104T000000Z.tar.gz"]


def test_a_database_that_is_damaged_gives_no_backup(place: Place) -> None:
    with closing(sqlite3.connect(place.database)) as sql:
        sql.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with place.database.open("r+b") as opened:
        opened.seek(100)
        opened.write(b"\xff" * 3000)

    with pytest.raises(Fatal, match="expected a"):
        make(place, keep=7, say=silent)
    assert backups_of(place) == []


def test_the_api_s_journal_is_restored_only_where_there_is_none(place: Place) -> None:
    with closing(sqlite3.connect(place.journal)) as sql:
        sql.execute("CREATE TABLE journal (id TEXT PRIMARY KEY)")
        sql.execute("INSERT INTO journal VALUES ('promised')")
        sql.commit()
    file = make(place, keep=7, say=silent)
    place.journal.unlink()
    restore(place, file, silent)
    assert place.journal.exists()
    with closing(sqlite3.connect(place.journal)) as sql:
        sql.execute("INSERT INTO journal VALUES ('promised later')")
        sql.commit()
    restore(place, file, silent)
    with closing(sqlite3.connect(place.journal)) as sql:
        assert [row[0] for row in sql.execute("SELECT id FROM journal ORDER BY id")] == ["promised", "promised later"]


@pytest.mark.parametrize("redis_answers", [False, True])
def test_a_backup_of_nothing_leaves_no_folder(tmp_path: Path, redis_server: RedisServer, redis_answers: bool) -> None:
    port = redis_server.port if redis_answers else free_port()
    redis_place = RedisPlace(Address(redis_server.host, port, "REDIS_HOST", "REDIS_PORT"), 0, "")
    data = tmp_path / "data"
    with pytest.raises(Fatal, match="no database there" if redis_answers else "no Redis answers"):
        make(Place(Folders("live", data), data / "prices.db", redis_place), keep=7, say=silent)
    assert not data.exists()


def test_a_restore_returns_when_what_ran_before_works_again(installation: Installation) -> None:
    installation.launch("start")
    with closing(sqlite3.connect(installation.folders.data / "vproptrader.db")) as sql:
        sql.execute("CREATE TABLE bars (symbol TEXT PRIMARY KEY)")
    made = installation.run("deploy.backup", "make")
    (file,) = (installation.folders.data / "backups").iterdir()
    program = installation.home / "api" / "__main__.py"
    deaf = "    def do_GET(self):\n        if next(DEAF, False):\n            return\n"  # hangs up on the first who ask
    program.write_text("DEAF = iter([True] * 5)\n" + program.read_text().replace("    def do_GET(self):\n", deaf))
    restored = installation.run("deploy.backup", "restore", str(file))
    status = installation.launch("status")

    assert (made.returncode, restored.returncode) == (0, 0), made.stderr + restored.stderr
    *_, told, ready = restored.stdout.splitlines()
    assert (told[:28], ready[:9]) == ("restored what was stored at ", "ready in ")
    assert (status.returncode, "the api does not answer" in status.stdout) == (0, False)


def test_a_restore_touches_nothing_while_a_stage_does_not_end(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    (installation.home / "storer" / "__main__.py").write_text(
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True:\n    signal.pause()\n"
    )
    installation.launch("start")
    address = Address("127.0.0.1", int(installation.environment["REDIS_PORT"]), "REDIS_HOST", "REDIS_PORT")
    stored = installation.folders.data / "vproptrader.db"
    running = Place(installation.folders, stored, RedisPlace(address, 0, ""))
    with closing(sqlite3.connect(stored)) as sql:
        sql.execute("CREATE TABLE bars (symbol TEXT PRIMARY KEY)")
    file = make(running, keep=7, say=silent)
    with closing(sqlite3.connect(stored)) as sql:
        sql.execute("INSERT INTO bars VALUES ('EURUSD')")
        sql.commit()
    monkeypatch.setattr(supervise, "STOP_S", 0.3)
    with pytest.raises(Fatal, match=r"^storer: did not end within 0\.3 s, so nothing was restored"):
        restore(running, file, silent)
    with closing(sqlite3.connect(stored)) as sql:
        assert sql.execute("SELECT symbol FROM bars").fetchall() == [("EURUSD",)]
    assert not list(stored.parent.glob("*.before-*"))
    assert {p.group for p in supervise.processes(running.folders) if p.pid} >= {
        "validator",
        "features",
        "collector",
        "api",
    }


def test_a_restore_says_that_nothing_was_started_where_nothing_ran(place: Place) -> None:
    said: list[str] = []
    restore(place, make(place, keep=7, say=silent), said.append)
    assert said[-1] == "no stage ran, so none was started; `make start` starts them all"


def test_a_redis_that_can_not_read_the_dump_is_refused_before_anything_is_touched(
    place: Place, redis_client: "redis.Redis"
) -> None:
    before, keys = rows(place.database), set(redis_client.keys())
    body = redis_client.dump("{0}:state:storer")
    assert isinstance(body, bytes)
    with pytest.raises(Fatal, match="no older than the one"):
        keyspace.prove(redis_client, {b"{0}:state:storer": body[:-10] + b"\xff\xff" + body[-8:]})
    assert (rows(place.database), set(redis_client.keys())) == (before, keys)


def test_a_redis_that_refuses_the_keys_leaves_everything_as_it_was(place: Place, redis_client: "redis.Redis") -> None:
    redis_client.set("{9}:clock", os.urandom(10_000_000))
    file = make(place, keep=7, say=silent)
    redis_client.delete("{9}:clock")
    with closing(sqlite3.connect(place.database)) as sql:
        sql.execute("INSERT INTO bars VALUES ('EURUSD', 99, 1.0)")
        sql.commit()
    redis_client.hset("{0}:state:storer", "cycle", 9)
    before = rows(place.database)
    used_bytes = int(redis_client.info("memory")["used_memory"])
    redis_client.config_set("maxmemory", used_bytes + 6_000_000)  # room for the trial, not for all
    try:
        with pytest.raises(Fatal, match="nothing was restored"):
            restore(place, file, silent)
    finally:
        redis_client.config_set("maxmemory", 0)
    assert rows(place.database) == before
    assert redis_client.hget("{0}:state:storer", "cycle") == b"9"

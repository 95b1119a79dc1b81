"""The storer as a real process: killed at random instants, locked out, stopped."""

import os
import random
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from common import keys
from common.history import History
from common.keys import FIELD
from common.messages import Bars, Message, Quotes, decode, encode
from common.redis_link import Link
from storer.database import Database
from tests.conftest import RedisServer
from tests.storer.values import T0, bar, quote, request
from tests.support import wait_until
from tests.support_fork import fork

ROOT = Path(__file__).resolve().parents[2]
Start = Callable[..., "subprocess.Popen[bytes]"]
KILLS = 5
ENTRIES, QUOTES_EACH = 120, 40


@pytest.fixture
def start(redis_server: RedisServer, tmp_path: Path, path: Path) -> Iterator[Start]:
    """Start one more storer, always under the same name."""
    processes: list[subprocess.Popen[bytes]] = []
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "REDIS_HOST": redis_server.host, "REDIS_PORT": str(redis_server.port),
        "STATE_DIR": str(tmp_path), "DATABASE_PATH": str(path),
    }  # fmt: skip

    def spawn(interval: str = "0.02") -> "subprocess.Popen[bytes]":
        given = {**environment, "BATCH_WRITE_INTERVAL": interval}
        processes.append(fork("storer", folder=tmp_path, log=tmp_path / "storer.log", environment=given))
        return processes[-1]

    yield spawn
    for process in processes:
        process.kill()
        process.wait()


def add(link: Link, stream: keys.Stream, *messages: Message) -> None:
    link.exchange([("XADD", stream.key(0), "*", FIELD, encode(message)) for message in messages])


def rows(path: Path, table: str = "market_data") -> int:
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    except sqlite3.OperationalError:  # not made yet
        return 0


def pending(link: Link, stream: keys.Stream) -> object:
    reply = link.call("XPENDING", stream.key(0), "storer")
    return reply[0] if isinstance(reply, list) else reply


def test_kill_9_at_random_instants_loses_and_doubles_no_row(link: Link, start: Start, path: Path) -> None:
    rng = random.Random(11)
    process, fed = start(), 0
    for number in range(KILLS):
        first = number * ENTRIES
        quotes = [Quotes(quotes=tuple(quote(n, i) for i in range(QUOTES_EACH))) for n in range(first, first + ENTRIES)]
        add(link, keys.QUOTES, *quotes)
        add(link, keys.BARS, Bars(bars=(bar(number),)))
        target = rng.randrange(fed + 1, fed + ENTRIES * QUOTES_EACH)
        fed += ENTRIES * QUOTES_EACH
        wait_until(lambda goal=target: rows(path) >= goal, 20, f"{target} rows")  # type: ignore[misc]
        process.kill()
        process.wait()
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        process = start()
    wait_until(lambda: pending(link, keys.QUOTES) == 0 and rows(path) >= fed, 20, "all rows")
    stored = History(path).quotes("XAUUSD", T0 * 2, fed + 1)
    assert [(q.raw_id, q.raw_index) for q in stored] == [
        (f"{T0 + n}-0", i) for n in range(KILLS * ENTRIES) for i in range(QUOTES_EACH)
    ]  # fmt: skip
    assert History(path).bars("XAUUSD", "gold_spot", "1m", T0 * 2, 100) == tuple(bar(n) for n in range(KILLS))


def test_a_lock_of_seconds_is_waited_out_and_a_question_answered_after_it(link: Link, start: Start, path: Path) -> None:
    start()
    wait_until(lambda: link.call("EXISTS", keys.heartbeat("storer", "storer")) == 1, 20, "the storer to be up")
    wait_until(path.exists, 10, "the database")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        add(link, keys.QUOTES, Quotes(quotes=(quote(1),)))
        add(link, keys.BARS, Bars(bars=(bar(1),)))
        add(link, keys.HISTORY_REQUESTS, request(1))
        wait_until(lambda: b"degraded" in heartbeat(link), 20, "the storer to say that it waits")
        assert rows(path) == 0
        other.execute("ROLLBACK")
    wait_until(lambda: link.call("XLEN", keys.HISTORY.key(0)) == 1, 20, "the answer")
    assert (rows(path), rows(path, "bars")) == (1, 1)
    ((_, (_, body)),) = link.call("XRANGE", keys.HISTORY.key(0), "-", "+")  # type: ignore[misc]
    assert decode(body).bars == (bar(1),)  # type: ignore[arg-type, union-attr]
    wait_until(lambda: b"degraded" not in heartbeat(link), 20, "the storer to be well again")


def heartbeat(link: Link) -> bytes:
    reply = link.call("GET", keys.heartbeat("storer", "storer"))
    return reply if isinstance(reply, bytes) else b""


def test_sigterm_writes_what_is_in_hand(link: Link, start: Start, path: Path) -> None:
    process = start("60")
    wait_until(lambda: b'"ok"' in heartbeat(link), 20, "the storer to be up")
    add(link, keys.QUOTES, *[Quotes(quotes=(quote(n),)) for n in range(50)])
    wait_until(lambda: pending(link, keys.QUOTES) == 50, 20, "all of it to be in hand")
    assert rows(path) == 0
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert not path.with_name(path.name + "-wal").exists()  # closed in order
    assert (rows(path), pending(link, keys.QUOTES)) == (50, 0)


def test_a_newer_database_ends_the_process_with_a_message(start: Start, path: Path, tmp_path: Path) -> None:
    Database(path).connection().close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    assert start().wait(10) == 1
    assert "has schema version 99" in (tmp_path / "storer.log").read_text()

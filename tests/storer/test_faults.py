"""The disk and the lock fail; the batch waits; nothing is lost and nothing is twice."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from common import keys
from common.errors import Fatal, Retryable
from common.history import History
from common.messages import Quotes
from common.metrics import Metrics
from common.stage import Batch
from storer import database as database_module
from storer.database import Database
from storer.stage import Storer
from tests.storer.values import T0, entry, quote

ROOT = Path(__file__).resolve().parents[2]
MUCH_LATER = T0 * 2


def batch(first: int, quotes: int) -> Batch:
    """Return a batch of one entry."""
    return (entry(keys.QUOTES, first, Quotes(quotes=tuple(quote(first, i) for i in range(quotes)))),)


def integrity(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])


def impatient(database: Database) -> None:
    """Don't wait for a lock: the loop's own waiting is not what is tested here."""
    database.connection().execute("PRAGMA busy_timeout = 0")


def test_a_batch_waits_for_another_writer(storer: Storer, database: Database, outside: sqlite3.Connection) -> None:
    impatient(database)
    outside.execute("BEGIN IMMEDIATE")
    with pytest.raises(Retryable, match=f"{database.path}: database is locked: another process holds its write lock"):
        storer.handle(batch(1, 3))
    outside.execute("ROLLBACK")
    storer.handle(batch(1, 3))
    assert len(History(database.path).quotes("XAUUSD", MUCH_LATER, 10)) == 3


def test_a_reader_that_stays_does_not_stop_the_writer(
    storer: Storer, database: Database, outside: sqlite3.Connection
) -> None:
    outside.execute("BEGIN")
    assert outside.execute("SELECT count(*) FROM market_data").fetchone()[0] == 0
    for number in range(5):
        storer.handle(batch(number, 10))
    assert len(History(database.path).quotes("XAUUSD", MUCH_LATER, 100)) == 50
    assert outside.execute("SELECT count(*) FROM market_data").fetchone()[0] == 0


def test_the_log_shrinks_as_soon_as_the_reader_that_held_it_has_gone(
    storer: Storer, database: Database, outside: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "WAL_LIMIT_BYTES", 1_000_000)
    wal = database.path.with_name("market.db-wal")
    outside.execute("BEGIN")
    outside.execute("SELECT count(*) FROM market_data").fetchone()
    number = 0
    while wal.stat().st_size < 2_000_000:
        number += 1
        storer.handle(batch(number, 500))
    outside.execute("COMMIT")
    storer.handle(batch(number + 1, 500))
    assert wal.stat().st_size == 0
    assert integrity(database.path) == "ok"


def test_the_log_stays_bounded_while_nobody_holds_it(storer: Storer, database: Database) -> None:
    wal = database.path.with_name("market.db-wal")
    sizes = []
    for number in range(60):
        storer.handle(batch(number, 1_000))
        sizes.append(wal.stat().st_size)
    assert database.path.stat().st_size > 5_000_000
    assert max(sizes) < 6_000_000  # 1,000 pages of 4 KB, and a batch


def test_a_file_moved_away_under_the_storer_is_made_anew(storer: Storer, database: Database, path: Path) -> None:
    storer.handle(batch(1, 1))
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).rename(path.with_name("old.db" + suffix))
    storer.handle(batch(2, 2))
    assert len(History(path).quotes("XAUUSD", MUCH_LATER, 10)) == 2
    assert len(History(path.with_name("old.db")).quotes("XAUUSD", MUCH_LATER, 10)) == 1


def test_damage_found_while_running_is_fatal(storer: Storer, database: Database, path: Path) -> None:
    storer.handle(batch(1, 2_000))
    database.close()
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xee" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(Fatal, match=f"DATABASE_PATH: {path}: .*it is damaged"):
        storer.handle(batch(2, 10))


Mount = Callable[[str], None]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[Path, Mount]]:
    """A disk of 1 MB, and how to change its size."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small disk needs the right to mount a tmpfs, which is not given here")

    def resize(size: str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)

    yield folder, resize
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_holds_the_batch_until_there_is_room(small_disk: tuple[Path, Mount]) -> None:
    folder, resize = small_disk
    database = Database(folder / "market.db")
    storer = Storer(0, database, Metrics("storer"))
    number = 0
    while shutil.disk_usage(folder).free > 300_000:
        number += 1
        storer.handle(batch(number, 300))
    number += 1
    for _ in range(2):
        with pytest.raises(Retryable, match=r"market.db: .*the disk is full; free some space"):
            storer.handle(batch(number, 5_000))
    assert len(History(database.path).quotes("XAUUSD", MUCH_LATER, 10**6)) == (number - 1) * 300
    resize("16m")
    storer.handle(batch(number, 5_000))
    assert len(History(database.path).quotes("XAUUSD", MUCH_LATER, 10**6)) == (number - 1) * 300 + 5_000
    assert integrity(database.path) == "ok"
    database.close()


WRITER = """
import sys
from pathlib import Path
from common.errors import Retryable
from common.metrics import Metrics
from storer.database import Database
from storer.stage import Storer
from tests.storer.test_faults import batch
storer = Storer(0, Database(Path(sys.argv[1])), Metrics("storer"))
failed = 0
for number in range(1, 11):
    while True:
        try:
            storer.handle(batch(number, 50))
            break
        except Retryable as e:
            failed += 1
            assert "the disk fails" in str(e), e
print(failed)
"""


TRACE = ("strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync")


def test_a_failing_sync_holds_the_batch(path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("a failing fsync needs strace, which is not installed here")
    Database(path).connection().close()
    inject = "inject=fdatasync:error=EIO:when=4..7"
    done = subprocess.run(
        [*TRACE, "-e", inject, sys.executable, "-c", WRITER, path],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "PTRACE" in done.stderr or "ptrace" in done.stderr:
        pytest.skip(f"strace may not trace here: {done.stderr[:100]}")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.splitlines()[-1]) == 4
    assert len(History(path).quotes("XAUUSD", MUCH_LATER, 10**6)) == 500
    assert integrity(path) == "ok"

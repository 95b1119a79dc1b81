"""The storer's one connection to SQLite: opens, writes whole batches, keeps the write-ahead log bounded."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import structlog

from storer.faults import classifying
from storer.repeats import without_repeats
from storer.rollback import Rollback
from storer.rows import Rows
from storer.schema import migrate
from storer.tables import INSERT

log = structlog.get_logger()

# How long one statement waits for another writer; then the batch waits in the loop, which beats the heart meanwhile.
BUSY_MS = 1_000
# SQLite copies the log into the database by itself every 1,000 pages (4 MB). Only a reader that stays in its
# transaction lets it grow past this; then it is truncated as soon as the reader has gone.
WAL_LIMIT_BYTES = 64 * 1024 * 1024

_SETTINGS = (
    f"PRAGMA busy_timeout = {BUSY_MS}",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # what is acknowledged has been synced
    "PRAGMA foreign_keys = OFF",
    f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}",
)


class Database:
    """The database file, opened at the first use and again when the file was replaced or the disk failed.

    Every method raises Retryable (locked, disk full, disk failing), Fatal (damaged, not ours, from a newer release).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._wal = path.with_name(path.name + "-wal")
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._wal_reported_bytes = WAL_LIMIT_BYTES

    def connection(self) -> sqlite3.Connection:
        """Return the open connection, in autocommit mode; between calls no transaction is open."""
        if self._connection is not None and self._file != _identity(self.path):
            log.error("database.replaced", file=str(self.path), detail="moved or removed while open: opening it anew")
            self.close()
        if self._connection is None:
            with classifying(self.path):
                self._connection = self._open()
            self._file = _identity(self.path)
        return self._connection

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run what is inside as one transaction: committed at the end, undone by any error."""
        connection = self.connection()
        try:
            with classifying(self.path):
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
        except BaseException:
            self._give_up(connection)
            raise
        self._bound_wal(connection)

    def write(self, rows: Rows, rollbacks: Sequence[Rollback] = ()) -> dict[str, int]:
        """Write all rows in one transaction, or none of them. Returns per table how many were new or changed.

        rollbacks: those after which rows may come that are stored already under other origins.
        """
        with self.transaction() as connection:
            left = without_repeats(connection, rows, rollbacks)
            return {
                table: connection.executemany(statement, left[table]).rowcount
                for table, statement in INSERT.items()
                if table in left
            }

    def close(self) -> None:
        """Close the connection; the next use opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError:
            log.warning("database.no_folder", folder=str(self.path.parent))  # SQLite says what that means
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        try:
            for setting in _SETTINGS:
                connection.execute(setting)
            migrate(connection, self.path)
        except BaseException:
            connection.close()
            raise
        return connection

    def _give_up(self, connection: sqlite3.Connection) -> None:
        """Undo what is open. After a failed write to disk only a new connection is trusted to know what is there."""
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error as e:
            log.warning("database.rollback_failed", file=str(self.path), error=str(e))
            self.close()

    def _bound_wal(self, connection: sqlite3.Connection) -> None:
        size = self._wal.stat().st_size if self._wal.exists() else 0
        if size <= WAL_LIMIT_BYTES:
            self._wal_reported_bytes = WAL_LIMIT_BYTES
            return
        try:
            connection.execute("PRAGMA busy_timeout = 0")
            blocked = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.Error as e:  # the rows are safe in the log already
            blocked = 1
            log.warning("database.checkpoint_failed", file=str(self.path), error=str(e))
        finally:
            connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        if blocked and size >= 2 * self._wal_reported_bytes:
            self._wal_reported_bytes = size
            log.warning("database.wal_held", file=str(self._wal), bytes=size, detail="a reader never ends")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino

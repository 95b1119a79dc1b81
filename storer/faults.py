"""What an error of SQLite means for what the storer does next."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.errors import Fatal, Retryable

# Primary result codes (the low byte of an extended code), with what an operator can do.
_NOT_NOW = {
    sqlite3.SQLITE_BUSY: "another process holds its write lock; find it with `fuser`",
    sqlite3.SQLITE_LOCKED: "another connection holds a table; find it with `fuser`",
    sqlite3.SQLITE_NOMEM: "out of memory",
    sqlite3.SQLITE_READONLY: "it can't be written; check the owner, the permissions and how the disk is mounted",
    sqlite3.SQLITE_IOERR: "the disk fails; check `dmesg` and the disk",
    sqlite3.SQLITE_FULL: "the disk is full; free some space",
    sqlite3.SQLITE_CANTOPEN: "it can't be opened; check that the folder exists and may be written",
    sqlite3.SQLITE_PROTOCOL: "its lock can't be taken; find who holds it with `fuser`",
}
_BROKEN = {sqlite3.SQLITE_CORRUPT: "it is damaged", sqlite3.SQLITE_NOTADB: "it is no SQLite database"}


def classified(error: sqlite3.Error, path: Path) -> Exception:
    """Return what to raise for an error on the database at `path`: Retryable, Fatal, or the error itself (our bug)."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
    if code in _NOT_NOW:
        return Retryable(f"{path}: {error}: {_NOT_NOW[code]}. Nothing is lost: what is in hand is written then.")
    if code in _BROKEN:
        return Fatal(
            f"DATABASE_PATH: {path}: {error}: {_BROKEN[code]}. Move it away together with {path.name}-wal and"
            f" {path.name}-shm (`sqlite3 FILE .recover` may save what is in it) and start again: a new one is made."
        )
    return error


@contextmanager
def classifying(path: Path) -> Iterator[None]:
    """Raise what `classified` says for any error of SQLite inside."""
    try:
        yield
    except sqlite3.Error as e:
        raised = classified(e, path)
        if raised is e:
            raise
        raise raised from e

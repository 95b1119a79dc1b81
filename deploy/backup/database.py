"""Copy a SQLite database while others write to it, and tell whether two copies hold the same."""

import hashlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from common.errors import Fatal

STEP_PAGES = 4096  # 16 MB between two words of progress

Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes in all."""


class Contents(Struct, frozen=True):
    """What one table holds."""

    rows: int
    sha256: str
    """Over all rows, in the order of the primary key."""


def require(source: Path) -> None:
    """Raise Fatal if there is no such database."""
    if not source.exists():
        raise Fatal(f"{source}: no database there; is DATABASE_PATH right, and has the storer ever run?")


def copy(source: Path, target: Path, progress: Progress) -> None:
    """Copy a database as it is at one moment. Writers go on meanwhile; Fatal if it is not there or can't be read."""
    require(source)
    try:
        reader = sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        writer = sqlite3.connect(target)
        try:
            # An open read transaction holds the moment: without it each write of the storer would begin the copy anew.
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            page_bytes = int(reader.execute("PRAGMA page_size").fetchone()[0])
            reader.backup(
                writer,
                pages=STEP_PAGES,
                progress=lambda _status, left, total: progress((total - left) * page_bytes, total * page_bytes),
            )
            writer.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it
        finally:
            writer.close()
            reader.close()
    except sqlite3.Error as e:
        raise Fatal(f"{source}: expected a readable database, found: {e}") from e


def contents(path: Path) -> dict[str, Contents]:
    """Return what each table of a sound database holds. Fatal says what is damaged."""
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        try:
            verdict = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if verdict != "ok":
                raise Fatal(f"{path}: expected a sound database, found: {verdict}")
            names = [row[0] for row in connection.execute(_TABLES)]
            return {name: _contents(connection, name) for name in names}
        finally:
            connection.close()
    except sqlite3.Error as e:
        raise Fatal(f"{path}: expected a sound database, found: {e}") from e


_TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"


def _contents(connection: sqlite3.Connection, table: str) -> Contents:
    columns = list(connection.execute(f'PRAGMA table_info("{table}")'))
    key = [f'"{row[1]}"' for row in sorted(columns, key=lambda row: row[5]) if row[5]] or ["rowid"]
    digest, rows = hashlib.sha256(), 0
    for row in connection.execute(f'SELECT * FROM "{table}" ORDER BY {", ".join(key)}'):  # noqa: S608  # its own names
        digest.update(repr(row).encode())
        rows += 1
    return Contents(rows, digest.hexdigest())

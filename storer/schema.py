"""Bring a database file to the schema that this code knows."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import structlog

from common.errors import Fatal

log = structlog.get_logger()

# In the file's header: tells our databases from other people's. The letters "mdpl".
APPLICATION_ID = 0x6D64706C
# Generated columns came with 3.31.
OLDEST_SQLITE = (3, 31, 0)

MIGRATIONS = Path(__file__).with_name("migrations")


def migrations() -> tuple[Path, ...]:
    """Return the migrations, oldest first: the nth (counted from 1) makes schema version n."""
    return tuple(sorted(MIGRATIONS.glob("*.sql")))


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the database to the newest version, each migration in one transaction; several processes may do so at once.

    Fatal if SQLite is too old, if the file belongs to another application, or if a newer release has written it.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        expected = ".".join(map(str, OLDEST_SQLITE))
        raise Fatal(f"SQLite: expected {expected} or newer, found {sqlite3.sqlite_version}")
    known = migrations()
    while (version := _version(connection, path)) < len(known):
        _apply(connection, path, version, known[version])
    if version > len(known):
        raise Fatal(
            f"DATABASE_PATH: {path} has schema version {version}, this release knows {len(known)}: a newer release has"
            " written it. Run that release, or set DATABASE_PATH to another file."
        )


def _version(connection: sqlite3.Connection, path: Path) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    owner: int = connection.execute("PRAGMA application_id").fetchone()[0]
    empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if owner != APPLICATION_ID and not empty:
        raise Fatal(f"DATABASE_PATH: {path} belongs to another application: it has tables that are not ours")
    return version


def _apply(connection: sqlite3.Connection, path: Path, version: int, migration: Path) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        if _version(connection, path) == version:  # else another process was faster
            for statement in _statements(migration.read_text()):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {version + 1}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    log.info("database.migrated", file=str(path), migration=migration.name, version=version + 1)


def _statements(script: str) -> Iterator[str]:
    """Yield a script's statements one by one: executescript would commit the transaction that it runs in."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement

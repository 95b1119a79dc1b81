"""Opening: new, old, newer, foreign, damaged and unwritable files."""

import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from common.errors import Fatal, Retryable
from common.messages import Bar, Clock, Execution, Quote, Reject, SeriesChange, Signal
from storer import schema
from storer.database import Database
from storer.schema import migrations
from storer.tables import COLUMNS


def pragma(path: Path, name: str) -> object:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"PRAGMA {name}").fetchone()[0]


def columns(connection: sqlite3.Connection, table: str) -> set[str]:
    """Return the columns that are stored; PRAGMA table_info leaves the generated ones out."""
    return {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}


def test_a_new_file_is_made_with_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "market.db"
    Database(path).connection().close()
    assert pragma(path, "user_version") == len(migrations())
    assert pragma(path, "journal_mode") == "wal"
    assert pragma(path, "integrity_check") == "ok"


def test_opening_again_changes_nothing(path: Path) -> None:
    Database(path).connection().close()
    before = path.read_bytes()
    Database(path).connection().close()
    assert path.read_bytes() == before


def test_acknowledged_is_synced(database: Database) -> None:
    assert database.connection().execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL


def test_the_statements_name_every_column_of_every_table(database: Database) -> None:
    connection = database.connection()
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    written = {table: columns(connection, table) for table in tables - {"gaps", "gap_checks", "rollbacks", "repeats"}}
    assert written == {table: set(names) for table, names in COLUMNS.items()}


def test_the_tables_keep_every_field_of_their_messages() -> None:
    origin = {"partition", "raw_ms", "raw_seq"}
    check = {"check"}  # a word of SQL: the column is is_check
    assert set(COLUMNS["market_data"]) == {*Quote.__struct_fields__, *origin, "is_check"} - {"raw_id"} - check
    assert set(COLUMNS["rejects"]) == {*Reject.__struct_fields__, *origin, "is_check"} - {"raw_id"} - check
    assert set(COLUMNS["series_changes"]) == {*SeriesChange.__struct_fields__, *origin} - {"raw_id"}
    assert set(COLUMNS["clocks"]) == {*Clock.__struct_fields__, *origin} - {"raw_id"}
    assert set(COLUMNS["bars"]) == {*Bar.__struct_fields__} - {"final"}  # what is stored is final
    assert COLUMNS["signals"] == Signal.__struct_fields__
    assert COLUMNS["executions"] == Execution.__struct_fields__


def test_a_newer_database_is_refused_with_both_versions(path: Path) -> None:
    Database(path).connection().close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(Fatal, match=f"{path} has schema version 99, this release knows {len(migrations())}"):
        Database(path).connection()


def test_another_applications_database_is_refused_and_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")
    with pytest.raises(Fatal, match="belongs to another application"):
        Database(path).connection()
    assert pragma(path, "user_version") == 0


def test_a_migration_that_fails_leaves_the_old_version_whole(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Database(path).connection().close()
    bad = tmp_path / "0099_bad.sql"
    bad.write_text("CREATE TABLE half (a);\nCREATE TABLE bars (a);\n")
    monkeypatch.setattr(schema, "migrations", lambda: (*migrations(), bad))
    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        Database(path).connection()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'half'").fetchone()[0] == 0
    assert pragma(path, "user_version") == len(migrations())


def test_an_older_database_is_brought_forward(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Database(path).connection().close()
    later = tmp_path / "0099_later.sql"
    later.write_text("-- one; more\nCREATE TABLE later (a);\nCREATE INDEX later_a ON later (a);")
    monkeypatch.setattr(schema, "migrations", lambda: (*migrations(), later))
    connection = Database(path).connection()
    assert connection.execute("SELECT count(*) FROM later").fetchone()[0] == 0
    connection.close()
    assert pragma(path, "user_version") == len(migrations()) + 1


OPEN = "import sys, pathlib, storer.database as d; d.Database(pathlib.Path(sys.argv[1])).connection()"


def test_processes_that_start_at_once_make_one_schema(path: Path) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", OPEN, str(path)]) for _ in range(4)]
    assert [process.wait() for process in processes] == [0, 0, 0, 0]
    assert pragma(path, "integrity_check") == "ok"


def test_a_file_that_is_no_database_is_named_with_what_to_do(path: Path) -> None:
    path.write_bytes(b"this is not a database, " * 100)
    with pytest.raises(Fatal, match=rf"DATABASE_PATH: {path}: .*Move it away together with market.db-wal"):
        Database(path).connection()


def test_a_damaged_file_is_named_with_what_to_do(path: Path) -> None:
    Database(path).connection().close()
    content = bytearray(path.read_bytes())
    content[100:4096] = b"\xff" * (4096 - 100)  # the page that holds the schema
    path.write_bytes(content)
    with pytest.raises(Fatal, match=rf"DATABASE_PATH: {path}: .*it is damaged"):
        Database(path).connection()


def test_a_path_that_cannot_be_opened_is_named_and_tried_again(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for impossible in (tmp_path, file / "market.db"):
        with pytest.raises(Retryable, match=f"{impossible}: .*it can't be opened"):
            Database(impossible).connection()


def test_the_document_names_every_table_and_column(database: Database) -> None:
    sections = (Path(__file__).parents[2] / "docs" / "schema.md").read_text().split("\n### ")[1:]
    described = {section.split()[0]: set(re.findall(r"`(\w+)`", section)) for section in sections}
    connection = database.connection()
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    assert described.keys() == set(tables)
    origin = {"partition", "raw_ms", "raw_seq", "raw_index"}  # explained once for all
    assert {t: columns(connection, t) - described[t] - origin for t in tables} == {t: set() for t in tables}


def test_a_ledger_of_the_first_release_is_taken_over(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(migrations()[0].read_text())
        connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")
        rows = [(0, 120_000, "missing", 3, 7, 9), (180_000, 240_000, "unreachable", 0, 7, None)]
        connection.executemany("INSERT INTO gaps VALUES ('EURUSD', 'fx_spot', '1m', ?, ?, ?, ?, ?, ?)", rows)
        connection.execute("INSERT INTO gap_checks VALUES ('EURUSD', 'fx_spot', '1m', 300000)")
    connection = Database(path).connection()
    columns_shown = "from_ms, to_ms, bars, state, partial, attempts, found_ms, next_attempt_ms, closed_ms, detail"
    assert connection.execute(f"SELECT {columns_shown} FROM gaps ORDER BY from_ms").fetchall() == [
        (0, 120_000, 2, "missing", 0, 3, 7, 9, None, ""),
        (180_000, 240_000, 1, "unrepairable", 0, 0, 7, None, 7, "older than any vendor's history"),
    ]  # fmt: skip
    assert connection.execute("SELECT begun_ms, checked_ms, asked_ms FROM gap_checks").fetchall() == [
        (300_000, 300_000, 0)
    ]  # fmt: skip
    connection.close()

"""What clients reported, kept on disk before they get their 200: it must outlive this process and Redis."""

import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path

from common.errors import Fatal, Retryable

NAME = "api-journal.db"
KEEP_MS = 48 * 3_600_000  # twice the longest life of a position

_SCHEMA = """
CREATE TABLE IF NOT EXISTS reports (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    wall_ms INTEGER NOT NULL,
    stream TEXT NOT NULL,
    partition INTEGER NOT NULL,
    message BLOB NOT NULL,
    context BLOB NOT NULL
)
"""

_ADD = """
INSERT INTO reports (id, wall_ms, stream, partition, message, context) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO NOTHING
"""

_SCHEMA_LATEST = "CREATE TABLE IF NOT EXISTS latest (name TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID"
_PUT_LATEST = "INSERT INTO latest (name, body) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET body = excluded.body"

_COUNT = """
SELECT stream, COUNT(*), SUM(LENGTH(message) + LENGTH(context)), MIN(wall_ms) FROM reports GROUP BY stream
"""

# The file's user_version. An older release left 0 in files that had seen everything.
_BEGINS, _WHOLE = 1, 2


@dataclass(frozen=True)
class Report:
    """One accepted report: the message for its stream, and what the api knew when it came."""

    id: str
    wall_ms: int
    stream: str
    partition: int
    message: bytes
    context: bytes
    """JSON of this module's caller; empty where there is nothing to add."""


@dataclass(frozen=True)
class Kept:
    """How much the journal holds for one stream. bytes: of messages and contexts."""

    reports: int = 0
    bytes: int = 0
    oldest_wall_ms: int | None = None


class Journal:
    """One SQLite file with one connection; any thread may call. Retryable if the disk says no."""

    begins: bool
    """Whether there may have been reports that this file doesn't know: it is new, and the history was not asked yet."""

    def __init__(self, folder: Path, name: str = NAME, keep_ms: int = KEEP_MS) -> None:
        self.path = folder / name
        self._keep_ms = keep_ms
        self._lock = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self.path, timeout=1.0, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self.begins = self._is_beginning()
            self._connection.execute(_SCHEMA)
            self._connection.execute(_SCHEMA_LATEST)
            self._note(_BEGINS if self.begins else _WHOLE)
            self._kept = self._count()
        except (sqlite3.Error, OSError) as e:
            raise Fatal(f"STATE_DIR: the journal {self.path} can't be opened: {e}") from e

    def is_whole(self) -> None:
        """Note that what was before this file is known, too: it doesn't begin any more, also for later processes."""
        with self._lock:
            self._note(_WHOLE)
        self.begins = False

    def _is_beginning(self) -> bool:
        """Tell whether the file is new, or was when nobody could tell yet what had been before it."""
        tables = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        noted = self._connection.execute("PRAGMA user_version").fetchone()[0]
        return bool(not tables or noted == _BEGINS)

    def _note(self, state: int) -> None:
        self._execute(f"PRAGMA user_version = {state}", ())

    def add(self, report: Report) -> bool:
        """Store a report and return True, or False if its id is known. It is on the disk when this returns."""
        row = (report.id, report.wall_ms, report.stream, report.partition, report.message, report.context)
        with self._lock:
            added = self._execute(_ADD, row) > 0
            if added:
                kept = self._kept.get(report.stream, Kept())
                size, oldest_ms = len(report.message) + len(report.context), kept.oldest_wall_ms
                oldest_ms = report.wall_ms if oldest_ms is None else min(oldest_ms, report.wall_ms)
                self._kept[report.stream] = Kept(kept.reports + 1, kept.bytes + size, oldest_ms)
        return added

    def knows(self, identity: str) -> bool:
        """Tell whether a report with this id is kept."""
        try:
            with self._lock:
                found = self._connection.execute("SELECT 1 FROM reports WHERE id = ?", (identity,)).fetchone()
        except sqlite3.Error as e:
            raise Retryable(f"{self.path}: {e}") from e
        return found is not None

    def kept(self, stream: str) -> Kept:
        """Return how much is kept for a stream. It doesn't ask the disk."""
        return self._kept.get(stream, Kept())

    def all(self) -> list[Report]:
        """Return every report that is kept, in the order in which they came."""
        statement = "SELECT id, wall_ms, stream, partition, message, context FROM reports ORDER BY seq"
        try:
            with self._lock:
                return [Report(*row) for row in self._connection.execute(statement)]
        except sqlite3.Error as e:
            raise Retryable(f"{self.path}: {e}") from e

    def put_latest(self, name: str, body: bytes) -> None:
        """Keep a value for ever, in the place of the one before: what outlives the reports that it was made of."""
        with self._lock:
            self._execute(_PUT_LATEST, (name, body))

    def latest(self, name: str) -> bytes | None:
        """Return such a value; None if there is none."""
        try:
            with self._lock:
                row = self._connection.execute("SELECT body FROM latest WHERE name = ?", (name,)).fetchone()
        except sqlite3.Error as e:
            raise Retryable(f"{self.path}: {e}") from e
        return None if row is None else bytes(row[0])

    def forget(self, now_wall_ms: int) -> None:
        """Delete what is older than anything that matters."""
        with self._lock:
            if self._execute("DELETE FROM reports WHERE wall_ms < ?", (now_wall_ms - self._keep_ms,)):
                self._kept = self._count()

    def close(self) -> None:
        """Close the file. Not while another thread is in it: SQLite doesn't survive that."""
        with self._lock:
            self._connection.close()

    def _count(self) -> dict[str, Kept]:
        return {stream: Kept(*counted) for stream, *counted in self._connection.execute(_COUNT)}

    def _execute(self, statement: str, values: tuple[object, ...]) -> int:
        """Execute under the lock, and return how many rows changed."""
        try:
            return self._connection.execute(statement, values).rowcount
        except sqlite3.Error as e:
            raise Retryable(f"{self.path}: {e}") from e

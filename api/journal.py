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


class Journal:
    """One SQLite file with one connection; any thread may call. Retryable if the disk says no."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._lock = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self.path, timeout=1.0, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute(_SCHEMA)
        except (sqlite3.Error, OSError) as e:
            raise Fatal(f"STATE_DIR: the journal {self.path} can't be opened: {e}") from e

    def add(self, report: Report) -> bool:
        """Store a report and return True, or False if its id is known. It is on the disk when this returns."""
        row = (report.id, report.wall_ms, report.stream, report.partition, report.message, report.context)
        return self._changed(_ADD, row)

    def all(self) -> list[Report]:
        """Return every report that is kept, in the order in which they came."""
        statement = "SELECT id, wall_ms, stream, partition, message, context FROM reports ORDER BY seq"
        try:
            with self._lock:
                return [Report(*row) for row in self._connection.execute(statement)]
        except sqlite3.Error as e:
            raise Retryable(f"{self.path}: {e}") from e

    def forget(self, now_wall_ms: int) -> None:
        """Delete what is older than any position can be."""
        self._changed("DELETE FROM reports WHERE wall_ms < ?", (now_wall_ms - KEEP_MS,))

    def close(self) -> None:
        """Close the file. Not while another thread is in it: SQLite doesn't survive that."""
        with self._lock:
            self._connection.close()

    def _changed(self, statement: str, values: tuple[object, ...]) -> bool:
        try:
            with self._lock:
                return self._connection.execute(statement, values).rowcount > 0
        except sqlite3.Error as e:
            raise Retryable(f"{self.path}: {e}") from e

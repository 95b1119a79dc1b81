"""The api's journals name the partition of what they keep: put that right, too."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.errors import Fatal
from common.messages import TerminalTicks, decode, encode
from deploy.partitions.move import PartitionOf, split_ticks

REPORTS, TICKS = "api-journal.db", "api-ticks.db"
NEW = "CREATE TABLE IF NOT EXISTS reports (seq INTEGER PRIMARY KEY, id, wall_ms, stream, partition, message, context)"


def readdress(folder: Path, partition_of: PartitionOf) -> None:
    """Give each report its new partition. Reports of clients are read in every one alike: they go to the first."""
    with _journal(folder / REPORTS) as connection:
        connection.execute("UPDATE reports SET partition = 0")
    with _journal(folder / TICKS) as connection:
        _split(connection, partition_of)


@contextmanager
def _journal(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a journal for one transaction; where there is none, one that is forgotten."""
    try:
        connection = sqlite3.connect(path if path.exists() else ":memory:")
        try:
            connection.execute(NEW)
            with connection:
                yield connection
        finally:
            connection.close()
    except sqlite3.Error as e:
        raise Fatal(f"{path}: {e}") from e


def _split(connection: sqlite3.Connection, partition_of: PartitionOf) -> None:
    """Write each batch anew as the parts that the partitions get, under the ids that the api gives them."""
    rows = connection.execute("SELECT seq, wall_ms, stream, message, context FROM reports ORDER BY seq").fetchall()
    connection.execute("DELETE FROM reports")
    for _, wall_ms, stream, message, context in rows:
        batch = decode(message)
        if isinstance(batch, TerminalTicks):
            for target, part in split_ticks(batch, partition_of):
                connection.execute(
                    "INSERT INTO reports (id, wall_ms, stream, partition, message, context) VALUES (?, ?, ?, ?, ?, ?)"
                    " ON CONFLICT DO NOTHING",
                    (f"{batch.id}:{target}", wall_ms, stream, target, encode(part), context),
                )

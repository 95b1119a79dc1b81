"""A history database with the storer's schema, filled by hand."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from common.messages import Bar
from storer.schema import migrate

BAR_FIELDS = [name for name in Bar.__struct_fields__ if name != "final"]


def write_bars(path: Path, bars: Sequence[Bar]) -> None:
    """Store bars, in a new file where there is none."""
    columns = ", ".join(BAR_FIELDS)
    marks = ", ".join("?" * len(BAR_FIELDS))
    rows = [tuple(getattr(bar, name) for name in BAR_FIELDS) for bar in bars]
    _write(path, f"INSERT INTO bars ({columns}) VALUES ({marks})", rows)


def write_clock(path: Path, now_ms: int) -> None:
    """Store a clock entry: what was written last."""
    columns = "partition, raw_ms, raw_seq, cycle, now_ms, wall_ms, speed"
    _write(path, f"INSERT INTO clocks ({columns}) VALUES (0, 1, 0, 1, ?, ?, 1.0)", [(now_ms, now_ms)])


def _write(path: Path, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, path)
        connection.executemany(statement, rows)

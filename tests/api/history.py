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


def write_nothing(path: Path) -> None:
    """Make a file with the schema alone, as the storer does at its start."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, "DELETE FROM bars", [()])


def write_gap(path: Path, lane: tuple[str, str, str], from_ms: int, to_ms: int, state: str, **changes: object) -> None:
    """Store a row of the gap ledger; bars are counted as if the market never closed."""
    closed = state != "missing"
    values: dict[str, object] = {
        "bars": (to_ms - from_ms) // 60_000, "state": state, "partial": 0, "attempts": 1, "found_ms": to_ms,
        "next_attempt_ms": None if closed else to_ms + 10_000, "closed_ms": to_ms + 5_000 if closed else None,
        "source": "yahoo" if closed else "", "detail": "",
    }  # fmt: skip
    row = (*lane, from_ms, to_ms, *{**values, **changes}.values())
    _write(path, f"INSERT INTO gaps VALUES ({', '.join('?' * len(row))})", [row])


def write_check(path: Path, lane: tuple[str, str, str], begun_ms: int, checked_ms: int) -> None:
    """Store how far the ledger is with a lane."""
    statement = "INSERT INTO gap_checks (symbol, source_class, timeframe, begun_ms, checked_ms) VALUES (?, ?, ?, ?, ?)"
    _write(path, statement, [(*lane, begun_ms, checked_ms)])

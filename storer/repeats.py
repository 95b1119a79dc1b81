"""What came again after Redis was rolled back: told from new by what it says, and stored once.

A quote is the same if its source says the same: symbol, class, market time, prices, day volume, the simulator's tick.
Where a vendor gives no time, it is the same as the one before, if that was lost. Each stored row can be said again
once. Which entry repeats which is kept, so that an entry that is delivered twice is judged once.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence

from storer.rollback import Rollback
from storer.rows import Row, Rows, SqlValue
from storer.tables import COLUMNS

LOOK_BACK_MS = 600_000
"""How old the quote before may be, where a vendor gives no time: a source is asked more often than that."""

_LOST = "partition = :partition AND (raw_ms, raw_seq) > (:kept_ms, :kept_seq)"
_STORED = "AND (raw_ms, raw_seq) <= (:newest_ms, :newest_seq)"
_ONCE = """NOT EXISTS (SELECT 1 FROM repeats AS r WHERE r.partition = t.partition AND r.of_ms = t.raw_ms
    AND r.of_seq = t.raw_seq AND r.of_index = {index})"""
_OLDEST = "ORDER BY raw_ms, raw_seq LIMIT 1"


def _equal(*columns: str) -> str:
    return " AND ".join(f"{column} IS :{column}" for column in columns)


_FEED = ("symbol", "source", "source_class", "is_check")
_QUOTE = ("last", "bid", "ask", "day_volume", "tick", "market_time")
_REJECT = ("timeframe", "raw", "raw_bar")

_SAME_QUOTE = f"""
SELECT raw_ms, raw_seq, raw_index FROM market_data AS t INDEXED BY market_data_by_symbol
WHERE market_ms = :market_ms AND {_equal(*_FEED, *_QUOTE)} AND {_LOST} {_STORED}
    AND {_ONCE.format(index="t.raw_index")} {_OLDEST}
"""  # noqa: S608  # our own names, as below
_QUOTE_BEFORE = f"""
SELECT raw_ms, raw_seq, raw_index FROM (
    SELECT * FROM market_data INDEXED BY market_data_by_symbol
    WHERE market_ms BETWEEN :market_ms - {LOOK_BACK_MS} AND :market_ms - 1 AND {_equal(*_FEED)} AND {_LOST}
    ORDER BY market_ms DESC LIMIT 1
) AS t WHERE {_equal(*_QUOTE)} {_STORED} AND {_ONCE.format(index="t.raw_index")}
"""  # noqa: S608
_SAME_REJECT = f"""
SELECT raw_ms, raw_seq, raw_index FROM rejects AS t INDEXED BY rejects_by_symbol
WHERE received_ms = :received_ms AND {_equal(*_FEED, *_REJECT)} AND {_LOST} {_STORED}
    AND {_ONCE.format(index="t.raw_index")} {_OLDEST}
"""  # noqa: S608
_REJECT_BEFORE = f"""
SELECT raw_ms, raw_seq, raw_index FROM (
    SELECT * FROM rejects INDEXED BY rejects_by_symbol
    WHERE received_ms BETWEEN :received_ms - {LOOK_BACK_MS} AND :received_ms - 1 AND {_equal(*_FEED)} AND {_LOST}
    ORDER BY received_ms DESC LIMIT 1
) AS t WHERE {_equal(*_REJECT)} {_STORED} AND {_ONCE.format(index="t.raw_index")}
"""  # noqa: S608
_SAME_CLOCK = f"""
SELECT raw_ms, raw_seq, 0 FROM clocks AS t INDEXED BY clocks_by_time
WHERE {_equal("cycle")} AND now_ms = :now_ms AND {_LOST} {_STORED} AND {_ONCE.format(index="0")} {_OLDEST}
"""  # noqa: S608
_SAME_CHANGE = f"""
SELECT raw_ms, raw_seq, 0 FROM series_changes AS t INDEXED BY series_changes_by_symbol
WHERE {_equal("symbol", "source_class", "before", "why")} AND at_ms = :at_ms AND {_LOST} {_STORED}
    AND {_ONCE.format(index="0")} {_OLDEST}
"""  # noqa: S608


def _quote_queries(row: Mapping[str, SqlValue]) -> tuple[str, ...]:
    return (_SAME_QUOTE,) if row["market_time"] else (_SAME_QUOTE, _QUOTE_BEFORE)


_QUERIES: dict[str, Callable[[Mapping[str, SqlValue]], tuple[str, ...]]] = {
    "market_data": _quote_queries,
    "rejects": lambda _row: (_SAME_REJECT, _REJECT_BEFORE),
    "clocks": lambda _row: (_SAME_CLOCK,),
    "series_changes": lambda _row: (_SAME_CHANGE,),
}
_KNOWN = "SELECT 1 FROM repeats WHERE partition = ? AND raw_ms = ? AND raw_seq = ? AND raw_index = ?"
_KEEP = "INSERT INTO repeats VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"


def without_repeats(connection: sqlite3.Connection, rows: Rows, rollbacks: Sequence[Rollback]) -> Rows:
    """Return the rows that are to be written; note the others as repeats, in the caller's transaction."""
    if not rollbacks:
        return rows
    left = dict(rows)
    for table, queries in _QUERIES.items():
        if table in rows:
            left[table] = [row for row in rows[table] if not _is_repeat(connection, table, row, rollbacks, queries)]
    return left


def _is_repeat(
    connection: sqlite3.Connection,
    table: str,
    row: Row,
    rollbacks: Sequence[Rollback],
    queries: Callable[[Mapping[str, SqlValue]], tuple[str, ...]],
) -> bool:
    named = dict(zip(COLUMNS[table], row, strict=True))
    entry_id, index = (named["raw_ms"], named["raw_seq"]), named.get("raw_index", 0)
    after = [one for one in rollbacks if one.newest < entry_id]
    if not after:
        return False
    origin = (named["partition"], *entry_id, index)
    if connection.execute(_KNOWN, origin).fetchone() is not None:
        return True
    for one in after:
        bounds = {
            "kept_ms": one.kept[0], "kept_seq": one.kept[1], "newest_ms": one.newest[0], "newest_seq": one.newest[1],
        }  # fmt: skip
        for query in queries(named):
            found = connection.execute(query, named | bounds).fetchone()
            if found is not None:
                connection.execute(_KEEP, (*origin, *found))
                return True
    return False

"""What the storer has written, read-only: the pipeline may run meanwhile.

Every read is short, so that the write-ahead log is not held; what is read is only ever added to.
"""

import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from common.errors import Fatal
from common.messages import Clock, HistoryBars, decode
from features.state import Live
from storer.rebuild import BEFORE_ALL, Id, RawMessage, cycles_between, entries_between
from storer.rows import Row
from storer.schema import APPLICATION_ID, migrations
from storer.tables import COLUMNS

BUSY_S = 10.0
END_OF_TIME_MS = 2**62

_AFTER_UP_TO = "partition = ? AND (raw_ms, raw_seq) > (?, ?) AND (raw_ms, raw_seq) <= (?, ?)"
_CLOCK = "SELECT cycle, now_ms, wall_ms, speed FROM clocks WHERE partition = ? AND raw_ms = ? AND raw_seq = ?"
_TIME_AT = """
SELECT now_ms FROM clocks WHERE partition = ? AND (raw_ms, raw_seq) <= (?, ?) ORDER BY raw_ms DESC, raw_seq DESC LIMIT 1
"""
_AHEAD = """
SELECT raw_ms, raw_seq FROM clocks WHERE partition = ? AND (raw_ms, raw_seq) > (?, ?)
ORDER BY raw_ms, raw_seq LIMIT 1 OFFSET ?
"""
_AT_LEAST = """
SELECT raw_ms || '-' || raw_seq FROM clocks WHERE partition = ? AND now_ms >= ? AND (raw_ms, raw_seq) > (?, ?)
ORDER BY raw_ms, raw_seq LIMIT 1
"""
_CHANGES = f"SELECT symbol, source_class, at_ms FROM series_changes WHERE {_AFTER_UP_TO} ORDER BY raw_ms, raw_seq"  # noqa: S608
_SIGNALLED = """
SELECT timeframe || '|' || strategy, max(bar_open_ms) FROM signals WHERE symbol = ? AND published_ms <= ? GROUP BY 1
"""
_LIVE = """
SELECT action, quality, expires_ms FROM signals WHERE symbol = ? AND published_ms <= ?
ORDER BY published_ms DESC LIMIT 1
"""


class Span(NamedTuple):
    """A stretch of one partition's `raw`: its cycles, whole."""

    partition: int
    after: Id
    """The clock entry before it; BEFORE_ALL where it begins with the record."""
    last: Id
    """Its last clock entry."""
    from_ms: int
    """Stream time of its first clock entry."""
    to_ms: int
    """Stream time of its last clock entry."""
    is_newest: bool
    """Nothing is stored behind it."""


class Taken(NamedTuple):
    """What the storer gave the engine after an entry of `raw`."""

    after: Id
    id: str
    history: HistoryBars


class Record:
    """The database of one installation."""

    def __init__(self, path: Path) -> None:
        """Fatal if there is none, if it isn't ours, or if another release has written it."""
        if not path.is_file():
            raise Fatal(f"DATABASE_PATH: expected a database, found no file {path}")
        self.path = path
        self.connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=BUSY_S
        )
        try:
            self._check()
        except sqlite3.DatabaseError as e:
            raise Fatal(f"DATABASE_PATH: {path} can't be read: {e}") from e

    def _check(self) -> None:
        owner, version = self._one("PRAGMA application_id") or 0, self._one("PRAGMA user_version") or 0
        known = len(migrations())
        if owner != APPLICATION_ID:
            raise Fatal(f"DATABASE_PATH: {self.path} is not a database of this application")
        if version > known:
            raise Fatal(
                f"DATABASE_PATH: {self.path} has schema version {version}, this release knows {known}: replay it with"
                " the release that has written it"
            )
        if version < known:
            raise Fatal(
                f"DATABASE_PATH: {self.path} has schema version {version}, this release needs {known}: start its storer"
                " once"
            )

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    # -- what there is -----------------------------------------------------------------------------

    def partitions(self) -> list[int]:
        """Return the partitions that have clock entries."""
        found: list[int] = []
        statement = "SELECT min(partition) FROM clocks WHERE partition > ?"
        while (number := self._one(statement, found[-1] if found else -1)) is not None:
            found.append(number)
        return found

    def homes(self, symbol: str, from_ms: int, to_ms: int) -> set[int]:
        """Return the partitions that a symbol's quotes of (from_ms, to_ms] are in."""
        rows = self.connection.execute(
            "SELECT DISTINCT partition FROM market_data WHERE symbol = ? AND market_ms > ? AND market_ms <= ?",
            (symbol, from_ms, to_ms),
        )
        return {partition for (partition,) in rows}

    def span(self, partition: int, from_ms: int, to_ms: int) -> Span | None:
        """Return the cycles of a partition whose time is in [from_ms, to_ms); None if there are none."""
        bounds = cycles_between(self.connection, from_ms, to_ms, partition)
        if bounds is None:
            return None
        after, last = bounds
        first = self.clocks_ahead(partition, after, last, 1)
        times = self.clock(partition, first).now_ms, self.clock(partition, last).now_ms
        newest = self.connection.execute(_AHEAD, (partition, *last, 0)).fetchone() is None
        return Span(partition, after, last, *times, newest)

    def clock(self, partition: int, at: Id) -> Clock:
        """Return a clock entry that is there."""
        cycle, now_ms, wall_ms, speed = self.connection.execute(_CLOCK, (partition, *at)).fetchone()
        return Clock(cycle, now_ms, wall_ms, speed, f"{at[0]}-{at[1]}")

    def time_at(self, partition: int, at: Id) -> int:
        """Return the stream time of the last clock entry up to a place; 0 before the first."""
        row = self.connection.execute(_TIME_AT, (partition, *at)).fetchone()
        return int(row[0]) if row else 0

    def clocks_ahead(self, partition: int, after: Id, last: Id, count: int) -> Id:
        """Return the clock entry so many cycles on; `last` if that is nearer."""
        found: Id | None = self.connection.execute(_AHEAD, (partition, *after, count - 1)).fetchone()
        return last if found is None else min(found, last)

    def cycles(self, partition: int, after: Id, last: Id) -> int:
        """Return the number of clock entries in (after, last]."""
        number: int = self._one(f"SELECT count(*) FROM clocks WHERE {_AFTER_UP_TO}", partition, *after, *last) or 0  # noqa: S608
        return number

    def closing_entry(self, span: Span, now_ms: int) -> str:
        """Return the id of the span's first clock entry at or after a time; empty if there is none."""
        row = self.connection.execute(_AT_LEAST, (span.partition, now_ms, *span.after)).fetchone()
        return row[0] if row else ""

    # -- what went in ------------------------------------------------------------------------------

    def entries(self, partition: int, after: Id, last: Id) -> list[tuple[str, RawMessage]]:
        """Return the entries of `raw` in (after, last]."""
        return list(entries_between(self.connection, after, last, partition))

    def taken(self, partition: int, after: Id, last: Id) -> list[Taken]:
        """Return what the storer gave the engine in (after, last], in its order."""
        rows = self.connection.execute(
            f"""SELECT raw_ms, raw_seq, history_ms || '-' || history_seq, body FROM history_taken
            WHERE {_AFTER_UP_TO} ORDER BY raw_ms, raw_seq, history_ms, history_seq""",  # noqa: S608
            (partition, *after, *last),
        )
        return [Taken((ms, sequence), entry_id, _history(body)) for ms, sequence, entry_id, body in rows]

    def fresh_starts(self, partition: int, last: Id) -> list[Id]:
        """Return the last entry before each place, up to `last`, at which Redis was empty."""
        rows = self.connection.execute(
            f"SELECT raw_ms, raw_seq FROM incarnations WHERE {_AFTER_UP_TO} ORDER BY raw_ms, raw_seq",  # noqa: S608
            (partition, *self.clocks_ahead(partition, BEFORE_ALL, last, 1), *last),
        )
        return [before((ms, sequence)) for ms, sequence in rows]

    def sure_to(self, partition: int, after: Id, last: Id) -> Id:
        """Return the entry of (after, last] up to which the record holds all that the stages saw.

        Where Redis went back to an older state they saw some entries again; those are not kept.
        """
        rows = self.connection.execute(
            f"""SELECT from_ms, from_seq FROM rollbacks
            WHERE partition = ? AND (from_ms, from_seq) > (?, ?) AND (from_ms, from_seq) <= (?, ?) AND to_ms > 0
            UNION ALL SELECT raw_ms, raw_seq FROM repeats WHERE {_AFTER_UP_TO} ORDER BY 1, 2 LIMIT 1""",  # noqa: S608
            (partition, *after, *last) * 2,
        )
        found: Id | None = rows.fetchone()
        return last if found is None else min(found, last)

    def series(self, partition: int, last: Id) -> dict[str, tuple[str, int]]:
        """Return symbol -> the class that feeds its series and since when, where that was ever changed up to `last`."""
        rows = self.connection.execute(_CHANGES, (partition, *BEFORE_ALL, *last))
        return {symbol: (source_class, at_ms) for symbol, source_class, at_ms in rows}

    def signalled(self, symbol: str, now_ms: int) -> dict[str, int]:
        """Return "timeframe|strategy" -> the bar of its last signal."""
        return dict(self.connection.execute(_SIGNALLED, (symbol, now_ms)).fetchall())

    def live(self, symbol: str, now_ms: int) -> Live | None:
        """Return what is to be known of the last signal; None: there was none."""
        row = self.connection.execute(_LIVE, (symbol, now_ms)).fetchone()
        return None if row is None else Live(*row)

    # -- what came out -----------------------------------------------------------------------------

    def verdicts(self, table: str, partition: int, after: Id, last: Id) -> list[Row]:
        """Return the rows of market_data or rejects that come from (after, last], in their order."""
        return self.connection.execute(
            f"SELECT {names(table)} FROM {table} WHERE {_AFTER_UP_TO} ORDER BY raw_ms, raw_seq, raw_index",  # noqa: S608
            (partition, *after, *last),
        ).fetchall()

    def histories(self, partition: int, after: Id, last: Id) -> list[HistoryBars]:
        """Return what the validator made of vendors' history."""
        rows = self.connection.execute(
            f"SELECT body FROM history_entries WHERE {_AFTER_UP_TO} ORDER BY raw_ms, raw_seq",  # noqa: S608
            (partition, *after, *last),
        )
        return [_history(body) for (body,) in rows]

    def bars(self, lane: Sequence[str], first_ms: int, last_ms: int) -> list[Row]:
        """Return the rows of a lane's bars that open in [first_ms, last_ms], oldest first."""
        return self.connection.execute(
            f"""SELECT {names("bars")} FROM bars WHERE symbol = ? AND source_class = ? AND timeframe = ?
            AND open_ms BETWEEN ? AND ? ORDER BY open_ms""",  # noqa: S608
            (*lane, first_ms, last_ms),
        ).fetchall()

    def signals(self, from_ms: int, to_ms: int) -> Iterator[Row]:
        """Yield the rows of the signals published in [from_ms, to_ms], in the order of their coming."""
        return self.connection.execute(
            f"SELECT {names('signals')} FROM signals WHERE published_ms BETWEEN ? AND ? ORDER BY published_ms, rowid",  # noqa: S608
            (from_ms, to_ms),
        )

    def _one(self, statement: str, *values: int) -> int | None:
        row = self.connection.execute(statement, values).fetchone()
        found: int | None = row[0] if row else None
        return found


def names(table: str) -> str:
    """Return a table's columns as a statement has them."""
    return ", ".join(f'"{column}"' for column in COLUMNS[table])


def before(place: Id) -> Id:
    """Return the greatest id that is less."""
    ms, sequence = place
    return (ms, sequence - 1) if sequence else (ms - 1, END_OF_TIME_MS)


def _history(body: bytes) -> HistoryBars:
    message = decode(zlib.decompress(body))
    if not isinstance(message, HistoryBars):
        raise Fatal(f"expected history_bars in the database, found {type(message).__name__}")
    return message

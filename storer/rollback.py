"""Redis that knows less than SQLite: restored from an older copy, its append-only file cut short, or emptied.

The storer's own group tells: no entry is stored that was not delivered before, so that a group which stands before the
last stored entry of its stream was rolled back with everything else. What the collector collects again after that
comes under new ids; storer/repeats.py tells it from new.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from typing import NamedTuple, cast

import structlog

from common.entry_ids import EntryId, parse_id
from common.housekeeping import groups_of
from common.keys import QUOTES, RAW, Stream
from common.redis_link import Link, Reply

log = structlog.get_logger()

NOTHING: EntryId = (0, 0)
DAY_MS = 86_400_000
"""How long after the last stored clock entry something may come again: sources are asked once in an hour at least."""

_RAW_TABLES = ("clocks", "market_data", "rejects", "series_changes", "history_entries", "repeats")
_NEWEST = "SELECT raw_ms, raw_seq FROM {} WHERE partition = ? ORDER BY raw_ms DESC, raw_seq DESC LIMIT 1"
_POSITIONS = "SELECT stream, last_ms, last_seq FROM stream_positions WHERE partition = ? AND incarnation = ?"
_MOVE = "UPDATE stream_positions SET last_ms = ?, last_seq = ? WHERE partition = ? AND stream = ?"
_FREE = "DELETE FROM repeats WHERE partition = ? AND (raw_ms, raw_seq) > (?, ?)"
"""A repetition that was lost in its turn counts for nothing: what it repeated may come again."""
_INCARNATIONS = "SELECT incarnation FROM incarnations WHERE partition = ?"
_CLOCK_BEFORE = """
SELECT raw_ms, raw_seq FROM clocks WHERE partition = ? AND (raw_ms, raw_seq) <= (?, ?)
ORDER BY raw_ms DESC, raw_seq DESC LIMIT 1
"""
_CLOCK = "SELECT max(now_ms) FROM clocks WHERE partition = ?"
_KEEP = """
INSERT INTO rollbacks (partition, from_ms, from_seq, to_ms, to_seq, incarnation, clock_ms, until_ms, found_wall_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
_KEPT = """
SELECT from_ms, from_seq, to_ms, to_seq, clock_ms, until_ms, found_wall_ms FROM rollbacks WHERE partition = ?
ORDER BY from_ms, from_seq
"""


class Rollback(NamedTuple):
    """What was stored of `raw` in (kept, newest] is not in Redis any more."""

    newest: EntryId
    """The last entry of `raw` that SQLite knew."""
    kept: EntryId
    """The last of those that Redis still has."""
    clock_ms: int
    """The newest stored stream time."""
    until_ms: int
    """Stream time after which nothing of it is expected again."""
    found_wall_ms: int

    @property
    def name(self) -> str:
        """Return what tells it from others of its partition."""
        return _text(self.newest)

    def view(self) -> dict[str, object]:
        """Return what /health shows."""
        return {
            "from_id": _text(self.newest), "to_id": _text(self.kept), "clock_ms": self.clock_ms,
            "found_wall_ms": self.found_wall_ms,
        }  # fmt: skip


class Standing(NamedTuple):
    """How far Redis says the storer has come in one partition."""

    incarnation: str
    delivered: Mapping[str, EntryId]
    """Stream -> the last entry that the storer's group was given. Only rollbacks make it less."""

    def lowest(self, other: "Standing | None") -> "Standing":
        """Return the lower one of each stream: what was read since an earlier look must not hide a rollback."""
        if other is None or other.incarnation != self.incarnation:
            return self
        lower = {name: min(at, other.delivered.get(name, at)) for name, at in self.delivered.items()}
        return Standing(self.incarnation, lower)


def standing(link: Link, streams: Iterable[Stream], partition: int, group: str, incarnation: str) -> Standing:
    """Return how far the group has come."""
    found = {stream.name: groups_of(link, stream.key(partition)).get(group) for stream in streams}
    return Standing(incarnation, {name: at[0] for name, at in found.items() if at is not None})


def find(connection: sqlite3.Connection, link: Link, partition: int, now: Standing, wall_ms: int) -> Rollback | None:
    """Return the rollback that the database was not told of yet, if any, and tell it. In the caller's transaction."""
    behind = _behind(connection, partition, now)
    emptied = _is_other(connection, partition, now.incarnation)
    if not (behind or emptied):
        return None
    newest = _newest(connection, partition)
    kept = NOTHING if emptied else max(_kept(link, partition, newest), _judged(connection, partition, now))
    clock_ms = int(connection.execute(_CLOCK, (partition,)).fetchone()[0] or 0)
    found = Rollback(newest, kept, clock_ms, clock_ms + DAY_MS, wall_ms)
    row = (partition, *newest, *kept, now.incarnation, clock_ms, found.until_ms, wall_ms)
    connection.execute(_KEEP, row)
    connection.execute(_FREE, (partition, *kept))
    connection.executemany(_MOVE, [(*at, partition, name) for name, at in behind.items()])
    log.error(
        "redis.rolled_back", partition=partition, from_id=_text(newest), to_id=_text(kept), emptied=emptied,
        streams=sorted(behind), detail="Redis knows less than the database; what is collected again is stored once",
    )  # fmt: skip
    return found


def rollbacks(connection: sqlite3.Connection, partition: int) -> tuple[Rollback, ...]:
    """Return all that were found, oldest first."""
    rows = connection.execute(_KEPT, (partition,)).fetchall()
    return tuple(Rollback((row[0], row[1]), (row[2], row[3]), *row[4:]) for row in rows)


def _behind(connection: sqlite3.Connection, partition: int, now: Standing) -> dict[str, EntryId]:
    """Return the streams of which more is stored than was delivered, and how far they were."""
    stored = connection.execute(_POSITIONS, (partition, now.incarnation)).fetchall()
    return {
        stream: now.delivered[stream]
        for stream, ms, sequence in stored
        if stream in now.delivered and now.delivered[stream] < (ms, sequence)
    }


def _is_other(connection: sqlite3.Connection, partition: int, incarnation: str) -> bool:
    known = [row[0] for row in connection.execute(_INCARNATIONS, (partition,))]
    return bool(known) and incarnation not in known


def _newest(connection: sqlite3.Connection, partition: int) -> EntryId:
    found = [connection.execute(_NEWEST.format(table), (partition,)).fetchone() for table in _RAW_TABLES]
    return max((cast(EntryId, row) for row in found if row is not None), default=NOTHING)


def _kept(link: Link, partition: int, newest: EntryId) -> EntryId:
    """Return the last entry of `raw` that is no newer than what was stored; NOTHING if none of them is left."""
    reply = link.call("XREVRANGE", RAW.key(partition), _text(newest), "-", "COUNT", 1)
    entries = cast(list[list[Reply]], reply or [])
    return parse_id(cast(bytes, entries[0][0])) if entries else NOTHING


def _judged(connection: sqlite3.Connection, partition: int, now: Standing) -> EntryId:
    """Return the last stored clock entry that was in Redis before the last `quotes` we were given, trimmed or not."""
    row = connection.execute(_CLOCK_BEFORE, (partition, *now.delivered.get(QUOTES.name, NOTHING))).fetchone()
    return NOTHING if row is None else cast(EntryId, row)


def _text(entry_id: EntryId) -> str:
    return f"{entry_id[0]}-{entry_id[1]}"

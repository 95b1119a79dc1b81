"""Put everything that belongs to a symbol into the partition that is the symbol's from now on: one transaction.

Streams are not moved: they were emptied before. A partition that stays keeps its streams and their last ids; a new one
gets streams that begin now, so that no entry id of an earlier life of its number ever comes again.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import cast

import msgspec
from redis.exceptions import ResponseError

from common import keys
from common.errors import Fatal
from common.keys import BACKFILL, FIELD, TICKS, TRANSPORT
from common.messages import BackfillRequest, TerminalTicks, decode, encode
from common.redis_link import Command, Link, Reply, flat_pairs
from deploy.partitions.fields import DROPPED, FIRST, SHARED, SYMBOL_OF_FIELD, parsed, symbol_of_key

PartitionOf = Callable[[str], int]
"""The new partition of a symbol."""

_STAYS = ("epoch", "recovered", "failures", "dead", "incarnation", "retired", "left")
"""Kinds of keys that a partition keeps as long as it exists."""
_STREAMS = {stream.name for stream in TRANSPORT}


class Move:
    """The commands that spread one database over another number of partitions."""

    def __init__(self, link: Link, old: int, new: int, partition_of: PartitionOf, now_ms: int) -> None:
        self._link, self._old, self._new, self._partition_of, self._now_ms = link, old, new, partition_of, now_ms
        names = cast(list[bytes], link.call("KEYS", "{*}:*"))
        self._keys = [(name, key) for name in sorted(names) if (key := parsed(name)) is not None]
        self._removed: list[bytes] = []

    def commands(self) -> list[Command]:
        """Return all of them. Fatal if the database holds what can't be moved."""
        self._check()
        made = [
            *self._waiting(), *self._states(), *self._statuses(), *self._renamed(), *self._shared(), *self._letters(),
        ]  # fmt: skip
        beats = cast(list[bytes], self._link.call("KEYS", keys.HEARTBEATS))
        gone = [name for name, key in self._keys if key.partition >= self._new and symbol_of_key(key) is None]
        deleted: Command = ("DEL", keys.PARTITION_COUNT, *gone, *self._removed, *beats)
        begun = [c for p in range(self._old, self._new) for c in self._begun(p)]
        return [*self._emptied(), deleted, *begun, *made, ("SET", keys.PARTITION_COUNT, self._new)]

    def _emptied(self) -> Iterator[Command]:
        """Yield what empties the streams of the partitions that stay; groups and last ids stay, too."""
        there = dict(self._keys)
        for partition in range(min(self._old, self._new)):
            for stream in TRANSPORT:
                if stream.key(partition).encode() in there:
                    yield ("XTRIM", stream.key(partition), "MAXLEN", 0)

    def _check(self) -> None:
        known = {
            *_STAYS,
            *_STREAMS,
            "state",
            "status",
            "heads",
            "clock",
            "pass",
            "cache",
            "features",
            "newest_signals",
            "ticks",
        }
        unknown = [name.decode() for name, key in self._keys if key.kind not in known]
        if unknown:
            raise Fatal(f"{self._link.where}: keys that nobody knows how to move: {', '.join(unknown[:5])}")
        asked: list[Command] = [("HGET", keys.state(p, "collector"), "cycle") for p in range(self._old)]
        cycles = {reply for reply in self._link.exchange(asked) if isinstance(reply, bytes)}
        if len(cycles) > 1 and self._link.call("GET", keys.KIND_OF_RUN) == b"simulated":
            raise Fatal("the collector ended in the middle of a cycle: start it, and stop it in order")

    # -- streams -----------------------------------------------------------------------------------

    def _begun(self, partition: int) -> Iterator[Command]:
        for stream in TRANSPORT:
            for group in stream.readers:
                yield ("XGROUP", "CREATE", stream.key(partition), group, f"{self._now_ms}-0", "MKSTREAM")
            yield ("XSETID", stream.key(partition), f"{self._now_ms}-0")

    def _waiting(self) -> Iterator[Command]:
        """Yield what carries over the collector's unsettled entries: it did not work while the others drained."""
        for partition in range(self._old):
            for stream in (BACKFILL, TICKS):
                for body in unsettled(self._link, stream.key(partition), "collector"):
                    for target, message in self._spread(decode(body)):
                        yield ("XADD", stream.key(target), "*", FIELD, encode(message))
                yield from self._settled(stream.key(partition), partition)

    def _settled(self, key: str, partition: int) -> Iterator[Command]:
        """Yield what takes the old entries out of the hands of a partition's group that stays."""
        pending = self._link.exchange([("XPENDING", key, "collector", "-", "+", 100_000)])[0]
        if partition < self._new and isinstance(pending, list) and pending:
            ids = [cast(bytes, cast(list[Reply], entry)[0]) for entry in pending]
            yield ("XACK", key, "collector", *ids)

    def _spread(self, message: object) -> Iterator[tuple[int, BackfillRequest | TerminalTicks]]:
        if isinstance(message, BackfillRequest):
            yield self._partition_of(message.symbol), message
        elif isinstance(message, TerminalTicks):
            yield from split_ticks(message, self._partition_of)

    def _letters(self) -> Iterator[Command]:
        """Yield what brings the dead letters of partitions that end to partition 0."""
        for name, key in self._keys:
            if key.kind == "dead" and key.partition >= self._new:
                for entry in cast(list[list[Reply]], self._link.call("XRANGE", name, "-", "+")):
                    yield ("XADD", keys.dead(0, key.rest), "*", *cast(list[bytes], entry[1]))

    # -- state -------------------------------------------------------------------------------------

    def _states(self) -> Iterator[Command]:
        for stage, symbol_of in SYMBOL_OF_FIELD.items():
            made: dict[int, list[bytes]] = defaultdict(list)
            for partition in range(self._old):
                for field, body in self._hash(keys.state(partition, stage)).items():
                    for target in self._targets(symbol_of(field.decode()), partition):
                        made[target] += [field, body]
            yield from _hashes((keys.state(p, stage), made[p]) for p in range(self._new))

    def _targets(self, symbol: str, partition: int) -> Sequence[int]:
        if symbol == SHARED:  # of the oldest partition: all of them stand at the same cycle
            return range(self._new) if partition == 0 else ()
        if symbol == FIRST:
            return (0,) if partition == 0 else ()
        return () if symbol == DROPPED else (self._partition_of(symbol),)

    def _statuses(self) -> Iterator[Command]:
        for key in (keys.symbol_status, keys.lane_heads, keys.newest_signals):
            made: dict[int, list[bytes]] = defaultdict(list)
            for partition in range(self._old):
                for symbol, body in self._hash(key(partition)).items():
                    made[self._partition_of(symbol.decode())] += [symbol, body]
            yield from _hashes((key(p), made[p]) for p in range(self._new))

    def _hash(self, key: str) -> dict[bytes, bytes]:
        """Return a hash that is written anew."""
        self._removed.append(key.encode())
        return flat_pairs(self._link.call("HGETALL", key))

    def _renamed(self) -> Iterator[Command]:
        for name, key in self._keys:
            symbol = symbol_of_key(key)
            if symbol is not None and (target := self._partition_of(symbol)) != key.partition:
                yield ("RENAME", name, f"{{{target}}}:{key.kind}:{key.rest}")

    def _shared(self) -> Iterator[Command]:
        """Yield what every partition has alike: the word for what is in Redis, the clock, the engine's last pass."""
        for partition in range(self._old, self._new):
            for make in (keys.incarnation, keys.clock, keys.feature_pass, keys.retired):
                if make(0).encode() in dict(self._keys):
                    yield ("COPY", make(0), make(partition))


def split_ticks(batch: TerminalTicks, partition_of: PartitionOf) -> Iterator[tuple[int, TerminalTicks]]:
    """Yield the part of a batch that each partition gets."""
    for target in sorted({partition_of(symbol) for symbol in batch.present}):
        here = tuple(symbol for symbol in batch.present if partition_of(symbol) == target)
        ticks = tuple(tick for tick in batch.ticks if tick.symbol in here)
        yield target, msgspec.structs.replace(batch, ticks=ticks, present=here)


def unsettled(link: Link, key: str, group: str) -> list[bytes]:
    """Return the bodies of the entries that a group has not acknowledged, in their order."""
    pending, groups = link.exchange([("XPENDING", key, group, "-", "+", 100_000), ("XINFO", "GROUPS", key)])
    if isinstance(pending, ResponseError) or not isinstance(groups, list):
        return _bodies(link.exchange([("XRANGE", key, "-", "+")])[0])
    in_hand = [cast(bytes, cast(list[Reply], entry)[0]) for entry in cast(list[Reply], pending)]
    ranges: list[Command] = [("XRANGE", key, entry_id, entry_id) for entry_id in in_hand]
    last = next(g[g.index(b"last-delivered-id") + 1] for g in cast(list[list[Reply]], groups) if group.encode() in g)
    ranges.append(("XRANGE", key, b"(" + cast(bytes, last), "+"))
    return [body for reply in link.exchange(ranges) for body in _bodies(reply)]


def _bodies(reply: Reply) -> list[bytes]:
    return [cast(list[bytes], entry[1])[1] for entry in cast(list[list[Reply]], reply or [])]


def _hashes(made: Iterator[tuple[str, list[bytes]]]) -> Iterator[Command]:
    return (("HSET", key, *pairs) for key, pairs in made if pairs)

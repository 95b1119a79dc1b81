"""Read a partition's streams as one consumer of one group: own pending entries first, then news."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import msgspec
import structlog
from redis.exceptions import ResponseError

from common import keys
from common.entry_ids import parse_id
from common.errors import Fatal
from common.fence import Fence
from common.keys import FIELD, Stream
from common.messages import decode
from common.redis_link import Command, Link, Reply
from common.retirement import Place, come_back, places
from common.stage import Entry

log = structlog.get_logger()


@dataclass(frozen=True)
class Undecodable:
    """An entry whose body is no message: poison from the first look."""

    stream: Stream
    id: str
    body: bytes
    detail: str

    @property
    def name(self) -> str:
        """The entry's identity within its partition."""
        return f"{self.stream.name} {self.id}"


@dataclass(frozen=True)
class Read:
    """What one round trip brought."""

    entries: tuple[Entry, ...]
    undecodable: tuple[Undecodable, ...]
    vanished: tuple[tuple[Stream, str], ...]
    """Pending entries whose body is gone (deleted by hand): only to be acknowledged."""
    pending: int
    """How many entries this consumer had not acknowledged right after the read, these included."""

    def names(self) -> set[str]:
        """Return the identities of all that was read and still has a body."""
        return {entry.name for entry in self.entries} | {poison.name for poison in self.undecodable}


class Reader:
    """The reading side of one partition of a stage."""

    def __init__(
        self, link: Link, fence: Fence, streams: Sequence[Stream], partition: int, group: str, consumer: str
    ) -> None:
        self._link, self._fence, self._partition = link, fence, partition
        self._by_key = {stream.key(partition).encode(): stream for stream in streams}
        self._keys = [stream.key(partition) for stream in streams]
        self.group, self.consumer = group, consumer
        self.newest: dict[bytes, bytes] = {}
        """By stream key the id after which an entry is news to this reader."""

    def create_groups(self) -> None:
        """Create the group at the beginning of every stream, or where it was when its stage was retired.

        Groups that exist already stay as they are.
        """
        left = places(self._link, self._partition, self.group)
        known = {key: left[stream.name] for key, stream in self._by_key.items() if stream.name in left}
        starts = [known[key.encode()].delivered if key.encode() in known else "0" for key in self._keys]
        replies = self._link.exchange([
            ("XGROUP", "CREATE", key, self.group, start, "MKSTREAM")
            for key, start in zip(self._keys, starts, strict=True)
        ])  # fmt: skip
        for key, reply in zip(self._keys, replies, strict=True):
            if isinstance(reply, ResponseError) and not str(reply).startswith("BUSYGROUP"):
                raise Fatal(f"{key}: the group {self.group!r} can't be created: {reply}")
        if known:
            self._take_in_hand(known)
        ends = self._link.exchange([("XREVRANGE", key, "+", "-", "COUNT", 1) for key in self._keys])
        self.newest = {key.encode(): _last_id(end) for key, end in zip(self._keys, ends, strict=True)}
        if come_back(self._link, self._partition, self.group):
            log.warning(
                "stage.back_from_retirement", group=self.group, detail="entries trimmed meanwhile are lost to it"
            )

    def _take_in_hand(self, known: dict[bytes, Place]) -> None:
        """Have what the stage had in hand when it was retired come again as its backlog; once, whoever else starts."""
        claims: list[Command] = [
            ("XCLAIM", key, self.group, self.consumer, 0, *place.in_hand, "FORCE", "JUSTID")
            for key, place in known.items()
            if place.in_hand
        ]
        streams = [self._by_key[key].name for key in known]
        self._fence.commit([*claims, ("HDEL", keys.left(self._partition, self.group), *streams)])

    def backlog(self, count: int) -> Read:
        """Return the oldest entries that were given to this consumer and not acknowledged."""
        return self._read(count, "0", ())

    def news(self, count: int, block_ms: int) -> Read:
        """Return entries that no consumer of the group has had, waiting at most `block_ms` for the first."""
        return self._read(count, ">", ("BLOCK", block_ms) if block_ms > 0 else ())

    def _read(self, count: int, from_id: str, block: Command) -> Read:
        command: Command = (
            "XREADGROUP", "GROUP", self.group, self.consumer, "COUNT", count, *block,
            "STREAMS", *self._keys, *([from_id] * len(self._keys)),
        )  # fmt: skip
        replies = self._fence.read([command, *(("XPENDING", key, self.group) for key in self._keys)])
        for reply in replies:
            self._raise_refused(reply)
        read, *summaries = replies
        pending = sum(self._own_pending(cast(list[Reply], summary)) for summary in summaries)
        return self._decoded(cast(list[list[Reply]], read or []), pending)

    def _raise_refused(self, reply: Reply) -> None:
        if isinstance(reply, ResponseError):
            if str(reply).startswith("NOGROUP"):
                raise GroupsLost(f"group {self.group!r} is gone from {self._keys}: was Redis flushed?")
            raise Fatal(f"XREADGROUP or XPENDING {self._keys}: {reply}")

    def _own_pending(self, summary: list[Reply]) -> int:
        consumers = cast(list[list[bytes]], summary[3] or [])
        return sum(int(count) for name, count in consumers if name == self.consumer.encode())

    def _note(self, key: bytes, items: Reply) -> None:
        last = _last_id(items)
        if parse_id(last) > parse_id(self.newest.get(key, b"0-0")):
            self.newest[key] = last

    def _decoded(self, reply: list[list[Reply]], pending: int) -> Read:
        entries: list[Entry] = []
        undecodable: list[Undecodable] = []
        vanished: list[tuple[Stream, str]] = []
        for key, items in reply:
            stream = self._by_key[cast(bytes, key)]
            self._note(cast(bytes, key), items)
            for raw_id, fields in cast(list[tuple[bytes, list[bytes] | None]], items):
                entry_id = raw_id.decode()
                if fields is None:
                    vanished.append((stream, entry_id))
                    continue
                entry = decode_entry(stream, entry_id, fields)
                if isinstance(entry, Entry):
                    entries.append(entry)
                else:
                    undecodable.append(entry)
        return Read(tuple(entries), tuple(undecodable), tuple(vanished), pending)


def _last_id(entries: Reply) -> bytes:
    found = cast(list[list[bytes]], entries) if isinstance(entries, list) else []
    return found[-1][0] if found else b"0-0"


class GroupsLost(Fatal):
    """The consumer groups are gone: somebody flushed or replaced the database."""


def decode_entry(stream: Stream, entry_id: str, fields: list[bytes]) -> Entry | Undecodable:
    """Return the entry with its message; Undecodable says what is wrong with it."""
    if len(fields) != 2 or fields[0] != FIELD:
        body = b" ".join(fields)
        return Undecodable(stream, entry_id, body, f"expected the one field {FIELD!r}, found {fields[::2]!r}")
    try:
        return Entry(stream, entry_id, decode(fields[1]))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        return Undecodable(stream, entry_id, fields[1], str(e))

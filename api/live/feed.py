"""Read the streams of signals once, for all live clients."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import cast

import msgspec
import structlog

from api.errors import ApiError, away
from api.live.client import RESTARTING, TOO_SLOW, Client, End, Entry, Wanted
from api.live.cursor import Cursor, id_text
from api.redis_pool import ANSWER_WITHIN_S, RedisPool
from common import keys
from common.entry_ids import EntryId, parse_id
from common.errors import Retryable
from common.messages import Signal, decode
from common.metrics import Metrics
from common.redis_link import Reply

log = structlog.get_logger()

CLIENTS = 100  # each signal is judged for each of them: a tenth of a second's work for all
BLOCK_MS = 1_000
BATCH = 100  # entries in one reply
BACKLOG = 1_000  # entries that a client that was away is asked to hear of
LEAVE_WITHIN_S = 2.5  # below what the server waits for its connections when it stops
BEGINNING: EntryId = (0, 0)
RETRY_IN_S = 10


class Feed:
    """The one reader of the signals, and its clients. One connection of its own for each partition."""

    def __init__(self, pools: Sequence[RedisPool], metrics: Metrics) -> None:
        self._pools = pools
        self._metrics = metrics
        self._position: list[EntryId | None] = [None] * len(pools)  # None: not found out yet
        self._clients: set[Client] = set()
        self._left = asyncio.Event()
        self._closing = False

    @property
    def partitions(self) -> int:
        """How many streams there are."""
        return len(self._pools)

    async def start(self) -> None:
        """Find the place in every stream, so that clients are taken up from then on. Retryable if Redis can't say."""
        for partition in range(self.partitions):
            await self._find_place(partition)

    async def read(self, partition: int) -> None:
        """Wait for entries, at most BLOCK_MS, and hand them to the clients. RedisAway if Redis can't say."""
        key, pool = keys.SIGNALS.key(partition), self._pools[partition]
        position = self._position[partition]
        if position is None:
            await self._find_place(partition)
            return
        wait = ("XREAD", "BLOCK", BLOCK_MS, "COUNT", BATCH, "STREAMS", key, id_text(position))
        within_s = BLOCK_MS / 1000 + ANSWER_WITHIN_S
        found, newest = await pool.exchange([wait, ("XREVRANGE", key, "+", "-", "COUNT", 1)], within_s)
        for at, signal in entries_of(_first_stream(found)):
            self._hand_out(partition, at, signal)
        if any(at < position for at, _ in entries_of(newest)):
            # Redis was emptied or replaced, and its clock is behind: nothing would ever come after our place.
            self._position[partition] = BEGINNING

    async def _find_place(self, partition: int) -> None:
        newest = ("XREVRANGE", keys.SIGNALS.key(partition), "+", "-", "COUNT", 1)
        (found,) = await self._pools[partition].exchange([newest])
        self._position[partition] = next((at for at, _ in entries_of(found)), BEGINNING)

    @contextmanager
    def joined(self, wanted: Wanted, transport: str) -> Iterator[Client]:
        """Have a client for as long as this lasts. ApiError 503 where there are too many, or when the server stops."""
        client = Client(wanted, transport, self._place())
        client.ended.add_done_callback(partial(self._note_end, client))
        self._clients.add(client)
        self._tell(transport)
        try:
            yield client
        finally:
            self._forget(client)

    def _place(self) -> Cursor:
        """Return where the reader is, for one more client."""
        place = tuple(at for at in self._position if at is not None)
        if len(place) < self.partitions:
            raise away("redis_away", "the stream of signals can't be read")
        if self._closing or len(self._clients) >= CLIENTS:
            found = "the server is stopping" if self._closing else f"{len(self._clients)} are connected"
            expected = f"at most {CLIENTS} live clients"
            raise ApiError(503, "too_many_clients", "no room for another live client", expected, found, RETRY_IN_S)
        return place

    def _forget(self, client: Client) -> None:
        self._clients.discard(client)
        self._left.set()
        self._tell(client.transport)

    def _note_end(self, client: Client, ended: "asyncio.Future[End]") -> None:
        if ended.result() is TOO_SLOW:
            self._metrics.count("md_live_clients_dropped_total", transport=client.transport)
            log.warning("live.client_dropped", transport=client.transport, reason=TOO_SLOW.code)

    async def close(self) -> None:
        """Send all clients away and take no more; return when they have gone, or the time for it is over."""
        self._closing = True
        for client in self._clients:
            client.end(RESTARTING)
        try:
            async with asyncio.timeout(LEAVE_WITHIN_S):
                while self._clients:
                    self._left.clear()
                    await self._left.wait()
        except TimeoutError:
            log.warning("live.clients_stayed", clients=len(self._clients))
        for pool in self._pools:
            await pool.close()

    def _hand_out(self, partition: int, at: EntryId, signal: Signal | None) -> None:
        self._position[partition] = at
        if signal is None:
            return
        cursor = tuple(place or BEGINNING for place in self._position)
        for client in self._clients:
            client.offer(Entry(cursor, signal))

    def _tell(self, transport: str) -> None:
        count = sum(client.transport == transport for client in self._clients)
        self._metrics.gauge("md_live_clients", count, transport=transport)


async def backlog(pool: RedisPool, since: Cursor, joined: Cursor) -> tuple[list[Entry], bool]:
    """Return what was published after `since` up to `joined`, and whether the streams still hold all of that."""
    found: list[Entry] = []
    complete, cursor = True, list(since)
    for partition, (after, last) in enumerate(zip(since, joined, strict=True)):
        key = keys.SIGNALS.key(partition)
        first, missed = await pool.exchange(
            [
                ("XRANGE", key, "-", "+", "COUNT", 1),
                ("XRANGE", key, f"({id_text(after)}", id_text(last), "COUNT", BACKLOG),
            ]
        )
        complete = complete and (after >= last or any(at <= after for at, _ in entries_of(first)))
        for at, signal in entries_of(missed):
            cursor[partition] = at
            if signal is not None:
                found.append(Entry(tuple(cursor), signal))
        cursor[partition] = max(after, last)
    return found, complete


def entries_of(reply: Reply) -> list[tuple[EntryId, Signal | None]]:
    """Return the entries of a stream in a reply, oldest first; None for what this release can't read."""
    if isinstance(reply, Exception):
        raise Retryable(f"the stream of signals can't be read: {reply}") from reply
    rows = cast(list[tuple[bytes, list[bytes]]], reply or [])
    return [(parse_id(entry_id), _signal(fields)) for entry_id, fields in rows]


def _first_stream(reply: Reply) -> Reply:
    """Return what XREAD has of the one stream that was asked for; None: nothing came."""
    return cast(list[list[Reply]], reply)[0][1] if isinstance(reply, list) else reply


def _signal(fields: list[bytes]) -> Signal | None:
    try:
        message = decode(fields[fields.index(keys.FIELD) + 1])
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as e:
        log.warning("live.entry_unreadable", error=str(e))
        return None
    return message if isinstance(message, Signal) else None

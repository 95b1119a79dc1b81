"""Several asyncio connections to Redis that speak raw commands: one round trip for what a request needs.

Thinner than redis-py's client and pool, which take longer for their own bookkeeping than Redis does for the answer.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol, cast

from redis.asyncio import Connection as RedisConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from common.errors import Retryable
from common.redis_link import Command, Reply
from common.settings import Settings

ANSWER_WITHIN_S = 1.0  # above any healthy answer, below the patience of a client that polls once a second
NOT_NOW = (
    "LOADING", "OOM", "READONLY", "MISCONF", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY ", "NOAUTH", "WRONGPASS",
)  # fmt: skip
NOT_NOW_CLASSES = ("BusyLoadingError", "ReadOnlyError", "OutOfMemoryError", "ClusterDownError", "AuthenticationError")


class RedisAway(Retryable):
    """Redis can't be reached, doesn't answer in time, or can't serve now."""


class Connection(Protocol):
    """What is used of redis-py's connection."""

    async def connect(self) -> None: ...
    async def disconnect(self, nowait: bool = False) -> None: ...
    def pack_commands(self, commands: Sequence[Command]) -> list[bytes]: ...
    async def send_packed_command(self, command: list[bytes], check_health: bool) -> None: ...
    async def read_response(self, disable_decoding: bool) -> object: ...


class Packed:
    """Commands that are sent again and again: their bytes are made once."""

    def __init__(self, commands: Sequence[Command]) -> None:
        self.commands = tuple(commands)
        self._bytes: list[bytes] = []

    def __len__(self) -> int:
        return len(self.commands)

    def bytes_for(self, connection: Connection) -> list[bytes]:
        """Return what is sent; all connections of a pool pack alike."""
        if not self._bytes:
            self._bytes = [b"".join(connection.pack_commands(self.commands))]
        return self._bytes


class RedisPool:
    """At most `size` connections, each used by one exchange at a time."""

    def __init__(self, make_connection: Callable[[], Connection], size: int, where: str) -> None:
        self._make_connection = make_connection
        self._slots = asyncio.Semaphore(size)
        self._idle: list[Connection] = []
        self.where = where
        self.losses = 0
        """Grows when a connection broke or an answer did not come: what was written last may be lost."""

    async def exchange(self, commands: Sequence[Command] | Packed, within_s: float = ANSWER_WITHIN_S) -> list[Reply]:
        """Send all commands and return one reply for each, in one round trip. An error reply is a value in the list.

        A connection that Redis had closed meanwhile is replaced once: commands may be executed twice. RedisAway if
        there is no answer in time or the server can't serve now.
        """
        try:
            async with asyncio.timeout(within_s), self._slots:
                replies = await self._on_any_connection(commands)
        except (RedisError, OSError, TimeoutError) as e:
            self.losses += 1
            raise RedisAway(f"{self.where}: {str(e) or f'no answer within {within_s} s'}") from e
        for reply in replies:
            if isinstance(reply, ResponseError) and _is_not_now(reply):
                raise RedisAway(f"{self.where}: {reply}")
        return replies

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[None]:
        """Keep room for one connection that is made elsewhere, so that both together are never more than `size`."""
        async with self._slots:
            if self._idle:
                await self._idle.pop().disconnect()
            yield

    @property
    def idle(self) -> int:
        """How many connections are open and not in use."""
        return len(self._idle)

    async def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            await self._idle.pop().disconnect(nowait=True)

    async def _on_any_connection(self, commands: Sequence[Command] | Packed) -> list[Reply]:
        while self._idle:
            try:
                return await self._on(self._idle.pop(), commands)
            except (RedisError, OSError):
                # It broke while it lay idle, and so did the others: none of them is tried with the same result.
                self.losses += 1
                await self.close()
        fresh = self._make_connection()
        await fresh.connect()
        return await self._on(fresh, commands)

    async def _on(self, connection: Connection, commands: Sequence[Command] | Packed) -> list[Reply]:
        try:
            if isinstance(commands, Packed):
                sent = commands.bytes_for(connection)
            else:
                sent = connection.pack_commands(commands)
            await connection.send_packed_command(sent, check_health=False)
            replies = [await _read(connection) for _ in range(len(commands))]
        except BaseException:
            # Cancellation too: the rest of the answer must never be read as the answer to another question.
            await connection.disconnect(nowait=True)
            raise
        self._idle.append(connection)
        return replies


async def _read(connection: Connection) -> Reply:
    try:
        return cast(Reply, await connection.read_response(disable_decoding=True))
    except ResponseError as e:
        return e


def _is_not_now(error: ResponseError) -> bool:
    return type(error).__name__ in NOT_NOW_CLASSES or str(error).startswith(NOT_NOW)


def open_pool(settings: Settings, size: int | None = None) -> RedisPool:
    """Return a pool of so many connections, by default REDIS_POOL_SIZE; it connects at the first use."""

    def connection() -> Connection:
        made = RedisConnection(
            host=settings.redis_host,
            port=settings.redis_port,
            db=settings.redis_db,
            password=settings.redis_password.get_secret_value() or None,
            protocol=2,
            socket_timeout=None,
            socket_connect_timeout=ANSWER_WITHIN_S,
            retry=Retry(NoBackoff(), 0),
        )
        return cast(Connection, made)

    where = f"redis://{settings.redis_host}:{settings.redis_port}/{settings.redis_db}"
    return RedisPool(connection, settings.redis_pool_size if size is None else size, where)

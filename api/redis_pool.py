"""Several asyncio connections to Redis that speak raw commands: one round trip for what a request needs.

Thinner than redis-py's client and pool, which take longer for their own bookkeeping than Redis does for the answer.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Protocol

from redis.exceptions import RedisError, ResponseError

from api.redis_line import connect
from common.errors import Retryable
from common.redis_link import Command, Reply
from common.redis_wire import packed
from common.settings import Settings

ANSWER_WITHIN_S = 1.0  # above any healthy answer, below the patience of a client that polls once a second
NOT_NOW = (
    "LOADING", "OOM", "READONLY", "MISCONF", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY ", "NOAUTH", "WRONGPASS",
)  # fmt: skip
NOT_NOW_CLASSES = ("BusyLoadingError", "ReadOnlyError", "OutOfMemoryError", "ClusterDownError", "AuthenticationError")


class RedisAway(Retryable):
    """Redis can't be reached, doesn't answer in time, or can't serve now."""


class Connection(Protocol):
    """What is used of a connection."""

    async def exchange(self, sent: bytes, expected: int) -> list[Reply]: ...
    def close(self) -> None: ...


class Packed:
    """Commands that are sent again and again: their bytes are made once."""

    def __init__(self, commands: Sequence[Command]) -> None:
        self.commands = tuple(commands)
        self.sent = packed(self.commands)

    def __len__(self) -> int:
        return len(self.commands)


class RedisPool:
    """At most `size` connections, each used by one exchange at a time."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], size: int, where: str) -> None:
        self._connect = connect
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
                self._idle.pop().close()
            yield

    @property
    def idle(self) -> int:
        """How many connections are open and not in use."""
        return len(self._idle)

    async def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()

    async def _on_any_connection(self, commands: Sequence[Command] | Packed) -> list[Reply]:
        while self._idle:
            try:
                return await self._on(self._idle.pop(), commands)
            except (RedisError, OSError):
                # It broke while it lay idle, and so did the others: none of them is tried with the same result.
                self.losses += 1
                await self.close()
        return await self._on(await self._connect(), commands)

    async def _on(self, connection: Connection, commands: Sequence[Command] | Packed) -> list[Reply]:
        try:
            sent = commands.sent if isinstance(commands, Packed) else packed(commands)
            replies = await connection.exchange(sent, len(commands))
        except BaseException:
            # Cancellation too: the rest of the answer must never be read as the answer to another question.
            connection.close()
            raise
        self._idle.append(connection)
        return replies


def _is_not_now(error: ResponseError) -> bool:
    return type(error).__name__ in NOT_NOW_CLASSES or str(error).startswith(NOT_NOW)


def open_pool(settings: Settings, size: int | None = None) -> RedisPool:
    """Return a pool of so many connections, by default REDIS_POOL_SIZE; it connects at the first use."""
    password = settings.redis_password.get_secret_value() or None
    open_one = partial(connect, settings.redis_host, settings.redis_port, password, settings.redis_db)
    where = f"redis://{settings.redis_host}:{settings.redis_port}/{settings.redis_db}"
    return RedisPool(open_one, settings.redis_pool_size if size is None else size, where)

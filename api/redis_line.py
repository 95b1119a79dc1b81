"""One asyncio connection to Redis: bytes of several commands out, as many replies in.

redis-py's own connection waits and parses reply by reply, by way of a stream; here hiredis gets the bytes as they come.
"""

import asyncio
from typing import cast

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from common.redis_wire import NOT_YET, Reply, introduction, keep_alive, new_reader, packed

CONNECTED_WITHIN_S = 1.0


class Line(asyncio.Protocol):
    """A connection, used by one exchange at a time. One whose exchange did not end well must be closed."""

    def __init__(self) -> None:
        self._unusable: list[RedisError] = []
        self._reader = new_reader(self._unusable)
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[list[Reply]] | None = None
        self._replies: list[Reply] = []
        self._expected = 0

    async def exchange(self, sent: bytes, expected: int) -> list[Reply]:
        """Send bytes and return so many replies. An error reply is a value in the list.

        RedisError if the connection breaks, or the server says that it can't serve this client at all.
        """
        if self._transport is None or self._transport.is_closing():
            raise _closed()
        if not expected:
            return []
        self._waiting, self._replies, self._expected = asyncio.get_running_loop().create_future(), [], expected
        self._transport.write(sent)
        replies = await self._waiting
        if self._unusable:
            raise self._unusable[0]
        return replies

    def close(self) -> None:
        """Close the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take up the connection."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Take up bytes; the last of the replies ends the exchange."""
        waiting = self._waiting
        if waiting is None or waiting.done():
            self.close()  # nobody asked: it would be taken for the answer to the next question
            return
        try:
            self._reader.feed(data)
            while len(self._replies) < self._expected and (reply := self._reader.gets()) is not NOT_YET:
                self._replies.append(cast(Reply, reply))
        except RedisError as e:
            waiting.set_exception(e)
            self.close()
            return
        if len(self._replies) == self._expected:
            self._waiting = None
            waiting.set_result(self._replies)
            if self._reader.has_data():
                self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the exchange that waits."""
        if self._waiting is not None and not self._waiting.done():
            error = _closed()
            error.__cause__ = exc
            self._waiting.set_exception(error)


async def connect(host: str, port: int, password: str | None, db: int) -> Line:
    """Return a connection that has its password and its database. RedisError says why there is none."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECTED_WITHIN_S):
            transport, line = await loop.create_connection(Line, host, port)
    except TimeoutError as e:
        raise RedisTimeoutError("Timeout connecting to server") from e
    except OSError as e:
        raise RedisConnectionError(f"Error {e.errno} connecting to {host}:{port}. {e.strerror}.") from e
    keep_alive(transport.get_extra_info("socket"))
    try:
        await _introduce(line, password, db)
    except BaseException:
        line.close()
        raise
    return line


async def _introduce(line: Line, password: str | None, db: int) -> None:
    commands = introduction(password, db)
    for reply in await line.exchange(packed(commands), len(commands)):
        if isinstance(reply, ResponseError):
            raise reply


def _closed() -> RedisConnectionError:
    return RedisConnectionError("Connection closed by server.")

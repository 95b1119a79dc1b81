"""One asyncio connection to Redis: bytes of several commands out, as many replies in.

redis-py's own connection waits and parses reply by reply, by way of a stream; here hiredis gets the bytes as they come.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import cast

import hiredis
from redis.asyncio.connection import DefaultParser
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import DataError, InvalidResponse, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from common.redis_link import Command, Reply

CONNECTED_WITHIN_S = 1.0
KEEP_ALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}  # s, s and how often; where the system has them
_NOT_YET = object()
_pack = cast(Callable[[Command], bytes], hiredis.pack_command)  # its annotation is of one argument and no result


def packed(commands: Sequence[Command]) -> bytes:
    """Return what is sent for these commands. DataError if one of them can't be sent."""
    try:
        return b"".join([_pack(command) for command in commands])
    except TypeError as e:
        raise DataError(f"expected str, bytes, int or float in each command: {e}") from e


class Line(asyncio.Protocol):
    """A connection, used by one exchange at a time. One whose exchange did not end well must be closed."""

    def __init__(self) -> None:
        self._reader = hiredis.Reader(
            protocolError=InvalidResponse, replyError=DefaultParser.parse_error, notEnoughData=_NOT_YET
        )
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
        for reply in replies:
            if isinstance(reply, RedisError) and not isinstance(reply, ResponseError):
                raise reply
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
            while len(self._replies) < self._expected and (reply := self._reader.gets()) is not _NOT_YET:
                self._replies.append(reply)
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
    _keep_alive(transport.get_extra_info("socket"))
    try:
        await _introduce(line, password, db)
    except BaseException:
        line.close()
        raise
    return line


def _keep_alive(connected: socket.socket) -> None:
    """Have an idle connection live on behind a firewall, and end where the other side has vanished."""
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEP_ALIVE.items():
        option = getattr(socket, name, None)
        if option is not None:
            connected.setsockopt(socket.IPPROTO_TCP, option, value)


async def _introduce(line: Line, password: str | None, db: int) -> None:
    commands: list[Command] = [("AUTH", password)] if password else []
    commands += [("SELECT", db)] if db else []
    for reply in await line.exchange(packed(commands), len(commands)):
        if isinstance(reply, ResponseError):
            raise reply


def _closed() -> RedisConnectionError:
    return RedisConnectionError("Connection closed by server.")

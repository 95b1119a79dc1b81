"""A blocking connection to Redis: bytes of several commands out, as many replies in.

redis-py's own packs commands and takes replies one by one in Python, which took two fifths of the CPU time of a small
transaction (measured); here hiredis does both.
"""

import socket
import weakref
from collections.abc import Callable, Sequence
from typing import cast

import hiredis
from redis.asyncio.connection import DefaultParser  # its table from an error's first word to its class
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import DataError, InvalidResponse, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

Command = tuple[str | bytes | int | float, ...]
Reply = bytes | int | None | list["Reply"] | ResponseError

KEEP_ALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}  # s, s and how often; where the system has them
READ_BYTES = 1 << 16
NOT_YET = object()
"""What a reader has while a reply is not complete."""

_pack = cast(Callable[[Command], bytes], hiredis.pack_command)  # its annotation is of one argument and no result


def packed(commands: Sequence[Command]) -> bytes:
    """Return what is sent for these commands. DataError if one of them can't be sent."""
    try:
        return b"".join([_pack(command) for command in commands])
    except (TypeError, UnicodeEncodeError) as e:
        raise DataError(f"expected str, bytes, int or float in each command: {e}") from e


def new_reader(unusable: list[RedisError]) -> hiredis.Reader:
    """Return what makes replies of bytes: NOT_YET until one is complete, errors as values of redis-py's classes.

    unusable: takes those, wherever in a reply they stand, which say that the server can't serve this client at all.
    """

    def error(text: str) -> Exception:
        found: Exception = DefaultParser.parse_error(text)  # type: ignore[no-untyped-call]  # redis-py
        if isinstance(found, RedisError) and not isinstance(found, ResponseError):
            unusable.append(found)
        return found

    return hiredis.Reader(protocolError=InvalidResponse, replyError=error, notEnoughData=NOT_YET)


def introduction(password: str | None, db: int) -> list[Command]:
    """Return what a connection says first."""
    commands: list[Command] = [("AUTH", password)] if password else []
    return [*commands, ("SELECT", db)] if db else commands


def keep_alive(connected: socket.socket) -> None:
    """Have an idle connection live on behind a firewall, and end where the other side has vanished."""
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEP_ALIVE.items():
        option = getattr(socket, name, None)
        if option is not None:
            connected.setsockopt(socket.IPPROTO_TCP, option, value)


class Wire:
    """One connection. After an exchange that raised it must be closed."""

    def __init__(self, connected: Callable[[], socket.socket]) -> None:
        """connected: makes the socket, which is closed with the last one that uses this object."""
        self._unusable: list[RedisError] = []
        self._reader = new_reader(self._unusable)
        self.socket = connected()
        # Not by __del__: of objects that refer to each other, the socket may be finalized first, and complains.
        weakref.finalize(self, self.socket.close)

    def exchange(self, commands: Sequence[Command]) -> list[Reply]:
        """Send commands and return one reply for each. An error reply is a value in the list.

        DataError if a command can't be sent: nothing was. RedisError or OSError if the connection breaks or is silent
        for too long, or if the server can't serve this client at all.
        """
        self.socket.sendall(packed(commands))
        replies: list[Reply] = []
        while len(replies) < len(commands):
            data = self.socket.recv(READ_BYTES)
            if not data:
                raise RedisConnectionError("Connection closed by server.")
            self._reader.feed(data)
            while len(replies) < len(commands) and (reply := self._reader.gets()) is not NOT_YET:
                replies.append(cast(Reply, reply))
        if self._reader.has_data():
            raise RedisConnectionError("Redis sent more than was asked for")
        if self._unusable:
            raise self._unusable[0]
        return replies

    def close(self) -> None:
        """Close the connection at once."""
        self.socket.close()


def connect(host: str, port: int, db: int, password: str, connected_within_s: float, answer_within_s: float) -> Wire:
    """Return a connection that has its password and its database. RedisError or OSError says why there is none."""
    try:
        wire = Wire(lambda: socket.create_connection((host, port), connected_within_s))
    except TimeoutError as e:
        raise RedisTimeoutError("Timeout connecting to server") from e
    try:
        wire.socket.settimeout(answer_within_s)
        wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        keep_alive(wire.socket)
        for reply in wire.exchange(introduction(password, db)):
            if isinstance(reply, ResponseError):
                raise reply
    except BaseException:
        wire.close()
        raise
    return wire

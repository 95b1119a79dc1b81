"""One blocking connection to Redis that speaks raw commands: several in one round trip, replies as they came."""

import socket
from collections.abc import Callable, Sequence
from typing import Protocol, cast

from redis.exceptions import AuthenticationError, DataError, RedisError, ResponseError

from common.errors import Fatal, Retryable
from common.redis_wire import Command, Reply, connect
from common.settings import Settings

__all__ = [
    "Command",
    "CommandRefused",
    "Connection",
    "Link",
    "RedisAway",
    "Reply",
    "flat_pairs",
    "link_to",
    "open_link",
]


class Connection(Protocol):
    """What a link talks over: see redis_wire.Wire."""

    def exchange(self, commands: Sequence[Command]) -> list[Reply]:
        """Send commands and return their replies."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


# Longer than any blocking read (BLOCK is at most 0.5 s), and with a hung server a stop is still heard within 5 s.
SOCKET_TIMEOUT_S = 4.0
CONNECT_TIMEOUT_S = 2.0

_ENDS_WATCHES = ("EXEC", "UNWATCH", "DISCARD")

# Replies that mean "not now", not "never": the server loads its file, is out of memory, read-only or failing over, or
# (UNBLOCKED) it ended a blocking read because of that.
_NOT_NOW = (
    "LOADING", "OOM", "READONLY", "MISCONF", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY ", "NOREPLICAS",
    "UNBLOCKED",
)  # fmt: skip
_NOT_NOW_CLASSES = (
    "BusyLoadingError", "ReadOnlyError", "OutOfMemoryError", "ClusterDownError", "MasterDownError", "TryAgainError",
)  # fmt: skip
_AT_EXEC = "discarded because of: "  # what was fit to be queued, and not to be executed a moment later


class RedisAway(Retryable):
    """Redis can't be reached or can't serve now; whether the last commands were executed is not known."""


class CommandRefused(Fatal):
    """Redis answered a command with an error that a repetition will not cure."""


class Link:
    """A connection that is opened at the first use and again after every failure.

    Replies are bytes, integers, None and lists of them (RESP2): hashes come as flat lists.
    """

    def __init__(self, make_connection: Callable[[], Connection], where: str) -> None:
        self._make_connection = make_connection
        self._connection: Connection | None = None
        self.where = where
        self.watch_round = 0
        """Rises whenever Redis forgets what this connection watches: with each EXEC and each new connection."""

    def exchange(self, commands: Sequence[Command]) -> list[Reply]:
        """Send all commands and return one reply for each, in one round trip. An error reply is a value in the list.

        RedisAway if the connection fails, or if a reply says that the server can't serve now; the connection is
        closed then, and with it every WATCH and MULTI. DataError if a command can't be sent at all: nothing was.
        """
        try:
            replies = self._round_trip(commands)
        except AuthenticationError as e:
            self.close()
            raise Fatal(f"REDIS_PASSWORD: {self.where} refuses it: {e}") from e
        except DataError:
            raise
        except (RedisError, OSError) as e:
            self.close()
            raise RedisAway(f"{self.where}: {e}") from e
        self.watch_round += any(command[0] in _ENDS_WATCHES for command in commands)
        self._raise_not_now(replies)
        return replies

    def call(self, *command: str | bytes | int | float) -> Reply:
        """Return the reply to one command. CommandRefused if it is an error."""
        reply = self.exchange([command])[0]
        if isinstance(reply, ResponseError):
            raise CommandRefused(f"{self.where}: {command[0]!r} {command[1:2]}: {reply}")
        return reply

    def raw_socket(self) -> socket.socket | None:
        """Return the connection's socket, for long replies that are read off it as they come: see packed_lists.

        None where the connection has none, or hides it. RedisAway.
        """
        self.exchange([("PING",)])  # connected, and nothing on its way
        found = getattr(self._connection, "socket", None)
        return found if isinstance(found, socket.socket) else None

    def close(self) -> None:
        """Drop the connection; the next use opens a new one."""
        self.watch_round += 1
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _round_trip(self, commands: Sequence[Command]) -> list[Reply]:
        if self._connection is None:
            self._connection = self._make_connection()
        return self._connection.exchange(commands)

    def _raise_not_now(self, replies: Sequence[Reply]) -> None:
        for reply in replies:
            if isinstance(reply, ResponseError) and _is_not_now(reply):
                self.close()
                raise RedisAway(f"{self.where}: {reply}")


def _is_not_now(error: ResponseError) -> bool:
    # redis-py cuts the code off where it has an exception class of its own for it.
    named = type(error).__name__ in _NOT_NOW_CLASSES
    text = str(error)
    return named or text.startswith(_NOT_NOW) or text.partition(_AT_EXEC)[2].startswith(_NOT_NOW)


def open_link(settings: Settings) -> Link:
    """Return a link to the Redis of the settings; it connects at the first use."""
    password = settings.redis_password.get_secret_value()
    return link_to(settings.redis_host, settings.redis_port, settings.redis_db, password)


def link_to(host: str, port: int, db: int = 0, password: str = "") -> Link:
    """Return a link to one database; it connects at the first use."""

    def connection() -> Connection:
        return connect(host, port, db, password, CONNECT_TIMEOUT_S, SOCKET_TIMEOUT_S)

    return Link(connection, f"redis://{host}:{port}/{db}")


def flat_pairs(reply: Reply) -> dict[bytes, bytes]:
    """Return a flat HGETALL reply as a dict."""
    items = cast(list[bytes], reply or [])
    return dict(zip(items[::2], items[1::2], strict=True))

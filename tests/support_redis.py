"""A link over redis-py's own connections: fakeredis has no socket to speak to."""

from collections.abc import Callable, Sequence
from typing import cast

import fakeredis
import redis
from redis.exceptions import ResponseError

from common.redis_link import Command, Link, Reply


class PyConnection:
    """One connection of redis-py's, as a link uses it."""

    def __init__(self, connection: redis.Connection) -> None:
        self._connection = connection
        connection.connect()  # type: ignore[no-untyped-call]  # redis-py

    def exchange(self, commands: Sequence[Command]) -> list[Reply]:
        """Send commands and return one reply for each."""
        packed = self._connection.pack_commands(commands)  # type: ignore[no-untyped-call]  # redis-py
        self._connection.send_packed_command(packed, check_health=False)  # type: ignore[no-untyped-call]  # redis-py
        return [self._reply() for _ in commands]

    def close(self) -> None:
        """Close it."""
        self._connection.disconnect()  # type: ignore[no-untyped-call]  # redis-py

    def _reply(self) -> Reply:
        try:
            return cast(Reply, self._connection.read_response(disable_decoding=True))
        except ResponseError as e:
            return e


def fake_links() -> Callable[[], Link]:
    """Return a factory of links to one database that exists in this process alone."""
    fake = fakeredis.FakeRedis(server=fakeredis.FakeServer(), protocol=2)

    def connection() -> PyConnection:
        return PyConnection(fake.connection_pool.get_connection())

    return lambda: Link(connection, "fakeredis")

"""One connection: whatever the other side does, a reply is whole and belongs to its question, or there is none."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import AuthenticationError, DataError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

from api.redis_line import Line, connect
from api.redis_pool import RedisAway, open_pool
from common.redis_wire import packed
from tests.api.world import World
from tests.support_examples import examples

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
REPLIES = b"$5\r\nhello\r\n*3\r\n$1\r\na\r\n$-1\r\n:7\r\n+OK\r\n-WRONGTYPE not a list\r\n"


@asynccontextmanager
async def redis_that(script: Script) -> AsyncIterator[int]:
    """Serve one script to each connection, and give the port."""

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await script(reader, writer)
        writer.close()

    server = await asyncio.start_server(play, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def told(replies: list[object]) -> list[object]:
    """Return the replies, errors by their text."""
    return [str(reply) if isinstance(reply, ResponseError) else reply for reply in replies]


class Wire(asyncio.Transport):
    """A transport that goes nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.aborted = False

    def write(self, data: object) -> None:
        """Take it."""

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True


@given(cuts=st.lists(st.integers(0, len(REPLIES)), max_size=12))
@examples(100)
def test_replies_in_any_pieces_are_the_same(cuts: list[int]) -> None:
    async def asked() -> list[object]:
        line = Line()
        line.connection_made(Wire())
        task = asyncio.create_task(line.exchange(b"", 4))
        await asyncio.sleep(0)
        edges = [0, *sorted(cuts), len(REPLIES)]
        for begin, end in pairwise(edges):
            line.data_received(REPLIES[begin:end])
        return told([*await task])

    assert asyncio.run(asked()) == [b"hello", [b"a", None, 7], b"OK", "WRONGTYPE not a list"]


@pytest.mark.parametrize("begun", [b"", b"*3\r\n$1\r\na", b"$5\r\nhello\r\n"])
async def test_a_connection_that_ends_within_the_replies_fails_and_is_of_no_more_use(begun: bytes) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(begun)

    async with redis_that(script) as port:
        line = await connect("127.0.0.1", port, None, 0)
        for _ in range(2):
            with pytest.raises(RedisConnectionError, match="closed by server"):
                await line.exchange(b"x", 2)


async def test_bytes_that_are_no_reply_fail_the_exchange() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with redis_that(script) as port:
        line = await connect("127.0.0.1", port, None, 0)
        with pytest.raises(RedisError, match="Protocol error"):
            await line.exchange(b"x", 1)
        with pytest.raises(RedisConnectionError):
            await line.exchange(b"x", 1)


async def test_what_nobody_asked_for_ends_the_connection() -> None:
    line, wire = Line(), Wire()
    line.connection_made(wire)
    line.data_received(b"+OK\r\n")
    assert wire.aborted


async def test_a_reply_more_than_was_asked_for_ends_the_connection() -> None:
    line, wire = Line(), Wire()
    line.connection_made(wire)
    task = asyncio.create_task(line.exchange(b"", 1))
    await asyncio.sleep(0)
    line.data_received(b"+OK\r\n+MORE\r\n")
    assert await task == [b"OK"]
    assert wire.aborted


async def test_what_comes_after_a_cancelled_exchange_ends_the_connection() -> None:
    line, wire = Line(), Wire()
    line.connection_made(wire)
    task = asyncio.create_task(line.exchange(b"", 1))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    line.data_received(b"+LATE\r\n")
    assert wire.aborted


async def test_a_password_that_redis_refuses_is_away_and_the_reason_is_told(world: World) -> None:
    world.redis.config_set("requirepass", "right")
    try:
        with pytest.raises(AuthenticationError):
            await connect(world.settings.redis_host, world.settings.redis_port, "wrong", 0)
        pool = open_pool(world.settings)
        with pytest.raises(RedisAway, match="Authentication required"):
            await pool.exchange([("PING",)])
        line = await connect(world.settings.redis_host, world.settings.redis_port, "right", 1)
        assert await line.exchange(packed([("PING",)]), 1) == [b"PONG"]
        line.close()
    finally:
        world.redis.config_set("requirepass", "")


async def test_each_database_is_its_own(world: World) -> None:
    world.redis.set("where", "zero")
    host, port = world.settings.redis_host, world.settings.redis_port
    line = await connect(host, port, None, 1)
    assert await line.exchange(packed([("GET", "where")]), 1) == [None]
    line.close()
    with pytest.raises(ResponseError, match="out of range"):
        await connect(host, port, None, 1_000_000)


async def test_a_large_reply_is_whole(world: World) -> None:
    body = b"0123456789" * 300_000
    pool = open_pool(world.settings)
    assert await pool.exchange([("SET", "large", body), ("GET", "large"), ("ECHO", 1.5)]) == [b"OK", body, b"1.5"]
    await pool.close()


async def test_nobody_there_is_away(world: World) -> None:
    async with redis_that(lambda _r, _w: asyncio.sleep(0)) as port:
        pass
    pool = open_pool(world.settings.model_copy(update={"redis_port": port}))
    with pytest.raises(RedisAway, match=rf"Error 111 connecting to .*:{port}\."):
        await pool.exchange([("PING",)])
    assert pool.losses == 1


def test_what_redis_has_no_bytes_for_is_refused() -> None:
    with pytest.raises(DataError):
        packed([("SET", "a", None)])  # type: ignore[list-item]  # what a bug would send

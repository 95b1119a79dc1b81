"""The live streams of a real process: clients that don't read, and its end."""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from common.clock import wall_ms
from tests.api.live import Address, by_sse, by_websocket, until
from tests.api.test_transport import Server, memory_mb, start
from tests.api.world import World
from tests.chaos.matrix import fault
from tests.conftest import RedisServer

# An event of 40 KB: what a connection's buffers hold is soon full.
MOST = 300  # events; beyond what waits for a client, and what the buffers hold
VALUES = {f"indicator_{number}": number + 0.123456789 for number in range(1_200)}


@pytest.fixture
def server(world: World, redis_server: RedisServer, tmp_path: Path) -> Iterator[Server]:
    running = start({"REDIS_PORT": str(redis_server.port), "SYMBOLS": "EURUSD,GBPUSD"}, tmp_path)
    yield running
    running.process.kill()
    running.process.wait()


def publish(world: World, number: int) -> str:
    """Publish a signal in a pipeline that works at this moment, and return its id."""
    world.lane("EURUSD")
    world.status("EURUSD")
    world.engine(wall_ms=wall_ms())
    world.clock(wall_ms=wall_ms())
    _, made = world.publish("EURUSD", id=f"number {number}", values=VALUES, expires_ms=world.wall.ms + 60_000)
    return made.id


def unread(server: Server) -> connect:
    """Return a WebSocket that takes no more than one message that nobody reads."""
    return connect(f"ws://127.0.0.1:{server.port}/ws/live", max_queue=1, close_timeout=0.1)


async def dropped(address: Address) -> float:
    """Return how many clients were sent away for reading too slowly."""
    async with httpx.AsyncClient(base_url=address.base) as client:
        counters = (await client.get("/metrics/json")).json()["counters"]
    return sum(value for name, value in counters.items() if name.startswith("md_live_clients_dropped_total"))


async def publish_many(world: World, address: Address, count: int, until_one_is_dropped: bool = False) -> int:
    """Publish one after the other, each when a client that reads has the one before; return how many."""
    async with by_sse(address) as reader:
        await reader.next("hello")
        for number in range(count):
            wanted = publish(world, number)
            assert (await reader.next("signal"))["signal"]["id"] == wanted  # others aren't held up
            if until_one_is_dropped and await dropped(address):
                return number + 1
    assert not until_one_is_dropped, "a client that doesn't read was never dropped"
    return count


@pytest.mark.short
@fault(
    "F15",
    row="a live client that doesn't read what it is sent",
    promise="others get each signal; it is sent away, and told why; memory bounded (50 MB more)",
    teeth="api/live/client.py: in end, if False",
)
async def test_a_websocket_that_is_not_read_is_closed_with_a_code_that_says_so(
    world: World, server: Server, measured: Callable[..., None]
) -> None:
    address, before_mb = Address(server.port), memory_mb(server)
    async with unread(server) as slow:
        published = await publish_many(world, address, MOST, until_one_is_dropped=True)
        with pytest.raises(ConnectionClosed) as closed:  # noqa: PT012  # it ends somewhere in there
            for _ in range(published + 1):
                await slow.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4008
        assert closed.value.rcvd.reason.startswith("too_slow: ")
    measured(published=published, more_memory_mb=memory_mb(server) - before_mb)
    assert memory_mb(server) - before_mb < 50


async def test_a_stream_that_is_not_read_ends_with_a_word_that_says_so(world: World, server: Server) -> None:
    address = Address(server.port)
    async with by_sse(address) as slow:
        await publish_many(world, address, MOST, until_one_is_dropped=True)
        assert (await slow.next("closing"))["code"] == "too_slow"
        with pytest.raises(AssertionError, match="ended"):
            await slow.next()


async def test_sigterm_sends_live_clients_away_and_ends_the_process_promptly(server: Server) -> None:
    address = Address(server.port)
    ws = f"ws://127.0.0.1:{server.port}/ws/live"
    async with by_sse(address) as events, connect(ws) as socket, by_websocket(address, "?symbols=GBPUSD") as other:
        await events.next("hello")
        await other.next("hello")
        await socket.recv()
        started_s = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert (await events.next())["code"] == "restarting"
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        await until(lambda: server.process.poll() is not None)
        assert (server.process.poll(), time.monotonic() - started_s < 2.0) == (0, True)


@pytest.mark.short
@fault(
    "F15",
    row="SIGTERM while a live client doesn't read what it is sent",
    promise="the process has ended after 2.5 s, with code 0",
    teeth="api/__main__.py: in shutdown, pass in place of await self._live.close()",
)
async def test_sigterm_does_not_wait_for_a_client_that_does_not_read(
    world: World, server: Server, measured: Callable[..., None]
) -> None:
    async with by_sse(Address(server.port)), unread(server):
        await publish_many(world, Address(server.port), 30)
        started_s = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        await until(lambda: server.process.poll() is not None)
        took_s = time.monotonic() - started_s
    measured(ended_s=took_s)
    assert (server.process.poll(), took_s < 2.5) == (0, True)

"""The api on a real socket in this process, with the test's clock; and clients of its two streams."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest
import uvicorn
from websockets.asyncio.client import ClientConnection, connect

from api.__main__ import server
from api.app import create_app
from api.context import Context, make_context
from api.paths import SOCKET, STREAM
from tests.api.world import World
from tests.support import free_port

DEADLINE_S = 10.0


@dataclass(frozen=True)
class Address:
    """Where an api answers on the loopback."""

    port: int

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True)
class Listening(Address):
    """A server in this process."""

    context: Context
    server: uvicorn.Server

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of a metric's values with these labels."""
        snapshot = self.context.metrics.snapshot()
        return sum(
            sample.value
            for sample in (*snapshot.counters, *snapshot.gauges)
            if sample.name == name and labels.items() <= sample.labels.items()
        )


@asynccontextmanager
async def listening(world: World) -> AsyncIterator[Listening]:
    """Serve the world on a port of its own; the reader of signals has found its place."""
    settings = world.settings.model_copy(update={"api_port": free_port()})
    context = make_context(settings, world.wall, look_around_s=0.0)
    running = server(create_app(context), settings)
    task = asyncio.create_task(running.serve())
    try:
        await until(lambda: running.started and context.publisher.delivered and None not in context.live._position)
        yield Listening(settings.api_port, context, running)
    finally:
        running.should_exit = True
        await task


async def until(holds: Callable[[], bool], within_s: float = DEADLINE_S) -> None:
    """Return as soon as something holds."""
    async with asyncio.timeout(within_s):
        while not holds():  # noqa: ASYNC110  # it lies outside this loop
            await asyncio.sleep(0.005)


@dataclass
class Events:
    """What one client has been told. `ids`: as the transport gives them."""

    lines: AsyncIterator[str]
    ids: list[str] = field(default_factory=list)

    async def next(self, kind: str = "") -> dict:
        """Return the next event (of a kind); AssertionError where the stream has ended."""
        async with asyncio.timeout(DEADLINE_S):
            async for line in self.lines:
                if line.startswith("id: "):
                    self.ids.append(line.removeprefix("id: "))
                if line.startswith(("data: ", "{")):
                    event: dict = json.loads(line.removeprefix("data: "))
                    if kind in ("", event["type"]):
                        return event
        raise AssertionError(f"the stream ended without {kind or 'an event'}")


@asynccontextmanager
async def by_sse(api: Address, query: str = "", headers: dict[str, str] | None = None) -> AsyncIterator[Events]:
    """Connect to the stream of Server-Sent Events."""
    async with (
        httpx.AsyncClient(base_url=api.base, timeout=DEADLINE_S) as client,
        client.stream("GET", STREAM + query, headers=headers) as reply,
    ):
        assert (reply.status_code, reply.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        yield Events(reply.aiter_lines())


@asynccontextmanager
async def by_websocket(api: Address, query: str = "", headers: dict[str, str] | None = None) -> AsyncIterator[Events]:
    """Connect to the WebSocket."""
    address = f"ws://127.0.0.1:{api.port}{SOCKET}{query}"
    async with connect(address, additional_headers=headers) as connection:
        yield Events(_texts(connection))


async def _texts(connection: ClientConnection) -> AsyncIterator[str]:
    async for message in connection:
        yield str(message)


Connect = Callable[..., AbstractAsyncContextManager[Events]]
BOTH = pytest.mark.parametrize("connect", [by_sse, by_websocket])


async def next_signal(events: Events) -> dict:
    """Return the next signal that is pushed."""
    found: dict = (await events.next("signal"))["signal"]
    return found

"""A simulator served over real sockets in the test's own loop, and WebSocket clients of it."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from simulator.app import App
from simulator.market import Market
from simulator.serving import server_of

TWELVEDATA = "twelvedata/stream/v1/quotes/price?apikey=k"


class Stream:
    """A client of one WebSocket."""

    def __init__(self, ws: ClientConnection) -> None:
        self.ws = ws

    async def send(self, order: Any) -> None:
        await self.ws.send(json.dumps(order))

    async def frames(self) -> list[str]:
        """Return all frames that were sent before now: a pong is sent after them."""
        await (await self.ws.ping())
        found: list[str] = []
        while (text := await self._waiting()) is not None:
            found.append(text)
        return found

    async def _waiting(self) -> str | None:
        """Return a frame that has arrived already."""
        taking = asyncio.create_task(self.ws.recv())
        for _ in range(5):
            await asyncio.sleep(0)
        if taking.done():
            return str(taking.result())
        taking.cancel()
        await asyncio.wait([taking])
        return None

    async def next(self) -> Any:
        """Return the next frame as JSON."""
        async with asyncio.timeout(5):
            return json.loads(await self.ws.recv())

    async def end(self) -> int:
        """Return the code with which the server ends the connection."""
        async with asyncio.timeout(5):
            await self.ws.wait_closed()
        return self.ws.close_code or 0


class Simulator:
    """What a test asks of a served simulator."""

    def __init__(self, app: App, port: int, http: httpx.AsyncClient, stack: AsyncExitStack) -> None:
        self.app = app
        self.port = port
        self.http = http
        self._stack = stack

    async def connect(self, path: str, **options: Any) -> Stream:
        ws = await connect(f"ws://127.0.0.1:{self.port}/{path}", **options)
        self._stack.push_async_callback(ws.close)
        return Stream(ws)

    async def get(self, path: str) -> Any:
        reply = await self.http.get(path, headers={"user-agent": "Mozilla/5.0"})
        return reply.json()

    async def go(self, cycle: int) -> None:
        assert (await self.get(f"/sim/clock?after={cycle - 1}"))["cycle"] == cycle

    async def fault(self, vendor: str, fault: str, **more: Any) -> None:
        reply = await self.http.post("/sim/faults", json={"vendor": vendor, "fault": fault, **more})
        assert reply.status_code == 201, reply.text

    async def yahoo(self, *symbols: str) -> Stream:
        stream = await self.connect("yahoo/stream/?version=2")
        await stream.send({"subscribe": symbols})
        await stream.frames()
        return stream

    async def twelvedata(self, *symbols: str) -> Stream:
        stream = await self.connect(TWELVEDATA)
        await stream.send({"action": "subscribe", "params": {"symbols": ",".join(symbols)}})
        assert (await stream.next())["event"] == "subscribe-status"
        return stream

    async def polygon(self, cluster: str, *channels: str) -> Stream:
        stream = await self.connect(f"polygon/stream/{cluster}")
        await stream.next()
        await stream.send({"action": "auth", "params": "k"})
        assert (await stream.next())[0]["status"] == "auth_success"
        await stream.send({"action": "subscribe", "params": ",".join(channels)})
        await stream.next()
        return stream


@asynccontextmanager
async def served(market: Market, *, real: bool = False) -> AsyncIterator[Simulator]:
    """Serve a market until the block ends; closes all clients."""
    app = App(market, real_limits=real)
    listening = socket.socket(proto=socket.IPPROTO_TCP)  # asyncio turns Nagle's delays off only where it sees this
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    port = int(listening.getsockname()[1])
    server = server_of(app, host="127.0.0.1", port=port)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10))
        yield Simulator(app, port, http, stack)
    server.should_exit = True
    await serving

"""What the other end does to a connection that no vendor would: it ends, with patience, and nothing else suffers."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from websockets.asyncio.server import ServerConnection, serve

from collector.push.policy import State
from collector.push.push import Push
from collector.push.sockets import FRAME_LIMIT_BYTES
from collector.reach import Contact
from common.metrics import Metrics
from common.symbols import SymbolTable
from tests.collector.kit import T0, Heard, Now, fault_server, raw
from tests.collector.push.kit import SYMBOLS, Clock, PushServer, asks_for, line_to, live, pushing, until


async def endless(socket: ServerConnection) -> None:
    await socket.send("x" * (FRAME_LIMIT_BYTES + 1))
    await socket.wait_closed()


async def garbage(socket: ServerConnection) -> None:
    await socket.send(b"\xff\xfe\x00")
    await socket.wait_closed()


async def flood(socket: ServerConnection) -> None:
    for _ in range(1_000):
        await socket.send("{}")
    await socket.wait_closed()


@pytest.mark.parametrize(("talk", "detail"), [(endless, "1009"), (garbage, "no JSON"), (flood, "frames a second")])
async def test_what_no_vendor_sends_ends_the_connection_with_growing_patience(
    push_to: PushServer, table: SymbolTable, talk: Callable, detail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.push.connection.FRAMES_PER_SECOND", 200)
    push_to.talk = talk
    async with pushing(table, push_to.url, *SYMBOLS, clock=None) as push:
        await until(lambda: push.lines[0].standing.failures == 1, 10)
        assert detail in push.lines[0].standing.detail
        assert (push.lines[0].standing.state, live(push)) == (State.DOWN, "")
        assert push.take(T0, checks=True) == ()


async def test_a_handshake_that_never_ends_is_given_up(table: SymbolTable) -> None:

    async with fault_server() as server:

        async def drip(heard: Heard, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\n")
            for number in range(1_000):
                writer.write(b"x-%d: 1\r\n" % number)
                await writer.drain()
                await asyncio.sleep(0.01)

        server.behave = drip
        async with pushing(table, server.url.replace("http", "ws"), *SYMBOLS, deadline_s=0.2) as push:
            await until(lambda: push.lines[0].is_tried, 8)  # sooner than the drip ends
            assert push.lines[0].standing.state is State.DOWN


async def test_a_redirect_is_not_followed_not_even_on_the_same_host(push_to: PushServer, table: SymbolTable) -> None:

    async with fault_server() as server:
        location = f"{push_to.url}/elsewhere".encode()
        server.behave = raw(b"HTTP/1.1 302 Found\r\nlocation: " + location + b"\r\ncontent-length: 0\r\n\r\n")
        async with pushing(table, server.url.replace("http", "ws"), *SYMBOLS) as push:
            await until(lambda: push.lines[0].is_tried)
            assert push.lines[0].standing.detail == "status 302 for ***"
        assert push_to.paths == []


async def test_a_server_that_is_not_there_is_tried_again(table: SymbolTable, unused_tcp_port: int) -> None:
    clock = Clock()
    async with pushing(table, f"ws://127.0.0.1:{unused_tcp_port}", *SYMBOLS, clock=clock) as push:
        await until(lambda: push.lines[0].standing.failures >= 3)
        async with serve(lambda socket: socket.wait_closed(), "127.0.0.1", unused_tcp_port):
            await until(lambda: push.lines[0].reconnects == 0 and push.lines[0]._connection is not None)


async def test_what_comes_of_reaching_for_a_vendor_is_told_to_our_network(
    push_to: PushServer, table: SymbolTable, unused_tcp_port: int
) -> None:
    for url, contact in ((push_to.url, Contact.OK), (f"ws://127.0.0.1:{unused_tcp_port}", Contact.UNREACHABLE)):
        told: list[tuple[str, Contact]] = []
        push = Push(table, Metrics("collector"), lambda symbol: table.symbols[symbol].series, lambda *_: None)
        line = line_to(url, push, asks_for(*SYMBOLS), Now())
        line._given = replace(line._given, contact=lambda *heard, to=told: to.append(heard))
        keeping = asyncio.create_task(line.keep())
        await until(lambda heard=told: heard)  # type: ignore[misc]
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        assert told[0] == ("a", contact)

"""WebSockets and the clock: what is sent when, and who can hold it up."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from simulator.csv_source import QUOTE_HEADER
from tests.simulator.kit import START_MS, made, replay, write
from tests.simulator.pricing import decode
from tests.simulator.sockets import TWELVEDATA, Simulator, served

SATURDAY_MS = START_MS + 3 * 86_400_000


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with served(made()) as found:
        yield found


def prices(frames: list[str]) -> dict[str, Any]:
    """Return Yahoo's prices by symbol."""
    return {one["id"]: one["price"] for one in (decode(json.loads(text)["message"]) for text in frames)}


async def test_the_frames_of_a_cycle_have_been_sent_when_the_clock_answers(sim: Simulator) -> None:
    yahoo = await sim.yahoo("EURUSD=X", "NQ=F")
    twelvedata = await sim.twelvedata("EUR/USD")
    polygon = await sim.polygon("forex", "C.EUR/USD", "C.XAU/USD")
    indices = await sim.polygon("indices", "V.I:NDX")
    await sim.go(1)
    frames = [await stream.frames() for stream in (yahoo, twelvedata, polygon, indices)]
    told = (await sim.get("/sim/stats"))["ticks"]
    assert list(prices(frames[0])) == ["EURUSD=X", "NQ=F"]
    assert [json.loads(text)["symbol"] for text in frames[1]] == ["EUR/USD"]
    assert [json.loads(text)[0]["ev"] for text in frames[2] + frames[3]] == ["C", "V"]
    assert told["yahoo"] == {name: {"highest": 1, "distinct": 1} for name in ("EURUSD=X", "NQ=F")}


async def test_pushed_ticks_are_those_that_a_poll_is_told(sim: Simulator) -> None:
    stream = await sim.twelvedata("EUR/USD", "NDX")
    for cycle in range(1, 40):
        await sim.go(cycle)
        for event in map(json.loads, await stream.frames()):
            quote = await sim.get(f"/twelvedata/quote?symbol={event['symbol']}&apikey=k")
            assert (float(quote["close"]), quote["last_quote_at"]) == (event["price"], event["timestamp"])
    told = (await sim.get("/sim/stats"))["ticks"]["twelvedata"]
    assert all(one["distinct"] == one["highest"] for one in told.values())


async def test_a_symbol_without_a_new_tick_has_no_frame(sim: Simulator) -> None:
    stream = await sim.yahoo("EURUSD=X")
    counts = []
    for cycle in range(1, 60):
        before = await sim.http.get("/polygon/v1/last_quote/currencies/EUR/USD?apiKey=k")
        await sim.go(cycle)
        after = await sim.http.get("/polygon/v1/last_quote/currencies/EUR/USD?apiKey=k")
        moved = before.headers["x-sim-ticks"] != after.headers["x-sim-ticks"]
        counts.append(len(await stream.frames()))
        assert counts[-1] == moved
    assert set(counts) == {0, 1}


async def test_a_cycle_that_is_asked_for_again_sends_the_same_frames_again(sim: Simulator) -> None:
    stream = await sim.yahoo("EURUSD=X", "GC=F", "ES=F")
    sent = {}
    for cycle in (1, 2, 3):
        await sim.go(cycle)
        sent[cycle] = await stream.frames()
    for cycle in (3, 3, 2, 3):
        await sim.go(cycle)
        assert await stream.frames() == sent[cycle]
    distinct = (await sim.get("/sim/stats"))["ticks"]["yahoo"]["EURUSD=X"]["distinct"]
    assert distinct == 3


async def test_every_tick_of_a_recording_is_pushed_once_those_of_one_millisecond_too(tmp_path: Path) -> None:
    at_ms = 1_642_374_000_000
    rows = [
        f"{at_ms + ms},1.{n:05d},1.{n + 4:05d}" for n, ms in enumerate((0, 0, 0, 10, 700, 5000, 5000, 9000), 10_000)
    ]
    async with served(replay([write(tmp_path, "EURUSD_Q.csv", QUOTE_HEADER, *rows)])) as sim:
        stream = await sim.polygon("forex", "C.EUR/USD")
        cycle = 0
        while not (found := await sim.get(f"/sim/clock?after={cycle}")).get("done"):
            cycle = found["cycle"]
        events = [event for text in await stream.frames() for event in json.loads(text)]
        told = (await sim.get("/sim/stats"))["ticks"]["polygon"]["C:EURUSD"]
    assert [f"{one['t']},{one['b']:.5f},{one['a']:.5f}" for one in events] == rows
    assert told == {"highest": 8, "distinct": 8}


async def test_a_cycle_far_ahead_has_one_frame_for_each_symbol_at_most(sim: Simulator) -> None:
    stream = await sim.yahoo("EURUSD=X", "NQ=F")
    await sim.go(1)
    await stream.frames()
    await sim.go(5000)
    assert len(await stream.frames()) <= 2


async def test_frames_go_to_those_only_who_are_subscribed(sim: Simulator) -> None:
    one, other, idle = await sim.yahoo("EURUSD=X"), await sim.yahoo("NQ=F"), await sim.yahoo()
    await sim.go(1)
    found = [list(prices(await stream.frames())) for stream in (one, other, idle)]
    assert found == [["EURUSD=X"], ["NQ=F"], []]


async def test_a_closed_market_has_no_frames() -> None:
    async with served(made(start_ms=SATURDAY_MS)) as sim:
        stream = await sim.yahoo("EURUSD=X", "NQ=F", "^NDX")
        for cycle in range(1, 20):
            await sim.go(cycle)
        assert await stream.frames() == []


async def test_with_real_limits_futures_are_pushed_as_late_as_they_are_polled() -> None:
    async with served(made(real=True), real=True) as sim:
        stream = await sim.yahoo("NQ=F", "EURUSD=X")
        await sim.go(601)
        times = {one["id"]: one["time"] for one in (decode(json.loads(t)["message"]) for t in await stream.frames())}
        assert times["NQ=F"] <= START_MS + 1000
        assert START_MS + 599_000 <= times["EURUSD=X"] <= START_MS + 601_000


async def test_nobody_connected_costs_the_clock_nothing(sim: Simulator) -> None:
    await sim.go(1)
    assert (await sim.get("/sim/stats"))["streams"] == {}


@asynccontextmanager
async def _stalled(sim: Simulator) -> AsyncIterator[None]:
    """Connect a client that never reads, with as little room for what is unread as there can be."""
    loop = asyncio.get_running_loop()
    order = b'{"action":"subscribe","params":{"symbols":"EUR/USD,GBP/USD,XAU/USD,NDX,SPX,DJI"}}'
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        raw.setblocking(False)
        await loop.sock_connect(raw, ("127.0.0.1", sim.port))
        head = (
            f"GET /{TWELVEDATA} HTTP/1.1\r\nHost: sim\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        await loop.sock_sendall(raw, head.encode())
        assert b" 101 " in await loop.sock_recv(raw, 1024)
        await loop.sock_sendall(raw, bytes((0x81, 0x80 | len(order))) + bytes(4) + order)  # a frame, masked with zeros
        transport = sim.app.streams.connections[0].transport
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1024)
        yield


async def test_a_client_that_does_not_read_is_cut_off_and_never_holds_the_clock(sim: Simulator) -> None:
    async with _stalled(sim):
        good = await sim.twelvedata("EUR/USD")
        longest_s = 0.0
        for cycle in range(1, 2000):
            began_s = time.monotonic()
            await sim.go(cycle)
            longest_s = max(longest_s, time.monotonic() - began_s)
            await good.frames()
            if sim.app.ledger.streams["twelvedata"]["cut_off"]:
                break
        stats = (await sim.get("/sim/stats"))["streams"]["twelvedata"]
    assert (stats["opened"], stats["cut_off"], stats["closed"], stats["open"]) == (2, 1, 1, 1)
    assert longest_s < 2


async def test_a_client_that_has_gone_is_forgotten(sim: Simulator) -> None:
    stream = await sim.yahoo("EURUSD=X")
    stream.ws.transport.abort()
    for cycle in range(1, 5):
        await sim.go(cycle)
    assert (await sim.get("/sim/stats"))["streams"]["yahoo"]["open"] == 0


async def test_connections_frames_and_ticks_are_counted_without_the_key(sim: Simulator) -> None:
    stream = await sim.connect("twelvedata/stream/v1/quotes/price?apikey=secretkey")
    await stream.send({"action": "subscribe", "params": {"symbols": "EUR/USD"}})
    await stream.next()
    await sim.go(1)
    await stream.frames()
    assert (await sim.get("/sim/stats"))["streams"] == {"twelvedata": {"open": 1, "opened": 1, "frames": 2, "ticks": 1}}
    (entry,) = await sim.get("/sim/ledger?vendor=twelvedata")
    assert entry == {
        "number": 1, "cycle": 0, "now_ms": START_MS, "vendor": "twelvedata", "path": "/stream/v1/quotes/price",
        "verdict": "stream", "status": 101, "credits": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    "path",
    ["yahoo/elsewhere", "yahoo/stream/x", "alphavantage/stream/", "polygon/stream/stocks", "twelvedata/stream/", "sim"],
)
async def test_other_paths_refuse_the_handshake(sim: Simulator, path: str) -> None:
    with pytest.raises(InvalidStatus) as error:
        await sim.connect(path)
    assert error.value.response.status_code == 404


async def test_a_stream_is_no_page(sim: Simulator) -> None:
    reply = await sim.http.get("/polygon/stream/forex?apiKey=k")
    assert reply.status_code == 404

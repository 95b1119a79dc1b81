"""Each fault of WebSockets on demand, over real connections."""

import asyncio
import binascii
import json
from collections.abc import AsyncIterator

import pytest
from websockets.exceptions import InvalidHandshake, InvalidStatus

from tests.simulator.kit import made
from tests.simulator.pricing import decode
from tests.simulator.sockets import TWELVEDATA, Simulator, served

QUOTE = "/twelvedata/quote?symbol=EUR/USD&apikey=k"


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with served(made(symbols=("EURUSD", "XAUUSD"))) as found:
        yield found


async def told(sim: Simulator) -> int:
    ticks = (await sim.get("/sim/stats"))["ticks"]
    return int(ticks.get("twelvedata", {}).get("EUR/USD", {}).get("distinct", 0))


async def test_a_silent_stream_is_open_and_confirms_but_tells_no_price(sim: Simulator) -> None:
    await sim.fault("twelvedata", "silent", from_cycle=2, cycles=2)
    stream = await sim.twelvedata("EUR/USD")
    counts = []
    for cycle in range(1, 9):
        await sim.go(cycle)
        counts.append(len(await stream.frames()))
        await stream.send({"action": "heartbeat"})
        assert await stream.next() == {"event": "heartbeat", "status": "ok"}
    assert (counts[0], counts[1:3]) == (1, [0, 0])
    assert await told(sim) == sum(counts) > 3
    assert (await sim.http.get(QUOTE)).status_code == 200


@pytest.mark.parametrize(("value", "code"), [(None, 1001), (1011, 1011), (1006, 1006)])
async def test_an_open_stream_can_be_closed_cleanly_or_broken(sim: Simulator, value: int | None, code: int) -> None:
    stream = await sim.twelvedata("EUR/USD")
    await sim.fault("twelvedata", "close", count=1, **({} if value is None else {"value": value}))
    await sim.go(1)
    assert await stream.end() == code
    assert await told(sim) == 0
    again = await sim.twelvedata("EUR/USD")
    await sim.go(2)
    assert len(await again.frames()) == 1


@pytest.mark.parametrize("fault", ["reset", "outage"])
async def test_a_reset_and_an_outage_break_open_streams(sim: Simulator, fault: str) -> None:
    stream = await sim.twelvedata("EUR/USD")
    await sim.fault("twelvedata", fault, channel="stream", count=1)
    await sim.go(1)
    assert await stream.end() == 1006


async def test_an_outage_breaks_polls_streams_and_handshakes_until_it_is_taken_back(sim: Simulator) -> None:
    stream = await sim.twelvedata("EUR/USD")
    await sim.fault("twelvedata", "outage")
    await sim.go(1)
    assert await stream.end() == 1006
    with pytest.raises((OSError, InvalidHandshake)):
        await sim.connect(TWELVEDATA)
    with pytest.raises(Exception, match=r".*"):
        await sim.http.get(QUOTE)
    await sim.http.delete("/sim/faults")
    assert (await sim.http.get(QUOTE)).status_code == 200
    await sim.twelvedata("EUR/USD")


@pytest.mark.parametrize(
    ("vendor", "path", "words"),
    [
        ("yahoo", "yahoo/stream/?version=2", b"Too Many Requests"),
        ("twelvedata", TWELVEDATA, b'"code":429'),
        ("polygon", "polygon/stream/forex", b"exceeded the maximum requests"),
    ],
)
async def test_handshakes_are_refused_in_the_vendors_own_words(
    sim: Simulator, vendor: str, path: str, words: bytes
) -> None:
    found = []
    for fault, value in (("403", None), ("429", None), ("500", 503)):
        await sim.fault(vendor, fault, count=1, channel="stream", **({"value": value} if value else {}))
        with pytest.raises(InvalidStatus) as error:
            await sim.connect(path)
        found.append(error.value.response)
    assert [reply.status_code for reply in found] == [403, 429, 503]
    assert words in (found[1].body or b"")
    await sim.connect(path)
    entries = await sim.get(f"/sim/ledger?vendor={vendor}")
    assert [(one["verdict"], one["status"]) for one in entries] == [
        ("fault:403", 403), ("fault:429", 429), ("fault:500", 503), ("stream", 101),
    ]  # fmt: skip
    assert (await sim.get("/sim/stats"))["streams"][vendor]["refused"] == 3


async def test_a_handshake_can_hang_or_be_answered_by_a_page_or_by_another_place(sim: Simulator) -> None:
    await sim.fault("yahoo", "hang", count=1)
    with pytest.raises(TimeoutError):
        await sim.connect("yahoo/stream/", open_timeout=0.2)
    await sim.fault("yahoo", "html", count=1)
    with pytest.raises(InvalidStatus) as error:
        await sim.connect("yahoo/stream/")
    assert (error.value.response.status_code, (error.value.response.body or b"")[:15]) == (200, b"<!DOCTYPE html>")
    await sim.fault("yahoo", "redirect", count=1)
    with pytest.raises(ConnectionRefusedError):  # this client follows: nobody is at that place
        await sim.connect("yahoo/stream/")


async def test_an_open_stream_that_hangs_answers_no_ping_until_it_is_over(sim: Simulator) -> None:
    stream = await sim.twelvedata("EUR/USD")
    await sim.fault("twelvedata", "hang", channel="stream", from_cycle=1, cycles=3)
    await sim.go(1)
    pong = asyncio.ensure_future(await stream.ws.ping())
    for cycle in (2, 3):
        await sim.go(cycle)
    assert not pong.done()
    await sim.go(4)
    async with asyncio.timeout(5):
        await pong
    assert len(await stream.frames()) == 1


async def test_garbage_and_truncated_frames_tell_nothing(sim: Simulator) -> None:
    stream = await sim.yahoo("EURUSD=X")
    polygon = await sim.polygon("forex", "C.EUR/USD")
    for vendor in ("yahoo", "polygon"):
        await sim.fault(vendor, "garbage", count=1)
        await sim.fault(vendor, "truncate", count=1)
    for cycle in (1, 2, 3):
        await sim.go(cycle)
    noise, cut, good = await stream.frames()
    with pytest.raises(json.JSONDecodeError):
        json.loads(noise)
    with pytest.raises(binascii.Error):  # the envelope is whole, what is inside is not
        decode(json.loads(cut)["message"])
    assert decode(json.loads(good)["message"])["id"] == "EURUSD=X"
    for text in (await polygon.frames())[:2]:
        with pytest.raises(json.JSONDecodeError):
            json.loads(text)
    assert (await sim.get("/sim/stats"))["ticks"]["yahoo"]["EURUSD=X"]["distinct"] == 1


async def test_a_slow_stream_tells_its_prices_later(sim: Simulator) -> None:
    stream = await sim.twelvedata("EUR/USD")
    await sim.fault("twelvedata", "latency", count=1, value=0.15)
    await sim.go(1)
    assert await stream.frames() == []
    assert await told(sim) == 0
    assert (await stream.next())["event"] == "price"
    await sim.go(2)
    assert len(await stream.frames()) == 1


async def test_a_wrong_price_is_wrong_by_the_factor_asked_for(sim: Simulator) -> None:
    stream = await sim.twelvedata("EUR/USD")
    await sim.fault("twelvedata", "wrong_price", channel="stream", count=1, value=2.0)
    await sim.go(1)
    right = float((await sim.get(QUOTE))["close"])
    (event,) = [json.loads(text) for text in await stream.frames()]
    assert event["price"] == round(right * 2, 5)


async def test_polls_and_streams_are_struck_apart(sim: Simulator) -> None:
    await sim.fault("twelvedata", "500", channel="rest")
    stream = await sim.twelvedata("EUR/USD")
    assert (await sim.http.get(QUOTE)).status_code == 500
    await sim.http.delete("/sim/faults")
    await sim.fault("twelvedata", "wrong_price", path="/stream", value=3.0)
    await sim.go(1)
    right = float((await sim.get(QUOTE))["close"])
    (event,) = [json.loads(text) for text in await stream.frames()]
    assert event["price"] == round(right * 3, 5)


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ({"fault": "silent", "channel": "rest"}, "silent never strikes channel rest"),
        ({"fault": "slow_drip", "channel": "stream"}, "slow_drip never strikes channel stream"),
        ({"fault": "close", "value": 999}, "expected a close code"),
        ({"fault": "close", "channel": "socket"}, "channel"),
    ],
)
async def test_an_order_that_makes_no_sense_is_refused(sim: Simulator, order: dict[str, object], words: str) -> None:
    reply = await sim.http.post("/sim/faults", json={"vendor": "yahoo", **order})
    assert reply.status_code == 400
    assert words in reply.json()["error"]

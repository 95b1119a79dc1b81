"""What live clients may ask for, what bounds them, and how they come back and go."""

import asyncio
import json

import httpx
import pytest
from pydantic import SecretStr
from websockets.asyncio.client import connect as websocket
from websockets.exceptions import ConnectionClosed

from api.__main__ import SHUTDOWN_WITHIN_S
from tests.api.live import BOTH, Connect, Listening, by_sse, by_websocket, listening, next_signal, until
from tests.api.test_openapi import DOCUMENT, valid
from tests.api.world import World

# -- what a client asks for ------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("symbols", ["GBPUSD,NAS100", "US100.e,GBPUSD"])
async def test_a_client_gets_the_symbols_that_it_names(world: World, connect: Connect, symbols: str) -> None:
    world.alive("EURUSD", "GBPUSD", "NAS100")
    async with listening(world) as api, connect(api, f"?equity=100000&symbols={symbols}") as events:
        assert (await events.next("hello"))["symbols"] == ["GBPUSD", "NAS100"]
        for symbol in ("EURUSD", "NAS100", "EURUSD", "GBPUSD"):
            world.publish(symbol)
        assert [(await next_signal(events))["symbol"] for _ in range(2)] == ["NAS100", "GBPUSD"]


@BOTH
async def test_a_client_that_comes_back_gets_what_it_missed_and_nothing_twice(world: World, connect: Connect) -> None:
    world.alive("EURUSD", "GBPUSD", "US500")
    async with listening(world) as api:
        async with connect(api, "?equity=100000") as events:
            await events.next("hello")
            world.publish("EURUSD")
            last = (await events.next("signal"))["event_id"]
        await until(lambda: api.metric("md_live_clients") == 0)
        between, _ = world.publish("GBPUSD")
        world.publish("US500")
        for query, headers in ((f"&since={last}", {}), ("&since=1", {"last-event-id": last})):
            async with connect(api, f"?equity=100000{query}", headers=headers) as events:
                hello = await events.next("hello")
                assert (hello["event_id"], hello["resumed"], hello["complete"]) == (last, True, True)
                assert [(await next_signal(events))["symbol"] for _ in range(2)] == ["GBPUSD", "US500"]
        async with connect(api, f"?equity=100000&since={between}") as events:
            assert (await next_signal(events))["symbol"] == "US500"
            world.publish("GBPUSD", id="another")
            assert (await next_signal(events))["id"] == "another"


@BOTH
async def test_what_expired_meanwhile_is_not_pushed(world: World, connect: Connect) -> None:
    world.alive("EURUSD", "GBPUSD")
    async with listening(world) as api:
        first, _ = world.publish("GBPUSD")
        world.publish("EURUSD")
        world.wall.ms += 3_000
        world.alive("EURUSD", "GBPUSD")
        world.publish("GBPUSD", id="fresh")
        async with connect(api, f"?since={first}") as events:
            assert (await next_signal(events))["id"] == "fresh"
        assert api.metric("md_live_withheld_total", reason="expired") == 1


async def test_a_client_that_begins_from_zero_gets_what_may_be_acted_on_now(world: World) -> None:
    world.alive("EURUSD")
    async with listening(world) as api:
        world.publish("EURUSD")
        async with by_sse(api, "?since=0") as events:
            assert (await events.next("hello"))["complete"] is False  # who knows what was before
            assert (await next_signal(events))["symbol"] == "EURUSD"


async def test_what_is_gone_from_the_stream_is_said_to_be_missing(world: World) -> None:
    world.alive("EURUSD")
    first, _ = world.publish("EURUSD")
    world.publish("EURUSD")
    world.redis.xtrim("{0}:signals", maxlen=1, approximate=False)
    async with listening(world) as api, by_sse(api, f"?since={first}") as events:
        hello = await events.next("hello")
        assert (hello["resumed"], hello["complete"]) == (True, False)


@BOTH
@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("?since=yesterday", 422), ("?since=1-2-3", 422), ("?since=%D9%A1", 422), ("?equity=0", 422),
        ("?equity=nan", 422), ("?symbols=NOPE", 404), ("?symbols=", 422), ("?equity=1&equity=2", 422),
        ("?x=" + "y" * 2_000, 414),
    ],
)  # fmt: skip
async def test_a_wrong_question_is_refused_in_the_usual_shape(
    world: World, connect: Connect, query: str, status: int
) -> None:
    async with listening(world) as api:
        assert await refusal(api, connect, query) == (status, {"code", "message", "expected", "found"})
        assert api.metric("md_live_clients") == 0


async def refusal(
    api: Listening, connect: Connect, query: str = "", headers: dict[str, str] | None = None
) -> tuple[int, set[str]]:
    """Return the status of a refused connection, and what its error tells."""
    path, more = "/api/v1/stream", headers or {}
    if connect is by_websocket:
        path, more = "/ws/live", more | {
            "connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13",
            "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        }  # fmt: skip
    async with httpx.AsyncClient(base_url=api.base) as client:
        reply = await client.get(path + query, headers=more)
        return reply.status_code, set(reply.json()["error"])


async def test_a_page_from_elsewhere_gets_no_websocket(world: World) -> None:
    async with listening(world) as api:
        assert (await refusal(api, by_websocket, headers={"origin": "https://evil.example"}))[0] == 403
        assert (await refusal(api, by_websocket, headers={"origin": "null"}))[0] == 403
        async with by_websocket(api, headers={"origin": api.base}) as events:
            await events.next("hello")
    settings = world.settings.model_copy(update={"api_token": SecretStr("let-me-in")})
    async with (
        listening(World(world.redis, settings, world.wall)) as api,
        by_websocket(api, "?token=let-me-in", headers={"origin": "https://mine.example"}) as events,
    ):
        await events.next("hello")


@BOTH
async def test_every_event_is_as_the_document_says(
    world: World, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.live.conversation.HEARTBEAT_S", 0.05)
    world.alive("EURUSD")
    async with listening(world) as api, connect(api) as events:
        found = [await events.next("hello"), await events.next("heartbeat")]
        world.publish("EURUSD")
        found.append(await events.next("signal"))
        if connect is by_sse:
            api.server.should_exit = True
            found.append(await events.next("closing"))
        for event in found:
            valid(DOCUMENT["components"]["schemas"]["LiveEvent"], event)


# -- bounds ----------------------------------------------------------------------------------------


@BOTH
async def test_a_client_too_many_is_refused_until_one_has_left(
    world: World, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.live.feed.CLIENTS", 2)
    async with listening(world) as api, by_sse(api) as one, by_websocket(api) as other:
        for events in (one, other):
            await events.next("hello")
        assert (await refusal(api, connect))[0] == 503
        async with httpx.AsyncClient(base_url=api.base) as client:
            reply = await client.get("/api/v1/stream")
            assert (reply.json()["error"]["code"], reply.headers["retry-after"]) == ("too_many_clients", "10")
    async with listening(world) as api:
        async with by_sse(api), connect(api):
            await until(lambda: api.metric("md_live_clients") == 2)
        await until(lambda: api.metric("md_live_clients") == 0)
        async with connect(api) as events:
            await events.next("hello")


@BOTH
async def test_a_token_is_needed_where_one_is_set(world: World, connect: Connect) -> None:
    settings = world.settings.model_copy(update={"api_token": SecretStr("let-me-in")})
    async with listening(World(world.redis, settings, world.wall)) as api:
        assert (await refusal(api, connect))[0] == 401
        assert (await refusal(api, connect, "?token=wrong"))[0] == 401
        async with connect(api, "?token=let-me-in") as events:
            await events.next("hello")
        async with connect(api, headers={"authorization": "Bearer let-me-in"}) as events:
            await events.next("hello")


@BOTH
async def test_a_heartbeat_says_where_one_is_and_nothing_cuts_a_reply_that_goes_on(
    world: World, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.live.conversation.HEARTBEAT_S", 0.05)
    monkeypatch.setattr("api.protocol.REQUEST_WITHIN_S", 0.2)
    world.alive("EURUSD")
    async with listening(world) as api, connect(api, "?symbols=GBPUSD") as events:
        first = await events.next("heartbeat")
        entry_id, _ = world.publish("EURUSD")
        while first["event_id"] != entry_id:
            first = await events.next("heartbeat")
        for _ in range(10):
            assert (await events.next())["event_id"] == entry_id


async def test_a_client_that_takes_nothing_for_too_long_is_sent_away(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.live.client.QUEUE", 1_000_000)
    monkeypatch.setattr("api.live.conversation.TAKEN_WITHIN_S", 0.2)
    world.alive("EURUSD")
    values = {f"indicator_{number}": number + 0.123456789 for number in range(1_200)}
    async with listening(world) as api, by_sse(api) as unread:

        def dropped() -> bool:
            return api.metric("md_live_clients_dropped_total", transport="sse") == 1

        async def told_or_dropped(count: int) -> None:
            await until(lambda: dropped() or api.metric("md_live_signals_total") == count)

        for number in range(300):  # 12 MB: more than a connection's buffers hold
            world.publish("EURUSD", id=f"number {number}", values=values)
            await told_or_dropped(number + 1)
            if dropped():
                break
        assert (await unread.next("closing"))["code"] == "too_slow"


async def test_what_a_client_says_is_not_looked_at_and_too_much_of_it_ends_the_connection(world: World) -> None:
    world.alive("EURUSD")
    async with listening(world) as api, websocket(f"ws://127.0.0.1:{api.port}/ws/live") as socket:
        for _ in range(100):
            await socket.send('{"equity": 1}')
        await (await socket.ping())
        world.publish("EURUSD")
        assert [json.loads(await socket.recv())["type"] for _ in range(2)] == ["hello", "signal"]
        await socket.send("x" * 5_000)
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009  # message too big
        await until(lambda: api.metric("md_live_clients") == 0)


async def test_a_connection_that_speaks_no_websocket_after_its_handshake_is_ended(world: World) -> None:
    handshake = (
        b"GET /ws/live HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    async with listening(world) as api:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
        writer.write(handshake)
        await reader.readuntil(b"hello")
        writer.write(b"GET / HTTP/1.1\r\n\r\n" * 10)
        async with asyncio.timeout(5):
            await reader.read()  # to its end
        writer.close()
        await until(lambda: api.metric("md_live_clients") == 0)


async def test_a_client_that_goes_is_forgotten(world: World) -> None:
    async with listening(world) as api:
        async with by_websocket(api) as one, by_sse(api) as other:
            for events in (one, other):
                await events.next("hello")
        await until(lambda: api.metric("md_live_clients") == 0)
        await until(lambda: api.metric("md_http_requests_total", route="/ws/live", status="101") == 1)
        await until(lambda: api.metric("md_http_requests_total", route="/api/v1/stream", status="200") == 1)


async def test_only_the_live_path_speaks_websocket(world: World) -> None:
    upgrade = {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13", "sec-websocket-key": "a"}
    async with listening(world) as api, httpx.AsyncClient(base_url=api.base) as client:
        assert (await client.get("/api/signals", headers=upgrade)).json()["count"] == 0
        plain = await client.get("/ws/live")
        assert (plain.status_code, plain.headers["upgrade"]) == (426, "websocket")
        head = await client.head("/api/v1/stream")
        assert (head.status_code, head.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")


async def test_a_server_that_stops_sends_its_clients_away_and_does_not_wait_for_them(world: World) -> None:
    loop = asyncio.get_running_loop()
    async with listening(world) as api, by_sse(api) as events:
        await events.next("hello")
        started_s = loop.time()
        api.server.should_exit = True
        assert (await events.next())["code"] == "restarting"
        await until(lambda: not api.context.live._clients)
        assert loop.time() - started_s < SHUTDOWN_WITHIN_S / 2

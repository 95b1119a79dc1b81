"""The live streams: each signal once, as /api/signals would serve it at that moment, and nothing else."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import httpx
import pytest

from common.messages import encode
from tests.api.live import Events, Listening, by_sse, by_websocket, listening, until
from tests.api.test_account_rules import trading
from tests.api.test_posts import FILL
from tests.api.world import NOON_MS, World, signal_for

Connect = Callable[..., AbstractAsyncContextManager[Events]]
BOTH = pytest.mark.parametrize("connect", [by_sse, by_websocket])


async def signals_of(api: Listening, query: str = "") -> dict:
    async with httpx.AsyncClient(base_url=api.base) as client:
        found: dict = (await client.get(f"/api/v1/signals{query}")).json()
        return found


async def next_signal(events: Events) -> dict:
    """Return the next signal that is pushed."""
    found: dict = (await events.next("signal"))["signal"]
    return found


@BOTH
@pytest.mark.parametrize("query", ["", "?equity=777.77", "?equity=250000"])
async def test_a_signal_is_pushed_as_v1_serves_it_at_that_instant(world: World, connect: Connect, query: str) -> None:
    world.alive("EURUSD")
    async with listening(world) as api, connect(api, query) as events:
        await events.next("hello")
        entry_id, _ = world.publish("EURUSD", stop_loss=1.08700123, data_score=0.9)
        event = await events.next()
        served = await signals_of(api, query)
        assert [event["signal"]] == served["signals"]
        assert (event["equity"], event["currency"]) == (served["equity"], served["currency"])
        assert (event["type"], event["event_id"], event["timestamp"]) == ("signal", entry_id, served["timestamp"])


async def test_its_entrys_id_is_the_id_of_the_event(world: World) -> None:
    world.alive("EURUSD")
    async with listening(world) as api, by_sse(api) as events:
        await events.next("hello")
        entry_id, _ = world.publish("EURUSD")
        await events.next("signal")
        assert events.ids[-1] == entry_id


@BOTH
async def test_each_signal_is_pushed_once_to_every_client(world: World, connect: Connect) -> None:
    world.alive("EURUSD", "GBPUSD")
    async with listening(world) as api, connect(api) as one, connect(api) as other:
        for events in (one, other):
            await events.next("hello")
        world.publish("EURUSD")
        for events in (one, other):
            assert (await next_signal(events))["symbol"] == "EURUSD"
        world.publish("GBPUSD")
        for events in (one, other):
            assert (await events.next())["signal"]["symbol"] == "GBPUSD"
        assert api.metric("md_live_signals_total") == 4
        assert api.metric("md_live_clients") == 2
        assert world.redis.info("clients")["blocked_clients"] == 1  # one reader for all
    assert api.metric("md_live_clients") == 0


async def test_what_redis_brings_again_after_a_rollback_is_not_pushed_again(world: World) -> None:
    world.alive("EURUSD", "GBPUSD")
    async with listening(world) as api, by_sse(api) as events:
        await events.next("hello")
        world.publish("EURUSD")
        await events.next("signal")
        world.publish("EURUSD")
        world.publish("GBPUSD")
        assert (await next_signal(events))["symbol"] == "GBPUSD"


async def test_a_stream_that_began_anew_behind_our_place_is_read_from_its_beginning(world: World) -> None:
    world.alive("EURUSD")
    world.redis.xadd("{0}:signals", {b"m": b"x"}, id="99999999999999-0")  # of a clock that was ahead
    async with listening(world) as api, by_sse(api) as events:
        assert (await events.next("hello"))["event_id"] == "99999999999999-0"
        world.redis.delete("{0}:signals")
        world.publish("EURUSD")
        assert (await next_signal(events))["symbol"] == "EURUSD"


def stale(world: World) -> None:
    world.lane("EURUSD", age_ms=31_000)


def late(world: World) -> None:
    world.lane("EURUSD", delay_ms=600_000)


def dead_collector(world: World) -> None:
    world.clock(wall_ms=world.wall.ms - 3_001)


def stopped_engine(world: World) -> None:
    world.engine(wall_ms=world.wall.ms - 2_001)


def without_source(world: World) -> None:
    world.status("EURUSD", "withheld", "no source, withheld")


@BOTH
@pytest.mark.parametrize(
    ("spoil", "changes", "reason"),
    [
        (stale, {}, "data_stale"),
        (late, {}, "delayed_class"),
        (dead_collector, {}, "collector_silent"),
        (stopped_engine, {}, "engine_not_current"),
        (without_source, {}, "no_source"),
        (None, {"expires_ms": NOON_MS}, "expired"),
        (None, {"stop_loss": 1.09}, "wrong_side"),
        (None, {"source_class": "other"}, "wrong_class"),
    ],
)
async def test_what_is_not_served_is_not_pushed(
    world: World,
    connect: Connect,
    spoil: Callable[[World], None] | None,
    changes: dict[str, object],
    reason: str,
) -> None:
    world.alive("EURUSD", "GBPUSD")
    async with listening(world) as api, connect(api) as events:
        await events.next("hello")
        if spoil is not None:
            spoil(world)
        world.publish("EURUSD", **changes)
        await until(lambda: api.metric("md_live_withheld_total", reason=reason) == 1)
        world.alive("GBPUSD")
        world.publish("GBPUSD")
        assert (await events.next())["signal"]["symbol"] == "GBPUSD"


async def test_a_reported_fill_silences_the_symbol(world: World) -> None:
    world.alive("NAS100", "EURUSD")
    async with listening(world) as api, by_sse(api, "?equity=100000") as events:
        async with httpx.AsyncClient(base_url=api.base) as client:
            assert (await client.post("/api/v1/executions", content=FILL)).status_code == 200
        world.publish("NAS100")
        await until(lambda: api.metric("md_live_withheld_total", reason="position_open") == 1)
        world.publish("EURUSD")
        assert (await next_signal(events))["symbol"] == "EURUSD"


async def test_a_size_below_the_minimum_is_no_signal_for_this_client_only(world: World) -> None:
    world.alive("EURUSD", "GBPUSD")
    async with listening(world) as api, by_sse(api, "?equity=100") as poor, by_sse(api, "?equity=100000") as rich:
        for events in (poor, rich):
            await events.next("hello")
        world.publish("EURUSD")
        assert (await next_signal(rich))["lots"] == 9.17  # as for /api/signals: 1,000 USD over 109 USD a lot
        await until(lambda: api.metric("md_live_withheld_total", reason="size_below_minimum") == 1)


async def test_an_older_signal_of_the_symbol_is_not_pushed(world: World) -> None:
    world.alive("EURUSD")
    async with listening(world) as api, by_sse(api) as events:
        await events.next("hello")
        _, first = world.publish("EURUSD")
        assert (await next_signal(events))["id"] == first.id
        older = signal_for("EURUSD", world.wall.ms, id="older")
        world.redis.xadd("{0}:signals", {"m": encode(older)})  # its key holds the other one
        await until(lambda: api.metric("md_live_withheld_total", reason="superseded") == 1)


async def test_reports_that_are_still_being_delivered_are_waited_for(world: World) -> None:
    world.alive("EURUSD")
    async with listening(world) as api, by_sse(api) as events:
        await events.next("hello")
        api.context.pool.losses += 1  # as after a broken connection: nothing is served until the journal was replayed
        world.publish("EURUSD")
        assert (await next_signal(events))["symbol"] == "EURUSD"


async def test_the_equity_of_a_live_client_is_no_observation_of_the_account(world: World) -> None:
    trading(world)
    async with listening(world) as api, by_sse(api, "?equity=5000") as events:
        await events.next("hello")
        assert api.context.sightings.equity is None
        assert api.context.sightings.poll_wall_ms is None


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
        ("?equity=nan", 422), ("?symbols=NOPE", 404), ("?equity=1&equity=2", 422), ("?x=" + "y" * 2_000, 414),
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
    settings = world.settings.model_copy(update={"api_token": type(world.settings.api_token)("let-me-in")})
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
        assert loop.time() - started_s < 1.0

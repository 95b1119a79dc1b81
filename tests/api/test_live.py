"""The live streams: each signal once, as /api/signals would serve it at that moment, and nothing else."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from common.messages import encode
from tests.api.history import write_nothing
from tests.api.live import BOTH, Connect, Listening, by_sse, listening, next_signal, until
from tests.api.test_account_rules import trading
from tests.api.test_posts import FILL
from tests.api.world import NOON_MS, World, settings_for, signal_for
from tests.conftest import RedisServer


async def signals_of(api: Listening, query: str = "") -> dict:
    async with httpx.AsyncClient(base_url=api.base) as client:
        found: dict = (await client.get(f"/api/v1/signals{query}")).json()
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


async def test_under_rules_only_the_best_is_pushed_and_the_account_is_judged_by_what_was_observed(
    world: World, tmp_path: Path
) -> None:
    values = {"account_rules": "ftmo_2step", "account_start_balance": 100_000.0}
    ruled = World(world.redis, settings_for(world.settings.redis_port, tmp_path, **values), world.wall)
    write_nothing(ruled.settings.database_path)
    world.alive("EURUSD", "GBPUSD")
    async with listening(ruled) as api, by_sse(api, "?equity=100000") as events:
        await events.next("hello")
        world.publish("EURUSD", quality=5.0)
        await until(lambda: api.metric("md_live_withheld_total", reason="account_unknown") == 1)
        async with httpx.AsyncClient(base_url=api.base) as client:
            await client.post("/api/v1/heartbeat", content='{"equity":100000,"balance":100000}')
        world.publish("GBPUSD", quality=7.0)
        assert (await next_signal(events))["symbol"] == "GBPUSD"
        world.publish("EURUSD", quality=6.0, id="the lesser one")
        await until(lambda: api.metric("md_live_withheld_total", reason="outranked") == 1)


async def test_signals_are_pushed_again_after_redis_was_silent(world: World, redis_server: RedisServer) -> None:
    world.alive("EURUSD")
    async with listening(world) as api, by_sse(api) as events:
        await events.next("hello")
        os.kill(redis_server.process.pid, signal.SIGSTOP)
        try:
            async with httpx.AsyncClient(base_url=api.base) as client:
                assert (await client.get("/api/v1/signals")).status_code == 503
        finally:
            os.kill(redis_server.process.pid, signal.SIGCONT)
        world.publish("EURUSD")
        assert (await next_signal(events))["symbol"] == "EURUSD"

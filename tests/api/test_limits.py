"""What bounds the api: a stream's budget, the rate of reports, the size of the journal, the pool; and its own end."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import redis

from api import ledger
from api.app import create_app
from api.background import keep_house
from api.context import Context, make_context
from api.journal import Journal, Report
from common import keys
from common.heartbeat import decode_pulse
from tests.api.test_health import working
from tests.api.test_posts import CLOSE, FILL, STOP, bodies, entries
from tests.api.world import NOON_MS, World, serving

Api = tuple[httpx.AsyncClient, Context]


def limited(world: World, **changes: object) -> World:
    return World(world.redis, world.settings.model_copy(update=changes), world.wall)


def fill(number: int) -> str:
    return FILL.replace("123456", str(number))


async def until_delivered(context: Context) -> None:
    async with asyncio.timeout(5):
        while not context.publisher.delivered:
            await context.publisher.publish()


# -- the streams' budget ---------------------------------------------------------------------------


async def test_at_the_budget_reports_wait_in_the_journal_and_go_out_later(world: World) -> None:
    async with serving(limited(world, stream_budget=2)) as (client, context):
        for number in range(4):
            assert (await client.post("/api/executions", content=fill(number))).status_code == 200
        await client.post("/api/events", content=STOP)
        await context.publisher.publish()
        assert len(bodies(world, keys.EXECUTIONS)) == 2
        assert len(bodies(world, keys.EVENTS)) == 1  # the other stream has room
        world.redis.xtrim(keys.EXECUTIONS.key(0), maxlen=0)
        await context.publisher.publish()
        assert [message.id for message in entries(world, keys.EXECUTIONS)] == ["open:2", "open:3"]


async def test_a_replay_stops_at_the_budget_too_and_is_not_delivered_before_it_is_whole(world: World) -> None:
    async with serving(world) as (client, _):
        for number in range(3):
            await client.post("/api/executions", content=fill(number))
    world.redis.flushall()
    async with serving(limited(world, stream_budget=2)) as (_, context):
        assert len(bodies(world, keys.EXECUTIONS)) == 2
        assert not context.publisher.delivered
        world.redis.xtrim(keys.EXECUTIONS.key(0), maxlen=0)
        await until_delivered(context)
        assert [message.id for message in entries(world, keys.EXECUTIONS)] == ["open:2"]


async def test_being_held_back_shows_in_heartbeat_and_health(world: World) -> None:
    working(world)
    async with serving(limited(world, stream_budget=1)) as (client, context):
        await client.post("/api/executions", content=fill(1))
        await context.publisher.publish()
        world.wall.ms += 1_000  # a heartbeat is due
        said = "held back: executions at the budget of 1"
        own = (await client.get("/health")).json()["components"]["api"]
        assert (own["status"], own["message"]) == ("degraded", said)

        def beaten() -> bool:
            body = world.redis.get(keys.heartbeat("api", "api"))
            pulse = decode_pulse(body) if isinstance(body, bytes) else None
            return pulse is not None and (pulse.status, pulse.message) == ("degraded", said)

        async with asyncio.timeout(10):
            while not beaten():  # noqa: ASYNC110  # the condition lies in Redis
                await asyncio.sleep(0.02)
        world.redis.xtrim(keys.EXECUTIONS.key(0), maxlen=0)
        await context.publisher.publish()
        assert (await client.get("/health")).json()["components"]["api"]["status"] == "healthy"


# -- the journal's bounds --------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "NEW_PER_MINUTE", 3)


async def test_beyond_so_many_new_reports_a_minute_the_next_is_refused_until_the_minute_is_over(
    world: World, api: Api, small: None
) -> None:
    statuses = [(await api[0].post("/api/executions", content=fill(n))).status_code for n in range(4)]
    assert statuses == [200, 200, 200, 429]
    reply = await api[0].post("/api/executions", content=fill(9))
    assert reply.json()["error"]["code"] == "too_many_reports"
    assert reply.headers["retry-after"] == "60"  # noon is the beginning of a minute
    world.wall.ms += 60_000
    assert (await api[0].post("/api/executions", content=fill(9))).status_code == 200


async def test_a_known_trade_is_never_refused(world: World, api: Api, small: None) -> None:
    for number in range(5):
        await api[0].post("/api/executions", content=fill(number))
    again = await api[0].post("/api/executions", content=fill(0))
    assert (again.status_code, again.json()["duplicate"]) == (200, True)


async def test_events_that_run_away_leave_room_for_fills(world: World, api: Api, small: None) -> None:
    statuses = [(await api[0].post("/api/events", content=f'{{"event":"e{n}"}}')).status_code for n in range(4)]
    assert statuses[-1] == 429
    assert (await api[0].post("/api/executions", content=FILL)).status_code == 200
    assert (await api[0].post("/api/executions/close", content=CLOSE)).status_code == 200


@pytest.mark.parametrize(("limit", "value"), [("KEPT_REPORTS", 2), ("KEPT_BYTES", 800)])
async def test_a_full_journal_refuses_what_is_new_until_something_is_old(
    world: World, api: Api, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(ledger, limit, value)
    statuses = [(await api[0].post("/api/executions", content=fill(n))).status_code for n in range(3)]
    assert statuses == [200, 200, 429]
    reply = await api[0].post("/api/executions", content=fill(2))
    assert (reply.json()["error"]["code"], reply.headers["retry-after"]) == ("journal_full", str(48 * 3600))
    assert "the journal is full" in (await api[0].get("/health")).json()["components"]["api"]["message"]
    assert (await api[0].post("/api/executions", content=fill(1))).status_code == 200
    world.wall.ms += 48 * 3_600_000 + 1
    await api[1].ledger.forget(world.wall.ms)
    assert (await api[0].post("/api/executions", content=fill(2))).status_code == 200


async def test_the_journal_is_as_full_after_a_restart(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(world) as (client, _):
        await client.post("/api/executions", content=FILL)
    monkeypatch.setattr(ledger, "KEPT_REPORTS", 1)
    async with serving(world) as (client, _):
        assert (await client.post("/api/executions", content=fill(2))).status_code == 429
        assert (await client.post("/api/events", content=STOP)).status_code == 200


def test_the_journal_counts_what_it_keeps_by_stream(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for number, stream in enumerate(("events", "executions", "events")):
        journal.add(Report(str(number), NOON_MS + number, stream, 0, b"12345", b"678"))
    journal.add(Report("0", NOON_MS, "events", 0, b"12345", b""))  # known: it changes nothing
    counted = journal.kept("events")
    journal.close()
    reopened = Journal(tmp_path)
    assert (counted.reports, counted.bytes, counted.oldest_wall_ms) == (2, 16, NOON_MS)
    assert reopened.kept("events") == counted
    reopened.forget(NOON_MS + 48 * 3_600_000 + 1)
    assert (reopened.kept("events").reports, reopened.kept("executions").reports) == (1, 1)
    reopened.close()


async def test_closes_of_unknown_trades_are_forgotten(world: World, api: Api) -> None:
    await api[0].post("/api/executions/close", content=CLOSE)
    await api[1].ledger.forget(NOON_MS + 48 * 3_600_000 + 1)
    assert api[1].ledger.positions._early == {}


# -- the pool --------------------------------------------------------------------------------------


async def test_housekeeping_stays_within_the_pool(world: World) -> None:
    context = make_context(limited(world, redis_pool_size=1).settings, world.wall)
    busy = asyncio.create_task(context.pool.exchange([("BLPOP", "gate", 9)], within_s=9))
    async with asyncio.timeout(5):
        while int(world.redis.info("clients")["blocked_clients"]) < 1:  # noqa: ASYNC110  # it lies in Redis
            await asyncio.sleep(0.005)
    ever = _connections_ever(world.redis)
    house = asyncio.create_task(keep_house(context))
    done, _ = await asyncio.wait([house], timeout=0.2)
    assert (done, _connections_ever(world.redis)) == (set(), ever)
    world.redis.rpush("gate", "x")
    await asyncio.gather(busy, house)
    async with context.pool.lent():
        assert context.pool.idle == 0  # the one that was open makes room for the one that is lent
    await context.pool.close()
    context.journal.close()


async def test_the_reader_of_signals_is_one_of_the_pools_connections(world: World) -> None:
    async with serving(limited(world, redis_pool_size=3)) as (_, context):
        waiting = [asyncio.create_task(context.pool.exchange([("BLPOP", "gate", 9)], within_s=9)) for _ in range(5)]
        async with asyncio.timeout(5):
            while _blocked(world.redis) < 3:  # noqa: ASYNC110  # it lies in Redis
                await asyncio.sleep(0.005)
        reader = [one for one in world.redis.client_list() if one["cmd"] == "xread"]
        assert (_blocked(world.redis), len(reader)) == (3, 1)
        world.redis.rpush("gate", *range(5))
        await asyncio.gather(*waiting)


def _blocked(client: "redis.Redis") -> int:
    return int(client.info("clients")["blocked_clients"])


def _connections_ever(client: "redis.Redis") -> int:
    return int(client.info("stats")["total_connections_received"])


# -- the end ---------------------------------------------------------------------------------------


@pytest.fixture
def signals() -> Iterator[list[int]]:
    """SIGTERMs that this process got."""
    found: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: found.append(number))
    yield found
    signal.signal(signal.SIGTERM, before)


async def test_a_failure_while_it_serves_ends_the_background_work_and_not_the_process(
    world: World, signals: list[int]
) -> None:
    context = make_context(world.settings, world.wall)
    app = create_app(context)
    before = asyncio.all_tasks()
    with pytest.raises(RuntimeError, match="inside"):
        async with app.router.lifespan_context(app):
            raise RuntimeError("inside")
    assert asyncio.all_tasks() == before
    assert (signals, app.state.broken) == ([], False)


async def test_a_failure_at_the_start_closes_what_was_open(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def failing(_context: Context) -> None:
        raise RuntimeError("at the start")

    monkeypatch.setattr("api.background.prepare_sessions", failing)
    context = make_context(world.settings, world.wall)
    app = create_app(context)
    with pytest.raises(RuntimeError, match="at the start"):
        async with app.router.lifespan_context(app):
            pass
    with pytest.raises(Exception, match="closed"):
        context.journal.all()

"""The rehearsal at the start: the whole way of a request is gone, and nobody can tell that it was."""

import pytest
from pydantic import SecretStr
from starlette.applications import Starlette

from api import rehearsal
from api.app import create_app
from api.context import STAGE, Context, Sightings, make_context
from api.redis_pool import RedisAway
from api.rehearsal import rehearse
from common.metrics import Metrics
from tests.api.test_posts import FILL
from tests.api.world import World, serving


def made(world: World) -> tuple[Starlette, Context]:
    context = make_context(world.settings, world.wall, look_around_s=0.0)
    return create_app(context), context


def reads(world: World) -> int:
    """Return how often Redis was asked for a partition's hashes: the pass, signals, heads and statuses."""
    return int(world.redis.info("commandstats").get("cmdstat_hgetall", {"calls": 0})["calls"])


@pytest.mark.parametrize("token", ["", "secret"])
async def test_a_rehearsal_goes_the_whole_way_and_leaves_no_trace(
    world: World, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearsal, "TIMES", 3)
    world.alive("NAS100")
    world.signal("NAS100")
    world.settings = world.settings.model_copy(update={"api_token": SecretStr(token)})
    app, context = made(world)
    before = reads(world)
    await rehearse(app.router, context)
    assert reads(world) == before + 3 * 4
    assert context.metrics.snapshot() == Metrics(STAGE).snapshot()
    assert context.sightings == Sightings()
    assert context.account.state is None
    await context.pool.close()
    context.journal.close()
    context.ticks.close()


async def test_a_signal_of_the_rehearsal_is_not_taken_for_served(world: World) -> None:
    world.alive("NAS100")
    world.signal("NAS100")
    async with serving(world) as (client, _):
        await client.post("/api/executions", content=FILL)
        (position,) = (await client.get("/api/positions")).json()["positions"]
        assert position["signal_id"] == ""


async def test_a_rehearsal_without_redis_says_so(world: World) -> None:
    world.settings = world.settings.model_copy(update={"redis_port": 1})
    app, context = made(world)
    with pytest.raises(RedisAway):
        await rehearse(app.router, context)
    context.journal.close()
    context.ticks.close()


async def test_a_rehearsal_that_breaks_does_not_keep_the_api_from_starting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bytes:
        raise ZeroDivisionError

    monkeypatch.setattr("api.signals.write_signals", broken)
    async with serving(world) as (client, _):
        assert (await client.get("/livez")).status_code == 200
        assert (await client.get("/api/signals")).status_code == 500

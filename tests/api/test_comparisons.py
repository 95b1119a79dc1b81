"""What the validators say of sources that were compared, as /api/sources and /health show it."""

import httpx

from api.context import Context
from common.heartbeat import Heartbeat
from common.metrics import Metrics
from tests.api.world import World

Api = tuple[httpx.AsyncClient, Context]

FIGURE = {
    "source_class": "fx_spot", "sources": ["polygon (check)", "yahoo"], "difference_ticks": -204.0,
    "difference_bp": -14.7, "limit_bp": 1.9, "compared_ms": 1_781_704_799_500,
    "disagreeing_since_ms": 1_781_704_740_000,
}  # fmt: skip


def say(world: World, instance: str, info: dict[str, object]) -> None:
    """Write a validator's heartbeat."""

    def store(key: str, body: bytes) -> None:
        world.redis.set(key, body)

    Heartbeat(store, "validator", instance, Metrics("validator")).beat(world.wall.ms, "ok", "", info)


async def shown(api: Api) -> object:
    return (await api[0].get("/api/sources")).json()["comparisons"]


async def test_nothing_was_compared_at_first(world: World, api: Api) -> None:
    world.alive("EURUSD")
    assert await shown(api) == {}


async def test_comparisons_are_shown_with_times_that_people_read(world: World, api: Api) -> None:
    world.alive("EURUSD")
    say(world, "validator-0", {"in_hand": 0, "comparisons": {"EURUSD": [FIGURE]}})
    agreeing = {**FIGURE, "difference_ticks": 2.0, "difference_bp": 0.2, "disagreeing_since_ms": None}
    say(world, "validator-1", {"in_hand": 0, "comparisons": {"GBPUSD": [agreeing]}})
    found = await shown(api)
    assert isinstance(found, dict)
    assert found["EURUSD"] == [
        {
            "source_class": "fx_spot", "sources": ["polygon (check)", "yahoo"], "difference_ticks": -204.0,
            "difference_bp": -14.7, "limit_bp": 1.9, "compared_at": "2026-06-17T13:59:59.500Z",
            "disagreeing_since": "2026-06-17T13:59:00.000Z",
        }
    ]  # fmt: skip
    assert found["GBPUSD"][0]["disagreeing_since"] is None
    instances = (await api[0].get("/health")).json()["components"]["validator"]["instances"]
    assert [one["info"]["comparisons"] for one in instances] == [{"EURUSD": [FIGURE]}, {"GBPUSD": [agreeing]}]


async def test_what_another_release_says_is_left_out(world: World, api: Api) -> None:
    world.alive("EURUSD")
    say(world, "validator-0", {"comparisons": {"EURUSD": "much"}})
    assert await shown(api) == {}

"""Fixtures of the api's tests."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
import redis

from api import rehearsal
from api.context import Context
from tests.api.world import World, serving, settings_for
from tests.conftest import RedisServer


@pytest.fixture(scope="session", autouse=True)
def _short_rehearsals() -> Iterator[None]:
    """Rehearse once: what more often is for, a warm interpreter, is worth nothing to a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rehearsal, "TIMES", 1)
        yield


@pytest.fixture
def world(redis_server: RedisServer, redis_client: "redis.Redis", tmp_path: Path) -> World:
    """An empty Redis, and the settings of an api over it."""
    return World(redis_client, settings_for(redis_server.port, tmp_path))


@pytest_asyncio.fixture
async def api(world: World) -> AsyncIterator[tuple[httpx.AsyncClient, Context]]:
    """The api over the world: a client and its parts."""
    async with serving(world) as pair:
        yield pair

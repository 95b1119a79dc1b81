"""The api over given settings, and the state of a pipeline that it serves."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import redis

from common.settings import Settings
from storer.database import Database
from tests.api.world import World, serving


@asynccontextmanager
async def api_over(settings: Settings) -> AsyncIterator[tuple[httpx.AsyncClient, World]]:
    """A client of the api, and a hand on what it sees. Its history is empty unless the database exists already."""
    history = Database(settings.database_path)
    history.connection()
    history.close()
    client = redis.Redis(host=settings.redis_host, port=settings.redis_port, protocol=2)
    world = World(client, settings)
    try:
        async with serving(world) as (http, _):
            yield http, world
    finally:
        client.close()

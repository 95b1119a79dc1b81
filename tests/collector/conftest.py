"""Both backends for what runs in Redis; the tests' own vendor for what runs over HTTP."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
import redis

from common.redis_link import Link
from tests.collector.kit import FaultServer, fault_server
from tests.common.conftest import link, new_link
from tests.conftest import RedisServer

__all__ = ["link", "new_link", "valkey_link"]


@pytest.fixture
def valkey_link(redis_server: RedisServer, redis_client: redis.Redis) -> Iterator[Link]:
    """One connection to the real Valkey, flushed."""

    made = redis_server.link()
    yield made
    made.close()


@pytest_asyncio.fixture
async def server() -> AsyncIterator[FaultServer]:
    """A server that misbehaves on demand."""
    async with fault_server() as fault:
        yield fault

"""The same contract on fakeredis and on the real, embedded Valkey."""

from collections.abc import Callable, Iterator

import fakeredis
import pytest

from common.redis_link import Link
from tests.conftest import RedisServer

LinkFactory = Callable[[], Link]


@pytest.fixture(params=["fakeredis", "valkey"])
def new_link(request: pytest.FixtureRequest) -> Iterator[LinkFactory]:
    """A factory of fresh connections to one empty database."""
    if request.param == "valkey":
        server: RedisServer = request.getfixturevalue("redis_server")
        server.client().flushall()
        yield server.link
    else:
        fake = fakeredis.FakeRedis(server=fakeredis.FakeServer(), protocol=2)
        yield lambda: Link(fake.connection_pool.get_connection, "fakeredis")


@pytest.fixture
def link(new_link: LinkFactory) -> Link:
    """One connection."""
    return new_link()

"""The same contract on fakeredis and on the real, embedded Valkey."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common.breaker import Breaker
from common.metrics import Metrics
from common.partition_loop import PartitionLoop
from common.redis_link import Link
from common.stage import StageSpec
from tests.common.breaker_rig import made
from tests.common.relay import relay_spec
from tests.conftest import RedisServer
from tests.support_redis import fake_links

LinkFactory = Callable[[], Link]
NewLoop = Callable[..., PartitionLoop]


@pytest.fixture(params=["fakeredis", "valkey"])
def new_link(request: pytest.FixtureRequest) -> Iterator[LinkFactory]:
    """A factory of fresh connections to one empty database."""
    if request.param == "valkey":
        server: RedisServer = request.getfixturevalue("redis_server")
        server.client().flushall()
        yield server.link
    else:
        yield fake_links()


@pytest.fixture
def link(new_link: LinkFactory) -> Link:
    """One connection."""
    return new_link()


@pytest.fixture
def new_loop(new_link: LinkFactory, tmp_path: Path) -> NewLoop:
    """A factory of opened loops under one consumer name, each with a connection of its own unless one is given."""

    def make(
        spec: StageSpec | None = None,
        link: Link | None = None,
        partition: int = 0,
        pause: Callable[[float], None] = lambda _: None,
    ) -> PartitionLoop:
        over = link or new_link()
        loop = PartitionLoop(spec or relay_spec(), partition, over, "relay-0", Metrics("relay"), tmp_path, pause)
        loop.open()
        return loop

    return make


@pytest.fixture
def breaker(link: Link) -> Breaker:
    """One of which nothing is known."""
    return made(link)

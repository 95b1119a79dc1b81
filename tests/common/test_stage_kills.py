"""A stage as a real process: killed at random instants, doubled, stopped; nothing lost, nothing twice, in order."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from common.redis_link import Link
from tests.common.relay import feed, passed_on
from tests.conftest import RedisServer
from tests.support import wait_until
from tests.support_fork import fork

ROOT = Path(__file__).resolve().parents[2]
Start = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def link(redis_server: RedisServer, redis_client: "redis.Redis") -> Link:
    """A connection to the empty Valkey."""
    return redis_server.link()


@pytest.fixture
def start(redis_server: RedisServer, tmp_path: Path) -> Iterator[Start]:
    """Start one more process of the relay stage, always under the same consumer name."""
    processes: list[subprocess.Popen[bytes]] = []
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "REDIS_HOST": redis_server.host,
                   "REDIS_PORT": str(redis_server.port), "STATE_DIR": str(tmp_path)}  # fmt: skip

    def spawn() -> "subprocess.Popen[bytes]":
        log = tmp_path / "relay.log"
        processes.append(fork("tests.common.relay_process", folder=tmp_path, log=log, environment=environment))
        return processes[-1]

    yield spawn
    for process in processes:
        process.kill()
        process.wait()


def came_out(link: Link) -> int:
    """Return how many results there are."""
    return int(link.call("XLEN", "{0}:quotes"))  # type: ignore[arg-type]


def test_kill_9_at_random_instants_loses_and_doubles_nothing(link: Link, start: Start) -> None:
    rng = random.Random(7)
    process, fed = start(), 0
    for _ in range(12):
        fed += len(feed(link, *["A"] * 250))
        target = rng.randrange(max(1, came_out(link)), fed + 1)
        wait_until(lambda goal=target: came_out(link) >= goal, 20, f"{target} results")  # type: ignore[misc]
        process.kill()
        process.wait()
        process = start()
    wait_until(lambda: came_out(link) >= fed, 20, "all results")
    results = passed_on(link)
    assert [count for _, count in results] == [float(n + 1) for n in range(fed)]
    assert [number for number, _ in results] == list(range(250)) * 12


def test_a_second_process_under_the_same_name_doubles_nothing(link: Link, start: Start) -> None:
    first = start()
    feed(link, *["A"] * 500)
    wait_until(lambda: came_out(link) >= 50, 20, "the first results")
    start()
    wait_until(lambda: first.poll() is not None, 20, "the overtaken process to end")
    assert first.returncode == 3
    feed(link, *["A"] * 500)
    wait_until(lambda: came_out(link) >= 1000, 20, "all results")
    assert [count for _, count in passed_on(link)] == [float(n + 1) for n in range(1000)]


def test_sigterm_finishes_the_batch_in_hand_and_ends_cleanly(link: Link, start: Start) -> None:
    process = start()
    feed(link, *["A"] * 200)
    wait_until(lambda: came_out(link) > 0, 20, "the first results")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0
    assert link.call("XPENDING", "{0}:raw", "relay")[0] == 0  # type: ignore[index]


def test_a_stage_started_before_redis_waits_for_it_and_says_so(tmp_path: Path) -> None:
    from tests.conftest import start_valkey
    from tests.support import free_port

    port = free_port()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(port)}
    log = tmp_path / "relay.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.common.relay_process"], cwd=tmp_path, env=environment, stdout=out, stderr=out
        )
    try:
        wait_until(lambda: "redis.away" in log.read_text(), 20, "the stage to say that Redis is away")
        server = start_valkey(tmp_path, port)
        try:
            wait_until(lambda: "stage.ready" in log.read_text(), 20, "the stage to be ready")
        finally:
            server.process.kill()
            server.process.wait()
    finally:
        process.kill()
        process.wait()

"""Redis goes away, refuses, or breaks connections in the middle of a replay: the stages wait, and nothing is amiss."""

import signal
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.chaos.matrix import fault
from tests.chaos.small_replay import seconds_to_next_cycle, struck
from tests.conftest import start_valkey
from tests.pipeline import test_outages
from tests.pipeline.forked import ForkedPipeline
from tests.pipeline.harness import Pipeline
from tests.pipeline.test_replay import SYMBOLS, made_hours
from tests.support import free_port, wait_until
from tests.support_proxy import FaultProxy

WORKING = ("collector", "validator", "features", "storer")
Measured = Callable[..., None]


def restart_redis(pipeline: ForkedPipeline, number: int) -> float:
    """End Redis with a signal and start it again; return after how long cycles went on."""
    pipeline.redis.process.send_signal(number)
    pipeline.redis.process.wait(timeout=20)
    folder, port = pipeline.folder / "valkey", pipeline.redis.port
    pipeline.redis = start_valkey(folder, port)
    return seconds_to_next_cycle(pipeline)


def all_wait(pipeline: ForkedPipeline, word: str = "redis.away") -> None:
    """Wait until each stage has said that it waits."""
    for stage in WORKING:
        wait_until(lambda name=stage: word in pipeline.log(name), 30, f"{stage} to wait")  # type: ignore[misc]


@pytest.mark.short
@fault(
    "F11",
    row="killed -9 and started again",
    promise="stages wait and go on by themselves; nothing lost, nothing twice (append-only file, everysec)",
    teeth="common/redis_link.py: in exchange, raise Fatal instead of RedisAway",
)
def test_redis_killed(tmp_path: Path, measured: Measured) -> None:
    with struck(tmp_path) as pipeline:
        measured(recovery_s=restart_redis(pipeline, signal.SIGKILL))
    measured(lost=0, doubled=0)


@fault(
    "F11",
    row="stopped and started again, twice",
    promise="stages wait and go on by themselves; nothing lost, nothing twice",
    teeth="collector/runtime.py: in run, do not catch RedisAway",
)
def test_redis_restarted(tmp_path: Path, measured: Measured) -> None:
    with struck(tmp_path) as pipeline:
        for _ in range(2):
            measured(recovery_s=restart_redis(pipeline, signal.SIGTERM))
    measured(lost=0, doubled=0)


@fault(
    "F11",
    row="out of memory (maxmemory reached, noeviction)",
    promise="stages wait, nothing is evicted, nothing lost; all goes on when there is room",
    teeth="common/redis_link.py: in _raise_not_now, if False",
)
def test_redis_out_of_memory(tmp_path: Path, measured: Measured) -> None:
    with struck(tmp_path) as pipeline:
        client = pipeline.client()
        client.config_set("maxmemory", "1")
        all_wait(pipeline)
        client.config_set("maxmemory", "0")
        measured(recovery_s=seconds_to_next_cycle(pipeline))
    measured(lost=0, doubled=0)


@fault(
    "F11",
    row="read-only (it became a replica)",
    promise="stages wait, nothing lost; all goes on when it is a master again",
    teeth="common/redis_link.py: in _raise_not_now, if False",
)
def test_redis_read_only(tmp_path: Path, measured: Measured) -> None:
    with struck(tmp_path) as pipeline:
        link = pipeline.redis.link()
        link.call("REPLICAOF", "127.0.0.1", free_port())
        all_wait(pipeline)
        link.call("REPLICAOF", "NO", "ONE")
        measured(recovery_s=seconds_to_next_cycle(pipeline))
    measured(lost=0, doubled=0)


@fault(
    "F11",
    row="slow (0.1 s more for each answer)",
    promise="all goes on, slower; nothing lost, nothing twice",
    teeth="common/redis_link.py: SOCKET_TIMEOUT_S = 0.05",
)
def test_redis_slow(tmp_path: Path, measured: Measured) -> None:
    with ExitStack() as proxies, struck(tmp_path) as pipeline:
        proxy = proxies.enter_context(closing(FaultProxy(pipeline.redis.port)))
        proxy.delay_replies(0.1)
        for stage in WORKING:
            pipeline.kill(stage)
            pipeline.start_through(stage, proxy.port)
        took_s = [seconds_to_next_cycle(pipeline, 60) for _ in range(3)]
        proxy.delay_replies(0)
        measured(a_cycle_s=sum(took_s) / 6)
    measured(lost=0, doubled=0)


@pytest.mark.parametrize("stage", WORKING)
@fault(
    "F11",
    row="connection reset in the middle of EXEC, before and after it was executed, and an EXEC that comes late",
    promise="a new epoch, then what is pending: nothing lost, nothing twice, whatever happened",
    teeth="common/fence.py: in read, PING in place of WATCH: an EXEC that comes late is executed",
)
def test_exec_cut_off(tmp_path: Path, measured: Measured, stage: str) -> None:
    with ExitStack() as proxies, struck(tmp_path) as pipeline:
        proxy = proxies.enter_context(closing(FaultProxy(pipeline.redis.port)))
        pipeline.kill(stage)
        pipeline.start_through(stage, proxy.port)
        for number, strike in enumerate((proxy.drop_exec, proxy.swallow_exec_reply, proxy.hold_exec), 1):
            # Not the EXEC by which it takes over.
            wait_until(lambda n=number: pipeline.log(stage).count("stage.ready") > n, 30, f"{stage} to be ready")  # type: ignore[misc]
            strike()
            wait_until(lambda goal=number: proxy.faults >= goal, 30, "the fault to strike")  # type: ignore[misc]
        wait_until(lambda: pipeline.log(stage).count("redis.away") >= 3, 30, f"{stage} to give the late EXEC up")
        wait_until(lambda: pipeline.log(stage).count("stage.ready") > 4, 30, f"{stage} to be ready")
        proxy.release()
    measured(faults=3, lost=0, doubled=0)


@fault(
    "F11",
    row="emptied (FLUSHALL)",
    promise="each stage says so and goes on by itself; no minute is missing afterwards, none is doubled",
    teeth="common/loop.py: in run, do not catch GroupsLost and EpochLost",
)
def test_redis_flushed(tmp_path: Path, measured: Measured) -> None:
    data = tmp_path / "bars"
    data.mkdir()
    made_hours(data, 6)
    with Pipeline(tmp_path, SYMBOLS) as pipeline:
        until_ms = test_outages.play(pipeline, data, test_outages.flush_of_redis, 0, "300")
        test_outages.check_all(pipeline, data, until_ms - 2 * test_outages.MINUTE_MS)
        for stage in WORKING:
            assert "redis.groups_lost" in pipeline.log(stage), stage
    measured(minutes_missing=0)

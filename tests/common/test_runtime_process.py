"""The whole process of a stage: what it survives by itself, and whose entries it takes over."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from common.keys import QUOTES, RAW
from common.loop import StageRunner
from common.metrics import Metrics
from common.redis_link import Link, link_to
from common.settings import Settings
from common.stage import Batch, Outcome, StageSpec
from tests.common.relay import Relay, feed, passed_on, relay_spec
from tests.conftest import RedisServer
from tests.support import wait_until


def pending(link: Link) -> object:
    """Return how many raw entries are read and not acknowledged."""
    return link.call("XPENDING", RAW.key(0), "relay")[0]  # type: ignore[index]  # raw reply


@pytest.fixture
def settings(redis_server: RedisServer, redis_client: "redis.Redis", tmp_path: Path) -> Settings:
    """Settings for the empty Valkey."""
    return Settings(  # type: ignore[call-arg]  # pydantic-settings' own argument
        _env_file=None, redis_host=redis_server.host, redis_port=redis_server.port, state_dir=tmp_path,
        supervisor_process_name=f"relay_{os.getpid()}",
    )  # fmt: skip


@contextmanager
def running(settings: Settings, spec: StageSpec) -> Iterator[list[BaseException]]:
    """A stage at work in a thread; yields what it raised."""
    runner, raised = StageRunner(spec, settings, Metrics(spec.name)), []

    def run() -> None:
        try:
            runner.run()
        except BaseException as e:  # noqa: BLE001  # the test looks at it
            raised.append(e)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield raised
    finally:
        runner.stop()
        thread.join(10)


@pytest.fixture
def valkey(redis_server: RedisServer) -> Link:
    """A connection to the real Valkey."""
    return link_to(redis_server.host, redis_server.port)


@pytest.mark.parametrize("loss", [("FLUSHALL",), ("DEL", "{0}:raw"), ("XGROUP", "DESTROY", "{0}:raw", "relay")])
def test_a_stage_goes_on_by_itself_after_a_loss_in_redis(
    valkey: Link, settings: Settings, loss: tuple[str, ...]
) -> None:
    with running(settings, relay_spec()) as raised:
        feed(valkey, "A")
        wait_until(lambda: len(passed_on(valkey)) == 1, 10, "the first result")
        valkey.call("DEL", QUOTES.key(0))
        valkey.call(*loss)
        feed(valkey, "B")
        wait_until(lambda: bool(raised) or len(passed_on(valkey)) >= 1, 10, "the result after the loss")
    assert raised == []


def test_entries_read_under_another_process_name_are_not_orphaned(valkey: Link, settings: Settings) -> None:
    """Which process serves a partition changes with the number of processes; the partition's entries stay its own."""
    feed(valkey, "A", "B")
    elsewhere = settings.model_copy(update={"supervisor_process_name": "relay_before"})
    dies = StageRunner(relay_spec(make_handler=Dies), elsewhere, Metrics("relay"))
    with pytest.raises(KilledError):
        dies.run()
    assert pending(valkey) == 2
    with running(settings, relay_spec()):
        wait_until(lambda: len(passed_on(valkey)) == 2, 10, "what the other process had read")


class KilledError(BaseException):
    """Stands for kill -9."""


class Dies(Relay):
    """Never returns."""

    def handle(self, batch: Batch) -> Outcome:
        """Die with the batch in hand."""
        raise KilledError

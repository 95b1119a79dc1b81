"""Connections that break at the worst moment: whatever happened to the EXEC, nothing is lost, doubled or reordered."""

import random
import signal
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis
from redis.exceptions import DataError

from common import keys
from common.errors import Fatal, Fenced
from common.fence import Fence
from common.keys import RAW
from common.loop import StageRunner
from common.metrics import Metrics
from common.partition_loop import PartitionLoop
from common.redis_link import Link, RedisAway, link_to, open_link
from common.settings import Settings
from common.stage import Batch, Outcome, StageSpec
from tests.chaos.matrix import fault
from tests.common.relay import Relay, feed, passed_on, relay_spec
from tests.conftest import RedisServer, start_valkey
from tests.support import wait_until
from tests.support_proxy import FaultProxy


@pytest.fixture
def link(redis_server: RedisServer, redis_client: "redis.Redis") -> Link:
    """A connection to the empty Valkey that no fault touches."""
    return link_to(redis_server.host, redis_server.port)


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[FaultProxy]:
    """The proxy before that Valkey."""
    with closing(FaultProxy(redis_server.port)) as made:
        yield made


@pytest.fixture
def loop(link: Link, proxy: FaultProxy, tmp_path: Path) -> PartitionLoop:
    """The relay stage behind the proxy, opened."""
    made = new_loop(link_to("127.0.0.1", proxy.port), tmp_path)
    made.open()
    return made


def new_loop(link: Link, folder: Path, spec: StageSpec | None = None) -> PartitionLoop:
    """Return a loop of the relay stage, not yet opened."""
    return PartitionLoop(spec or relay_spec(), 0, link, "relay-0", Metrics("relay"), folder, lambda _: None)


def settle(loop: PartitionLoop) -> None:
    """Step until nothing is left to do."""
    for _ in range(12):
        loop.step(0)


def pending(link: Link) -> object:
    """Return how many raw entries are read and not acknowledged."""
    return link.call("XPENDING", RAW.key(0), "relay")[0]  # type: ignore[index]  # raw reply


def test_an_exec_whose_reply_is_lost_is_not_done_twice(link: Link, proxy: FaultProxy, loop: PartitionLoop) -> None:
    feed(link, "A", "B")
    proxy.swallow_exec_reply()
    with pytest.raises(RedisAway):
        settle(loop)
    assert passed_on(link) == [(0, 1.0), (1, 2.0)]  # it did happen
    loop.open()
    feed(link, "C")
    settle(loop)
    assert passed_on(link) == [(0, 1.0), (1, 2.0), (0, 3.0)]
    assert pending(link) == 0


def test_an_exec_that_never_arrived_is_done_again(link: Link, proxy: FaultProxy, loop: PartitionLoop) -> None:
    feed(link, "A", "B")
    proxy.drop_exec()
    with pytest.raises(RedisAway):
        settle(loop)
    assert passed_on(link) == []  # it did not happen
    loop.open()
    settle(loop)
    assert passed_on(link) == [(0, 1.0), (1, 2.0)]
    assert pending(link) == 0


def test_an_exec_that_arrives_after_the_reconnect_is_aborted(
    link: Link, proxy: FaultProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.redis_link.SOCKET_TIMEOUT_S", 0.5)
    loop = new_loop(link_to("127.0.0.1", proxy.port), tmp_path)
    loop.open()
    feed(link, "A", "B")
    proxy.hold_exec()
    with pytest.raises(RedisAway):
        settle(loop)
    assert proxy.held.is_set()
    loop.open()
    proxy.release()
    settle(loop)
    assert passed_on(link) == [(0, 1.0), (1, 2.0)]
    assert pending(link) == 0


@pytest.mark.parametrize("direction", ["requests", "replies"])
@pytest.mark.short
@fault(
    "F11",
    row="120 connection resets, after any number of bytes in either direction",
    promise="nothing lost, doubled or out of order",
    teeth="common/partition_loop.py: in _commit, acknowledge by an exchange of its own before the transaction",
)
def test_resets_after_any_number_of_bytes_lose_double_and_reorder_nothing(
    link: Link, proxy: FaultProxy, tmp_path: Path, direction: str
) -> None:
    rng = random.Random(f"seed of {direction}")
    loop, fed = new_loop(link_to("127.0.0.1", proxy.port), tmp_path, relay_spec(batch_entries=5)), 0
    for _ in range(60):
        fed += len(feed(link, *"ABCDEFGH"))
        proxy.reset_after(direction, rng.randrange(4_000))
        survive(loop)
    proxy.reset_after(direction, -1)
    loop.open()
    for _ in range(20):
        settle(loop)
    results = passed_on(link)
    assert [number for number, _ in results] == list(range(8)) * 60
    assert [count for _, count in results] == [float(n + 1) for n in range(fed)]
    assert pending(link) == 0
    assert proxy.faults > 20


def survive(loop: PartitionLoop) -> None:
    """Open and step, as the runner does, until the fault has struck or the work is done."""
    try:
        loop.open()
        settle(loop)
    except RedisAway:
        return


@pytest.mark.parametrize(
    "hindrance",
    [("maxmemory", "1", "0"), ("min-replicas-to-write", "1", "0")],
    ids=["out of memory", "not enough replicas"],
)
def test_a_server_that_refuses_at_the_exec_itself_is_waited_for(
    link: Link, proxy: FaultProxy, loop: PartitionLoop, hindrance: tuple[str, str, str]
) -> None:
    name, bad, good = hindrance
    feed(link, "A")
    proxy.hold_exec()
    failed: list[BaseException] = []

    def work() -> None:
        try:
            settle(loop)
        except Exception as e:  # noqa: BLE001  # looked at below
            failed.append(e)

    worker = threading.Thread(target=work)
    worker.start()
    assert proxy.held.wait(10)
    link.call("CONFIG", "SET", name, bad)
    proxy.release()
    worker.join(10)
    link.call("CONFIG", "SET", name, good)
    assert [type(e) for e in failed] == [RedisAway]
    loop.open()
    settle(loop)
    assert passed_on(link) == [(0, 1.0)]


class WritesNonsense(Relay):
    """For one symbol it returns a command that can't be sent, or that the server refuses when it is queued."""

    nonsense: tuple[object, ...] = ()

    def handle(self, batch: Batch) -> Outcome:
        """Return the nonsense beside the results."""
        outcome = super().handle(batch)
        if not any(entry.message.quotes[0].symbol == "NONSENSE" for entry in batch):  # type: ignore[union-attr]
            return outcome
        return Outcome(outcome.publish, [self.nonsense])  # type: ignore[list-item]


def test_a_command_that_cannot_be_sent_is_the_handlers_fault_and_not_redis_being_away(
    link: Link, tmp_path: Path
) -> None:
    WritesNonsense.nonsense = ("SET", keys.feature_values(0, "X", "1m"), None)
    loop = new_loop(link, tmp_path, relay_spec(make_handler=WritesNonsense))
    loop.open()
    feed(link, "A", "NONSENSE", "B")
    settle(loop)
    assert passed_on(link) == [(0, 1.0), (2, 2.0)]
    assert link.call("XLEN", keys.dead(0, "relay")) == 1


def test_a_command_that_cannot_be_sent_leaves_the_link_open(link: Link) -> None:
    link.call("PING")
    with pytest.raises(DataError):
        link.exchange([("SET", "k", None)])  # type: ignore[list-item]
    assert link.call("PING") == b"PONG"


def test_a_refused_transaction_names_the_command_that_was_refused(link: Link) -> None:
    fence = Fence(link, 0, "relay")
    fence.take()
    with pytest.raises(Fatal, match=r"nothing of it happened.*NO-SUCH-COMMAND"):
        fence.commit([("SET", "k", "v"), ("NO-SUCH-COMMAND", "k")])
    assert link.call("EXISTS", "k") == 0


def test_an_epoch_that_may_not_be_read_is_no_other_instance(link: Link, redis_server: RedisServer) -> None:
    link.call("ACL", "SETUSER", "reader", "on", ">pw", "~*", "+@all", "-get")
    denied = link_to(redis_server.host, redis_server.port)
    fence = Fence(denied, 0, "relay")
    fence.take()
    denied.call("AUTH", "reader", "pw")
    with pytest.raises(Fatal, match="no permissions") as raised:
        fence.read([])
    link.call("ACL", "DELUSER", "reader")
    assert not isinstance(raised.value, Fenced)


def test_a_server_that_hangs_does_not_keep_a_stage_from_stopping_in_time(tmp_path: Path) -> None:
    server = start_valkey(tmp_path)
    settings = Settings(_env_file=None, redis_host="127.0.0.1", redis_port=server.port, state_dir=tmp_path)  # type: ignore[call-arg]
    runner = StageRunner(relay_spec(), settings, Metrics("relay"))
    worker = threading.Thread(target=runner.run, daemon=True)
    worker.start()
    link = open_link(settings)
    try:
        feed(link, "A")
        wait_until(lambda: len(passed_on(link)) == 1, 10, "the stage to work")
        server.process.send_signal(signal.SIGSTOP)
        runner.stop()
        worker.join(4.8)
        assert not worker.is_alive()
    finally:
        server.process.kill()
        server.process.wait()

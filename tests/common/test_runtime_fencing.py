"""One instance at a time, in order, whatever another one still has in flight; after a flush it goes on by itself."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from redis.exceptions import BusyLoadingError, ResponseError

from common import keys
from common.errors import Fenced, Retryable
from common.fence import EpochLost, Fence
from common.keys import BACKFILL, BARS, FIELD, QUOTES, RAW
from common.messages import Clock, encode
from common.metrics import Metrics
from common.partition_loop import PartitionLoop
from common.redis_link import Command, Link, RedisAway, Reply
from common.stage import Batch, Outcome, StageSpec
from tests.common.conftest import NewLoop
from tests.common.relay import POISON, Relay, feed, passed_on, pending, relay_spec, settle

LinkFactory = Callable[[], Link]


def read_by_a_stale_instance(link: Link, count: int) -> None:
    """A read of an older instance under our name that the server executes only now."""
    link.call("XREADGROUP", "GROUP", "relay", "relay-0", "COUNT", count, "STREAMS", RAW.key(0), ">")


# -- order and strays ------------------------------------------------------------------------------


def test_what_a_stale_instance_has_read_meanwhile_keeps_its_place(link: Link, new_loop: NewLoop) -> None:
    loop = new_loop()
    settle(loop)  # the backlog is done
    feed(link, "A", "B", "C", "D")
    read_by_a_stale_instance(link, 2)
    settle(loop)
    assert [number for number, _ in passed_on(link)] == [0, 1, 2, 3]
    assert pending(link) == 0


def test_strays_do_not_wait_for_a_stage_that_always_lingers(link: Link, new_loop: NewLoop) -> None:
    loop = new_loop(relay_spec(linger_s=3600.0, batch_entries=100))
    settle(loop)
    feed(link, "A")
    loop.step(0)
    assert loop.in_hand == 1
    feed(link, "B")
    read_by_a_stale_instance(link, 1)
    settle(loop)
    assert [number for number, _ in passed_on(link)] == [0, 0]


def test_suspects_are_no_strays(link: Link, new_loop: NewLoop) -> None:
    """Else a stage with suspects would read its backlog for ever and never see news."""
    loop = new_loop()
    feed(link, POISON)
    settle(loop)
    assert loop.in_hand == 1
    feed(link, "A")
    assert [loop.step(0) for _ in range(3)] == [1, 0, 0]


def test_suspects_of_an_earlier_life_hide_neither_the_backlog_nor_the_news(link: Link, new_loop: NewLoop) -> None:
    first = new_loop()
    feed(link, POISON, POISON, POISON, POISON)
    settle(first)
    feed(link, "A")
    read_by_a_stale_instance(link, 1)
    second = new_loop(relay_spec(batch_entries=2))
    settle(second)
    assert passed_on(link) == [(0, 1.0)]
    assert pending(link) == 0


def test_a_suspect_of_an_earlier_life_does_not_keep_the_news_away(link: Link, new_loop: NewLoop) -> None:
    feed(link, POISON)
    settle(new_loop())
    second = new_loop()
    settle(second)
    feed(link, "A")
    settle(second)
    assert passed_on(link) == [(0, 1.0)]


# -- one connection, several partitions ------------------------------------------------------------


def test_partitions_that_share_a_connection_are_each_fenced_at_a_stop(
    new_link: LinkFactory, link: Link, new_loop: NewLoop
) -> None:
    shared, spec = new_link(), relay_spec(linger_s=3600.0, batch_entries=100)
    first, second = new_loop(spec, shared, 0), new_loop(spec, shared, 1)
    settle(first)
    settle(second)
    feed(link, "A")
    link.call("XADD", RAW.key(1), "*", *_raw_fields(link))
    second.step(0)
    first.step(0)  # both linger
    first.flush()  # its EXEC ends every watch of the connection
    link.call("INCR", keys.epoch(1, "relay"))  # another instance takes the second partition over
    with pytest.raises(Fenced):
        second.flush()
    assert link.call("EXISTS", QUOTES.key(1)) == 0


def _raw_fields(link: Link) -> list[bytes]:
    return link.call("XRANGE", RAW.key(0), "-", "+")[0][1]  # type: ignore[index, return-value]


def test_taking_one_partition_over_again_does_not_fence_oneself(new_link: LinkFactory, link: Link) -> None:
    fence = Fence(new_link(), 0, "relay")
    fence.take()
    fence.read([])  # watches the epoch on this connection ...
    fence.take()  # ... which we then raise ourselves
    fence.commit([("SET", keys.feature_values(0, "A", "1m"), "v")])
    assert link.call("GET", keys.feature_values(0, "A", "1m")) == b"v"


# -- fenced while waiting --------------------------------------------------------------------------


class DiskAway(Relay):
    """What it writes to never comes back."""

    calls = 0

    def handle(self, batch: Batch) -> Outcome:
        """Fail; after a few calls somebody would have to stop it."""
        DiskAway.calls += 1
        assert DiskAway.calls < 20, "goes on after being fenced"
        raise Retryable("the disk is full")


def test_an_instance_that_waits_for_the_disk_notices_that_it_was_overtaken(
    link: Link, new_link: LinkFactory, tmp_path: Path
) -> None:
    DiskAway.calls = 0

    def overtaken(_: float) -> None:
        link.call("INCR", keys.epoch(0, "relay"))

    spec = relay_spec(make_handler=DiskAway)
    loop = PartitionLoop(spec, 0, new_link(), "relay-0", Metrics("relay"), tmp_path, overtaken)
    loop.open()
    feed(link, "A")
    with pytest.raises(Fenced):
        settle(loop)
    assert DiskAway.calls == 1


# -- what a batch is -------------------------------------------------------------------------------


class Sizes(Relay):
    """Notes the sizes of its batches."""

    seen_sizes: list[int]

    def handle(self, batch: Batch) -> Outcome:
        """Only note."""
        Sizes.seen_sizes.append(len(batch))
        return Outcome()


def test_a_batch_of_several_streams_is_no_larger_than_promised(link: Link, new_loop: NewLoop) -> None:
    Sizes.seen_sizes = []
    inputs = (RAW, BARS, BACKFILL)
    spec = StageSpec(name="relay", inputs=inputs, outputs=(), make_handler=Sizes, batch_entries=4)
    for stream in inputs:
        for cycle in range(10):
            link.call("XADD", stream.key(0), "*", FIELD, encode(Clock(now_ms=cycle, wall_ms=cycle, cycle=cycle)))
    settle(new_loop(spec), 40)
    assert sum(Sizes.seen_sizes) == 30
    assert max(Sizes.seen_sizes) <= 4


# -- what is lost ----------------------------------------------------------------------------------


def test_an_epoch_that_is_gone_is_no_other_instance(link: Link, new_link: LinkFactory) -> None:
    fence = Fence(new_link(), 0, "relay")
    fence.take()
    fence.read([])
    link.call("FLUSHALL")
    with pytest.raises(EpochLost, match="was Redis flushed"):
        fence.commit([("SET", keys.feature_values(0, "A", "1m"), "v")])
    with pytest.raises(EpochLost):
        fence.read([])
    assert link.call("EXISTS", keys.feature_values(0, "A", "1m")) == 0


def test_an_instance_that_slept_through_a_flush_is_fenced_off_by_the_next_one(
    link: Link, new_link: LinkFactory
) -> None:
    orphan, successor = Fence(new_link(), 0, "relay"), Fence(link, 0, "relay")
    orphan.take()
    link.call("FLUSHALL")
    successor.take()
    assert successor.epoch != orphan.epoch
    with pytest.raises(Fenced, match="another instance has taken over"):
        orphan.commit([("SET", keys.feature_values(0, "A", "1m"), "late")])
    assert link.call("EXISTS", keys.feature_values(0, "A", "1m")) == 0


def test_taking_over_says_whether_anybody_was_there_before(link: Link) -> None:
    fence = Fence(link, 0, "relay")
    found_none = []
    for flushed in (False, False, True, False):
        if flushed:
            link.call("FLUSHALL")
        fence.take()
        found_none.append(fence.found_none)
    assert found_none == [True, False, True, False]


def test_a_counter_from_before_goes_on(link: Link) -> None:
    link.call("SET", keys.epoch(0, "relay"), 41)
    fence = Fence(link, 0, "relay")
    fence.take()
    assert (fence.epoch, fence.found_none) == (42, False)


class Unblocked:
    """A server that ends the blocking read, as Redis before 7.2 does where the key is deleted meanwhile."""

    def exchange(self, commands: Sequence[Command]) -> list[Reply]:
        return [ResponseError("UNBLOCKED the stream key no longer exists")]

    def close(self) -> None: ...


class Loading(Unblocked):
    """A server that loads its file: the connection raises at the first reply."""

    made = 0

    def __init__(self) -> None:
        Loading.made += 1

    def exchange(self, commands: Sequence[Command]) -> list[Reply]:
        raise BusyLoadingError("Redis is loading the dataset in memory")


def test_a_connection_with_unread_replies_is_not_used_again() -> None:
    Loading.made = 0
    link = Link(Loading, "loading")
    for _ in range(2):
        with pytest.raises(RedisAway, match="loading the dataset"):
            link.exchange([("GET", "a"), ("GET", "b")])
    assert Loading.made == 2


def test_a_read_that_the_server_unblocks_begins_anew() -> None:
    with pytest.raises(RedisAway, match="UNBLOCKED"):
        Link(Unblocked, "old Redis").exchange([("XREADGROUP",)])

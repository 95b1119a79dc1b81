"""A handler that puts work off gets empty batches until it is done: at once, at no entry's cost, and after news."""

from pathlib import Path

import pytest

from common import keys
from common.errors import Fenced, Retryable
from common.metrics import Metrics
from common.partition_loop import PartitionLoop
from common.reader import Read
from common.redis_link import Link
from common.stage import Batch, Outcome
from tests.common.conftest import LinkFactory, NewLoop
from tests.common.relay import Relay, feed, passed_on, pending, relay_spec, settle

DONE = "{0}:done"
FOREVER_MS = 600_000
"""To block for so long is to fail: the tests end after two minutes."""


class PutsOff(Relay):
    """Every entry leaves two pieces of work, and every empty batch does one: it counts them in Redis."""

    at_start = 0
    pieces = 2

    def __init__(self, partition: int) -> None:
        super().__init__(partition)
        self.left = self.at_start
        self.sizes: list[int] = []

    @property
    def unfinished(self) -> bool:
        """Whether pieces are left."""
        return self.left > 0

    def handle(self, batch: Batch) -> Outcome:
        """Pass on what is there; with nothing there, do a piece."""
        self.sizes.append(len(batch))
        if batch:
            self.left += self.pieces * len(batch)
            return super().handle(batch)
        self.left -= 1
        return Outcome(writes=[("INCR", DONE)])


class FromTheStart(PutsOff):
    """It has work as soon as it is restored."""

    at_start = 3


class Plain(Relay):
    """It never puts anything off."""

    def handle(self, batch: Batch) -> Outcome:
        """Refuse an empty batch."""
        assert batch
        return super().handle(batch)


def handler(loop: PartitionLoop) -> PutsOff:
    found = loop._handler
    assert isinstance(found, PutsOff)
    return found


def done(link: Link) -> int:
    return int(link.call("GET", DONE) or 0)  # type: ignore[arg-type]  # raw reply


def blocks_of(loop: PartitionLoop) -> list[int]:
    """Record how long each read of news may wait from now on; nothing waits in truth."""
    found: list[int] = []
    news = loop.reader.news

    def recorded(count: int, block_ms: int) -> Read:
        found.append(block_ms)
        return news(count, 0)

    loop.reader.news = recorded  # type: ignore[method-assign]  # to see what it is asked
    return found


def test_empty_batches_come_until_the_work_is_done_and_then_no_more(link: Link, new_loop: NewLoop) -> None:
    loop = new_loop(relay_spec(make_handler=PutsOff))
    feed(link, "A", "B")
    settle(loop, 20)
    assert handler(loop).sizes == [2, 0, 0, 0, 0]
    assert done(link) == 4
    assert passed_on(link) == [(0, 1.0), (1, 2.0)]


def test_work_that_a_start_leaves_is_done_without_any_entry(link: Link, new_loop: NewLoop) -> None:
    loop = new_loop(relay_spec(make_handler=FromTheStart))
    settle(loop, 10)
    assert handler(loop).sizes == [0, 0, 0]
    assert done(link) == 3


def test_a_handler_that_puts_nothing_off_gets_no_empty_batch(link: Link, new_loop: NewLoop) -> None:
    loop = new_loop(relay_spec(make_handler=Plain))
    feed(link, "A")
    settle(loop)
    assert not loop.unfinished
    assert passed_on(link) == [(0, 1.0)]


def test_nothing_is_waited_for_while_work_is_left(link: Link, new_loop: NewLoop) -> None:
    loop = new_loop(relay_spec(make_handler=FromTheStart))
    for _ in range(3):
        assert loop.step(FOREVER_MS) == 0  # the first one reads the backlog
    assert done(link) == 3


def test_as_soon_as_all_is_done_news_is_waited_for_again(link: Link, new_loop: NewLoop) -> None:
    loop = new_loop(relay_spec(make_handler=PutsOff))
    loop.step(0)  # the backlog
    feed(link, "A")
    blocks = blocks_of(loop)
    for _ in range(5):
        loop.step(500)
    assert handler(loop).sizes == [1, 0, 0]
    assert blocks == [500, 0, 0, 500, 500]


def test_empty_batches_count_as_no_entry_and_no_batch(link: Link, new_link: LinkFactory, tmp_path: Path) -> None:
    metrics = Metrics("relay")
    spec = relay_spec(make_handler=PutsOff)
    loop = PartitionLoop(spec, 0, new_link(), "relay-0", metrics, tmp_path, lambda _: None)
    loop.open()
    feed(link, "A")
    settled = [loop.step(0) for _ in range(6)]
    assert sum(settled) == 1
    assert done(link) == 2
    counted = {one.name: one.value for one in metrics.snapshot().counters}
    assert counted == {"md_entries_total": 1.0, "md_batches_total": 1.0}
    assert (pending(link), loop.in_hand) == (0, 0)
    assert link.call("EXISTS", keys.failures(0, "relay"), keys.dead(0, "relay")) == 0


def test_news_goes_first_and_takes_the_work_along(link: Link, new_loop: NewLoop) -> None:
    loop = new_loop(relay_spec(make_handler=FromTheStart))
    loop.step(0)  # the backlog, and the first piece
    for number in range(20):
        feed(link, "A")
        assert loop.step(FOREVER_MS) == 1  # its handler was called, and may do of its work what it likes
        assert len(passed_on(link)) == number + 1
    assert handler(loop).sizes == [0] + [1] * 20
    assert handler(loop).left == 2 + 20 * PutsOff.pieces


def test_every_pause_in_the_news_is_used(link: Link, new_loop: NewLoop) -> None:
    loop = new_loop(relay_spec(make_handler=FromTheStart))
    for _ in range(4):
        feed(link, "A")
        loop.step(0)
        loop.step(0)
    assert handler(loop).sizes == [0, 1, 1, 0, 1, 0, 1, 0]


def test_entries_that_linger_do_not_hold_the_work_up(link: Link, new_loop: NewLoop) -> None:
    loop = new_loop(relay_spec(make_handler=FromTheStart, linger_s=3_600.0, batch_entries=100))
    loop.step(0)
    feed(link, "A")
    for _ in range(2):
        assert loop.step(FOREVER_MS) == 0
    assert (done(link), loop.in_hand) == (3, 1)
    assert passed_on(link) == []
    assert loop.flush() == 1
    assert passed_on(link) == [(0, 1.0)]


def test_own_backlog_comes_before_the_work(link: Link, new_loop: NewLoop) -> None:
    first = new_loop()
    feed(link, "A", "B")
    first.step(0)
    first.reader.news(10, 0)  # read, and then the process dies
    loop = new_loop(relay_spec(make_handler=FromTheStart))
    loop.step(0)
    assert handler(loop).sizes == [2]
    settle(loop, 12)
    assert handler(loop).sizes == [2] + [0] * 7
    assert pending(link) == 0


def test_an_overtaken_instance_does_no_more_work(link: Link, new_loop: NewLoop) -> None:
    old = new_loop(relay_spec(make_handler=FromTheStart))
    old.step(0)
    new_loop()
    with pytest.raises(Fenced):
        old.step(0)
    assert done(link) == 1


def test_an_instance_that_is_overtaken_while_it_works_commits_none_of_it(link: Link, new_loop: NewLoop) -> None:
    class Overtaken(FromTheStart):
        def handle(self, batch: Batch) -> Outcome:
            new_loop()
            return super().handle(batch)

    with pytest.raises(Fenced):
        new_loop(relay_spec(make_handler=Overtaken)).step(0)
    assert done(link) == 0


def test_while_something_is_away_the_work_is_tried_again_from_the_committed_state(
    link: Link, new_loop: NewLoop
) -> None:
    class Away(FromTheStart):
        fails = 2
        restored = 0

        def restore(self, link: Link) -> Outcome:
            self.restored += 1
            self.left = 3 - done(link)
            return super().restore(link)

        def handle(self, batch: Batch) -> Outcome:
            outcome = super().handle(batch)
            if self.fails:
                self.fails -= 1
                raise Retryable("the disk is full")
            return outcome

    loop = new_loop(relay_spec(make_handler=Away))
    settle(loop, 8)
    found = handler(loop)
    assert isinstance(found, Away)
    assert (done(link), found.left, found.restored) == (3, 0, 3)
    assert link.call("EXISTS", keys.failures(0, "relay")) == 0


def test_what_goes_wrong_in_an_empty_batch_is_no_entrys_fault(link: Link, new_loop: NewLoop) -> None:
    class Broken(PutsOff):
        def handle(self, batch: Batch) -> Outcome:
            if not batch:
                raise ZeroDivisionError("a bug")
            return super().handle(batch)

    loop = new_loop(relay_spec(make_handler=Broken))
    feed(link, "A")
    with pytest.raises(ZeroDivisionError):  # the process ends, and begins again from what is committed
        settle(loop, 3)
    assert passed_on(link) == [(0, 1.0)]
    assert pending(link) == 0
    assert link.call("EXISTS", keys.failures(0, "relay"), keys.dead(0, "relay")) == 0

"""A handler may take a part of a batch: the rest comes again, in order, and nothing of it twice."""

from pathlib import Path

import pytest

from common.metrics import Metrics
from common.partition_loop import PartitionLoop
from common.redis_link import Link
from common.stage import Batch, Outcome
from tests.common.conftest import LinkFactory, NewLoop
from tests.common.relay import Relay, feed, passed_on, pending, relay_spec, settle


class TakesTwo(Relay):
    """It takes at most two entries at a time."""

    at_once = 2

    def __init__(self, partition: int) -> None:
        super().__init__(partition)
        self.sizes: list[int] = []

    def handle(self, batch: Batch) -> Outcome:
        """Pass on the first ones."""
        self.sizes.append(len(batch))
        outcome = super().handle(batch[: self.at_once])
        return Outcome(outcome.publish, outcome.writes, min(self.at_once, len(batch)))


class TakesNothingAtFirst(TakesTwo):
    """It has something to finish before it takes an entry."""

    def __init__(self, partition: int) -> None:
        super().__init__(partition)
        self.left = 3

    @property
    def unfinished(self) -> bool:
        """Whether it is not done with that."""
        return self.left > 0

    def handle(self, batch: Batch) -> Outcome:
        """Finish a piece of it."""
        if self.left:
            self.left -= 1
            self.sizes.append(len(batch))
            return Outcome(entries=0)
        return super().handle(batch)


def sizes(loop: PartitionLoop) -> list[int]:
    found = loop._handler
    assert isinstance(found, TakesTwo)
    return found.sizes


def numbers(link: Link) -> list[int]:
    return [number for number, _ in passed_on(link)]


def test_what_was_not_taken_comes_first_the_next_time(link: Link, new_loop: NewLoop) -> None:
    loop = new_loop(relay_spec(make_handler=TakesTwo))
    loop.step(0)  # the backlog
    feed(link, *"ABCDE")
    assert [loop.step(0) for _ in range(4)] == [2, 2, 1, 0]
    assert sizes(loop) == [5, 3, 1]
    assert numbers(link) == [0, 1, 2, 3, 4]
    assert (pending(link), loop.in_hand) == (0, 0)


def test_news_stands_behind_what_was_not_taken(link: Link, new_loop: NewLoop) -> None:
    loop = new_loop(relay_spec(make_handler=TakesTwo))
    loop.step(0)
    feed(link, *"ABC")
    loop.step(0)
    feed(link, *"DE")
    settle(loop)
    assert sizes(loop) == [3, 3, 1]
    assert numbers(link) == [0, 1, 2, 0, 1]  # each time it is fed they are numbered anew


def test_a_backlog_is_taken_in_parts_without_any_twice(link: Link, new_loop: NewLoop) -> None:
    first = new_loop(relay_spec(make_handler=TakesTwo))
    first.step(0)
    feed(link, *"ABCDE")
    first.step(0)  # it has read all, and taken two; then the process dies
    second = new_loop(relay_spec(make_handler=TakesTwo))
    settle(second)
    assert sizes(second)[:2] == [3, 1]
    assert numbers(link) == [0, 1, 2, 3, 4]
    assert (pending(link), second.in_hand) == (0, 0)


def test_a_handler_may_take_nothing_until_it_has_finished_something(link: Link, new_loop: NewLoop) -> None:
    loop = new_loop(relay_spec(make_handler=TakesNothingAtFirst))
    feed(link, *"ABC")
    settle(loop, 8)
    assert numbers(link) == [0, 1, 2]
    assert pending(link) == 0


def test_batches_beyond_the_first_wait_as_well(link: Link, new_loop: NewLoop) -> None:
    loop = new_loop(relay_spec(make_handler=TakesTwo, batch_entries=3, linger_s=3_600.0))
    loop.step(0)
    feed(link, *"ABCDEFG")
    settle(loop, 8)
    loop.flush()
    assert numbers(link) == [0, 1, 2, 3, 4, 5, 6]


def test_a_poison_entry_among_them_is_found(link: Link, new_link: LinkFactory, tmp_path: Path) -> None:
    class Allergic(TakesTwo):
        def handle(self, batch: Batch) -> Outcome:
            if any(entry.message.quotes[0].symbol == "BAD" for entry in batch[:2]):  # type: ignore[union-attr]  # quotes
                raise ZeroDivisionError("poison")
            return super().handle(batch)

    metrics = Metrics("relay")
    loop = PartitionLoop(relay_spec(make_handler=Allergic), 0, new_link(), "relay", metrics, tmp_path, lambda _: None)
    loop.open()
    loop.step(0)
    feed(link, "A", "B", "C", "BAD", "D", "E")
    settle(loop, 10)
    assert len(passed_on(link)) == 5
    assert pending(link) == 0


@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_any_size_of_the_part_settles_all(link: Link, new_loop: NewLoop, at_once: int) -> None:
    class Takes(TakesTwo):
        pass

    Takes.at_once = at_once
    loop = new_loop(relay_spec(make_handler=Takes, batch_entries=7))
    feed(link, *("A" * 23))
    settle(loop, 40)
    assert numbers(link) == list(range(23))
    assert pending(link) == 0

"""A stage that will not come back, on both Redis that the contract names."""

from collections.abc import Callable

import pytest

from common import keys
from common.fence import Fence
from common.housekeeping import trim, trim_floor
from common.keys import QUOTES
from common.messages import Clock, encode
from common.reader import Reader
from common.redis_link import Link
from common.retirement import Retirement, retire, retired_stages
from tests.chaos.matrix import fault

OLD = "1700000000000"


def reader_of(link: Link, stage: str) -> Reader:
    """Return a reader of `quotes` with its group."""
    fence = Fence(link, 0, stage)
    fence.take()
    reader = Reader(link, fence, (QUOTES,), 0, stage, stage)
    reader.create_groups()
    return reader


@pytest.fixture
def link(new_link: Callable[[], Link]) -> Link:
    """A connection to a `quotes` that features has read and the storer has not."""
    link = new_link()
    features = reader_of(link, "features")
    reader_of(link, "storer")
    for n in range(5):
        link.call("XADD", QUOTES.key(0), f"{OLD}-{n + 1}", keys.FIELD, encode(Clock(cycle=n, now_ms=n, wall_ms=n)))
    read = features.news(10, 0)
    for entry in read.entries:
        link.call("XACK", QUOTES.key(0), "features", entry.id)
    return link


@pytest.mark.short
@fault(
    "F10",
    row="a group whose stage never comes back",
    promise="all is kept for it until it is retired; then what it lost is counted, and trimmed",
    teeth="common/retirement.py: in retire, leave XGROUP DESTROY out",
)
def test_what_a_dead_group_has_not_read_is_kept_until_it_is_retired(link: Link) -> None:
    trim(link, (QUOTES,), 0)
    assert link.call("XLEN", QUOTES.key(0)) == 5

    lost = retire(link, 0, "storer", Retirement("its disk died", 1))

    assert lost["quotes"] == 5
    trim(link, (QUOTES,), 0)
    assert link.call("XLEN", QUOTES.key(0)) == 1  # the last one that features had, as always
    assert retired_stages(link, 0) == {"storer": Retirement("its disk died", 1)}


def test_a_group_that_never_was_forbids_trimming_though_another_is_retired(link: Link) -> None:
    retire(link, 0, "storer", Retirement("gone", 1))
    link.call("XGROUP", "DESTROY", QUOTES.key(0), "features")

    assert trim_floor(link, QUOTES, 0) is None


def test_a_stage_that_is_started_again_is_waited_for_again(link: Link) -> None:
    retire(link, 0, "storer", Retirement("gone", 1))
    trim(link, (QUOTES,), 0)

    back = reader_of(link, "storer")

    assert retired_stages(link, 0) == {}
    assert [entry.id for entry in back.news(10, 0).entries] == [f"{OLD}-5"]


def test_a_stage_that_comes_back_is_given_nothing_twice(link: Link) -> None:
    retire(link, 0, "features", Retirement("gone", 1))

    back = reader_of(link, "features")

    assert back.news(10, 0).entries == ()


def test_what_it_had_in_hand_comes_again_where_it_is_left(link: Link) -> None:
    storer = reader_of(link, "storer")
    read = storer.news(4, 0).entries
    link.call("XACK", QUOTES.key(0), "storer", read[0].id, read[2].id)
    retire(link, 0, "storer", Retirement("gone", 1))
    link.call("XDEL", QUOTES.key(0), read[1].id)

    back = reader_of(link, "storer")

    assert [entry.id for entry in back.backlog(10).entries] == [read[3].id]
    assert [entry.id for entry in back.news(10, 0).entries] == [f"{OLD}-5"]

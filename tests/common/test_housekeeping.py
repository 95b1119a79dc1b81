"""Trimming never takes what a registered group has not acknowledged; lag and budgets are measured."""

import pytest

from common import housekeeping
from common.housekeeping import lag_s, over_budget, trim, trim_floor
from common.keys import FIELD, QUOTES
from common.redis_link import Link
from tests.chaos.matrix import fault

KEY = QUOTES.key(0)


def fill(link: Link, *ids: str) -> None:
    """Add entries with ids of our own."""
    for entry_id in ids:
        link.call("XADD", KEY, entry_id, FIELD, "{}")


def read(link: Link, group: str, count: int, acknowledge: int) -> None:
    """Read `count` entries as a group, and acknowledge the first few."""
    link.call("XREADGROUP", "GROUP", group, "c", "COUNT", count, "STREAMS", KEY, ">")
    ids = [e[0] for e in link.call("XRANGE", KEY, "-", "+", "COUNT", acknowledge)]  # type: ignore[union-attr, index]
    if ids:
        link.call("XACK", KEY, group, *ids)  # type: ignore[arg-type]


def create(link: Link, *groups: str) -> None:
    """Create groups at the beginning."""
    for group in groups:
        link.call("XGROUP", "CREATE", KEY, group, "0", "MKSTREAM")


def test_a_registered_group_that_does_not_exist_yet_forbids_trimming(link: Link) -> None:
    fill(link, "1-0", "2-0")
    create(link, "features")
    read(link, "features", 2, 2)
    assert trim_floor(link, QUOTES, 0) is None
    trim(link, [QUOTES], 0)
    assert link.call("XLEN", KEY) == 2


@pytest.mark.short
@fault(
    "F10",
    row="two groups, one of them slower",
    promise="trimmed only up to what both have acknowledged",
    teeth="common/housekeeping.py: in trim_floor, max in place of min",
)
def test_the_slowest_group_decides(link: Link) -> None:
    fill(link, "1-0", "2-0", "3-0", "4-0")
    create(link, "features", "storer")
    read(link, "features", 4, 4)
    read(link, "storer", 4, 1)
    assert trim_floor(link, QUOTES, 0) == (2, 0)
    trim(link, [QUOTES], 0)
    assert link.call("XLEN", KEY) == 3


def test_a_group_that_has_read_nothing_keeps_everything(link: Link) -> None:
    fill(link, "1-0", "2-0")
    create(link, "features", "storer")
    read(link, "features", 2, 2)
    trim(link, [QUOTES], 0)
    assert link.call("XLEN", KEY) == 2


def test_entries_stay_for_a_look_even_when_all_have_read_them(link: Link) -> None:
    now = int(link.call("TIME")[0]) * 1000  # type: ignore[index, arg-type]
    fill(link, f"{now - housekeeping.KEEP_MS - 5_000}-0", f"{now - 1_000}-0", f"{now}-0")
    create(link, "features", "storer")
    for group in ("features", "storer"):
        read(link, group, 3, 3)
    trim(link, [QUOTES], 0)
    assert link.call("XLEN", KEY) == 2


def test_lag_is_the_distance_in_time_to_the_last_settled_entry(link: Link) -> None:
    fill(link, "1000-0", "5000-0", "9000-0")
    create(link, "features")
    read(link, "features", 2, 1)
    assert lag_s(link, [QUOTES], 0, "features") == {"quotes": 4.0}
    read(link, "features", 1, 3)
    assert lag_s(link, [QUOTES], 0, "features") == {"quotes": 0.0}


def test_a_stream_at_its_budget_is_named(link: Link) -> None:
    fill(link, "1-0", "2-0")
    assert over_budget(link, [QUOTES], 0, 3) == []
    assert over_budget(link, [QUOTES], 0, 2) == ["quotes"]

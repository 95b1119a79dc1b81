from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.timeline import Moment, Timeline, seen

BASE_MS = 1_700_000_000_000

gaps = st.lists(st.one_of(st.just(0), st.integers(0, 3), st.integers(1, 5000)), min_size=1, max_size=60)
feeds = st.lists(gaps, min_size=1, max_size=4)


def times(steps: list[int]) -> np.ndarray:
    return BASE_MS + 1 + np.cumsum(np.array(steps, dtype=np.int64))


@settings(deadline=None, derandomize=True)
@given(feeds=feeds, interval_ms=st.sampled_from([1, 7, 250, 1000, 60_000]))
def test_every_tick_of_every_feed_is_the_newest_in_some_cycle(feeds: list[list[int]], interval_ms: int) -> None:
    arrays = [times(steps) for steps in feeds]
    end_ms = int(max(array[-1] for array in arrays))
    line = Timeline(BASE_MS, interval_ms, arrays, end_ms)
    assert line.last_cycle is not None
    moments = [line.at(cycle) for cycle in range(line.last_cycle + 1)]
    for array in arrays:
        newest = [seen(array, m.now_ms, m.ordinal) for m in moments]
        assert newest[0] == 0
        assert newest[-1] == len(array)
        assert all(after - before in (0, 1) for before, after in pairwise(newest))
    now = [m.now_ms for m in moments]
    assert now == sorted(now)
    assert all(after - before <= interval_ms for before, after in pairwise(now))


@settings(deadline=None, derandomize=True)
@given(steps=gaps, cycle=st.integers(0, 10_000))
def test_a_cycle_asked_for_alone_is_the_same_as_in_order(steps: list[int], cycle: int) -> None:
    first, second = (Timeline(BASE_MS, 100, [times(steps)]) for _ in range(2))
    for earlier in range(max(0, cycle - 20), cycle):
        first.at(earlier)
    assert first.at(cycle) == second.at(cycle)


def test_the_grid_is_regular_where_no_ticks_crowd() -> None:
    line = Timeline(BASE_MS, 1000, [BASE_MS + np.array([1000, 2000, 3000])], BASE_MS + 3000)
    assert [line.at(cycle).now_ms - BASE_MS for cycle in range(4)] == [0, 1000, 2000, 3000]
    assert line.last_cycle == 3


def test_two_ticks_of_one_millisecond_have_two_cycles_of_that_millisecond() -> None:
    line = Timeline(BASE_MS, 1000, [BASE_MS + np.array([500, 500])], BASE_MS + 1000)
    assert [line.at(cycle) for cycle in (1, 2, 3)] == [
        Moment(1, BASE_MS + 500, 0),
        Moment(2, BASE_MS + 500, 1),
        Moment(3, BASE_MS + 1000),
    ]


@pytest.mark.parametrize(
    ("until", "ordinal", "count"), [(9, None, 1), (10, None, 4), (10, 0, 2), (10, 2, 4), (10, 9, 4)]
)
def test_seen_counts_ticks_up_to_the_ordinal_within_the_last_millisecond(
    until: int, ordinal: int | None, count: int
) -> None:
    assert seen(np.array([5, 10, 10, 10, 11]), until, ordinal) == count

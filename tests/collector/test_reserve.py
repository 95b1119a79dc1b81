"""The reserve of a window, and that Redis does with it what the model says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector import quota_model as model
from collector.limits import DAY_MS, Plan, Purpose, Window
from collector.quota import Quota, Terms, Usage, view_of
from common import keys
from common.redis_link import Link, flat_pairs
from tests.collector.kit import T0
from tests.support_examples import examples
from tests.support_redis import fake_links


def usage(quota: Quota, link: Link, now_ms: int) -> Usage:
    return view_of(quota.plan, flat_pairs(link.call("HGETALL", keys.quota("v"))), now_ms).usages[0]


RESERVED = Plan("v", "p", (Window("minute", 60_000, 8, reserve=3),))
IN_TURN, CHECK, STAND_IN = Terms(), Terms(Purpose.CHECK), Terms(Purpose.FAILOVER)
HISTORY = Terms(Purpose.BACKFILL, kept={"minute": 5})


def grants(quota: Quota, terms: Terms, at_ms: int, tries: int = 10) -> int:
    """Return how many credits were granted one by one."""
    return sum(quota.reserve(1, at_ms, terms).granted for _ in range(tries))


@pytest.fixture
def reserved(link: Link) -> Quota:
    quota = Quota(link, RESERVED)
    quota.establish({}, T0)
    return quota


@pytest.mark.parametrize("terms", [IN_TURN, CHECK])
def test_regular_calls_leave_the_reserve(reserved: Quota, link: Link, terms: Terms) -> None:
    assert grants(reserved, terms, T0) == 5
    assert usage(reserved, link, T0).reserve_left == 3
    assert grants(reserved, STAND_IN, T0) == 3, "standing in may take of it, but never beyond the budget"


def test_what_stands_in_takes_of_the_reserve_and_not_of_the_regular_share(reserved: Quota, link: Link) -> None:
    assert grants(reserved, STAND_IN, T0, tries=2) == 2
    assert usage(reserved, link, T0).reserve_left == 1
    assert grants(reserved, IN_TURN, T0) == 5


def test_history_takes_of_the_reserve_and_of_what_regular_asking_does_not_need(reserved: Quota) -> None:
    assert grants(reserved, HISTORY, T0) == 3
    assert grants(reserved, IN_TURN, T0) == 5


def test_history_may_take_everything_while_no_market_is_open(reserved: Quota) -> None:
    assert grants(reserved, Terms(Purpose.BACKFILL), T0) == 8


def test_out_of_turn_calls_do_not_put_the_turn_off(reserved: Quota, link: Link) -> None:
    reserved.reserve(1, T0, Terms(Purpose.FAILOVER, spacing_ms=10_000))
    assert flat_pairs(link.call("HGETALL", keys.quota("v"))).get(b"next_ms") is None


# -- one rule, twice ------------------------------------------------------------------------------

MODELLED = Plan(
    "v", "p", (Window("minute", 60_000, 8, reserve=2), Window("day", DAY_MS, 40, "UTC", 5)), reported="minute"
)
_TERMS = st.builds(
    Terms, st.sampled_from(Purpose), st.sampled_from([0, 700, 30_000]), st.sampled_from([{}, {"minute": 6, "day": 35}]),
    st.sampled_from([(), ("A",), ("A", "B")]),
)  # fmt: skip
_STEPS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 400, 5_000, 61_000, 7_200_000, 90_000_000, -5_000, -100_000_000]),
        st.one_of(st.tuples(st.integers(1, 6), _TERMS), st.integers(0, 8)),
    ),
    max_size=25,
)


@examples(120)
@given(_STEPS)
def test_the_scripts_do_what_the_model_says(steps: "list[tuple[int, tuple[int, Terms] | int]]") -> None:
    link = fake_links()()
    quota = Quota(link, MODELLED)
    quota.establish({}, T0)
    stored, now_ms = {b"since": b"%d" % T0}, T0
    for wait_ms, step in steps:
        now_ms += wait_ms
        if isinstance(step, int):
            quota.correct(step, now_ms, now_ms)
            stored = model.correct(MODELLED, stored, step, now_ms)
        else:
            expected, stored = model.reserve(MODELLED, stored, step[0], now_ms, step[1])
            assert quota.reserve(step[0], now_ms, step[1]) == expected
        assert flat_pairs(link.call("HGETALL", keys.quota("v"))) == stored

"""Whom to ask: by priority, among those that can serve, within the symbol's own class."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from collector.blocks import Block
from collector.choose import Choice, SourceView, batches, choose
from collector.limits import Plan, Purpose, Window
from collector.pace import Course, Pace
from collector.plan import CHECK_EVERY_MS
from collector.quota_model import QuotaView, Usage
from collector.vendors.base import Ask
from common.breaker import BreakerView, Rules, State
from tests.collector.kit import T0, listing

FREE = QuotaView()
HOUR = Window("hour", 3_600_000, 5)
CLOSED = BreakerView(state=State.CLOSED)


def source(name: str, **changes: object) -> SourceView:
    view = SourceView(name, True, CLOSED, Rules(), FREE, Course(batch=10))
    return replace(view, **changes)  # type: ignore[arg-type]  # test sugar


def chosen(*sources: SourceView, symbols: tuple[str, ...] = ("EURUSD",), tried: Mapping | None = None) -> Choice:
    wanted = {s: [listing(view.name, s) for view in sources] for s in symbols}
    return choose(wanted, {view.name: view for view in sources}, tried or {}, T0)


def who(choice: Choice) -> dict[str, list[str]]:
    return {group.source: [ask.symbol for ask in group.asks] for group in choice.groups}


def test_the_preferred_source_is_asked_for_all_symbols_in_one_group() -> None:
    assert who(chosen(source("a"), source("b"), symbols=("X", "Y"))) == {"a": ["X", "Y"]}


@pytest.mark.parametrize(
    ("why", "changes"),
    [
        ("no_key", {"configured": False}),
        ("rate_limited", {"blocks": {"": Block("rate_limited", T0, T0 + 1)}}),
        ("unknown_symbol", {"blocks": {"EURUSD": Block("unknown_symbol", T0, T0 + 1)}}),
        ("breaker_open", {"breaker": BreakerView(State.OPEN, opened_at_ms=T0, retry_at_ms=T0 + 60_000)}),
        ("breaker_open", {"breaker": BreakerView(State.HALF_OPEN, lease=1, lease_until_ms=T0 + 1)}),
        ("quota_spent", {"quota": QuotaView((Usage(HOUR, ((T0, 5, 0),)),)), "pace": Pace(round_ms=1_000)}),
        ("quota_spent", {"quota": QuotaView((Usage(HOUR),), lost=True)}),
    ],
)
def test_a_source_that_cannot_serve_is_passed_over_and_the_reason_is_told(why: str, changes: Mapping) -> None:
    assert who(chosen(source("a", **changes), source("b"))) == {"b": ["EURUSD"]}
    alone = chosen(source("a", **changes))
    assert (alone.groups, alone.withheld) == ((), {"EURUSD": f"a: {why}"})


def test_a_block_of_one_symbol_leaves_the_others_with_the_source() -> None:
    blocked = source("a", blocks={"X": Block("not_entitled", T0, T0 + 1)})
    assert who(chosen(blocked, source("b"), symbols=("X", "Y"))) == {"b": ["X"], "a": ["Y"]}


def test_what_failed_in_this_cycle_is_not_asked_again_for_that_symbol() -> None:
    tried = {"X": frozenset({"a"})}
    assert who(chosen(source("a"), source("b"), symbols=("X", "Y"), tried=tried)) == {"b": ["X"], "a": ["Y"]}
    everything = {"X": frozenset({"a", "b"})}
    assert chosen(source("a"), source("b"), symbols=("X",), tried=everything).withheld == {"X": "a: failed, b: failed"}


def test_a_symbol_without_any_source_is_withheld() -> None:
    choice = choose({"X": [listing("nobody", "X")]}, {}, {}, T0)
    assert (choice.groups, choice.withheld) == ((), {"X": "nobody: unknown"})


# -- turns ----------------------------------------------------------------------------------------

DAY = Plan("day", "p", (Window("day", 86_400_000, 800, "UTC", 80),), per_symbol=True)
MANY = Plan("many", "p", (Window("hour", 3_600_000, 60, reserve=6),))


def budgeted(name: str, plan: Plan = MANY, *, turn_in_ms: int = 0, asked: Mapping | None = None,
             round_ms: int = 60_000, hurried_ms: int = 20_000, used: int = 0, of_reserve: int = 0,
             **changes: object) -> SourceView:  # fmt: skip
    """A source with a budget: when its turn comes, how often it comes round, what is used."""
    bucket = plan.windows[0].length_ms
    quota = QuotaView((Usage(plan.windows[0], ((T0 - bucket // 2, used, of_reserve),)),), T0 + turn_in_ms)
    ages = {symbol: T0 - age_ms for symbol, age_ms in (asked or {}).items()}
    course = Course({}, 10, plan.per_symbol)
    pace = Pace(1_000, round_ms, hurried_ms)
    return source(name, quota=quota, course=course, pace=pace, last_asked_ms=ages, **changes)


def test_a_symbol_waits_for_the_turn_of_its_only_source() -> None:
    choice = chosen(budgeted("a", turn_in_ms=1))
    assert (who(choice), choice.waiting["EURUSD"].vendor, choice.withheld) == ({}, "a", {})
    assert who(chosen(budgeted("a"))) == {"a": ["EURUSD"]}


@pytest.mark.parametrize(("age_ms", "asked"), [(20_000, {}), (39_999, {}), (40_000, {"b": ["EURUSD"]})])
def test_another_source_fills_in_at_the_middle_of_the_gap(age_ms: int, asked: Mapping) -> None:
    first = budgeted("a", turn_in_ms=40_000, asked={"EURUSD": age_ms})
    assert who(chosen(first, budgeted("b", round_ms=240_000))) == asked


def test_a_source_that_comes_round_ten_times_more_rarely_than_the_gap_is_kept() -> None:
    first = budgeted("a", turn_in_ms=40_000, asked={"EURUSD": 40_000})
    assert who(chosen(first, budgeted("b", round_ms=800_000))) == {"b": ["EURUSD"]}
    assert who(chosen(first, budgeted("b", round_ms=800_001))) == {}


def test_a_source_fills_in_at_its_own_pace_where_the_gap_is_longer() -> None:
    rare = budgeted("a", turn_in_ms=3_600_000, asked={"EURUSD": 60_000})
    assert who(chosen(rare, budgeted("b", round_ms=60_000))) == {"b": ["EURUSD"]}
    assert who(chosen(rare, budgeted("b", round_ms=60_001))) == {}


def test_staleness_counts_over_all_sources_of_the_class() -> None:
    first = budgeted("a", turn_in_ms=40_000, asked={"EURUSD": 90_000})
    assert who(chosen(first, budgeted("b", asked={"EURUSD": 1_000}))) == {}


def test_when_the_budget_carries_few_symbols_the_stalest_go_first() -> None:
    ages = {"W": 0, "X": 5_000, "Y": 1_000}
    two_left = budgeted("a", DAY, asked=ages, used=718)
    choice = chosen(two_left, symbols=("W", "X", "Y", "Z"))
    assert who(choice) == {"a": ["X", "Z"]}, "Z was never asked for, X is the oldest; in the table's order"
    assert list(choice.waiting) == ["Y", "W"]
    assert who(chosen(replace(two_left, course=Course({}, 10)), symbols=tuple("WXYZ"))) == {"a": ["W", "X", "Y", "Z"]}


def test_what_one_source_has_no_room_for_goes_to_the_next_that_fills_in() -> None:
    choice = chosen(budgeted("a", DAY, used=719), budgeted("b"), symbols=("X", "Y"))
    assert who(choice) == {"a": ["X"], "b": ["Y"]}


# -- standing in ----------------------------------------------------------------------------------

BLOCKED = {"": Block("rate_limited", T0, T0 + 1)}


def purposes(choice: Choice) -> dict[str, Purpose]:
    return {group.source: group.purpose for group in choice.groups}


def test_where_the_preferred_source_fails_another_is_asked_at_once_out_of_its_turn() -> None:
    failed = chosen(budgeted("a"), budgeted("b", turn_in_ms=9_000), tried={"EURUSD": frozenset({"a"})})
    assert (who(failed), purposes(failed)) == ({"b": ["EURUSD"]}, {"b": Purpose.FAILOVER})
    in_turn = chosen(budgeted("a"), budgeted("b"), tried={"EURUSD": frozenset({"a"})})
    assert purposes(in_turn) == {"b": Purpose.REGULAR}


def test_while_the_preferred_source_is_down_another_hurries_as_long_as_its_reserve_lasts() -> None:
    down = budgeted("a", blocks=BLOCKED)
    for age_ms, asked in ((19_999, {}), (20_000, {"b": Purpose.FAILOVER})):
        assert purposes(chosen(down, budgeted("b", turn_in_ms=9_000, asked={"EURUSD": age_ms}))) == asked
    spent = budgeted("b", turn_in_ms=9_000, asked={"EURUSD": 50_000}, used=6, of_reserve=6)
    assert who(chosen(down, spent)) == {}


def test_the_one_that_can_bear_it_best_stands_in() -> None:
    down = budgeted("a", blocks=BLOCKED)
    few, more = budgeted("b", turn_in_ms=9_000, hurried_ms=900_000), budgeted("c", turn_in_ms=9_000, hurried_ms=70_000)
    assert who(chosen(down, few, more)) == {"c": ["EURUSD"]}


@pytest.mark.parametrize("why", ["not_entitled", "unknown_symbol", "bad_key"])
def test_nobody_stands_in_for_a_source_that_never_served(why: str) -> None:
    never = budgeted("a", blocks={"EURUSD": Block(why, T0, T0 + 1)})
    assert who(chosen(never, budgeted("b", turn_in_ms=9_000))) == {}


def test_when_one_that_fills_in_fails_there_is_no_emergency() -> None:
    first = budgeted("a", turn_in_ms=40_000, asked={"EURUSD": 0})
    assert who(chosen(first, budgeted("b"), budgeted("c"), tried={"EURUSD": frozenset({"b"})})) == {}


# -- push -----------------------------------------------------------------------------------------


def pushed(*sources: SourceView, live: Mapping[str, str], lost: tuple[str, ...] = ()) -> Choice:
    wanted = {"EURUSD": [listing(view.name) for view in sources]}
    return choose(wanted, {view.name: view for view in sources}, {}, T0, live, lost)


def test_a_pushed_price_is_only_checked_and_that_rarely() -> None:
    live = {"EURUSD": "a"}
    for age_ms, asked in ((CHECK_EVERY_MS - 1, {}), (CHECK_EVERY_MS, {"b": Purpose.CHECK})):
        ages = {"EURUSD": age_ms}
        choice = pushed(budgeted("a", asked=ages), budgeted("b", asked=ages), live=live)
        assert (purposes(choice), choice.waiting, choice.withheld) == (asked, {}, {})


def test_it_is_checked_at_the_source_that_pushes_it_where_no_other_has_its_turn() -> None:
    assert purposes(pushed(budgeted("a"), budgeted("b", turn_in_ms=1), live={"EURUSD": "a"})) == {"a": Purpose.CHECK}
    assert purposes(pushed(budgeted("a", turn_in_ms=1), live={"EURUSD": "a"})) == {}


def test_a_price_that_is_no_longer_pushed_is_asked_for_at_once() -> None:
    choice = pushed(budgeted("a", turn_in_ms=60_000, asked={"EURUSD": 1_000}), live={}, lost=("EURUSD",))
    assert purposes(choice) == {"a": Purpose.FAILOVER}


# -- several processes ----------------------------------------------------------------------------


@pytest.mark.parametrize(("since_turn_ms", "asked"), [(1_999, {}), (2_000, {"a": ["EURUSD"]})])
def test_a_turn_is_left_for_a_moment_to_a_process_that_has_waited_longer(since_turn_ms: int, asked: Mapping) -> None:
    course = Course({"EURUSD": "fx", "GBPUSD": "fx"}, 10, foreign=frozenset({"GBPUSD"}))
    theirs_older = budgeted("a", turn_in_ms=-since_turn_ms, asked={"EURUSD": 60_000, "GBPUSD": 61_000})
    assert who(chosen(replace(theirs_older, course=course))) == asked
    ours_older = budgeted("a", turn_in_ms=-since_turn_ms, asked={"EURUSD": 61_000, "GBPUSD": 60_000})
    assert who(chosen(replace(ours_older, course=course))) == {"a": ["EURUSD"]}


def test_calls_carry_at_most_what_the_vendor_takes() -> None:
    asks = [Ask(str(n), str(n), "c") for n in range(5)]
    assert [len(b) for b in batches(asks, 2)] == [2, 2, 1]

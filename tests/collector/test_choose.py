"""Whom to ask: by priority, among those that can serve, within the symbol's own class."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from collector.blocks import Block
from collector.choose import Choice, SourceView, batches, choose
from collector.limits import Plan, Window
from collector.plan import PATIENCE_MS, Turn, affordable, turn
from collector.quota import QuotaView, view_of
from collector.vendors.base import Ask
from common.breaker_model import BreakerView, Rules, State
from common.sources import QuotaWindow
from tests.collector.kit import T0, listing

FREE = QuotaView({})
CLOSED = BreakerView(state=State.CLOSED)


def source(name: str, **changes: object) -> SourceView:
    view = SourceView(name, configured=True, batch=10, breaker=CLOSED, rules=Rules(), quota=FREE)
    return replace(view, **changes)  # type: ignore[arg-type]  # test sugar


def chosen(*sources: SourceView, symbols: tuple[str, ...] = ("EURUSD",), tried: Mapping | None = None) -> Choice:
    wanted = {s: [listing(view.name, s) for view in sources] for s in symbols}
    return choose(wanted, {view.name: view for view in sources}, tried or {}, T0)


def who(choice: Choice) -> dict[str, list[str]]:
    return {name: [ask.symbol for ask in asks] for name, asks in choice.groups}


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
        ("quota_spent", {"quota": QuotaView({"day": QuotaWindow(5, 5, 0)}, room_ms=T0 + 60_000), "spacing_ms": 1_000}),
        ("quota_spent", {"quota": QuotaView({"day": QuotaWindow(5, 5, 0)}, room_ms=None)}),
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


def paced(next_in_ms: int) -> SourceView:
    quota = QuotaView({"minute": QuotaWindow(6, 1, 5)}, next_ms=T0 + next_in_ms)
    return source("a", quota=quota, spacing_ms=next_in_ms)


def test_a_symbol_waits_for_its_source_when_the_turn_comes_soon() -> None:
    choice = chosen(paced(PATIENCE_MS), source("b"))
    assert who(choice) == {}
    assert choice.waiting["EURUSD"].vendor == "a"


def test_a_symbol_does_not_wait_long_while_another_source_can_be_asked() -> None:
    assert who(chosen(paced(PATIENCE_MS + 1), source("b"))) == {"b": ["EURUSD"]}
    alone = chosen(paced(PATIENCE_MS + 1))
    assert alone.waiting["EURUSD"].vendor == "a"
    assert alone.withheld == {}


def test_when_the_budget_carries_few_symbols_the_stalest_go_first() -> None:
    asks = [Ask(s, s, "c") for s in ("W", "X", "Y", "Z")]
    quota = QuotaView({"minute": QuotaWindow(8, 6, 2)})
    ages = {"W": T0, "X": T0 - 5_000, "Y": T0 - 1_000}
    chosen_asks = affordable(asks, quota, ages, per_symbol=True)
    assert [ask.symbol for ask in chosen_asks] == ["X", "Z"], "Z was never asked for, X is the oldest"
    assert len(affordable(asks, quota, ages, per_symbol=False)) == 4


def test_symbols_that_the_budget_leaves_out_wait() -> None:
    quota = QuotaView({"minute": QuotaWindow(8, 7, 1)})
    choice = chosen(source("a", quota=quota, per_symbol=True, spacing_ms=7_500), symbols=("X", "Y"))
    assert who(choice) == {"a": ["X"]}
    assert list(choice.waiting) == ["Y"]


def test_a_day_of_asking_in_turn_spreads_the_budget_over_the_whole_day() -> None:
    plan = Plan("a", "p", (Window("day", 86_400_000, 24),))
    now_ms, last_ms, asked = T0, None, []
    for minute in range(24 * 60):
        now_ms = T0 + minute * 60_000
        stored = {b"since": b"1", b"next_ms": b"%d" % (0 if last_ms is None else last_ms + plan.spacing_ms)}
        if turn(view_of(plan, stored, now_ms), plan.spacing_ms, now_ms) is Turn.NOW:
            last_ms = now_ms
            asked.append(minute)
    assert asked == list(range(0, 24 * 60, 60))


def test_calls_carry_at_most_what_the_vendor_takes() -> None:
    asks = [Ask(str(n), str(n), "c") for n in range(5)]
    assert [len(b) for b in batches(asks, 2)] == [2, 2, 1]

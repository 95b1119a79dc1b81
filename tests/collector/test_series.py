"""Which class feeds a series: at once where that is due, never one that is not allowed, and never to and fro."""

import pytest

from collector import series
from collector.series import (
    NO_SOURCE_MS,
    STEADY_MS,
    TERMINAL_GONE_MS,
    Allowed,
    Record,
)
from common.symbols import Symbol, load_symbols
from tests.collector.series_run import LAST, OWN, SECOND, SECOND_BEST, T0, TERMINAL, Market, Run

# -- the terminal ---------------------------------------------------------------------------------


def test_the_terminals_class_feeds_the_series_at_once_and_for_as_long_as_it_is_there() -> None:
    run = Run()
    run.terminal_every_s = 25
    assert run.run(600) == [(25, TERMINAL, "terminal_came")]


def test_a_terminal_that_goes_gives_way_after_thirty_seconds() -> None:
    run = Run()
    run.terminal_every_s = 1
    run.run(60)
    run.terminal_every_s = None
    assert run.run(300) == [(31, OWN, "terminal_gone")]


def test_a_terminal_that_goes_gives_way_to_the_best_class_that_can_serve() -> None:
    run = Run()
    run.terminal_every_s = 1
    run.run(60)
    run.terminal_every_s, run.market.unable = None, {OWN}
    assert run.run(60) == [(31, SECOND_BEST, "terminal_gone")]


def test_a_terminal_that_is_silent_in_a_closed_market_has_not_gone() -> None:
    run = Run()
    run.terminal_every_s = 1
    run.run(60)
    run.terminal_every_s, run.market = None, Market(TERMINAL)
    assert run.run(3_600) == []
    run.market = Market()
    assert run.run(5) == [(1, OWN, "terminal_gone")]


def test_a_terminal_that_comes_and_goes_must_at_last_be_steady_to_come_back() -> None:
    run = Run()
    for _ in range(2):
        run.terminal_every_s = 1
        assert [why for _, _, why in run.run(10)] == ["terminal_came"]
        run.terminal_every_s = None
        assert [why for _, _, why in run.run(40)] == ["terminal_gone"]
    run.terminal_every_s = 1
    assert run.run(400) == [(STEADY_MS // SECOND + 1, TERMINAL, "terminal_came")]


def test_where_the_terminal_is_not_listed_nothing_changes() -> None:
    run = Run(Allowed("", (OWN,)))
    run.terminal_every_s = 1
    run.up.clear()
    assert run.run(3_600) == []


# -- the vendors' classes -------------------------------------------------------------------------


def test_a_class_without_a_source_gives_way_after_a_minute_to_the_next_one_that_serves() -> None:
    run = Run()
    run.up = {LAST}
    assert run.run(300) == [(NO_SOURCE_MS // SECOND + 3, LAST, "class_down")], "second best is tried first, in vain"


def test_without_permission_a_symbol_has_no_other_class_however_long_its_own_is_away() -> None:
    run = Run(Allowed("", (OWN,)))
    run.up.clear()
    assert run.run(7_200) == []
    assert run.record.active == OWN


def test_an_outage_of_less_than_a_minute_changes_nothing() -> None:
    run = Run()
    for _ in range(20):
        run.up.discard(OWN)
        assert run.run(58) == []
        run.up.add(OWN)
        assert run.run(2) == []


def test_a_closed_market_is_no_outage() -> None:
    run = Run()
    run.up.discard(OWN)
    run.market.closed = {OWN}
    assert run.run(7_200) == []


def test_a_better_class_comes_back_when_it_has_served_for_minutes() -> None:
    run = Run()
    run.up.discard(OWN)
    run.run(100)
    run.up.add(OWN)
    ((after_s, to, why),) = run.run(900)
    assert (to, why) == (OWN, "class_back")
    assert STEADY_MS // SECOND <= after_s <= STEADY_MS // SECOND + 61


def test_a_better_class_that_fails_in_between_begins_its_minutes_anew() -> None:
    run = Run()
    run.up.discard(OWN)
    run.run(100)
    for _ in range(30):
        run.up.add(OWN)
        run.run(100)
        run.up.discard(OWN)
        run.run(61)
    assert [change.why for _, _, change in run.changes] == ["class_down"]


def test_no_class_is_tried_while_the_best_one_serves() -> None:
    run = Run()
    run.run(3_600)
    assert run.record.tried == {}


def test_while_all_are_down_each_other_class_is_tried_every_quarter_of_a_minute() -> None:
    run = Run()
    run.up.clear()
    run.run(60)
    tried = []
    for _ in range(60):
        before = run.record.tried
        run.step()
        tried += [name for name, at_ms in run.record.tried.items() if before.get(name) != at_ms]
    assert tried == [SECOND_BEST, LAST] * 4


# -- the record -----------------------------------------------------------------------------------


def gold(*failover: str, own: str = "comex_gold_future") -> Symbol:
    return load_symbols(("XAUUSD",)).symbols["XAUUSD"].model_copy(update={"failover": failover, "series": own})


def test_the_tables_classes_are_the_terminals_the_own_one_and_those_that_the_user_allows() -> None:
    assert series.allowed_of(gold()) == Allowed("terminal_metals", ("comex_gold_future",))
    assert series.allowed_of(gold("gold_spot")) == Allowed("terminal_metals", ("comex_gold_future", "gold_spot"))


@pytest.mark.parametrize("table", [gold(), gold("comex_gold_future", own="gold_spot")])
def test_a_record_is_begun_anew_where_the_table_no_longer_allows_what_it_says(table: Symbol) -> None:
    kept = Record("comex_gold_future", "gold_spot", heard_ms=T0)
    assert series.begun(gold("gold_spot"), kept) is kept
    assert series.begun(table, kept) == Record(table.series, table.series)


def test_an_old_sign_of_life_that_comes_again_says_nothing() -> None:
    record = series.heard(Record(OWN, OWN), T0)
    assert series.heard(record, T0 - 600_000) is record
    assert not series.is_present(record, T0 + TERMINAL_GONE_MS + 1)

"""Which class feeds a series: at once where that is due, never one that is not allowed, and never to and fro."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from collector import series
from collector.series import (
    LOSSES_MS,
    NO_SOURCE_MS,
    STEADY_MS,
    TERMINAL_GONE_MS,
    TRY_EVERY_MS,
    Allowed,
    Change,
    Record,
)
from common.symbols import Symbol, load_symbols

T0 = 1_763_992_800_000
SECOND = 1_000
OWN, SECOND_BEST, LAST, TERMINAL = "own", "second", "last", "terminal"
ALL = Allowed(TERMINAL, (OWN, SECOND_BEST, LAST))


class Market:
    """What a decision looks at: which sessions are open, and which classes can be asked."""

    def __init__(self, *closed: str) -> None:
        self.closed = set(closed)
        self.unable: set[str] = set()

    def is_open(self, source_class: str, for_ms: int = 0) -> bool:
        return source_class not in self.closed

    def can_serve(self, source_class: str) -> bool:
        return self.is_open(source_class) and source_class not in self.unable


class Run:
    """One symbol, second after second, as the cycles take it through."""

    def __init__(self, allowed: Allowed = ALL) -> None:
        self.allowed, self.market = allowed, Market()
        self.up = set(allowed.vendors)
        self.record = Record(OWN, OWN)
        self.now_ms = T0
        self.changes: list[tuple[int, str, Change]] = []
        self.terminal_every_s: int | None = None
        self._seconds = 0

    def step(self) -> None:
        self.now_ms += SECOND
        self._seconds += 1
        if self.terminal_every_s is not None and self._seconds % self.terminal_every_s == 0:
            self.record = series.heard(self.record, self.now_ms)
        change = series.decide(self.record, self.allowed, self.now_ms, self.market)
        if change is not None:
            self.changes.append((self.now_ms, self.record.active, change))
            self.record = series.changed(self.record, change, self.now_ms)
        self.record = msgspec.json.decode(msgspec.json.encode(self.record), type=Record)  # as a restart would
        self._ask()

    def _ask(self) -> None:
        active = self.record.active
        if active in self.allowed.vendors:
            closed = active in self.market.closed
            served = active in self.up and not closed
            self.record = series.stands(self.record, served=served, closed=closed, now_ms=self.now_ms)
        other = series.to_try(self.record, self.allowed, self.now_ms, self.market)
        if other:
            assert other in self.allowed.vendors
            assert other != active
            self.record = series.was_tried(self.record, other, served=other in self.up, now_ms=self.now_ms)

    def run(self, seconds: int) -> list[tuple[int, str, str]]:
        """Return the changes of so many seconds: after how many, to which class, why."""
        began_ms, known = self.now_ms, len(self.changes)
        for _ in range(seconds):
            self.step()
        return [((at - began_ms) // SECOND, c.source_class, c.why) for at, _, c in self.changes[known:]]


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


# -- whatever happens -----------------------------------------------------------------------------


class Weather(RuleBasedStateMachine):
    """Sources, sessions and the terminal come and go as they like."""

    @initialize(failover=st.sampled_from([(), (SECOND_BEST,), (SECOND_BEST, LAST)]), listed=st.booleans())
    def begin(self, failover: tuple[str, ...], listed: bool) -> None:
        self.run_ = Run(Allowed(TERMINAL if listed else "", (OWN, *failover)))
        self.down_since: dict[str, int] = {}
        self.heard: list[int] = []

    @rule(
        up=st.sets(st.sampled_from([OWN, SECOND_BEST, LAST])),
        closed=st.sets(st.sampled_from([OWN, SECOND_BEST, LAST, TERMINAL]), max_size=1),
        terminal=st.sampled_from([None, None, 1, 20, 29, 33, 45]),
        seconds=st.integers(1, 200),
    )
    def weather(self, up: set[str], closed: set[str], terminal: int | None, seconds: int) -> None:
        run = self.run_
        run.up, run.market.closed, run.terminal_every_s = up & set(run.allowed.vendors), closed, terminal
        for _ in range(seconds):
            before, known = run.record, len(run.changes)
            run.step()
            for _, source, change in run.changes[known:]:
                self._check(before, source, change)
            self._note()

    def _note(self) -> None:
        run = self.run_
        for name in run.allowed.vendors:
            serves = name in run.up or name in run.market.closed
            self.down_since = {k: v for k, v in self.down_since.items() if not (k == name and serves)}
            if not serves:
                self.down_since.setdefault(name, run.now_ms)

    def _check(self, before: Record, source: str, change: Change) -> None:
        run, now_ms = self.run_, self.run_.now_ms
        vendors = run.allowed.vendors
        assert change.source_class != source
        if change.why == "terminal_came":
            assert change.source_class == run.allowed.terminal != ""
        elif change.why == "terminal_gone":
            assert source == run.allowed.terminal
            assert before.heard_ms is None or now_ms - before.heard_ms > TERMINAL_GONE_MS
        elif change.why == "class_back":
            assert vendors.index(change.source_class) < vendors.index(source)
            good = before.good[change.source_class]
            assert good.last_ms - good.since_ms >= STEADY_MS
        else:
            assert now_ms - self.down_since[source] >= NO_SOURCE_MS - SECOND
            assert now_ms - before.good[change.source_class].last_ms <= TRY_EVERY_MS

    @invariant()
    def only_what_is_allowed_feeds_the_series(self) -> None:
        if not hasattr(self, "run_"):
            return
        allowed = self.run_.allowed
        assert self.run_.record.active in (allowed.terminal, *allowed.vendors)

    @invariant()
    def it_never_goes_to_and_fro(self) -> None:
        if not hasattr(self, "run_"):
            return
        changes = [(at_ms, change.why) for at_ms, _, change in self.run_.changes]
        vendors = [at_ms for at_ms, why in changes if why.startswith("class_")]
        assert all(b - a >= NO_SOURCE_MS for a, b in pairwise(vendors))
        back = [at_ms for at_ms, why in changes if why == "class_back"]
        assert all(b - a >= STEADY_MS for a, b in pairwise(back))
        gone = [at_ms for at_ms, why in changes if why == "terminal_gone"]
        for at_ms in gone:
            assert sum(at_ms <= other < at_ms + LOSSES_MS for other in gone) <= 4


Weather.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestWeather = Weather.TestCase

"""Sources, sessions and the terminal come and go as they like: what holds for a series all the same."""

from itertools import pairwise

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

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
from tests.collector.series_run import LAST, OWN, SECOND, SECOND_BEST, TERMINAL, Run


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

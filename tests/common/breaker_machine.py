"""Any sequence of what clients, operators, clocks and accidents do to a breaker: Redis and the model always agree."""

from collections.abc import Sequence

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from common import keys
from common.breaker import Admission, BreakerView, Force, Rules, State, Transition, changes_of, model, view_of
from common.breaker.values import LOG, Result
from common.redis_link import Link, flat_pairs
from tests.common.breaker_clients import SOURCE, Client, ProcessClient

RULES = Rules(failures_to_open=4, window_calls=5, failure_percent=50, slow_percent=60)
SHARE, STRETCH = 0.37, 74  # 37 % of the 200 permille of the rules
T0 = 1_763_800_000_000

STEPS_MS = [
    1, 500, 4_999, 5_000, 9_999, 10_000, 10_001, 59_999, 64_440, 128_880, 300_000, 3_600_000, -1, -4_999, -5_001,
    -20_000, -86_400_000,
]  # fmt: skip
CLIENTS = st.integers(0, 2)
ANY = st.integers(0, 50)
RARELY, OFTEN = st.sampled_from([False, False, True]), st.sampled_from([True, True, False])
SKEWS_MS = st.sampled_from([0, 0, 3, 10_000, 20_000, -10_000, -50_000, -60_000])


class SameAsTheModel(RuleBasedStateMachine):
    """Three clients in any order, with a clock that also goes back."""

    def __init__(self, clients: Sequence[Client], link: Link) -> None:
        super().__init__()
        self.link, self.clients = link, clients
        self.link.call("DEL", keys.breaker(SOURCE))
        self.expected = BreakerView()
        self.changes: list[Transition] = []
        self.now_ms = T0
        self.in_hand: list[Admission] = []

    # -- what the model says -----------------------------------------------------------------------

    def after_admit(self) -> tuple[BreakerView, Admission]:
        return model.admit(self.expected, self.now_ms, RULES)

    def after_record(self, admission: Admission, result: Result) -> model.Changed:
        return model.record(self.expected, admission, self.now_ms, result, RULES, STRETCH)

    def become(self, view: BreakerView, change: Transition | None) -> None:
        self.expected = view
        if change is not None:
            self.changes.append(change)

    # -- calls -------------------------------------------------------------------------------------

    @initialize(state=st.sampled_from(["unknown", "closed", "open"]))
    def begin(self, state: str) -> None:
        if state != "unknown":
            self.admit(0)
            self.finish(0, 0, failed=state == "open", slow=False)

    @rule(client=CLIENTS)
    def admit(self, client: int) -> None:
        view, wanted = self.after_admit()
        assert self.clients[client].ask("admit", self.now_ms) == wanted
        self.become(view, wanted.transition)
        if wanted.allowed:
            self.in_hand.append(wanted)

    @precondition(lambda self: self.in_hand)
    @rule(client=CLIENTS, which=ANY, failed=st.booleans(), slow=st.booleans())
    def finish(self, client: int, which: int, failed: bool, slow: bool) -> None:
        admission = self.in_hand.pop(which % len(self.in_hand))
        view, change = self.after_record(admission, result_of(failed, slow))
        assert self.clients[client].ask(*question(failed), admission, self.now_ms, *error(failed), slow=slow) == change
        self.become(view, change)

    @rule(client=CLIENTS, calls=st.lists(st.tuples(RARELY, OFTEN, SKEWS_MS), min_size=5, max_size=12))
    def a_busy_minute(self, client: int, calls: list[tuple[bool, bool, int]]) -> None:
        """Calls through a closed breaker, each with its caller's clock."""
        if self.expected.state is not State.CLOSED:
            self.force(client, Force.CLOSED, "ann")
            self.force(client, Force.AUTO, "ann")
        start_ms = self.now_ms
        for failed, slow, skew_ms in calls:
            self.now_ms = start_ms + skew_ms
            self.admit(client)
            if self.expected.state is State.CLOSED:
                self.finish(client, -1, failed, slow)
        self.now_ms = start_ms

    @precondition(lambda self: self.in_hand)
    @rule(client=CLIENTS, which=ANY)
    def give_back(self, client: int, which: int) -> None:
        admission = self.in_hand.pop(which % len(self.in_hand))
        self.clients[client].ask("give_back", admission)
        self.expected = model.give_back(self.expected, admission)

    # -- an operator -------------------------------------------------------------------------------

    @rule(client=CLIENTS, wanted=st.sampled_from(Force), who=st.sampled_from(["ann", "bob"]))
    def force(self, client: int, wanted: Force, who: str) -> None:
        view, change = model.force(self.expected, wanted, who, "tests", self.now_ms, RULES)
        assert self.clients[client].ask("force", wanted, who, "tests", self.now_ms) == change
        self.become(view, change)

    # -- accidents ---------------------------------------------------------------------------------

    @rule(step_ms=st.sampled_from(STEPS_MS))
    def time_passes(self, step_ms: int) -> None:
        self.now_ms += step_ms

    @precondition(lambda self: self.in_hand)
    @rule(which=ANY)
    def a_call_is_lost(self, which: int) -> None:
        self.in_hand.pop(which % len(self.in_hand))

    @rule()
    def redis_loses_the_hash(self) -> None:
        self.link.call("DEL", keys.breaker(SOURCE))
        self.expected, self.changes = BreakerView(), []

    # -- what always holds -------------------------------------------------------------------------

    @invariant()
    def they_agree(self) -> None:
        stored = flat_pairs(self.link.call("HGETALL", keys.breaker(SOURCE)))
        assert view_of(stored) == self.expected
        assert list(changes_of(stored)) == self.changes[-LOG:]

    @invariant()
    def the_hash_stays_small(self) -> None:
        assert len(flat_pairs(self.link.call("HGETALL", keys.breaker(SOURCE)))) <= 17 + 6 + LOG


class WithProcesses(SameAsTheModel):
    """The same where each client is a process, which may be killed while it asks."""

    clients: Sequence[ProcessClient]

    @rule(client=CLIENTS, failed=st.booleans(), admits=st.booleans())
    def a_worker_is_killed(self, client: int, failed: bool, admits: bool) -> None:
        """What it asked for has happened as a whole, or not at all; then its successor asks for it."""
        worker = self.clients[client]
        asked: tuple[object, ...] = ("admit", self.now_ms)
        if admits or not self.in_hand:
            view, lost = self.after_admit()
            change = lost.transition
        else:
            admission = self.in_hand.pop()
            view, change = self.after_record(admission, result_of(failed, False))
            asked = (*question(failed), admission, self.now_ms, *error(failed))
        worker.die_while_asking(*asked)  # type: ignore[arg-type]  # the first is the method
        found = view_of(flat_pairs(self.link.call("HGETALL", keys.breaker(SOURCE))))
        assert found in (self.expected, view)
        if found != view:  # each run goes the same way from here
            worker.ask(*asked)  # type: ignore[arg-type]
        self.become(view, change)


def question(failed: bool) -> tuple[str]:
    return ("record_failure" if failed else "record_success",)


def error(failed: bool) -> tuple[str, ...]:
    return ("down",) if failed else ()


def result_of(failed: bool, slow: bool) -> Result:
    return Result(failed, slow, "down" if failed else "its answers are slow" if slow else "")

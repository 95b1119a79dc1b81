"""The circuit breaker: its rules on fakeredis and on the real Valkey, against the pure model, over several clients."""

import threading
from collections.abc import Callable

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from common import breaker_model as model
from common import keys
from common.breaker import Admission, Breaker, BreakerView, Rules, State, Transition
from common.redis_link import Link

RULES = Rules(failures_to_open=5, open_ms=60_000, lease_ms=10_000)
T0 = 1_763_800_000_000

LinkFactory = Callable[[], Link]


@pytest.fixture
def breaker(link: Link) -> Breaker:
    return Breaker(link, "somewhere", RULES)


def closed(breaker: Breaker, now_ms: int = T0) -> Breaker:
    """Bring a new breaker to CLOSED: its first probe is answered."""
    assert breaker.record_success(breaker.admit(now_ms), now_ms) is not None
    return breaker


def opened(breaker: Breaker, now_ms: int = T0) -> Breaker:
    """Bring a new breaker to OPEN at `now_ms`: its first probe fails."""
    transition = breaker.record_failure(breaker.admit(now_ms), now_ms, "refused")
    assert transition is not None
    assert transition.after is State.OPEN
    return breaker


def test_a_breaker_of_which_nothing_is_known_is_half_open(breaker: Breaker) -> None:
    assert breaker.read().state is State.HALF_OPEN
    first, second = breaker.admit(T0), breaker.admit(T0)
    assert (first.allowed, first.is_probe) == (True, True)
    assert (second.allowed, second.is_probe) == (False, False)


def test_an_answered_probe_closes_it(breaker: Breaker) -> None:
    transition = breaker.record_success(breaker.admit(T0), T0 + 5)
    assert transition == Transition(State.HALF_OPEN, State.CLOSED, T0 + 5, 1, 0)
    assert breaker.admit(T0 + 6) == Admission(allowed=True, is_probe=False, state=State.CLOSED, generation=1)


def test_five_outages_in_a_row_open_it_for_sixty_seconds(breaker: Breaker) -> None:
    closed(breaker)
    for n in range(4):
        assert breaker.record_failure(breaker.admit(T0 + n), T0 + n, "timeout") is None
    transition = breaker.record_failure(breaker.admit(T0 + 4), T0 + 4, "timeout")
    assert transition == Transition(State.CLOSED, State.OPEN, T0 + 4, 2, 5, "timeout")
    view = breaker.read()
    assert (view.state, view.failures, view.opened_at_ms, view.retry_at_ms) == (State.OPEN, 5, T0 + 4, T0 + 60_004)
    assert view.last_error == "timeout"
    assert not breaker.admit(T0 + 60_003).allowed
    admission = breaker.admit(T0 + 60_004)
    assert admission.is_probe
    assert admission.transition == Transition(State.OPEN, State.HALF_OPEN, T0 + 60_004, 3, 5, "timeout")


def test_a_success_between_makes_the_count_start_again(breaker: Breaker) -> None:
    closed(breaker)
    for n in range(20):
        admission = breaker.admit(T0 + n)
        if n % 5 == 4:
            breaker.record_success(admission, T0 + n)
        else:
            assert breaker.record_failure(admission, T0 + n, "timeout") is None
    assert breaker.read().state is State.CLOSED


def test_a_failed_probe_opens_it_again(breaker: Breaker) -> None:
    opened(breaker)
    probe = breaker.admit(T0 + 60_000)
    transition = breaker.record_failure(probe, T0 + 60_100, "reset")
    assert transition is not None
    assert transition.after is State.OPEN
    assert breaker.read().retry_at_ms == T0 + 120_100


def test_a_lost_probe_gives_its_lease_back_in_time(breaker: Breaker) -> None:
    lost = breaker.admit(T0)
    assert not breaker.admit(T0 + 9_999).allowed
    second = breaker.admit(T0 + 10_000)
    assert second.is_probe
    assert breaker.record_failure(lost, T0 + 10_001, "late") is None, "the lost probe says nothing any more"
    assert breaker.read().state is State.HALF_OPEN
    assert breaker.record_success(second, T0 + 10_002) is not None


def test_a_probe_that_was_not_made_frees_the_place(breaker: Breaker) -> None:
    breaker.give_back(breaker.admit(T0))
    assert breaker.admit(T0).is_probe


def test_what_was_admitted_before_it_opened_says_nothing_after(breaker: Breaker) -> None:
    closed(breaker)
    early = [breaker.admit(T0) for _ in range(7)]
    for admission in early[:5]:
        breaker.record_failure(admission, T0 + 1, "timeout")
    assert breaker.record_success(early[5], T0 + 2) is None
    assert breaker.record_failure(early[6], T0 + 2, "timeout") is None
    assert breaker.read().state is State.OPEN


def test_a_deleted_hash_is_half_open_and_old_results_do_not_close_it(breaker: Breaker, link: Link) -> None:
    opened(breaker)
    probe = breaker.admit(T0 + 60_000)
    link.call("FLUSHALL")
    assert breaker.read().state is State.HALF_OPEN
    assert breaker.record_success(probe, T0 + 60_001) is None
    assert breaker.read().state is State.HALF_OPEN
    assert [breaker.admit(T0 + 60_002).is_probe for _ in range(3)] == [True, False, False]


def test_no_key_of_it_ever_expires(breaker: Breaker, link: Link) -> None:
    opened(breaker)
    breaker.admit(T0 + 60_000)
    assert link.call("TTL", keys.breaker("somewhere")) == -1


def test_a_clock_put_back_by_a_day_does_not_keep_it_open_for_a_day(breaker: Breaker) -> None:
    opened(breaker)
    assert breaker.admit(T0 - 86_400_000).is_probe


def test_eight_clients_at_once_start_exactly_one_probe(new_link: LinkFactory) -> None:
    opened(Breaker(new_link(), "somewhere", RULES))
    breakers = [Breaker(new_link(), "somewhere", RULES) for _ in range(8)]
    barrier, probes, lock = threading.Barrier(8), [], threading.Lock()

    def client(breaker: Breaker) -> None:
        barrier.wait()
        admission = breaker.admit(T0 + 60_000)
        with lock:
            probes.append(admission.is_probe)

    threads = [threading.Thread(target=client, args=(b,)) for b in breakers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(probes) == [False] * 7 + [True]


# -- against the model ----------------------------------------------------------------------------


class SameAsTheModel(RuleBasedStateMachine):
    """Three clients in any order, with a clock that also goes back: Redis and the model always agree."""

    def __init__(self, links: list[Link]) -> None:
        super().__init__()
        self.link = links[0]
        self.link.call("FLUSHALL")
        self.clients = [Breaker(link, "s", RULES) for link in links]
        self.expected = BreakerView()
        self.now_ms = T0
        self.in_hand: list[Admission] = []
        self.probes_alive: list[Admission] = []

    @initialize(state=st.sampled_from(["unknown", "closed", "open"]))
    def begin(self, state: str) -> None:
        if state != "unknown":
            self.admit(0)
            self.finish(0, 0, state == "closed")

    @rule(client=st.integers(0, 2))
    def admit(self, client: int) -> None:
        found = self.clients[client].admit(self.now_ms)
        self.expected, wanted = model.admit(self.expected, self.now_ms, RULES)
        assert found == wanted
        if found.allowed:
            self.in_hand.append(found)

    @precondition(lambda self: self.in_hand)
    @rule(client=st.integers(0, 2), which=st.integers(0, 50), answered=st.booleans())
    def finish(self, client: int, which: int, answered: bool) -> None:
        admission = self.in_hand.pop(which % len(self.in_hand))
        breaker = self.clients[client]
        if answered:
            found = breaker.record_success(admission, self.now_ms)
            self.expected, wanted = model.succeed(self.expected, admission, self.now_ms)
        else:
            found = breaker.record_failure(admission, self.now_ms, "down")
            self.expected, wanted = model.fail(self.expected, admission, self.now_ms, "down", RULES)
        assert found == wanted

    @precondition(lambda self: self.in_hand)
    @rule(client=st.integers(0, 2), which=st.integers(0, 50))
    def give_back(self, client: int, which: int) -> None:
        admission = self.in_hand.pop(which % len(self.in_hand))
        self.clients[client].give_back(admission)
        self.expected = model.give_back(self.expected, admission)

    @rule(step_ms=st.sampled_from([1, 500, 9_999, 10_000, 59_999, 60_000, 3_600_000, -1, -20_000, -86_400_000]))
    def time_passes(self, step_ms: int) -> None:
        self.now_ms += step_ms

    @rule()
    def redis_loses_the_hash(self) -> None:
        self.link.call("DEL", keys.breaker("s"))
        self.expected = BreakerView()

    @invariant()
    def they_agree(self) -> None:
        assert self.clients[0].read() == self.expected


def test_any_sequence_of_calls_agrees_with_the_model(new_link: LinkFactory) -> None:
    links = [new_link() for _ in range(3)]
    run_state_machine_as_test(
        lambda: SameAsTheModel(links),  # type: ignore[arg-type]  # any factory of machines serves
        settings=settings(
            max_examples=60, stateful_step_count=40, deadline=None, derandomize=True, database=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )  # fmt: skip


def test_a_result_never_closes_a_breaker_without_a_live_probe() -> None:
    view = BreakerView(state=State.OPEN, failures=5, opened_at_ms=T0, retry_at_ms=T0 + 60_000, transitions=2)
    for admission in (
        Admission(allowed=True, is_probe=False, state=State.CLOSED, generation=2),
        Admission(allowed=True, is_probe=True, state=State.HALF_OPEN, generation=2, lease=1),
    ):
        assert model.succeed(view, admission, T0 + 1) == (view, None)

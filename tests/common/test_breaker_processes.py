"""The breaker over several processes and the real Valkey, against the pure model; and a stampede."""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from common import keys
from common.breaker import Breaker, Rules, State
from common.redis_link import Link
from tests.common.breaker_clients import PROCESSES, SOURCE, LocalClient, ProcessClient, stampede
from tests.common.breaker_machine import RULES, SHARE, T0, SameAsTheModel, WithProcesses
from tests.conftest import RedisServer

LinkFactory = Callable[[], Link]


@pytest.fixture
def workers(redis_server: RedisServer, redis_client: object) -> Iterator[list[ProcessClient]]:
    """Three processes with a connection each."""
    made = [ProcessClient(redis_server.port, RULES, SHARE) for _ in range(3)]
    yield made
    for worker in made:
        worker.end()


def run(machine: Callable[[], RuleBasedStateMachine], examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine,  # type: ignore[arg-type]  # any factory of machines serves
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, derandomize=True, database=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )  # fmt: skip


def test_any_sequence_of_calls_agrees_with_the_model(new_link: LinkFactory) -> None:
    clients = [LocalClient(new_link(), RULES, SHARE) for _ in range(3)]
    run(lambda: SameAsTheModel(clients, new_link()), 15, 25)


def test_several_processes_some_of_them_killed_agree_with_the_model(
    workers: list[ProcessClient], redis_server: RedisServer
) -> None:
    link = redis_server.link()
    run(lambda: WithProcesses(workers, link), 20, 25)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_several_processes_agree_with_the_model_for_a_long_time(
    workers: list[ProcessClient], redis_server: RedisServer
) -> None:
    link = redis_server.link()
    run(lambda: WithProcesses(workers, link), 300, 80)


def test_of_eight_processes_at_a_half_open_breaker_exactly_one_makes_the_probe(
    redis_server: RedisServer, redis_client: object
) -> None:
    """Their clocks are some milliseconds apart, as those of one host's processes are when each has read it."""
    rules, count, rounds = Rules(), 8, 25
    barrier, pipes, processes = PROCESSES.Barrier(count), [], []
    for number in range(count):
        ours, theirs = PROCESSES.Pipe()
        arguments = (barrier, theirs, redis_server.port, rules, T0 + 3 * number)
        processes.append(PROCESSES.Process(target=stampede, args=arguments))
        processes[-1].start()
        pipes.append(ours)
    link = redis_server.link()
    probes, states = [], set()
    for number in range(rounds):
        link.call("DEL", keys.breaker(SOURCE))
        if number % 2:  # open, and due; else nothing is known
            first = Breaker(link, SOURCE, rules, lambda _: 0.0)
            first.record_failure(first.admit(T0 - 60_000), T0 - 60_000, "down")
        for pipe in pipes:
            pipe.send(True)
        admissions = [pipe.recv() for pipe in pipes]
        probes.append(sum(admission.is_probe for admission in admissions))
        states |= {admission.state for admission in admissions}
    for pipe, process in zip(pipes, processes, strict=True):
        pipe.send(False)
        process.join(10)
    assert probes == [1] * rounds
    assert states == {State.HALF_OPEN}

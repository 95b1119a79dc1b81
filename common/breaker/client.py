"""A circuit breaker per source, in one Redis hash, with transitions that are atomic over all processes.

The rules, and why a result may be ignored, are in common/breaker/model.py; breaker.lua is the same inside Redis.
Deadlines are stored values that are compared with the caller's clock: a lost hash means HALF_OPEN, never CLOSED.
"""

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, cast

from common import keys
from common.breaker.stored import transition_of, view_of
from common.breaker.values import Admission, BreakerView, Force, Rules, State, Transition
from common.redis_link import Command, Reply, flat_pairs

# Long enough to name a host and an errno, short enough for a dashboard's cell.
LONGEST_TEXT = 200

Draw = Callable[[int], float]
"""Generation -> a number in [0, 1): the jitter of the open time that follows it."""

_SCRIPT = Path(__file__).with_name("breaker.lua").read_text()
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


class Caller(Protocol):
    """What a breaker needs of a connection: one command, its raw reply."""

    def call(self, *command: str | bytes | float) -> Reply:
        """Return the reply to one command."""
        ...


class Breaker:
    """One source's breaker, as this process uses it. It holds no state of its own."""

    def __init__(
        self, link: Caller, source: str, rules: Rules, draw: Draw = lambda _generation: random.random()
    ) -> None:
        self._link = link
        self._source = source
        self._draw = draw
        self.rules = rules

    def admit(self, now_ms: int) -> Admission:
        """Return whether a call may be made now. A probe is held by a lease: report its result, or give it back."""
        allowed, is_probe, state, generation, lease, entry = self._run("admit", now_ms)
        return Admission(
            allowed == "1", is_probe == "1", State(state), int(generation), int(lease), transition_of(entry)
        )

    def record_success(self, admission: Admission, now_ms: int, *, slow: bool = False) -> Transition | None:
        """Note that the source answered (a refusal is an answer). Return the change of state, if it made one."""
        return self._record(admission, now_ms, failed=False, slow=slow, error="its answers are slow" if slow else "")

    def record_failure(self, admission: Admission, now_ms: int, error: str, *, slow: bool = False) -> Transition | None:
        """Note an outage. Return the change of state, if it made one."""
        return self._record(admission, now_ms, failed=True, slow=slow, error=error)

    def give_back(self, admission: Admission) -> None:
        """Free the probe of a call that was admitted but not made, or whose end nobody waited for."""
        if admission.is_probe:
            self._run("give_back", 0, admission.generation, admission.lease)

    def force(self, wanted: Force, by: str, why: str, now_ms: int) -> Transition | None:
        """Take an operator's word. None: it was said before, and nothing has changed since."""
        return forced(self._link.call(*force_command(self._source, wanted, by, why, now_ms, self.rules)))

    def read(self) -> BreakerView:
        """Return the breaker as it is stored."""
        return view_of(self.stored())

    def stored(self) -> dict[bytes, bytes]:
        """Return the breaker's hash."""
        return flat_pairs(self._link.call("HGETALL", keys.breaker(self._source)))

    def _record(self, admission: Admission, now_ms: int, *, failed: bool, slow: bool, error: str) -> Transition | None:
        if not admission.allowed:
            return None
        stretch = int(self._draw(admission.generation) * self.rules.stretch_permille)
        ours = (admission.generation, admission.lease, int(failed), int(slow), one_line(error), stretch)
        return transition_of(self._run("record", now_ms, *ours)[0])

    def _run(self, command: str, now_ms: int, *arguments: str | int) -> list[str]:
        return _texts(self._link.call(*_command(self._source, command, now_ms, self.rules, *arguments)))


def force_command(source: str, wanted: Force, by: str, why: str, now_ms: int, rules: Rules) -> Command:
    """Return the command that takes an operator's word, for a connection of any kind; `forced` reads its reply."""
    return _command(source, "force", now_ms, rules, str(wanted), one_line(by), one_line(why))


def forced(reply: Reply) -> Transition | None:
    """Return the change that the reply to `force_command` tells of; None: there was none."""
    return transition_of(_texts(reply)[0])


def one_line(text: str) -> str:
    """Return a text as the hash keeps it: without control characters, shortened."""
    return _CONTROL.sub(" ", text)[:LONGEST_TEXT]


def _command(source: str, command: str, now_ms: int, rules: Rules, *arguments: str | int) -> Command:
    ruled = (
        rules.failures_to_open, rules.open_ms, rules.lease_ms, rules.window_calls, rules.failure_percent,
        rules.slow_percent, rules.bucket_ms, rules.longest_open_factor, rules.stretch_permille, rules.calm_ms,
        rules.clock_tolerance_ms,
    )  # fmt: skip
    return ("EVAL", _SCRIPT, 1, keys.breaker(source), command, now_ms, *ruled, *arguments)


def _texts(reply: Reply) -> list[str]:
    return [item.decode(errors="replace") for item in cast(list[bytes], reply)]

"""How a connection stands, when it is tried again, and when its silence counts: pure."""

from dataclasses import dataclass, replace
from enum import StrEnum

from collector.vendors.base import Verdict

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
# As long as a refused poll is left alone, and for the same verdicts (collector/blocks.py): neither a key nor a plan
# comes right by itself within seconds.
REFUSED_PAUSE_S = 3_600.0
_HOPELESS = frozenset({Verdict.BAD_KEY, Verdict.NOT_ENTITLED, Verdict.UNKNOWN_SYMBOL})
RATE_LIMITED_PAUSE_S = 60.0  # where the vendor does not say for how long


class State(StrEnum):
    """How one connection is, or all those of a source."""

    OFF = "off"
    """Not wanted, or without the key that it needs."""
    CONNECTING = "connecting"
    LIVE = "live"
    SILENT = "silent"
    """It was open and brought no price in an open market: not trusted until one comes."""
    DOWN = "down"
    REFUSED = "refused"
    """The key or the plan does not allow it: left alone for long."""


# Of several connections the source shows the first of these that one of them is in.
_SHOWN = (State.LIVE, State.SILENT, State.CONNECTING, State.DOWN, State.REFUSED, State.OFF)


@dataclass(frozen=True)
class Standing:
    """One connection over its lives. `now_s` and `retry_s` are monotonic, `since_ms` is the stream's time."""

    state: State = State.CONNECTING
    since_ms: int = 0
    failures: int = 0
    """Ends in a row without a price between."""
    retry_s: float = 0.0
    """When it is tried again."""
    verdict: Verdict = Verdict.OK
    detail: str = ""
    """Why it ended last."""


@dataclass(frozen=True)
class End:
    """How a connection, or the attempt at one, ended."""

    verdict: Verdict
    detail: str = ""
    retry_after_s: float | None = None
    silent: bool = False
    priced: bool = False
    """It had brought a price."""


def pause_s(failures: int, random: float) -> float:
    """Return how long to wait after so many failures in a row; `random` in [0, 1) keeps clients apart."""
    longest_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures, 10))
    return FIRST_PAUSE_S + random * (longest_s - FIRST_PAUSE_S)


def opened(before: Standing, now_ms: int) -> Standing:
    """Return the standing of a connection that carries what was asked for. One that was silent must prove itself."""
    if before.state in (State.LIVE, State.SILENT):
        return before
    return replace(before, state=State.LIVE, since_ms=now_ms)


def priced(before: Standing, now_ms: int) -> Standing:
    """Return the standing after a price."""
    # In a simulated run a connection is open before time has begun.
    since_ms = before.since_ms if before.state is State.LIVE and before.since_ms else now_ms
    return replace(before, state=State.LIVE, since_ms=since_ms, failures=0, verdict=Verdict.OK, detail="")


def ended(before: Standing, end: End, now_ms: int, now_s: float, random: float) -> Standing:
    """Return the standing after an end, with the time of the next attempt."""
    failures = 1 if end.priced else before.failures + 1
    wait_s = pause_s(failures, random)
    state = State.SILENT if end.silent else State.DOWN
    if end.verdict in _HOPELESS:
        state, wait_s = State.REFUSED, REFUSED_PAUSE_S
    elif end.verdict is Verdict.RATE_LIMITED and end.retry_after_s is None:
        wait_s = max(wait_s, RATE_LIMITED_PAUSE_S)
    wait_s = max(wait_s, end.retry_after_s or 0.0)
    since_ms = before.since_ms if state is before.state else now_ms
    return Standing(state, since_ms, failures, now_s + wait_s, end.verdict, end.detail)


@dataclass(frozen=True)
class Quiet:
    """Since when nothing has come, in real and in stream time. Both must pass: simulated time may stand or run."""

    since_s: float
    since_ms: int


def is_silent(quiet: Quiet, now_s: float, now_ms: int, silence_s: float) -> bool:
    """Return whether a socket has brought no price for too long."""
    return now_s - quiet.since_s >= silence_s and now_ms - quiet.since_ms >= silence_s * 1000


def shown(standings: tuple[Standing, ...]) -> Standing:
    """Return the standing that speaks for all of a source's connections; OFF without any."""
    found = sorted(standings, key=lambda s: _SHOWN.index(s.state))
    return found[0] if found else Standing(State.OFF)

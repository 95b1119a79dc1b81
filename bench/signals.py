"""GET /api/signals as a bot polls it: over a socket, from the real api, each time after all prices have changed."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench.kept_awake import can_be_kept_awake, kept_awake
from bench.pace import at_usual_pace, work_ms
from bench.poller import Poller
from bench.processes import STARTS_WITHIN_S, listens, running, stages, wait_until
from bench.row import Row, percentile
from bench.served_state import Stages, report
from bench.symbol_table import make_table
from bench.valkey import free_port, valkey
from common.redis_link import open_link
from common.settings import Settings
from storer.database import Database

POLLS = 500
"""Of each kind, in turn."""
SIZES = ((6, 1, 1.5), (1_000, 20, 10.0))
"""How many symbols, one in how many has a signal that has not expired, and the p99 in ms that is aimed at."""
NAIVE_EACH = {6: 1, 1_000: 25}
"""How many times less the naive peer is asked: a thousand keys take it a while."""


@dataclass(frozen=True)
class Turns:
    """What each poll of ours and of the constant took, in ms, asked in turn."""

    ours: list[float]
    """The first: of a process that has just started."""
    constant: list[float]
    paces: list[float]
    """How fast the machine was beside each."""
    cpu: tuple[float, float]
    """CPU time a poll, of ours and of the constant's server: what others do on the machine leaves it nearly alone."""


@dataclass(frozen=True)
class Polls:
    """All that was measured with so many symbols."""

    turns: Turns
    awake: Turns | None
    """Once more, on cores that are kept awake; None where they can't be."""
    naive: list[float]
    bytes: int


@dataclass(frozen=True)
class Server:
    """A process that answers."""

    port: int
    pid: int

    def cpu_ms(self) -> float:
        """Return the CPU time that it has taken so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def run() -> list[Row]:
    """Return p50, p99 and the first call, with few symbols and with many."""
    return [row for count, one_in, aim in SIZES for row in _rows(count, one_in, aim)]


def _rows(count: int, one_in: int, aim_ms: float) -> Iterator[Row]:
    found = _measured(count, one_in)
    turns, symbols = found.turns, f"{count:,} symbols"
    constant, naive = "starlette, a constant", "starlette, GET and json.loads key by key"
    note = f"{count // one_in} with a live signal; {found.bytes:,} bytes"
    yield Row(
        f"{symbols}, p50", "ms", [percentile(turns.ours, 50)], naive, [percentile(found.naive, 50)], note=note
    )  # fmt: skip
    yield Row(f"{symbols}, first call", "ms", turns.ours[:1], constant, turns.constant[:1])
    yield Row(f"{symbols}, CPU a poll", "ms", [turns.cpu[0]], constant, [turns.cpu[1]])
    for where, of in (("", turns), ("cores kept awake: ", found.awake)):
        if of is not None:
            for share, aim in ((50, ""), (90, ""), (99, f"aim: {aim_ms} ms, the first call included")):
                ours, peer = percentile(of.ours, share), percentile(of.constant, share)
                yield Row(f"{where}{symbols}, p{share}", "ms", [ours], constant, [peer], note=aim)
            yield _at_usual_pace(f"{where}{symbols}, p99", of, constant)


def _at_usual_pace(what: str, turns: Turns, peer: str) -> Row:
    ours, constant = at_usual_pace(turns.ours, turns.paces), at_usual_pace(turns.constant, turns.paces)
    note = f"of those {len(ours) / len(turns.ours):.0%} beside which a plain loop took its usual time"
    return Row(what, "ms", [percentile(ours, 99)], peer, [percentile(constant, 99)], note=note)


def _measured(count: int, one_in: int) -> Polls:
    with valkey() as settings:
        table = make_table(settings.state_dir, count)
        stages = Stages(open_link(settings), table, one_in)
        stages.begin()
        Database(settings.state_dir / "md.db").connection()
        with _api(settings, tuple(table.symbols)) as server:
            stages.cycle()
            report(server.port, table)
        with _peer(settings, count) as peer, _api(settings, tuple(table.symbols)) as server:
            return _polled(stages, server, peer, NAIVE_EACH[count])


def _polled(stages: Stages, server: Server, other: Server, naive_each: int) -> Polls:
    turns, size = _in_turn(stages, server, other)
    awake = None
    if can_be_kept_awake():
        with kept_awake():
            awake, _ = _in_turn(stages, server, other)
    peer, naive = Poller(other.port), list[float]()
    for _ in range(POLLS // naive_each):
        stages.cycle()
        naive.append(peer.ask("/naive")[0])
    peer.close()
    return Polls(turns, awake, naive, size)


def _in_turn(stages: Stages, server: Server, other: Server) -> tuple[Turns, int]:
    """Return what each poll took, and how long the last reply of ours was."""
    ours, peer, turns = Poller(server.port), Poller(other.port), Turns([], [], [], (0.0, 0.0))
    body, spent_ms = b"", (server.cpu_ms(), other.cpu_ms())
    for number in range(POLLS):
        stages.cycle()
        took_ms, body = ours.ask(f"/api/signals?equity={100_000 + number / 100:.2f}")
        turns.ours.append(took_ms)
        turns.paces.append(work_ms())
        turns.constant.append(peer.ask("/constant")[0])
    cpu = ((server.cpu_ms() - spent_ms[0]) / POLLS, (other.cpu_ms() - spent_ms[1]) / POLLS)
    if b'"count":1' not in body:
        raise RuntimeError(f"expected a signal, found {body[:400]!r}")
    ours.close()
    peer.close()
    return replace(turns, cpu=cpu), len(body)


@contextmanager
def _api(settings: Settings, symbols: Sequence[str]) -> Iterator[Server]:
    port = free_port()
    given = {
        "SYMBOLS": ",".join(symbols), "SYMBOLS_FILE": str(settings.state_dir / "symbols.toml"),
        "STATE_DIR": str(settings.state_dir / "api"), "ACCOUNT_CURRENCY": "EUR", "ACCOUNT_RULES": "ftmo_2step",
        "ACCOUNT_START_BALANCE": "100000",
    }  # fmt: skip
    with stages(("api",), settings, given, port) as started:
        yield Server(port, started[0])


@contextmanager
def _peer(settings: Settings, count: int) -> Iterator[Server]:
    port = free_port()
    with running("bench.signals_peer", str(port), str(settings.redis_port), str(count), str(settings.state_dir)) as pid:
        wait_until(lambda: listens(port), STARTS_WITHIN_S)
        yield Server(port, pid)

"""GET /api/signals as a bot polls it: over a socket, from the real api, each time after all prices have changed."""

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.end_to_end import _until
from bench.poller import Poller
from bench.row import Row
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
class Polls:
    """What each poll took, in ms. first: of a process that has just started, which `ours` holds as well."""

    first: list[float]
    ours: list[float]
    constant: list[float]
    naive: list[float]
    cpu: tuple[float, float]
    """CPU time a poll, of ours and of the constant's server: what others do on the machine leaves it nearly alone."""
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


def _rows(count: int, one_in: int, aim_ms: float) -> list[Row]:
    found = _measured(count, one_in)
    note = f"{count // one_in} with a live signal; {found.bytes:,} bytes"
    aim = f"aim: p99 {aim_ms} ms, the first call included"
    constant, naive = "starlette, a constant", "starlette, GET and json.loads key by key"
    return [
        Row(f"{count:,} symbols, p50", "ms", [_share(found.ours, 50)], naive, [_share(found.naive, 50)], note=note),
        Row(f"{count:,} symbols, p50", "ms", [_share(found.ours, 50)], constant, [_share(found.constant, 50)]),
        Row(
            f"{count:,} symbols, p99", "ms", [_share(found.ours, 99)], constant, [_share(found.constant, 99)], note=aim
        ),
        Row(f"{count:,} symbols, first call", "ms", found.first, constant, found.constant[:1]),
        Row(f"{count:,} symbols, CPU a poll", "ms", [found.cpu[0]], constant, [found.cpu[1]]),
    ]  # fmt: skip


def _share(values: Sequence[float], share: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[share - 1]


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
    ours, peer, took, constant, naive = (
        Poller(server.port),
        Poller(other.port),
        list[float](),
        list[float](),
        list[float](),
    )
    body, spent_ms = b"", (server.cpu_ms(), other.cpu_ms())
    for number in range(POLLS):
        stages.cycle()
        took_ms, body = ours.ask(f"/api/signals?equity={100_000 + number / 100:.2f}")
        took.append(took_ms)
        constant.append(peer.ask("/constant")[0])
    cpu = ((server.cpu_ms() - spent_ms[0]) / POLLS, (other.cpu_ms() - spent_ms[1]) / POLLS)
    for _ in range(POLLS // naive_each):
        stages.cycle()
        naive.append(peer.ask("/naive")[0])
    if b'"count":1' not in body:
        raise RuntimeError(f"expected a signal, found {body[:400]!r}")
    ours.close()
    peer.close()
    return Polls(took[:1], took, constant, naive, cpu, len(body))


@contextmanager
def _api(settings: Settings, symbols: Sequence[str]) -> Iterator[Server]:
    port = free_port()
    environment = {
        **os.environ, "REDIS_HOST": settings.redis_host, "REDIS_PORT": str(settings.redis_port), "API_PORT": str(port),
        "STATE_DIR": str(settings.state_dir / "api"), "DATABASE_PATH": f"{settings.state_dir}/md.db",
        "SYMBOLS": ",".join(symbols), "SYMBOLS_FILE": str(settings.state_dir / "symbols.toml"), "LIMITS": "none",
        "ACCOUNT_CURRENCY": "EUR", "ACCOUNT_RULES": "ftmo_2step", "ACCOUNT_START_BALANCE": "100000",
    }  # fmt: skip
    with _running([sys.executable, "-m", "api"], environment, port) as server:
        yield server


@contextmanager
def _peer(settings: Settings, count: int) -> Iterator[Server]:
    port = free_port()
    command = [
        sys.executable, "-m", "bench.signals_peer", str(port), str(settings.redis_port), str(count),
        str(settings.state_dir),
    ]  # fmt: skip
    with _running(command, dict(os.environ), port) as server:
        yield server


@contextmanager
def _running(command: Sequence[str], environment: dict[str, str], port: int) -> Iterator[Server]:
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _until(lambda: process.poll() is not None or _listens(port), 60)
        yield Server(port, process.pid)
    finally:
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    try:
        Poller(port).close()
    except OSError:
        return False
    return True

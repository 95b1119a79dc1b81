"""The collector as a process, against the simulator and the real Valkey: kills, limits, secrets, the end."""

import json
import os
import random
import signal
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
import redis

from common import keys
from common.heartbeat import decode_pulse
from common.keys import FIELD, RAW, SOURCE_EVENTS, Stream
from common.messages import AnyMessage, Clock, RawQuotes, SourceEvent, decode, encode
from common.sources import decode_report
from tests.conftest import RedisServer
from tests.support import free_port, wait_until
from tests.support_fork import fork

ROOT = Path(__file__).parents[2]
KEYS = {
    "TWELVEDATA_API_KEY": "planted-td-5e1f0c",
    "ALPHAVANTAGE_API_KEY": "planted-av-77b2d9",
    "POLYGON_API_KEY": "planted-pg-c40a18",
}
SYMBOLS = ("EURUSD", "GBPUSD", "XAUUSD")


class Simulator:
    """The simulator as a process."""

    def __init__(self, *options: str) -> None:
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        self.process = fork(
            "simulator", "--port", str(port), "--speed", "0", "--symbols", ",".join(SYMBOLS), *options,
            folder=ROOT, log=Path(os.devnull), environment=os.environ,
        )  # fmt: skip
        wait_until(self._answers, 20, "the simulator")

    def stats(self) -> "dict":
        return json.loads(self._get("/sim/stats"))

    def fault(self, **order: object) -> None:
        request = urllib.request.Request(f"{self.url}/sim/faults", json.dumps(order).encode(), method="POST")
        urllib.request.urlopen(request, timeout=5).close()

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=5) as reply:
            return reply.read()

    def _answers(self) -> bool:
        try:
            return bool(self._get("/sim/stats"))
        except OSError:
            return False


@pytest.fixture
def simulator() -> Iterator[Callable[..., Simulator]]:
    """A factory of simulators that end with the test."""
    made: list[Simulator] = []

    def make(*options: str) -> Simulator:
        made.append(Simulator(*options))
        return made[-1]

    yield make
    for one in made:
        one.process.kill()
        one.process.wait()


class Collectors:
    """Starts the collector, again and again, over one Redis and one folder; everything it says goes to one file."""

    def __init__(self, server: RedisServer, url: str, folder: Path, settings: Mapping[str, str]) -> None:
        self.client = server.client()
        self.log = folder / "collector.log"
        self._folder = folder
        self._env = {
            **os.environ, "PYTHONPATH": str(ROOT), "REDIS_HOST": server.host, "REDIS_PORT": str(server.port),
            "SIMULATOR_URL": url, "STATE_DIR": str(folder / "state"), "SYMBOLS": ",".join(SYMBOLS), "LIMITS": "none",
            "PUSH": "off",
            **settings,
        }  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = fork("collector", folder=self._folder, log=self.log, environment=self._env)

    def end(self, number: int) -> int:
        """Send the signal and return the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(10)

    def cycle(self) -> int:
        return int(self.client.hget(keys.state(0, "collector"), "cycle") or 0)

    def reach(self, cycle: int, deadline_s: float = 30) -> None:
        wait_until(lambda: self.cycle() >= cycle, deadline_s, f"cycle {cycle}; at {self.cycle()}")

    def raw(self) -> list[RawQuotes | Clock]:
        return [m for m in self.messages(RAW) if isinstance(m, RawQuotes | Clock)]

    def messages(self, stream: Stream) -> list[AnyMessage]:
        entries: list[tuple[bytes, dict[bytes, bytes]]] = self.client.xrange(stream.key(0))  # type: ignore[assignment]
        return [decode(fields[FIELD]) for _, fields in entries]


@contextmanager
def collectors(server: RedisServer, simulator: Simulator, folder: Path, **settings: str) -> Iterator[Collectors]:
    made = Collectors(server, simulator.url, folder, settings)
    try:
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.process.kill()
            made.process.wait()
        made.client.close()


def test_killed_at_any_moment_no_tick_is_lost_or_doubled(
    redis_server: RedisServer, redis_client: redis.Redis, simulator: Callable[..., Simulator], tmp_path: Path
) -> None:
    sim, rng = simulator(), random.Random(11)
    with collectors(redis_server, sim, tmp_path) as ours:
        for _ in range(3):
            ours.start()
            ours.reach(ours.cycle() + rng.randrange(1, 90))
            time.sleep(rng.random() * 0.02)  # anywhere within a cycle
            ours.end(signal.SIGKILL)
        ours.start()
        ours.reach(ours.cycle() + 50)
        assert ours.end(signal.SIGTERM) == 0
        messages = ours.raw()
    cycles = [m.cycle for m in messages if isinstance(m, Clock)]
    assert cycles == list(range(1, cycles[-1] + 1))
    ticks = Counter((q.symbol, q.tick) for m in messages if isinstance(m, RawQuotes) for q in m.quotes)
    assert max(ticks.values()) == 1
    served = {name: figures["distinct"] for name, figures in sim.stats()["ticks"]["yahoo"].items()}
    found = Counter(symbol for symbol, _ in ticks)
    assert found == {"EURUSD": served["EURUSD=X"], "GBPUSD": served["GBPUSD=X"], "XAUUSD": served["GC=F"]}
    for symbol in SYMBOLS:
        in_order = [q.tick for m in messages if isinstance(m, RawQuotes) for q in m.quotes if q.symbol == symbol]
        assert in_order == sorted(in_order, key=lambda tick: tick or 0)


def test_two_runs_give_the_same_stream_bit_for_bit(
    redis_server: RedisServer, redis_client: redis.Redis, simulator: Callable[..., Simulator], tmp_path: Path
) -> None:
    sim, runs = simulator(), []
    for name in ("first", "second"):
        redis_client.flushall()
        (tmp_path / name).mkdir()
        with collectors(redis_server, sim, tmp_path / name) as ours:
            ours.start()
            ours.reach(100)
            ours.end(signal.SIGTERM)
            messages = ours.raw()
        end = next(i for i, m in enumerate(messages) if isinstance(m, Clock) and m.cycle == 100)
        runs.append([msgspec.structs.replace(m, wall_ms=0) if isinstance(m, Clock) else m for m in messages[:end]])
    assert runs[0] == runs[1]
    assert len(runs[0]) > 150


def test_real_limits_are_never_exceeded_over_hours_with_restarts(
    redis_server: RedisServer, redis_client: redis.Redis, simulator: Callable[..., Simulator], tmp_path: Path
) -> None:
    sim = simulator("--limits", "real")
    with collectors(redis_server, sim, tmp_path, LIMITS="real", **KEYS) as ours:
        for cycle in (300, 1_000):
            ours.start()
            ours.reach(cycle)
            ours.end(signal.SIGKILL)
        calls = sim.stats()["calls"]
    assert calls["yahoo"].keys() == {"cookie", "crumb", "ok"}, calls
    assert not any("limit" in outcome for vendor in calls.values() for outcome in vendor), calls
    assert calls["yahoo"]["ok"] > 10, "the budget is used"
    assert "twelvedata" in calls, "a second source is asked while the first one's turn is far"


def test_no_planted_key_is_in_any_log_line_or_value_in_redis(
    redis_server: RedisServer, redis_client: redis.Redis, simulator: Callable[..., Simulator], tmp_path: Path
) -> None:
    sim = simulator()
    for vendor in ("yahoo", "alphavantage", "twelvedata", "polygon"):
        for n, fault in enumerate(("500", "garbage", "reset", "html", "redirect", "truncate")):
            sim.fault(vendor=vendor, fault=fault, from_cycle=2 + 7 * n, cycles=7)
    with collectors(redis_server, sim, tmp_path, LOG_LEVEL="DEBUG", **KEYS) as ours:
        ours.start()
        ours.reach(130)
        ours.end(signal.SIGTERM)
        said = ours.log.read_bytes()
        events = [m for m in ours.messages(SOURCE_EVENTS) if isinstance(m, SourceEvent)]
        streams = b"".join(encode(m) for stream in (RAW, SOURCE_EVENTS) for m in ours.messages(stream))
    assert {e.event for e in events} >= {"breaker.opened", "breaker.half_open", "breaker.closed"}
    assert {e.source for e in events} == {"yahoo", "alphavantage", "twelvedata", "polygon"}, "every vendor was asked"
    values = b"".join(redis_client.dump(key) for key in redis_client.scan_iter())  # type: ignore[misc]
    files = b"".join(path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file())
    for key in KEYS.values():
        assert key.encode() not in said + streams + values + files


def test_it_reports_beats_and_stops_at_once_when_the_simulator_is_not_there(
    redis_server: RedisServer, redis_client: redis.Redis, tmp_path: Path
) -> None:
    class Nowhere:
        url = "http://127.0.0.1:1"

    with collectors(redis_server, Nowhere(), tmp_path) as ours:  # type: ignore[arg-type]  # only its url counts
        ours.start()
        heartbeat = keys.heartbeat("collector", "collector")
        wait_until(lambda: redis_client.get(heartbeat) is not None, 20, "a heartbeat")
        assert decode_pulse(redis_client.get(heartbeat)).stage == "collector"  # type: ignore[arg-type]
        report = decode_report(redis_client.get(keys.source_report("yahoo")))  # type: ignore[arg-type]
        assert (report.configured, report.is_healthy) == (True, None)
        started_s = time.monotonic()
        assert ours.end(signal.SIGTERM) == 0
        assert time.monotonic() - started_s < 2


def test_a_second_collector_takes_over_and_the_first_one_exits_with_a_clear_word(
    redis_server: RedisServer, redis_client: redis.Redis, simulator: Callable[..., Simulator], tmp_path: Path
) -> None:
    sim = simulator()
    with collectors(redis_server, sim, tmp_path) as first:
        first.start()
        first.reach(5)
        (tmp_path / "second").mkdir()
        with collectors(redis_server, sim, tmp_path / "second") as second:
            second.start()
            assert first.process is not None
            assert first.process.wait(20) == 3
            assert b"stage.fenced" in first.log.read_bytes()
            second.reach(second.cycle() + 20)
            cycles = [m.cycle for m in second.raw() if isinstance(m, Clock)]
            assert cycles == list(range(1, cycles[-1] + 1))

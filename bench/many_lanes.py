"""The feature engine under the load of a large installation, and what a quote waits for in a small one."""

import gc
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import redis
import structlog

from bench.lane_costs import FIFTEEN
from bench.row import Row
from bench.symbol_table import SERIES, make_table
from bench.valkey import valkey
from bench.warm_lanes import PRICE, fill
from common import keys
from common.garbage import YOUNG, Garbage
from common.keys import FIELD, QUOTES
from common.messages import Clock, Quote, Quotes, encode
from common.metrics import Metrics
from common.partition_loop import PartitionLoop
from common.redis_link import Command, Link, open_link
from common.settings import Settings
from common.symbols import SymbolTable
from features.stage import make_spec

MANY = int(os.environ.get("BENCH_SYMBOLS", "1000"))
CACHED = int(os.environ.get("BENCH_BARS", "1000"))
"""MAX_BARS_CACHE under load: 5,000 bars of 1,000 symbols take 2 GB in Redis, and as much in the engine."""
PARTITIONS = 8
SECONDS = 20
SLICES = 10
"""Messages a second that the quotes of a partition come in."""
HOUR_MS = 1_642_435_200_000  # a Monday, 16:00 UTC: half way through the load bars of every timeframe close
FEW, QUOTES_OF_FEW, APART_S = 6, 600, 0.02


def run() -> list[Row]:
    """Return the restart and the passes of many symbols, and the wait of a quote with six."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    ready = _restart()
    passes, cpu_share, skipped = _load()
    waits, trips = _waits()
    lanes = f"{MANY:,} symbols x 5 timeframes"
    cache = f"MAX_BARS_CACHE={CACHED}, {PARTITIONS} partitions in one process"
    return [
        Row(f"{lanes}: all ready after a restart, 15 indicators", "s", [ready[0]], "of it CPU", [ready[1]], note=cache),
        Row(
            f"{lanes}, a quote a second each: p99 of a pass", "ms", [_percentile(passes, 99)], "p50 of a pass",
            [statistics.median(passes)],
            note=f"{cache}; CPU {cpu_share:.0%} of a core; {skipped:.1%} of forming values skipped",
        ),
        Row(f"{FEW} symbols: quote in the stream -> values in Redis, p50", "ms", [statistics.median(waits)],
            "bare round trip", [statistics.median(trips)]),
        Row(f"{FEW} symbols: quote in the stream -> values in Redis, p99", "ms", [_percentile(waits, 99)],
            "bare round trip, p99", [_percentile(trips, 99)]),
    ]  # fmt: skip


def _percentile(values: Sequence[float], share: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[share - 1]


def _restart() -> tuple[float, float]:
    """Return how long it takes until all lanes are ready, and how much of it is our own CPU time. In seconds."""
    with _installation(MANY, PARTITIONS, FIFTEEN) as (settings, table):
        fill(open_link(settings), settings, table, HOUR_MS)
        began_s, worked_s = time.perf_counter(), time.process_time()
        with _collected_in_pauses():
            _opened(settings)
        return time.perf_counter() - began_s, time.process_time() - worked_s


def _load() -> tuple[list[float], float, float]:
    """Return how long each pass took in ms, the share of a core, and the share of values that were skipped."""
    start_ms = HOUR_MS - SECONDS * 500
    with _installation(MANY, PARTITIONS, "") as (settings, table):
        fill(open_link(settings), settings, table, start_ms)
        metrics = Metrics("features")
        loops = _opened(settings, metrics)
        garbage = Garbage()
        spent = Spent()
        feeder, rng = open_link(settings), random.Random(3)
        began_s, worked_s = time.perf_counter(), time.process_time()
        for step in range(SECONDS * SLICES):
            while time.perf_counter() < began_s + step / SLICES:
                if not spent.turn(loops):
                    garbage.tend(idle=True)
                    time.sleep(0.0005)
            fed_s = time.process_time()
            feeder.exchange(_slice(settings, table, start_ms, step, rng))
            worked_s += time.process_time() - fed_s
        while any(loop.unfinished for loop in loops):
            spent.turn(loops)
        share = (time.process_time() - worked_s) / (time.perf_counter() - began_s)
        skipped = sum(s.value for s in metrics.snapshot().counters if s.name == "md_forming_skipped_total")
        return spent.passes_ms, share, skipped / (MANY * SECONDS * len(settings.timeframes))


class Spent:
    """How long each pass took: the reading of a partition, its handling and its commit."""

    def __init__(self) -> None:
        self.passes_ms: list[float] = []

    def turn(self, loops: Sequence[PartitionLoop]) -> bool:
        """Let each partition have a pass; tell whether any had something to do."""
        worked = False
        for loop in loops:
            left = loop.unfinished
            began_s = time.perf_counter()
            if loop.step(0) or left:
                self.passes_ms.append((time.perf_counter() - began_s) * 1000)
                worked = True
        return worked


def _slice(settings: Settings, table: SymbolTable, start_ms: int, step: int, rng: random.Random) -> list[Command]:
    """Return a tenth of a second's quotes of every partition, and each second's clock entry."""
    now_ms = start_ms + step * 1000 // SLICES
    commands: list[Command] = []
    for partition in range(settings.stream_partitions):
        names = [s.name for s in table.in_partition(partition, settings.stream_partitions)][step % SLICES :: SLICES]
        quotes = Quotes(tuple(_quote(name, now_ms, PRICE + rng.gauss(0.0, 1e-4)) for name in names))
        commands.append(("XADD", QUOTES.key(partition), "*", FIELD, encode(quotes)))
        if step % SLICES == SLICES - 1:
            clock = Clock(step // SLICES + 1, now_ms + 99, now_ms + 99)
            commands.append(("XADD", QUOTES.key(partition), "*", FIELD, encode(clock)))
    return commands


def _waits() -> tuple[list[float], list[float]]:
    """Return the ms from a quote's arrival in the stream until its values can be read, and those of a bare exchange."""
    with _installation(FEW, 1, "", cached=5_000) as (settings, table):
        link, names = open_link(settings), list(table.symbols)
        fill(link, settings, table, HOUR_MS)
        with _stage(settings):
            clock = encode(Clock(1, HOUR_MS + 100, HOUR_MS + 100))
            link.call("XADD", QUOTES.key(0), "*", FIELD, clock)
            _until(lambda: link.call("HGET", keys.feature_pass(0), "cycle") == b"1")
            time.sleep(2)  # until all lanes are open
            rng, watcher, waits, trips = (
                random.Random(5),
                Watcher(settings, [keys.feature_values(0, name, "1m") for name in names]),
                [],
                [],
            )
            for number in range(QUOTES_OF_FEW):
                time.sleep(APART_S)
                price = PRICE + rng.gauss(0.0, 1e-4)
                waits.append(_wait(link, watcher, names[number % FEW], HOUR_MS + 200 + number, price))
                began_s = time.perf_counter()
                link.call("PING")
                trips.append((time.perf_counter() - began_s) * 1000)
            return waits[50:], trips[50:]


class Watcher:
    """Sees when a lane's values are written, as Redis tells it: who asks again and again takes the engine's core."""

    def __init__(self, settings: Settings, watched: Sequence[str]) -> None:
        self._client = redis.Redis(settings.redis_host, settings.redis_port)  # whose end would close the subscription
        self._client.config_set("notify-keyspace-events", "K$")
        self._told = self._client.pubsub()  # type: ignore[no-untyped-call]  # redis-py has no annotation here
        self._told.subscribe(*(f"__keyspace@0__:{key}" for key in watched))
        for _ in watched:
            self._told.get_message(timeout=5.0)

    def wait(self, key: str) -> None:
        """Return once the key is written. TimeoutError after five seconds."""
        channel, end_s = f"__keyspace@0__:{key}".encode(), time.monotonic() + 5.0
        while time.monotonic() < end_s:
            told = self._told.get_message(timeout=5.0)
            if told is not None and told["channel"] == channel:
                return
        raise TimeoutError(f"{key} was not written within 5 s")


def _wait(link: Link, watcher: Watcher, name: str, at_ms: int, price: float) -> float:
    body = encode(Quotes((_quote(name, at_ms, price),)))
    began_s = time.perf_counter()
    link.call("XADD", QUOTES.key(0), "*", FIELD, body)
    watcher.wait(keys.feature_values(0, name, "1m"))
    return (time.perf_counter() - began_s) * 1000


def _until(condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 60
    while not condition():
        if time.monotonic() > end_s:
            raise TimeoutError("the engine did not get there within 60 s")


def _quote(name: str, at_ms: int, price: float) -> Quote:
    return Quote(
        symbol=name, source="yahoo", source_class=SERIES, market_ms=at_ms, received_ms=at_ms, price=price,
        raw_id="1-0", raw_index=0, volume=1.0, volume_kind="ticks", score=1.0,
    )  # fmt: skip


@contextmanager
def _installation(
    count: int, partitions: int, plan: str, cached: int = CACHED
) -> Iterator[tuple[Settings, SymbolTable]]:
    with valkey() as base, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = make_table(folder, count)
        file = folder / "plan.toml"
        file.write_text(plan)
        unasked = folder / "strategies.toml"  # a plan made for this measurement has not what strategies name
        unasked.write_text("[strategies]\n")
        yield (
            base.model_copy(
                update={
                    "symbols": tuple(table.symbols), "symbols_file": folder / "symbols.toml", "limits": "none",
                    "stream_partitions": partitions, "partitions": tuple(range(partitions)), "state_dir": folder,
                    "max_bars_cache": cached, "indicators_file": file if plan else None,
                    "strategies_file": unasked if plan else None,
                }
            ),
            table,
        )  # fmt: skip


@contextmanager
def _collected_in_pauses() -> Iterator[None]:
    """As a stage has it: see common/garbage.py."""
    before = gc.get_threshold()
    gc.set_threshold(*YOUNG)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _opened(settings: Settings, metrics: Metrics | None = None) -> list[PartitionLoop]:
    """Return the stage's partitions, restored, all lanes open."""
    kept = metrics or Metrics("features")
    spec, link = make_spec(settings, kept), open_link(settings)
    loops = [PartitionLoop(spec, p, link, spec.name, kept, settings.state_dir) for p in settings.partitions]
    for loop in loops:
        loop.open()
    while any(loop.unfinished for loop in loops):
        for loop in loops:
            loop.step(0)
    return loops


@contextmanager
def _stage(settings: Settings) -> Iterator[None]:
    """Run the features process."""
    environment = {
        **os.environ, "REDIS_HOST": settings.redis_host, "REDIS_PORT": str(settings.redis_port),
        "STATE_DIR": str(settings.state_dir), "SYMBOLS": ",".join(settings.symbols), "LIMITS": "none",
        "SYMBOLS_FILE": str(settings.symbols_file),
    }  # fmt: skip
    command = [sys.executable, "-m", "features"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.kill()

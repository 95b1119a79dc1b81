"""The feature engine under the load of a large installation."""

import gc
import os
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import structlog

from bench.installation import installation, quote_of
from bench.lane_costs import FIFTEEN
from bench.row import Row, percentile
from bench.warm_lanes import PRICE, fill
from common.garbage import YOUNG, Garbage
from common.keys import FIELD, QUOTES
from common.messages import Clock, Quotes, encode
from common.metrics import Metrics
from common.partition_loop import PartitionLoop
from common.redis_link import Command, open_link
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


def run() -> list[Row]:
    """Return the restart and the passes of many symbols."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    ready = _restart()
    passes, cpu_share, skipped = _load()
    lanes = f"{MANY:,} symbols x 5 timeframes"
    cache = f"MAX_BARS_CACHE={CACHED}, {PARTITIONS} partitions in one process"
    return [
        Row(f"{lanes}: all ready after a restart, 15 indicators", "s", [ready[0]], "of it CPU", [ready[1]], note=cache),
        Row(
            f"{lanes}, a quote a second each: p99 of a pass", "ms", [percentile(passes, 99)], "p50 of a pass",
            [statistics.median(passes)],
            note=f"{cache}; CPU {cpu_share:.0%} of a core; {skipped:.1%} of forming values skipped",
        ),
    ]  # fmt: skip


def _restart() -> tuple[float, float]:
    """Return how long it takes until all lanes are ready, and how much of it is our own CPU time. In seconds."""
    with installation(MANY, PARTITIONS, FIFTEEN, CACHED) as (settings, table):
        fill(open_link(settings), settings, table, HOUR_MS)
        began_s, worked_s = time.perf_counter(), time.process_time()
        with _collected_in_pauses():
            _opened(settings)
        return time.perf_counter() - began_s, time.process_time() - worked_s


def _load() -> tuple[list[float], float, float]:
    """Return how long each pass took in ms, the share of a core, and the share of values that were skipped."""
    start_ms = HOUR_MS - SECONDS * 500
    with installation(MANY, PARTITIONS, "", CACHED) as (settings, table):
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
        quotes = Quotes(tuple(quote_of(name, now_ms, PRICE + rng.gauss(0.0, 1e-4)) for name in names))
        commands.append(("XADD", QUOTES.key(partition), "*", FIELD, encode(quotes)))
        if step % SLICES == SLICES - 1:
            clock = Clock(step // SLICES + 1, now_ms + 99, now_ms + 99)
            commands.append(("XADD", QUOTES.key(partition), "*", FIELD, encode(clock)))
    return commands


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

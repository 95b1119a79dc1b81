"""A simulated day at high speed, with faults, kills and a client, and what it costs: `python -m tests.chaos.soak`."""

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import redis

from tests.chaos import soak_page, soak_plan
from tests.chaos.soak_samples import Sample, Soak, newest_cycle, sample, tenths
from tests.pipeline.harness import Pipeline
from tests.support import wait_until

SYMBOLS = ("NAS100", "XAUUSD", "EURUSD", "GBPUSD", "US30", "US500")
DAY_CYCLES = 86_400
SAMPLES = 200
START = "2026-06-10T00:00:00Z"
STALL_S = 120.0  # between two looks
LOOK_S = 0.05
PATHS = (
    "/health", "/api/signals?equity=10000", "/api/features/EURUSD", "/api/bars/EURUSD?timeframe=1m", "/api/sources",
    "/api/gaps", "/metrics/json",
)  # fmt: skip
LANES = tuple((symbol, timeframe) for symbol in SYMBOLS for timeframe in ("1m", "5m", "15m", "1h"))
WARM_S = 300.0


def run(folder: Path, cycles: int, kills: int, seed: int) -> Soak:
    """Run the pipeline over so many cycles after it has become warm, and sample it."""
    with Pipeline(folder, SYMBOLS, PUSH="on", BATCH_WRITE_INTERVAL="1") as pipeline:
        pipeline.start_simulator("--speed", "0", "--seed", str(seed), "--start", START)
        pipeline.start()
        wait_until(lambda: is_warm(pipeline), WARM_S, "indicators of all symbols")
        first, began_s = pipeline.cycle(), time.monotonic()
        orders = soak_plan.faults(first, cycles, seed)
        for order in orders:
            pipeline.simulator("/sim/faults", order)
        killed = soak_plan.kills(first, cycles, kills, seed)
        samples = list(_watch(pipeline, first, cycles, killed))
        took_s = time.monotonic() - began_s
        pipeline.kill("simulator")
        wait_until(pipeline.settled, STALL_S, "everything to be read and stored")
        return Soak(
            cycles=cycles, took_s=took_s, faults=len(orders), kills=len(killed), lost_cycles=_lost_cycles(pipeline),
            quotes=_count(pipeline, "SELECT count(*) FROM market_data"),
            dead_letters=len(pipeline.client().keys("*dead*")), table=tenths(samples, first, cycles),
        )  # fmt: skip


def is_warm(pipeline: Pipeline) -> bool:
    """Tell whether the vendors' history has been loaded: memory is what it stays from then on."""
    lanes = (pipeline.get(f"/api/features/{symbol}?timeframe={timeframe}") for symbol, timeframe in LANES)
    try:
        return all(lane.get("ready") for lane in lanes)
    except OSError:  # the api is not up yet
        return False


def _watch(pipeline: Pipeline, first: int, cycles: int, kills: Sequence[soak_plan.Kill]) -> Iterator[Sample]:
    left, client, paths = list(kills), pipeline.client(), itertools.cycle(PATHS)
    for number in range(1, SAMPLES + 1):
        goal = first + cycles * number // SAMPLES
        while left and left[0].cycle <= goal:
            _ask_until(pipeline, client, left[0].cycle, paths)
            pipeline.restart(left.pop(0).stage)
        _ask_until(pipeline, client, goal, paths)
        yield sample(pipeline, client)
        if number % (SAMPLES // 10) == 0:
            print(f"cycle {newest_cycle(client)}", file=sys.stderr, flush=True)


def _ask_until(pipeline: Pipeline, client: "redis.Redis", cycle: int, paths: Iterator[str]) -> None:
    """Be a client of the api until a cycle is committed."""
    end_s = time.monotonic() + STALL_S
    while newest_cycle(client) < cycle:
        assert time.monotonic() < end_s, f"not within {STALL_S} s: cycle {cycle}"
        with suppress(OSError):  # it was killed
            pipeline.get(next(paths))
        time.sleep(LOOK_S)


def _lost_cycles(pipeline: Pipeline) -> int:
    newest = _count(pipeline, "SELECT max(cycle) FROM clocks")
    return newest - _count(pipeline, "SELECT count(*) FROM clocks")


def _count(pipeline: Pipeline, query: str) -> int:
    (found,) = pipeline.rows(query)[0]
    assert isinstance(found, int)
    return found


def main(arguments: Sequence[str]) -> int:
    """Do what the command line asks; 1 if something was not flat."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak", description=__doc__)
    parser.add_argument("--cycles", type=int, default=DAY_CYCLES, help="simulated seconds (default: a day)")
    parser.add_argument("--kills", type=int, default=3, help="of each stage (default %(default)s)")
    parser.add_argument("--seed", type=int, default=42, help="of prices, faults and kills (default %(default)s)")
    parser.add_argument("--page", action="store_true", help="write the figures into docs/faults.md")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        found = run(Path(folder), options.cycles, options.kills, options.seed)
    print("\n".join(soak_page.lines(found)))
    if options.page:
        soak_page.write(found)
    return 1 if soak_page.not_flat(found) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

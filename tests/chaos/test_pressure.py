"""A consumer that is behind: the producer holds back at the budget, and what it then can't collect is healed."""

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from common.keys import RAW
from tests.chaos.matrix import fault
from tests.chaos.quotes_data import FIRST_MS, symbol_table
from tests.chaos.small_replay import component
from tests.pipeline.forked import ForkedPipeline
from tests.support import wait_until

MINUTE_MS = 60_000
SYMBOLS = 1_000
AWAY_S = 600
"""Simulated time for which the consumer stands still."""
MINUTES = 14
DENSE_MINUTES = (0, 1, 11, 12, 13)
"""In these each symbol quotes every second; in the others, that nobody collects, every quarter of a minute."""
BUDGET = 300
"""Entries: some ten seconds of a thousand symbols."""
MISSING = f"SELECT count(*) FROM gaps WHERE timeframe = '1m' AND state = 'missing' AND from_ms >= {FIRST_MS}"
HEALED = (
    "SELECT count(DISTINCT symbol), sum(bars) FROM gaps WHERE timeframe = '1m' AND state = 'repaired' AND NOT partial"
)


def make(folder: Path, symbols: int) -> list[str]:
    """Write a quote file for each symbol; return their names."""
    names = [f"S{place:03d}USD" for place in range(symbols)]
    times = [
        minute * MINUTE_MS + at
        for minute in range(MINUTES)
        for at in range(500, MINUTE_MS, 1_000 if minute in DENSE_MINUTES else MINUTE_MS // 4)
    ]
    for place, name in enumerate(names):
        rng, price = random.Random(place), 120_000
        with (folder / f"{name}_made.csv").open("w") as out:
            out.write("timestamp_ms,bid,ask\n")
            for at in times:
                price += rng.choice((-2, -1, 1, 2))
                out.write(f"{FIRST_MS + at},{price / 1e5:.5f},{(price + 10) / 1e5:.5f}\n")
    return names


def length(pipeline: ForkedPipeline) -> int:
    return int(pipeline.client().xlen(RAW.key(0)))


def check_order(pipeline: ForkedPipeline, names: list[str]) -> int:
    """Each symbol's ticks came in ascending order, none twice; return how many there are."""
    count = 0
    last = dict.fromkeys(names, 0)
    for symbol, tick in pipeline.rows("SELECT symbol, tick FROM market_data ORDER BY raw_ms, raw_seq, raw_index"):
        assert int(str(tick)) > last[str(symbol)], (symbol, tick)
        last[str(symbol)] = int(str(tick))
        count += 1
    return count


@pytest.mark.timeout(600)
@fault(
    "F10",
    row="the validator stopped (SIGSTOP) for ten simulated minutes at 1,000 symbols a second, STREAM_BUDGET=300",
    promise="at the budget the collector holds back, /health says so; then all in order, each minute between healed",
    teeth="collector/runtime.py: in _look_after_streams, self._way.held_back = ()",
)
def test_a_consumer_away_for_ten_minutes(tmp_path: Path, measured: Callable[..., None]) -> None:
    data = tmp_path / "data"
    data.mkdir()
    names, table = make(data, SYMBOLS), tmp_path / "symbols.toml"
    table.write_text(symbol_table(dict.fromkeys(names, 5)))
    # A call may take long on a busy machine, which proves nothing here.
    with ForkedPipeline(
        tmp_path, names, SYMBOLS_FILE=str(table), TIMEFRAMES="1m", MAX_BARS_CACHE="1000", BATCH_WRITE_INTERVAL="1",
        STREAM_BUDGET=str(BUDGET), REQUEST_TIMEOUT="30",
    ) as pipeline:  # fmt: skip
        pipeline.start_simulator(
            "--data", str(data), "--speed", "1", "--interval", "1", "--symbols", ",".join(names), "--symbols-file",
            str(table),
        )  # fmt: skip
        pipeline.start()
        wait_until(lambda: pipeline.cycle() >= 5 and length(pipeline) < BUDGET, 120, "the first cycles")
        pipeline.processes["validator"].send_signal(signal.SIGSTOP)
        began_s = time.monotonic()
        wait_until(lambda: "held back: raw" in component(pipeline, "collector")[1], 120, "the collector to hold back")
        measured(held_back_after_s=time.monotonic() - began_s)
        full, stopped_at = length(pipeline), pipeline.cycle()
        pipeline.simulator(f"/sim/skip?seconds={AWAY_S}", method="POST")
        assert length(pipeline) == full < BUDGET * 1.5  # it looks once a second, a busy machine later
        assert pipeline.cycle() == stopped_at
        pipeline.processes["validator"].send_signal(signal.SIGCONT)
        began_s = time.monotonic()
        wait_until(lambda: pipeline.cycle() > stopped_at, 120, "the collector to go on")
        measured(entries_at_most=full, caught_up_s=time.monotonic() - began_s)
        wait_until(lambda: pipeline.rows(HEALED)[0][0] == SYMBOLS and pipeline.rows(MISSING) == [(0,)], 300, "no gap")
        measured(healed_s=time.monotonic() - began_s, minutes_healed=str(pipeline.rows(HEALED)[0][1]))
        measured(quotes=check_order(pipeline, names), doubled=0)

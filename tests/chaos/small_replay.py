"""A replay of made bars of four symbols that a fault strikes in its middle."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import numpy as np

from common import keys
from common.bars import RECORD
from common.keys import QUOTES, RAW
from tests.pipeline.forked import ForkedPipeline
from tests.pipeline.harness import Pipeline
from tests.pipeline.test_replay import SYMBOLS, check_all, made_hours, wait_until_done
from tests.support import wait_until

HOURS = 1.0
STRUCK_AT = 60
"""Cycles that are committed when the fault strikes, of four a minute."""


@contextmanager
def struck(folder: Path, strangers: int = 0, **settings: str) -> Iterator[ForkedPipeline]:
    """Give a pipeline at work. On leaving: everything has gone through it, and is stored to the last row.

    strangers: entries that the test puts into `raw` and that lead to nothing; below 0: into `quotes`.
    """
    data = folder / "bars"
    data.mkdir()
    made_hours(data, HOURS)
    with ForkedPipeline(folder, SYMBOLS, BATCH_WRITE_INTERVAL="0.5", **settings) as pipeline:
        pipeline.start_simulator("--data", str(data), "--speed", "0", "--interval", "15")
        pipeline.start()
        wait_until(lambda: pipeline.cycle() >= STRUCK_AT, 60, "the first cycles")
        yield pipeline
        wait_until_done(pipeline, 120)
        check_all(pipeline, data)
        check_nothing_is_doubled(pipeline, strangers)


def check_nothing_is_doubled(pipeline: ForkedPipeline, strangers: int) -> None:
    """What SQLite would forgive: one entry of `quotes` for each of `raw`, and in the bar caches each bar once."""
    client = pipeline.client()
    assert strangers or not client.keys("*dead*")
    raw, quotes = (client.xinfo_stream(stream.key(0))["entries-added"] for stream in (RAW, QUOTES))
    assert quotes == raw - strangers
    for symbol in SYMBOLS:
        for timeframe in ("1m", "5m", "15m"):
            cached = cast(list[bytes], client.lrange(keys.bar_cache(0, symbol, timeframe), 0, -1))
            opens = list(np.frombuffer(b"".join(cached), RECORD)["open_ms"])
            assert opens == sorted(set(opens)), (symbol, timeframe)


def component(pipeline: Pipeline, name: str) -> tuple[str, str]:
    """Return status and message of a part of the pipeline, as /health says them."""
    components = cast(dict[str, dict[str, str]], pipeline.get("/health")["components"])
    return components[name]["status"], components[name]["message"]


def seconds_to_next_cycle(pipeline: Pipeline, deadline_s: float = 30) -> float:
    """Wait until two more cycles are committed; return how long it took."""
    began_s, cycle = time.monotonic(), pipeline.cycle()
    wait_until(lambda: pipeline.cycle() >= cycle + 2, deadline_s, "cycles to go on")
    return time.monotonic() - began_s

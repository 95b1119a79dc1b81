"""A replay of made bars of four symbols that a fault strikes in its middle."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from tests.chaos.forked import ForkedPipeline
from tests.pipeline.harness import Pipeline
from tests.pipeline.test_replay import SYMBOLS, check_all, made_hours, wait_until_done
from tests.support import wait_until

HOURS = 1.0
STRUCK_AT = 60
"""Cycles that are committed when the fault strikes, of four a minute."""


@contextmanager
def struck(folder: Path, **settings: str) -> Iterator[ForkedPipeline]:
    """Give a pipeline at work. On leaving: everything has gone through it, and is stored to the last row."""
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


def component(pipeline: Pipeline, name: str) -> tuple[str, str]:
    """Return status and message of a part of the pipeline, as /health says them."""
    components = cast(dict[str, dict[str, str]], pipeline.get("/health")["components"])
    return components[name]["status"], components[name]["message"]


def seconds_to_next_cycle(pipeline: Pipeline, deadline_s: float = 30) -> float:
    """Wait until two more cycles are committed; return how long it took."""
    began_s, cycle = time.monotonic(), pipeline.cycle()
    wait_until(lambda: pipeline.cycle() >= cycle + 2, deadline_s, "cycles to go on")
    return time.monotonic() - began_s

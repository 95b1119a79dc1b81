"""A stage stands still for a while (SIGSTOP), or wakes up when another instance has taken its place."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from common import keys
from tests.chaos.matrix import fault
from tests.chaos.small_replay import component, struck
from tests.pipeline.harness import STAGES
from tests.support import wait_until

WORKING = ("collector", "validator", "features", "storer")
Measured = Callable[..., None]


@pytest.mark.parametrize("stage", WORKING)
@fault(
    "F08",
    row="each stage stopped (SIGSTOP) until /health misses it",
    promise="/health names it; it goes on where it was: everything once, in order, bars as in the source",
    teeth="api/health_components.py: HEARTBEAT_LIMIT_MS = 10**9",
)
def test_a_stage_that_stands_still(tmp_path: Path, measured: Measured, stage: str) -> None:
    with struck(tmp_path) as pipeline:
        pipeline.processes[stage].send_signal(signal.SIGSTOP)
        began_s = time.monotonic()
        wait_until(lambda: component(pipeline, stage)[0] == "unhealthy", 30, f"/health to miss {stage}")
        measured(seen_after_s=time.monotonic() - began_s)
        pipeline.processes[stage].send_signal(signal.SIGCONT)
    measured(lost=0, doubled=0)


@fault(
    "F08",
    row="the api stopped (SIGSTOP) in the middle of it all",
    promise="nobody waits for it: all goes on meanwhile",
    teeth='common/keys.py: name "api" among the readers of QUOTES',
)
def test_the_api_standing_still(tmp_path: Path, measured: Measured) -> None:
    with struck(tmp_path) as pipeline:
        pipeline.processes["api"].send_signal(signal.SIGSTOP)
        last = pipeline.simulator("/sim/stats")["last_cycle"]
        wait_until(lambda: pipeline.cycle() == last and pipeline.settled(), 120, "everything to be stored")
        pipeline.processes["api"].send_signal(signal.SIGCONT)
    measured(lost=0, doubled=0)


@fault(
    "F08",
    row="an orphan: each stage stopped with work in hand, replaced by another instance, and woken up again",
    promise="it commits nothing any more and ends with code 3; everything once, in order",
    teeth="common/fence.py: in read, if False in place of comparing the epoch",
)
def test_an_orphan_that_wakes_up(tmp_path: Path, measured: Measured) -> None:
    with struck(tmp_path) as pipeline:
        client = pipeline.client()
        for stage in WORKING:
            orphan = pipeline.processes.pop(stage)
            orphan.send_signal(signal.SIGSTOP)
            before = client.get(keys.epoch(0, stage))
            pipeline.start(stage)
            wait_until(lambda s=stage, b=before: client.get(keys.epoch(0, s)) != b, 30, f"{stage} to take over")  # type: ignore[misc]
            orphan.send_signal(signal.SIGCONT)
            wait_until(lambda one=orphan: one.poll() is not None, 30, f"the orphan of {stage} to end")  # type: ignore[misc]
            assert orphan.returncode == 3, stage
    measured(orphans=len(WORKING), doubled=0)


@fault(
    "F08",
    row="all stages killed -9 at once",
    promise="all of it again after a start: everything once, in order, bars as in the source",
    teeth="collector/publish.py: in open, _Committed(fence, 0, ...): begin at the first cycle again",
)
def test_all_stages_killed_at_once(tmp_path: Path, measured: Measured) -> None:
    with struck(tmp_path) as pipeline:
        for stage in STAGES:
            pipeline.processes[stage].send_signal(signal.SIGKILL)
        for stage in STAGES:
            pipeline.restart(stage)
    measured(lost=0, doubled=0)

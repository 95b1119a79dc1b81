"""Cores that are kept awake."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from common.errors import Fatal
from deploy.awake import cores, refuse_limited
from deploy.layout import ROOT
from tests.deploy.conftest import Installation, wait_until_gone
from tests.support import wait_until
from tests.support_cores import needs_unlimited_cores

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has an idle priority")


def has_idle_priority(pid: int) -> bool:
    """Return whether the process runs at it."""
    return os.sched_getscheduler(pid) == os.SCHED_IDLE


@needs_unlimited_cores
def test_each_core_has_a_process_of_idle_priority_that_ends_with_the_rest(installation: Installation) -> None:
    started = installation.launch("start", KEEP_CORES_AWAKE="1")
    pids = installation.pids()
    awake = {name: pid for name, pid in pids.items() if name.startswith("awake-")}

    assert started.returncode == 0, started.stderr
    assert awake.keys() == {f"awake-{number}" for number in range(len(cores()))}
    for number, core in enumerate(cores()):
        pid = awake[f"awake-{number}"]
        wait_until(partial(has_idle_priority, pid), what="the idle priority")
        assert os.sched_getaffinity(pid) == {core}
    installation.launch("stop")
    wait_until_gone(pids)


def test_a_core_that_does_not_exist_is_named() -> None:
    number = str(len(cores()))
    refused = subprocess.run(
        [sys.executable, "-m", "deploy.awake", number], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert f"expected 0 to {len(cores()) - 1}, found {number}" in refused.stderr


@pytest.mark.parametrize("limited", ["", "system.slice", "system.slice/bot.service"])
def test_a_limit_of_cpu_time_on_any_level_is_refused(tmp_path: Path, limited: str) -> None:
    own = tmp_path / "own"
    own.write_text("0::/system.slice/bot.service\n")
    (tmp_path / "groups/system.slice/bot.service").mkdir(parents=True)
    for level in ("system.slice", "system.slice/bot.service"):
        (tmp_path / "groups" / level / "cpu.max").write_text("max 100000\n")
    refuse_limited(tmp_path / "groups", own)
    (tmp_path / "groups" / limited / "cpu.max").write_text("50000 100000\n")
    with pytest.raises(Fatal, match=r"not limited, found '50000 100000' in .*cpu\.max"):
        refuse_limited(tmp_path / "groups", own)


def test_without_control_groups_nothing_is_limited(tmp_path: Path) -> None:
    refuse_limited(tmp_path / "none", tmp_path / "none")

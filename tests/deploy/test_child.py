"""Processes that die with their parent."""

import os
import subprocess
import sys

import pytest

from deploy.child import PACE_S, PARENT_VARIABLE, pause_before_start_s
from deploy.layout import ROOT
from tests.deploy.conftest import wait_until_gone

MIDDLE = """
import os, signal, subprocess, sys
os.environ["SUPERVISORD_PID"] = str(os.getpid())
child = subprocess.Popen([sys.executable, "-m", "deploy.child", "--", "sleep", "60"])
print(child.pid, flush=True)
signal.pause()
"""


def test_a_child_dies_with_its_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", MIDDLE], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()

    wait_until_gone({"sleep": pid}, 5)


def test_a_child_whose_parent_has_gone_does_not_start() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    late = subprocess.run(
        [sys.executable, "-m", "deploy.child", "--", "echo", "started"], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, PARENT_VARIABLE: str(gone.pid)}, check=False,
    )  # fmt: skip

    assert late.returncode != 0
    assert late.stdout == ""
    assert f"the parent {gone.pid} has gone" in late.stderr


@pytest.mark.parametrize(
    ("last_start_s", "pause_s"),
    [
        (None, 0.0),  # never started
        (1_000.0 - 60, 0.0),  # it ran for a while
        (1_000.0 - 1, PACE_S - 1),  # it died at once
        (1_000.0 + 500, 0.0),  # the clock was set back
    ],
)
def test_starts_are_kept_apart(last_start_s: float | None, pause_s: float) -> None:
    assert pause_before_start_s(last_start_s, now_s=1_000.0) == pause_s

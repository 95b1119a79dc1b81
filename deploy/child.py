"""Run a command that never outlives its parent: `python -m deploy.child [--pace FILE] -- command arguments`.

An orphan would go on under the consumer name of its successor. The stages are safe against kill -9 and an orphan is
safe for nobody, so the signal is KILL.
"""

import argparse
import ctypes
import os
import signal
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1  # linux/prctl.h
PARENT_VARIABLE = "SUPERVISORD_PID"
PACE_S = 3.0  # between two starts of a program that keeps on dying: soon enough to heal, too slow to burn a core


def die_with_parent(parent_pid: int, death_signal: signal.Signals = signal.SIGKILL) -> None:
    """Let the kernel send this process the signal when its parent ends; exit at once if it has ended already."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent_pid:
        sys.exit(f"deploy.child: the parent {parent_pid} has gone; not starting")


def pause_before_start_s(last_start_s: float | None, now_s: float) -> float:
    """Return how long to wait so that starts are PACE_S apart. A last start in the future is a clock step: no wait."""
    if last_start_s is None or last_start_s > now_s:
        return 0.0
    return max(0.0, PACE_S - (now_s - last_start_s))


def pace(stamp: Path) -> None:
    """Wait until PACE_S after the last start noted in the stamp's modification time, then note this one."""
    last_start_s = stamp.stat().st_mtime if stamp.exists() else None
    time.sleep(pause_before_start_s(last_start_s, time.time()))
    stamp.touch()


def main(arguments: list[str]) -> None:
    """Tie this process to its parent, wait for its turn, and become the command."""
    parser = argparse.ArgumentParser(prog="python -m deploy.child", description=__doc__)
    parser.add_argument("--pace", type=Path, help="file whose modification time is the last start")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(arguments)
    if not os.environ.get(PARENT_VARIABLE):
        parser.error(f"{PARENT_VARIABLE}: expected the parent's pid in the environment, as deploy.supervised sets it")
    die_with_parent(int(os.environ[PARENT_VARIABLE]))
    if options.pace is not None:
        pace(options.pace)
    os.execvp(options.command[0], options.command)


if __name__ == "__main__":
    main(sys.argv[1:])

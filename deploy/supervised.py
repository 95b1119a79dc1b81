"""Become supervisord: `python -m deploy.supervised [--foreground-of PID]`."""

import argparse
import os
import signal
import sys
from pathlib import Path

from deploy.child import PARENT_VARIABLE, die_with_parent

CONFIGURATION = Path(__file__).with_name("supervisord.conf")


def main(arguments: list[str]) -> None:
    """Note the pid for deploy/child.py, tie it to a launcher in the foreground, and become supervisord."""
    parser = argparse.ArgumentParser(prog="python -m deploy.supervised", description=__doc__)
    parser.add_argument("--foreground-of", type=int, help="end in an orderly way when this parent dies")
    parent_pid: int | None = parser.parse_args(arguments).foreground_of
    if parent_pid is not None:
        die_with_parent(parent_pid, signal.SIGTERM)
    os.environ[PARENT_VARIABLE] = str(os.getpid())
    os.execv(sys.executable, [sys.executable, "-m", "supervisor.supervisord", "-c", str(CONFIGURATION)])


if __name__ == "__main__":
    main(sys.argv[1:])

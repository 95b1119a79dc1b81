"""Keep one core from falling asleep: `python -m deploy.awake NUMBER`, one process for each core.

The core of a virtual machine that has nothing to do is given away by the host, and comes back late when an entry
arrives: each hop of a quote begins with that. This process gives its core something to do whenever nobody else has, at
the kernel's idle priority: whatever else wants the core gets it at once (sched(7), SCHED_IDLE).
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from common.errors import Fatal

SETTING = "KEEP_CORES_AWAKE"
CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")
UNLIMITED = "max"


def cores() -> list[int]:
    """Return the cores that this process may run on. Fatal where the system can't say, or has no idle priority."""
    if sys.platform != "linux":
        raise Fatal(f"{SETTING}: expected Linux, whose kernel has an idle priority; found {sys.platform}")
    return sorted(os.sched_getaffinity(0))


def refuse_limited(cgroups: Path = CGROUPS, own: Path = OWN_CGROUP) -> None:
    """Fatal where a control group limits the CPU time: what is burnt here would be taken from the stages."""
    for folder in _own_groups(cgroups, own):
        file = folder / "cpu.max"  # cgroup v2: "$MAX $PERIOD", in us
        text = file.read_text() if file.is_file() else UNLIMITED
        if text.split()[0] != UNLIMITED:
            raise Fatal(
                f"{SETTING}: expected a machine whose CPU time is not limited, found {text.strip()!r} in {file}: the"
                " stages would be held back for what this burns"
            )


def _own_groups(cgroups: Path, own: Path) -> list[Path]:
    """Return the folders of this process's control group and those above it."""
    lines = own.read_text().splitlines() if own.is_file() else []
    path = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), "")
    folder = cgroups / path
    return [folder, *(parent for parent in folder.parents if parent == cgroups or cgroups in parent.parents)]


def main(arguments: Sequence[str]) -> None:
    """Run on the core of this number until it is told to end."""
    parser = argparse.ArgumentParser(prog="python -m deploy.awake", description=__doc__)
    parser.add_argument("number", type=int, help="which of the cores that this process may run on, from 0")
    number, mine = parser.parse_args(arguments).number, cores()
    if not 0 <= number < len(mine):
        parser.error(f"NUMBER: expected 0 to {len(mine) - 1}, found {number}")
    os.sched_setaffinity(0, {mine[number]})
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    while True:
        pass


if __name__ == "__main__":
    main(sys.argv[1:])

"""The same measurement on cores that never fall asleep: what a virtual machine's sleep adds stands beside it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from common.errors import Fatal
from deploy.awake import cores, refuse_limited


@contextmanager
def kept_awake() -> Iterator[None]:
    """Keep all cores awake as KEEP_CORES_AWAKE=1 does."""
    running = [subprocess.Popen([sys.executable, "-m", "deploy.awake", str(n)]) for n in range(len(cores()))]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def can_be_kept_awake() -> bool:
    """Tell whether that is possible here."""
    try:
        cores()
        refuse_limited()
    except Fatal:
        return False
    return True

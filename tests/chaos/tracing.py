"""Faults inside a process: its system calls fail, or are its last ones, by strace."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def tampered(pid: int, calls: str, fault: str) -> Iterator[None]:
    """Tamper with system calls of a process while inside, such as "error=EIO:when=3..7" or "signal=SIGKILL:when=5".

    Skips where strace is absent or may not trace.
    """
    if shutil.which("strace") is None:
        pytest.skip("faults of system calls need strace, which is not installed here")
    words = ["strace", "-f", "-o", "/dev/null", "-e", f"trace={calls}", "-e", f"inject={calls}:{fault}", "-p", str(pid)]
    tracer = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    try:
        assert tracer.stderr is not None
        said = tracer.stderr.readline()
        if "attached" not in said:
            pytest.skip(f"strace may not trace here: {said[:100]}")
        yield
    finally:
        tracer.terminate()  # it lets go of the process
        tracer.communicate(timeout=20)

"""Processes of ours for tests, forked from one that has all imports done: for tests that start hundreds of them."""

import atexit
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import cast

ROOT = Path(__file__).resolve().parents[1]


class Zygote:
    """The process that forks the others."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.zygote"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._answer()

    def ask(self, **order: object) -> dict[str, int | None]:
        """Have an order carried out."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End it, and with it whatever it has forked."""
        self._process.kill()
        self._process.communicate()

    def _answer(self) -> dict[str, int | None]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the process that forks the others has ended"
        return cast(dict[str, int | None], json.loads(line))


@cache
def the_zygote() -> Zygote:
    """Return the one of this process."""
    zygote = Zygote()
    atexit.register(zygote.close)
    return zygote


class Forked:
    """One forked process, with what tests use of Popen."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code; None while it lives."""
        if self.returncode is None:
            self.returncode = the_zygote().ask(wait=self.pid)["code"]
        return self.returncode

    def wait(self, timeout: float = 30) -> int:
        """Return the exit code when it has ended."""
        end_s = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > end_s:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            time.sleep(0.002)
        return code

    def kill(self) -> None:
        """Kill it with -9."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def send_signal(self, number: int) -> None:
        """Send a signal, if it lives."""
        if self.poll() is None:
            os.kill(self.pid, number)


def fork(
    module: str, *arguments: str, folder: Path, log: Path, environment: Mapping[str, str]
) -> "subprocess.Popen[bytes]":
    """Start a module as `python -m` does, in some hundredths of a second; what it prints is added to the log."""
    pid = the_zygote().ask(
        module=module, arguments=arguments, folder=str(folder), log=str(log), environment=dict(environment)
    )["pid"]
    assert pid is not None
    return cast("subprocess.Popen[bytes]", Forked(pid))

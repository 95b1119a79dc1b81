"""The pipeline of the harness, its stages and its simulator forked: for tests that start hundreds of them."""

import atexit
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import cast

from common import keys
from common.messages import Clock, decode
from tests.chaos.zygote import MODULES
from tests.pipeline.harness import ROOT, Pipeline


class Zygote:
    """The process that forks the stages."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.zygote"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
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
        assert line, "the process that forks the stages has ended"
        return cast(dict[str, int | None], json.loads(line))


@cache
def the_zygote() -> Zygote:
    """Return the one of this process."""
    zygote = Zygote()
    atexit.register(zygote.close)
    return zygote


class Forked:
    """One forked stage, with what the harness uses of Popen."""

    def __init__(self, zygote: Zygote, **order: object) -> None:
        self._zygote = zygote
        pid = zygote.ask(**order)["pid"]
        assert pid is not None
        self.pid: int = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code; None while it lives."""
        return self._wait(until_it_ends=False)

    def wait(self, timeout: float = 0) -> int | None:  # as Popen's, which is only called after a deadly signal
        """Return the exit code when it has ended."""
        return self._wait(until_it_ends=True)

    def kill(self) -> None:
        """Kill it with -9."""
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number: int) -> None:
        """Send a signal, if it lives."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def _wait(self, *, until_it_ends: bool) -> int | None:
        if self.returncode is None:
            self.returncode = self._zygote.ask(wait=self.pid, until_it_ends=until_it_ends)["code"]
        return self.returncode


class ForkedPipeline(Pipeline):
    """As its base; a stage starts in some hundredths of a second."""

    def __init__(self, folder: Path, symbols: Iterable[str], **settings: str) -> None:
        super().__init__(folder, symbols, **settings)
        self._zygote = the_zygote()
        self._looks = self.client()

    def cycle(self) -> int:
        """Return the newest committed cycle, over one connection: it is asked for often."""
        raw = self._looks.get(keys.clock(0))
        message = decode(raw) if isinstance(raw, bytes) else None
        return message.cycle if isinstance(message, Clock) else 0

    def _spawn(self, name: str, arguments: list[str], **settings: str) -> None:
        dash_m, module, *rest = arguments
        assert (dash_m, module in MODULES) == ("-m", True)
        forked = Forked(
            self._zygote, module=module, arguments=rest, folder=str(self.folder),
            log=str(self.folder / f"{name}.log"), environment={**self.environment, **settings},
        )  # fmt: skip
        self.processes[name] = cast("subprocess.Popen[bytes]", forked)

    def start_through(self, stage: str, redis_port: int) -> None:
        """Start a stage that reaches Redis at another port."""
        self._spawn(stage, ["-m", stage], REDIS_PORT=str(redis_port))

    def start_anew(self, stage: str) -> None:
        """Start a stage as supervisord does: a new interpreter, with all its imports."""
        super()._spawn(stage, ["-m", stage])

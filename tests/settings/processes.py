"""Stages and the api as an installation runs them: in a thread, or as processes of their own."""

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from common.loop import StageRunner
from common.metrics import Metrics
from common.settings import Settings
from common.stage import StageSpec
from tests.settings.proof import EXAMPLE
from tests.support_fork import fork


@contextmanager
def stage_running(settings: Settings, spec: StageSpec) -> Iterator[StageRunner]:
    """A stage at work in a thread of this process."""
    runner = StageRunner(spec, settings, Metrics(spec.name))
    thread = threading.Thread(target=runner.run)
    thread.start()
    try:
        yield runner
    finally:
        runner.stop()
        thread.join(10)


@dataclass(frozen=True)
class Running:
    """A process, and the file that takes all that it prints."""

    process: "subprocess.Popen[bytes]"
    printed: Path

    @property
    def text(self) -> str:
        """All that it has printed so far."""
        return self.printed.read_text()


@contextmanager
def process_running(stage: str, folder: Path) -> Iterator[Running]:
    """`python -m <stage>` in a folder, with this process's environment."""
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLE.parent)}
    printed = folder / f"{stage}.log"
    folder.mkdir(parents=True, exist_ok=True)
    process = fork(stage, folder=folder, log=printed, environment=environment)
    try:
        yield Running(process, printed)
    finally:
        process.terminate()
        process.wait(10)

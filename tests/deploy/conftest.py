"""An installation in a folder of its own whose stages are stand-ins: the launcher and supervisord are real."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from common.settings import Settings
from deploy.layout import ROOT, Folders
from deploy.supervise import call, is_running, processes
from tests.support import free_port, wait_until

STAGE = """
import os, signal, sys
print("up", os.environ["SUPERVISOR_PROCESS_NAME"], os.environ.get("PARTITIONS", "all"), flush=True)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
while True:
    signal.pause()
"""
API = """
import http.server, json, os
NAMES = ("redis", "database", "collector", "validator", "features", "storer", "api")
BODY = json.dumps({"status": "healthy", "components": {n: {"status": "healthy"} for n in NAMES}}).encode()
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["API_PORT"])), Answer).serve_forever()
"""


@dataclass
class Installation:
    """A folder in which the launcher runs, and what was started there."""

    home: Path
    environment: dict[str, str]
    started: list["subprocess.Popen[str]"] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    """What those in the foreground had said when they were ready."""

    @property
    def folders(self) -> Folders:
        return Folders("live", self.home / "data")

    def launch(self, *words: str, **extra: str) -> "subprocess.CompletedProcess[str]":
        return self.run("deploy.launch", *words, **extra)

    def run(self, module: str, *words: str, **extra: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", module, *words], cwd=self.home, env={**self.environment, **extra},
            capture_output=True, text=True, timeout=50, check=False,
        )  # fmt: skip

    def launch_in_foreground(self, *before: str) -> "subprocess.Popen[str]":
        """Return the launcher once all works. before: a command that starts it, such as nohup."""
        process = subprocess.Popen(
            [*before, sys.executable, "-m", "deploy.launch", "run"], cwd=self.home, env=self.environment,
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.started.append(process)
        assert process.stdout is not None
        for line in process.stdout:
            self.heard.append(line)
            if line.endswith("stops everything.\n"):
                return process
        raise AssertionError("the launcher ended before it was ready")

    def pids(self) -> dict[str, int]:
        return {process.name: process.pid for process in processes(self.folders)}


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    for name in ("storer", "features", "validator", "collector", "api"):
        package = tmp_path / name
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "__main__.py").write_text(API if name == "api" else STAGE)
    ours = {name.upper() for name in Settings.model_fields}
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    ports = {"API_PORT": str(free_port()), "REDIS_PORT": str(free_port()), "PYTHONPATH": str(ROOT)}
    made = Installation(tmp_path, {**environment, **ports})
    yield made
    for process in made.started:
        process.kill()
        process.communicate()
    if is_running(made.folders):
        pids = made.pids()
        kill(cast(int, call(made.folders, "getPID")))
        wait_until_gone(pids)


def exists(pid: int) -> bool:
    """Tell whether a process runs; a zombie that nobody reaps yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(pids: dict[str, int], deadline_s: float = 10.0) -> None:
    def gone() -> bool:
        return not any(exists(pid) for pid in pids.values())

    wait_until(gone, deadline_s, f"the end of {pids}")


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)

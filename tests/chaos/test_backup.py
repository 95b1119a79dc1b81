"""An installation under supervisord, at work at twenty times life's speed, is backed up and restored."""

import json
import os
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from deploy.layout import ROOT, Folders
from deploy.supervise import processes
from tests.chaos.matrix import fault
from tests.support import free_port, wait_until

SPEED = 20
LANES = tuple((symbol, timeframe) for symbol in ("EURUSD", "GBPUSD") for timeframe in ("1m", "5m", "15m"))
_TICKS = "SELECT symbol, source, tick, market_ms, price FROM market_data WHERE tick IS NOT NULL"
Measured = Callable[..., None]


@dataclass(frozen=True)
class Demo:
    """A demo in a folder of its own."""

    home: Path
    environment: dict[str, str]

    @property
    def database(self) -> Path:
        return self.home / "data-demo" / "demo.db"

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", *words]
        return subprocess.run(
            command, cwd=self.home, env=self.environment, capture_output=True, text=True, check=False, timeout=120
        )

    def backup(self) -> Path:
        """Make a backup; return its file."""
        made = self.run("deploy.backup", "make", "--demo", "1")
        assert made.returncode == 0, made.stdout + made.stderr
        return max((self.home / "data-demo" / "backups").glob("demo-*.tar.gz"))

    def pids(self) -> dict[str, int]:
        return {process.name: process.pid for process in processes(Folders("demo", self.home / "data-demo"))}

    def get(self, path: str) -> dict[str, object]:
        """Return the api's answer; empty while there is none."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.environment['DEMO_API_PORT']}{path}", timeout=5
            ) as reply:
                return cast(dict[str, object], json.load(reply))
        except OSError:
            return {}

    def works(self) -> bool:
        """Tell whether it is healthy, and the indicators of the currencies are ready and current."""
        if self.get("/health").get("status") != "healthy":
            return False
        lanes = [self.get(f"/api/features/{symbol}?timeframe={timeframe}") for symbol, timeframe in LANES]
        return all(lane.get("ready") is True and lane.get("current") is True for lane in lanes)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        return rows(self.database, query)


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """One that works."""
    ports = {name: str(free_port()) for name in ("DEMO_API_PORT", "DEMO_REDIS_PORT", "DEMO_SIMULATOR_PORT")}
    made = Demo(tmp_path, {**os.environ, **ports, "PYTHONPATH": str(ROOT)})
    started = made.run("deploy.launch", "start-demo", "--speed", str(SPEED))
    try:
        assert started.returncode == 0, started.stdout + started.stderr
        wait_until(made.works, 120, "ready indicators")
        yield made
    finally:
        made.run("deploy.launch", "stop", "--demo", "1")


def newest_cycle(demo: Demo) -> int:
    (newest,) = demo.rows("SELECT max(cycle) FROM clocks")[0]
    assert isinstance(newest, int)
    return newest


@pytest.mark.timeout(400)
@fault(
    "F20",
    row="a backup under load; a damaged copy of it restored; then the backup itself, while everything runs",
    promise="the backup reads back; the damaged one is refused, nothing touched; healthy in seconds, nothing doubled",
    teeth="deploy/backup/restore.py: in restore, leave _stop_stages out",
)
def test_an_installation_is_backed_up_and_restored_at_work(demo: Demo, measured: Measured) -> None:
    began_s = time.monotonic()
    file = demo.backup()
    measured(backup_s=time.monotonic() - began_s, backup_kb=file.stat().st_size // 1000)
    at_backup = newest_cycle(demo)
    wait_until(lambda: newest_cycle(demo) > at_backup + 5 * SPEED, 60, "cycles after the backup")
    refuse_damaged(demo, file)
    restore(demo, file, measured)
    restored_at = newest_cycle(demo)
    wait_until(lambda: newest_cycle(demo) > restored_at + 5 * SPEED, 60, "cycles after the restore")
    wait_until(demo.works, 60, "health to stay")
    told = demo.rows(_TICKS)
    cycles = [cycle for (cycle,) in demo.rows("SELECT cycle FROM clocks")]
    assert len(set(told)) == len(told)
    assert len(set(cycles)) == len(cycles)
    assert demo.rows("PRAGMA integrity_check") == [("ok",)]
    measured(doubled=0)


def refuse_damaged(demo: Demo, file: Path) -> None:
    """A copy with one byte changed in its middle is refused, and nothing is stopped or replaced."""
    body, before = bytearray(file.read_bytes()), demo.pids()
    body[len(body) // 2] ^= 255
    damaged = demo.home / "damaged.tar.gz"
    damaged.write_bytes(body)
    refused = demo.run("deploy.backup", "restore", "--demo", "1", str(damaged))
    assert refused.returncode == 1
    assert "expected" in refused.stderr
    assert demo.pids() == before
    assert not list(demo.database.parent.glob("*.before-*"))


def restore(demo: Demo, file: Path, measured: Measured) -> None:
    """Restore; what was there is kept aside, what was in the backup is there again, and all is well in seconds."""
    began_s = time.monotonic()
    done = demo.run("deploy.backup", "restore", "--demo", "1", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    measured(restore_s=time.monotonic() - began_s)
    began_s = time.monotonic()
    wait_until(demo.works, 90, "health and ready indicators after the restore")
    measured(healthy_and_ready_after_s=time.monotonic() - began_s)
    (aside,) = demo.database.parent.glob("demo.db.before-*")
    measured(ticks_since_the_backup=len(set(rows(aside, _TICKS)) - set(demo.rows(_TICKS))))

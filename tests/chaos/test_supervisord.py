"""supervisord killed in the middle of its work, over the real stages, and started again."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest
import redis

from common import keys
from common.messages import Clock, decode
from common.settings import Settings
from deploy.layout import ROOT, Folders
from deploy.supervise import call, is_running, processes
from tests.chaos.matrix import fault
from tests.deploy.conftest import exists, kill, wait_until_gone
from tests.pipeline import bars_data
from tests.pipeline.test_replay import SYMBOLS, made_hours
from tests.support import free_port, wait_until

STRUCK_AT = 40


class Supervised:
    """An installation as `make start` brings it up, whose vendors are a simulator that outlives it."""

    def __init__(self, home: Path, data: Path) -> None:
        self.home, self.folders = home, Folders("live", home / "data")
        self.redis_port, simulator_port = free_port(), free_port()
        ours = {name.upper() for name in Settings.model_fields}
        self.environment = {name: value for name, value in os.environ.items() if name.upper() not in ours} | {
            "PYTHONPATH": str(ROOT), "API_PORT": str(free_port()), "REDIS_PORT": str(self.redis_port),
            "REDIS_HOST": "127.0.0.1", "SYMBOLS": ",".join(SYMBOLS), "LIMITS": "none", "PUSH": "off",
            "SIMULATOR_URL": f"http://127.0.0.1:{simulator_port}", "BATCH_WRITE_INTERVAL": "0.2",
            "ALPHAVANTAGE_API_KEY": "test-a", "TWELVEDATA_API_KEY": "test-t", "POLYGON_API_KEY": "test-p",
        }  # fmt: skip
        self.simulator = subprocess.Popen(
            [sys.executable, "-m", "simulator", "--port", str(simulator_port), "--data", str(data), "--speed", "0",
             "--interval", "15"], cwd=home, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def launch(self, word: str) -> "subprocess.CompletedProcess[str]":
        """Run the launcher as make does."""
        return subprocess.run(
            [sys.executable, "-m", "deploy.launch", word], cwd=self.home, env=self.environment, capture_output=True,
            text=True, timeout=100, check=False,
        )  # fmt: skip

    def pids(self) -> dict[str, int]:
        """Return every supervised process."""
        return {process.name: process.pid for process in processes(self.folders)}

    def supervisord(self) -> int:
        """Return its process id."""
        return cast(int, call(self.folders, "getPID"))

    def cycle(self) -> int:
        """Return the newest committed cycle; 0 before the first."""
        try:
            raw = redis.Redis(host="127.0.0.1", port=self.redis_port).get(keys.clock(0))
        except redis.RedisError:
            return 0
        message = decode(raw) if isinstance(raw, bytes) else None
        return message.cycle if isinstance(message, Clock) else 0

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """Return the rows of a query on the database."""
        with closing(sqlite3.connect(f"file:{self.home}/data/vproptrader.db?mode=ro", uri=True)) as db:
            return db.execute(query).fetchall()


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[Supervised]:
    """One over made bars; nothing outlives the test."""
    data, home = tmp_path / "bars", tmp_path / "home"
    data.mkdir()
    home.mkdir()
    made_hours(data, 1)
    made = Supervised(home, data)
    yield made
    made.simulator.kill()
    made.simulator.wait()
    if is_running(made.folders):
        pids = made.pids()
        kill(made.supervisord())
        wait_until_gone(pids)


def collectors(home: Path) -> list[int]:
    """Return the collectors that run in a folder, whoever started them."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            here = (entry / "cwd").resolve() == home.resolve()
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if here and words[-3:-1] == [b"-m", b"collector"] and exists(int(entry.name)):
            found.append(int(entry.name))
    return found


@fault(
    "F14",
    row="supervisord killed with -9 while everything is at work, Redis of its own included, and started again",
    promise="no process outlives it; after the start one collector, every tick of all cycles stored once",
    teeth="deploy/child.py: `0` in place of `int(death_signal)`",
)
@pytest.mark.timeout(300)
def test_supervisord_killed_leaves_no_orphan_and_doubles_nothing(
    supervised: Supervised, tmp_path: Path, measured: Callable[..., None]
) -> None:
    started = supervised.launch("start")
    assert started.returncode == 0, started.stdout + started.stderr
    wait_until(lambda: supervised.cycle() >= STRUCK_AT, 90, "the first cycles")
    pids = supervised.pids()

    os.kill(supervised.supervisord(), signal.SIGKILL)
    struck_s = time.monotonic()
    wait_until_gone(pids, 5)
    gone_s = time.monotonic() - struck_s
    assert collectors(supervised.home) == []
    again = supervised.launch("start")
    assert again.returncode == 0, again.stdout + again.stderr
    assert len(collectors(supervised.home)) == 1

    expected = {symbol: 4 * len(bars_data.read(tmp_path / "bars" / f"{symbol}_M1.csv")) for symbol in SYMBOLS}
    told = "SELECT symbol, tick FROM market_data UNION ALL SELECT symbol, json_extract(raw, '$.tick') FROM rejects"
    count = f"SELECT symbol, count(*), count(DISTINCT tick) FROM ({told}) GROUP BY 1"  # our own
    wanted = sorted((symbol, ticks, ticks) for symbol, ticks in expected.items())
    wait_until(lambda: supervised.rows(count) == wanted, 120, "every tick, each once")
    assert supervised.rows("SELECT count(*) - count(DISTINCT cycle) FROM clocks") == [(0,)]
    measured(orphans=0, gone_s=round(gone_s, 2), ticks=sum(expected.values()), doubled=0, lost=0)

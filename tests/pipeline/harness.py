"""The real processes for a test, each its own as under supervisord: Valkey, the simulator and the stages."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterable
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Self, cast

import redis

from common import keys
from common.messages import Clock, decode
from tests.conftest import RedisServer, start_valkey
from tests.support import free_port, wait_until

ROOT = Path(__file__).resolve().parents[2]
STAGES = ("collector", "validator", "features", "storer", "api")


class Pipeline:
    """One installation in one folder, on ports of its own. Use as a context manager: nothing outlives it."""

    def __init__(self, folder: Path, symbols: Iterable[str], **settings: str) -> None:
        self.folder = folder
        self.database = folder / "md.db"
        self.api_port, self.sim_port = free_port(), free_port()
        (folder / "valkey").mkdir(parents=True, exist_ok=True)
        self.redis: RedisServer = start_valkey(folder / "valkey")
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {
            **{name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG") or "COV" in name},
            "PYTHONPATH": str(ROOT), "REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(self.redis.port),
            "DATABASE_PATH": str(self.database), "STATE_DIR": str(folder), "SYMBOLS": ",".join(symbols),
            "SIMULATOR_URL": f"http://127.0.0.1:{self.sim_port}", "LIMITS": "none", "API_PORT": str(self.api_port),
            "ALPHAVANTAGE_API_KEY": "test-a", "TWELVEDATA_API_KEY": "test-t", "POLYGON_API_KEY": "test-p",
            "PUSH": "off", **settings,
        }  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in [*self.processes.values(), self.redis.process]:
            process.kill()
            process.wait()

    # -- processes ---------------------------------------------------------------------------------

    def start(self, *stages: str) -> None:
        """Start stages (all five by default)."""
        for stage in stages or STAGES:
            self._spawn(stage, ["-m", stage])

    def start_simulator(self, *arguments: str) -> None:
        """Start the simulator and wait until it answers."""
        self._spawn("simulator", ["-m", "simulator", "--port", str(self.sim_port), *arguments])
        wait_until(lambda: self._answers(f"http://127.0.0.1:{self.sim_port}/sim/stats"), 20, "the simulator to answer")

    def kill(self, stage: str, number: int = signal.SIGKILL) -> None:
        """Send a signal to a stage and wait for its end."""
        process = self.processes.pop(stage)
        process.send_signal(number)
        process.wait(timeout=10)

    def restart(self, stage: str) -> None:
        """Kill a stage with -9 and start it again."""
        self.kill(stage)
        self.start(stage)

    def log(self, stage: str) -> str:
        """Return all that a stage has printed."""
        return (self.folder / f"{stage}.log").read_text()

    def _spawn(self, name: str, arguments: list[str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, *arguments], cwd=self.folder, env=self.environment, stdout=log, stderr=log
            )

    # -- looking in --------------------------------------------------------------------------------

    def get(self, path: str) -> dict[str, object]:
        """Return the API's JSON answer, whatever its status."""
        return cast(dict[str, object], _json(f"http://127.0.0.1:{self.api_port}{path}"))

    def health(self) -> object:
        """Return the one word of /health; None while the api does not answer."""
        try:
            return self.get("/health").get("status")
        except OSError:
            return None

    def simulator(
        self, path: str, body: dict[str, object] | None = None, method: str | None = None
    ) -> dict[str, object]:
        """Return the simulator's JSON answer to a GET, or to a POST with a body."""
        return cast(dict[str, object], _json(f"http://127.0.0.1:{self.sim_port}{path}", body, method))

    def ledger(self, vendor: str) -> list[dict[str, object]]:
        """Return the simulator's list of calls to a vendor: cycle, now_ms, path, status, verdict, credits."""
        return cast(list[dict[str, object]], _json(f"http://127.0.0.1:{self.sim_port}/sim/ledger?vendor={vendor}"))

    def clock(self) -> Clock | None:
        """Return the newest clock of the collector."""
        raw = self._looks.get(keys.clock(0))
        message = decode(raw) if isinstance(raw, bytes) else None
        return message if isinstance(message, Clock) else None

    def cycle(self) -> int:
        """Return the newest committed cycle; 0 before the first."""
        newest = self.clock()
        return newest.cycle if newest else 0

    def client(self) -> "redis.Redis":
        """Return a Redis client with raw replies."""
        return self.redis.client()

    @cached_property
    def _looks(self) -> "redis.Redis":
        """The client for what is asked again and again."""
        return self.client()

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """Return the rows of a query on the pipeline's database."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as db:
            return db.execute(query).fetchall()

    def settled(self, without: str = "") -> bool:
        """True if every group of every stream has read and acknowledged everything, but for that of a dead stage."""
        client = self._looks
        for stream in keys.TRANSPORT:
            key = stream.key(0)
            if not client.exists(key):
                continue
            head = client.xinfo_stream(key)["last-generated-id"]
            groups = {group["name"].decode(): group for group in client.xinfo_groups(key)}
            for reader in set(stream.readers) - {without}:
                group = groups.get(reader)
                if group is None or group["pending"] or group["last-delivered-id"] != head:
                    return False
        return True

    def _answers(self, url: str) -> bool:
        try:
            _json(url)
        except OSError:
            return False
        return True


def _json(url: str, body: dict[str, object] | None = None, method: str | None = None) -> object:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers={"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            answer: object = json.load(reply)
    except urllib.error.HTTPError as e:
        answer = json.load(e)
    return answer

"""The account's limits and the open positions outlive the loss of any one of journal, Redis and process, and of two."""

import json
import os
import sqlite3
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.api.history import write_nothing
from tests.api.test_posts import FILL
from tests.api.world import NOON_MS, World, settings_for
from tests.conftest import RedisServer
from tests.support import free_port, wait_until
from tests.support_fork import fork

EURO = (
    FILL.replace("US100.e", "EURUSD").replace("15005.00000", "1.08765").replace("14990.00000", "1.08")
    .replace("15030.00000", "1.1")
)  # fmt: skip
FAR_MS = NOON_MS + 3_600_000


@dataclass
class Site:
    """A folder of an installation, its Redis, and its api as a process of its own."""

    world: World
    folder: Path
    port: int = 0
    began_wall_ms: int = field(default_factory=lambda: int(time.time() * 1000))
    """When it was noon in the stream."""

    def tick(self) -> None:
        """Have the pipeline work at this moment."""
        wall_ms = int(time.time() * 1000)
        self.world.wall.ms = NOON_MS + wall_ms - self.began_wall_ms
        self.world.clock(wall_ms=wall_ms)
        self.world.engine(wall_ms=wall_ms)
        for symbol in ("EURUSD", "NAS100"):
            self.world.lane(symbol)
            self.world.status(symbol)
        self.world.signal("EURUSD", expires_ms=FAR_MS)

    @contextmanager
    def api(self) -> Iterator[None]:
        """Run the api, and end it by SIGKILL: nothing is saved at the end."""
        self.port = free_port()
        self.tick()
        with self.process("api"):
            wait_until(self._answers, 30, "the api to answer")
            yield

    @contextmanager
    def process(self, name: str) -> Iterator[None]:
        settings = self.world.settings
        environment = {
            **os.environ, "REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(settings.redis_port),
            "STATE_DIR": str(self.folder / "state"), "DATABASE_PATH": str(self.folder / "history.db"),
            "SYMBOLS": "NAS100,EURUSD", "LIMITS": "none", "API_PORT": str(self.port), "BATCH_WRITE_INTERVAL": "0.2",
            "ACCOUNT_RULES": "ftmo_2step", "ACCOUNT_START_BALANCE": "100000", "ACCOUNT_LEVERAGE": "500",
        }  # fmt: skip
        running = fork(name, folder=self.folder, log=self.folder / f"{name}.log", environment=environment)
        try:
            yield
        finally:
            running.kill()
            running.wait()

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as reply:
            return json.load(reply)

    def post(self, path: str, body: str) -> None:
        urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", body.encode(), timeout=5).close()

    def asked(self, equity: int) -> tuple[str, str]:
        """Return why nothing is advised on EURUSD, or "" with the lots."""
        self.tick()
        reply = self.get(f"/api/signals?equity={equity}")
        if reply["signals"]:
            return "", str(reply["signals"][0]["lots"])
        return next((w["reason"], w["detail"]) for w in reply["withheld"] if w["instrument"] == "EURUSD")

    def settled(self, equity: int) -> tuple[str, str]:
        """Return the same once the journal is delivered."""
        wait_until(lambda: self.asked(equity)[0] != "journal_not_delivered", 10, "the journal to be delivered")
        return self.asked(equity)

    def limits(self) -> Any:
        """Return what must not be lost of the account."""
        found = self.get("/api/account")
        return found["limits"], {k: found["state"][k] for k in ("anchor", "reset", "peak_equity", "peak_balance")}

    def lose(self, what: str) -> None:
        if what in ("redis", "both"):
            self.world.redis.flushall()
        if what in ("journal", "both"):
            for file in (self.folder / "state").glob("api-journal.db*"):
                file.unlink()

    def _answers(self) -> bool:
        try:
            return bool(self.get("/health"))
        except OSError:
            return False


@pytest.fixture
def site(redis_server: RedisServer, redis_client: "redis.Redis", tmp_path: Path) -> Site:
    write_nothing(tmp_path / "history.db")
    return Site(World(redis_client, settings_for(redis_server.port, tmp_path)), tmp_path)


def spent(site: Site) -> tuple[Any, Any]:
    """Gain, then lose the day's allowance, and return the limits."""
    assert site.settled(104_000)[0] == ""
    for equity in (104_000, 95_000, 95_000):
        site.asked(equity)
    assert site.asked(99_000)[0] == "daily_loss"
    found: tuple[Any, Any] = site.limits()
    return found


@pytest.mark.parametrize("lost", ["nothing", "redis", "journal"])
def test_a_limit_that_was_reached_outlives_a_kill_and_the_loss_of_one_copy(site: Site, lost: str) -> None:
    with site.api():
        limits, state = spent(site)
    site.lose(lost)
    with site.api():
        assert site.settled(99_000)[0] == "daily_loss"
        now_limits, now_state = site.limits()
    assert now_state == state
    assert [(one["reason"], one["level"], one["reached"]) for one in now_limits] == [
        (one["reason"], one["level"], one["reached"]) for one in limits
    ]


def test_a_redis_that_is_flushed_under_the_running_api_has_its_copy_again_within_seconds(site: Site) -> None:
    with site.api():
        _, state = spent(site)
        site.lose("redis")
        wait_until(lambda: site.world.redis.exists("md:account") == 1, 10, "the copy in Redis")
    site.lose("journal")
    with site.api():
        assert site.settled(99_000)[0] == "daily_loss"
        assert site.limits()[1] == state


def test_with_journal_and_redis_lost_the_history_knows_limits_and_positions(site: Site) -> None:
    with site.api(), site.process("storer"):
        site.settled(100_000)
        site.post("/api/executions", EURO)
        _, state = spent_while_open(site)
        wait_until(lambda: stored(site) == {"daily_loss"}, 15, "the limit in SQLite")
    site.lose("both")
    with site.api():
        assert site.settled(99_000)[0] == "daily_loss"
        assert site.limits()[1] == state
        (position,) = site.get("/api/positions")["positions"]
        assert (position["trade_id"], position["status"]) == ("123456", "open")


def spent_while_open(site: Site) -> tuple[Any, Any]:
    for _ in range(2):
        site.asked(95_000)
    assert site.asked(99_000)[0] == "daily_loss"
    found: tuple[Any, Any] = site.limits()
    return found


def stored(site: Site) -> set[str]:
    """Return the limits that the newest copy in SQLite has as reached."""
    with closing(sqlite3.connect(site.folder / "history.db")) as connection:
        rows = connection.execute(
            "SELECT json_extract(body, '$.state.blocked') FROM client_events WHERE event = 'account_state'"
            " ORDER BY rowid DESC LIMIT 1"
        ).fetchall()
    return set(json.loads(rows[0][0])) if rows else set()


def test_with_all_three_away_nothing_is_advised_and_the_reply_says_why(site: Site) -> None:
    with site.api():
        spent(site)
    site.lose("both")
    (site.folder / "history.db").write_bytes(b"no database")
    with site.api():
        reason, detail = site.settled(99_000)
        assert reason == "positions_unknown", detail
    (site.folder / "history.db").unlink()
    with site.api():
        reason, detail = site.settled(99_000)
        assert (reason, "DATABASE_PATH" in detail) == ("account_unknown", True)


def test_a_new_account_begins_once_the_history_says_that_it_is_new(site: Site) -> None:
    with site.api():
        assert site.settled(100_000) == ("", "9.17")

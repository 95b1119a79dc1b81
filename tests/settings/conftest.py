"""The environment of these tests: no variable but those that a test gives, and the embedded Valkey."""

from pathlib import Path

import pytest
import redis

from tests.conftest import RedisServer
from tests.settings.proof import Given


@pytest.fixture
def given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, redis_server: RedisServer, redis_client: "redis.Redis"
) -> Given:
    """Settings from variables, over an empty Valkey and an empty folder without `.env`."""
    monkeypatch.chdir(tmp_path)
    made = Given(
        monkeypatch,
        {
            "REDIS_HOST": redis_server.host, "REDIS_PORT": redis_server.port, "STATE_DIR": tmp_path / "state",
            "DATABASE_PATH": tmp_path / "history.db",
        },
    )  # fmt: skip
    made.clear()
    return made

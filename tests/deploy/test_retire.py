"""The command that gives a stage up."""

import json

import pytest
import redis

from common import keys
from common.clock import wall_ms
from common.heartbeat import Heartbeat
from common.metrics import Metrics
from deploy.retire import main
from tests.chaos.matrix import fault
from tests.conftest import RedisServer


@pytest.fixture(autouse=True)
def settings(
    redis_server: RedisServer, redis_client: "redis.Redis", monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    """A live installation on the tests' Redis, in an empty folder."""
    monkeypatch.chdir(str(tmp_path))
    monkeypatch.setenv("REDIS_HOST", redis_server.host)
    monkeypatch.setenv("REDIS_PORT", str(redis_server.port))
    redis_client.xadd("{0}:quotes", {"m": "{}"})
    redis_client.xgroup_create("{0}:quotes", "features", id="0")


def beat(client: "redis.Redis", at_ms: int) -> None:
    """Write a heartbeat of features-0."""

    def store(key: str, body: bytes) -> None:
        client.set(key, body)

    Heartbeat(store, "features", "features-0", Metrics("features")).beat(at_ms, "ok")


@pytest.mark.short
@fault(
    "F10",
    row="a dead stage given up (make retire)",
    promise="loudly: how many entries are lost to it, and /health says retired and why",
    teeth="deploy/retire.py: in _retire, do not SET the heartbeat",
)
def test_a_dead_stage_is_retired_and_its_heartbeat_says_so(
    redis_client: "redis.Redis", capsys: pytest.CaptureFixture[str]
) -> None:
    beat(redis_client, wall_ms() - 60_000)

    assert main(["features", "--why", "moved away"]) == 0

    assert "{0}:quotes: 1 entries that features had not settled are lost to it" in capsys.readouterr().out
    pulse = json.loads(redis_client.get(keys.heartbeat("features", "features-0")) or b"")
    assert (pulse["status"], pulse["message"]) == ("retired", "retired: moved away")
    assert redis_client.xinfo_groups("{0}:quotes") == []


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (
            ["featurs", "--why", "x"],
            "STAGE: expected one of collector, validator, storer, features, api, found 'featurs'",
        ),
        (["features"], "WHY: expected the reason"),
    ],
)
def test_wrong_words_are_named(words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 1
    assert complaint in capsys.readouterr().err


def test_a_stage_that_lives_is_not_retired(redis_client: "redis.Redis", capsys: pytest.CaptureFixture[str]) -> None:
    beat(redis_client, wall_ms())

    assert main(["features", "--why", "x"]) == 1

    assert "stop it first" in capsys.readouterr().err
    assert len(redis_client.xinfo_groups("{0}:quotes")) == 1

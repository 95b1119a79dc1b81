"""`make breaker`: an operator's word, straight to Redis."""

import getpass
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from common import keys
from common.breaker import Force, State, view_of
from common.messages import Clock, encode
from common.sources import SourceReport, encode_report
from deploy.breaker import main
from deploy.screen import View, source_lines
from tests.conftest import RedisServer

T0 = 1_763_992_800_000


@pytest.fixture
def running(redis_client: redis.Redis) -> redis.Redis:
    """What a collector with two sources leaves."""
    for name in ("here", "there"):
        redis_client.set(keys.source_report(name), encode_report(SourceReport(name, T0, T0, True)))
    redis_client.set(keys.clock(0), encode(Clock(1, T0, T0)))
    return redis_client


@pytest.fixture
def say(
    tmp_path: Path, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Say a word as `make breaker` does: the exit code, and what was printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_HOST", redis_server.host)
    monkeypatch.setenv("REDIS_PORT", str(redis_server.port))

    def said(*words: str) -> tuple[int, str]:
        try:
            code = main(words)
        except SystemExit as e:
            code = int(str(e.code))
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return said


def test_a_breaker_is_forced_and_set_free(say: Callable[..., tuple[int, str]], running: redis.Redis) -> None:
    user = getpass.getuser()
    assert say("--why", "its prices are wrong", "here", "open") == (
        0, f"here: was HALF_OPEN, is OPEN, forced by make, by {user}: its prices are wrong\n"
    )  # fmt: skip
    view = view_of(running.hgetall(keys.breaker("here")))  # type: ignore[arg-type]
    assert (view.state, view.force, view.forced_at_ms) == (State.OPEN, Force.OPEN, T0), "at the stream's time"
    assert say("here", "auto") == (0, "here: was OPEN, is HALF_OPEN, by its own rules\n")
    assert say("here", "auto") == (0, "here: no change, is HALF_OPEN, by its own rules\n")
    assert running.exists(keys.breaker("there")) == 0


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("nowhere", "open"), "the collector knows (here, there), found 'nowhere'"),
        (("here", "ajar"), "STATE: expected one of auto, open, closed, found 'ajar'"),
        (("", "open"), "found ''"),
    ],
)
def test_a_word_that_is_none_is_refused(
    say: Callable[..., tuple[int, str]], running: redis.Redis, words: tuple[str, str], complaint: str
) -> None:
    code, printed = say(*words)
    assert code > 0
    assert complaint in printed
    assert running.exists(keys.breaker("here")) == 0


def test_the_status_says_who_forced_a_source_open() -> None:
    forced: dict[str, object] = {"state": "open", "by": "ann", "at": "noon", "why": "bad prices"}
    source: dict[str, object] = {"is_healthy": False, "last_error": "", "breaker": {"forced": forced}}
    view = View({"data_sources": {"here": source}}, [], {}, [])
    assert source_lines(view) == ["  failing   here          forced open (ann): bad prices"]

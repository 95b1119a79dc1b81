"""The validator as a process: `python -m validator` over a real Redis."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from common import keys
from common.heartbeat import decode_pulse
from common.messages import AnyMessage, Quotes, Rejects, decode, encode
from tests.support import wait_until
from tests.validator.support import T0, arrived, clock, quote

if TYPE_CHECKING:
    import redis

    from tests.conftest import RedisServer

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def running(folder: Path, server: "RedisServer") -> Iterator["subprocess.Popen[bytes]"]:
    """A validator process in an empty folder; killed at the end if it still runs."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "REDIS_HOST": server.host, "REDIS_PORT": str(server.port)}
    process = subprocess.Popen([sys.executable, "-m", "validator"], cwd=folder, env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def published(client: "redis.Redis", stream: keys.Stream) -> list[AnyMessage]:
    entries = cast(list[tuple[bytes, dict[bytes, bytes]]], client.xrange(stream.key(0)))
    return [decode(fields[keys.FIELD]) for _, fields in entries]


def test_process_judges_what_arrives_stops_on_sigterm_and_goes_on_where_it_was(
    tmp_path: Path, redis_server: "RedisServer", redis_client: "redis.Redis"
) -> None:
    raw = keys.RAW.key(0)
    redis_client.xadd(raw, {keys.FIELD: encode(arrived(quote(1.1), quote(-1.0)).message)})
    redis_client.xadd(raw, {keys.FIELD: encode(clock(T0 + 1000).message)})
    with running(tmp_path, redis_server) as process:
        wait_until(lambda: len(published(redis_client, keys.QUOTES)) == 2, 15, "quotes and clock")
        wait_until(lambda: redis_client.exists(keys.heartbeat("validator", "validator")) == 1, 10, "a heartbeat")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    redis_client.xadd(raw, {keys.FIELD: encode(arrived(quote(1.1)).message)})
    with running(tmp_path, redis_server):
        wait_until(lambda: len(published(redis_client, keys.REJECTS)) == 2, 15, "the repeated quote in quarantine")
    first, second = published(redis_client, keys.REJECTS)
    assert isinstance(first, Rejects)
    assert isinstance(second, Rejects)
    assert [r.reason for r in (*first.rejects, *second.rejects)] == ["not_positive", "duplicate"]
    (good, _) = published(redis_client, keys.QUOTES)
    assert isinstance(good, Quotes)
    assert [q.price for q in good.quotes] == [1.1]
    body = redis_client.get(keys.heartbeat("validator", "validator"))
    assert isinstance(body, bytes)
    assert decode_pulse(body).stage == "validator"
    assert decode_pulse(body).info == {"in_hand": 0, "comparisons": {}}


def test_wrong_settings_end_the_process_with_a_message_that_names_the_variable(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "validator"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT), "SYMBOLS": "EURUSD,DOGE"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert ended.stderr.startswith("SYMBOLS: DOGE not in ")

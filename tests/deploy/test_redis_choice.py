"""Which Redis is used and which is refused, with real servers."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from common import keys
from common.errors import Fatal
from deploy import redis_choice
from deploy.layout import Address, RedisPlace
from deploy.redis_choice import (
    Answering,
    Embedded,
    choose,
    embedded_configuration,
    find_binary,
    identity,
    is_local,
    is_ours,
    judge,
)
from tests.conftest import RedisServer, start_valkey
from tests.support import free_port, wait_until

GOOD = {"redis_version": "7.2.4", "valkey_version": "9.1.2", "maxmemory_policy": "noeviction", "aof_enabled": 1}


def place(port: int, db: int = 0, password: str = "") -> RedisPlace:
    return RedisPlace(Address("localhost", port, "REDIS_HOST", "REDIS_PORT"), db, password)


@pytest.fixture(scope="module")
def careless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server with the settings that older guides recommend."""
    folder = tmp_path_factory.mktemp("careless")
    server = start_valkey(folder, None, "--maxmemory-policy", "allkeys-lru", "--appendonly", "no")
    yield server
    server.process.kill()
    server.process.wait()


def test_nothing_answers_so_our_own_is_started() -> None:
    assert choose(place(free_port()), ()) == Embedded(find_binary())


def test_a_safe_server_is_used(redis_server: RedisServer) -> None:
    chosen = choose(place(redis_server.port, db=9), ())

    assert isinstance(chosen, Answering)
    assert chosen.title.startswith("valkey 9.")
    assert chosen.title.endswith(f"localhost:{redis_server.port}, database 9")


def test_eviction_and_no_append_only_file_are_refused(careless: RedisServer) -> None:
    with pytest.raises(Fatal) as refused:
        choose(place(careless.port), ())

    message = str(refused.value)
    assert "maxmemory-policy is allkeys-lru; expected noeviction" in message
    assert "appendonly is off; expected appendonly yes" in message
    assert "REDIS_PORT" in message
    assert "REDIS_ACCEPT=eviction,no-aof" in message


def test_what_was_accepted_is_not_refused(careless: RedisServer) -> None:
    assert isinstance(choose(place(careless.port), ("eviction", "no-aof")), Answering)


def test_foreign_keys_are_refused_in_that_database_only(redis_server: RedisServer) -> None:
    client = redis_server.client()
    client.set("celery-task-meta-1", "x")
    try:
        with pytest.raises(Fatal, match="not ours, such as celery-task-meta-1"):
            choose(place(redis_server.port), ())
        assert isinstance(choose(place(redis_server.port, db=9), ()), Answering)
        assert isinstance(choose(place(redis_server.port), ("foreign-keys",)), Answering)
    finally:
        client.delete("celery-task-meta-1")


def test_our_own_keys_are_not_foreign() -> None:
    made = [stream.key(3) for stream in keys.TRANSPORT]
    made += [keys.dead(0, "storer"), keys.state(12, "features"), keys.breaker("x"), keys.heartbeat("api", "api")]
    assert [key for key in made if not is_ours(key.encode())] == []
    assert not any(is_ours(key) for key in (b"session:1", b"{user}:1", b"{1}", b"{}:raw", b"mdx", b""))


@pytest.mark.parametrize(
    ("info", "version"),
    [({"redis_version": "6.0.16"}, "redis 6.0"), ({"valkey_version": "7.2.8", "redis_version": "7.2.4"}, "valkey 7.2")],
)
def test_an_old_server_is_refused(info: dict[str, object], version: str) -> None:
    old = {**GOOD, **info} if "valkey_version" in info else {k: v for k, v in GOOD.items() if "valkey" not in k} | info
    (objection,) = judge(old, ())
    assert objection.slug == "version"
    assert version in objection.text


@pytest.mark.parametrize("version", ["6.2.0", "7.0.15", "8.4.1"])
def test_a_redis_that_is_new_enough_is_fine(version: str) -> None:
    info = {"redis_version": version, "maxmemory_policy": "noeviction", "aof_enabled": 1}
    assert identity(info)[0] == "redis"
    assert judge(info, ()) == []


def test_a_server_that_does_not_tell_is_not_trusted() -> None:
    assert {o.slug for o in judge({"redis_version": "7.4.0"}, ())} == {"eviction", "no-aof"}


def test_something_else_on_the_port_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_choice, "ANSWER_S", 0.2)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(Fatal, match="taken by something that does not answer as Redis does"):
            choose(place(other.getsockname()[1]), ())


def test_an_unknown_word_to_accept_is_an_error() -> None:
    with pytest.raises(Fatal, match=r"REDIS_ACCEPT: expected some of version, .*, found all"):
        choose(place(free_port()), ("all",))


def test_only_this_machine_gets_our_own() -> None:
    assert [h for h in ("localhost", "127.0.0.1", "::1", "10.0.0.5", "redis.example") if is_local(h)] == [
        "localhost", "127.0.0.1",
    ]  # fmt: skip


def test_our_own_is_safe_by_our_own_rules_and_keeps_its_password(tmp_path: Path) -> None:
    secret = 'with "quotes" and \\ and space'
    port = free_port()
    configuration = tmp_path / "redis.conf"
    configuration.write_text(embedded_configuration(place(port, db=20, password=secret), tmp_path))
    server = start_valkey_from(configuration, port, secret)
    try:
        assert isinstance(choose(place(port, db=20, password=secret), ()), Answering)
        with pytest.raises(Fatal, match="REDIS_PASSWORD"):
            choose(place(port, password="wrong"), ())
        with pytest.raises(Fatal, match="REDIS_PASSWORD"):
            choose(place(port), ())
    finally:
        server.kill()
        server.wait()


def start_valkey_from(configuration: Path, port: int, password: str) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen([str(find_binary()), str(configuration)], stdout=subprocess.DEVNULL)

    def answers() -> bool:
        try:
            with redis.Redis(port=port, password=password, retry=Retry(NoBackoff(), 0)) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    wait_until(answers, 10, "the server to answer")
    return process

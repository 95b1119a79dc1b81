"""What the variables of Redis and storage do: seen by the server, in the streams, and on the disk."""

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from api.redis_pool import RedisAway, open_pool
from common import keys
from common.errors import Fatal
from common.heartbeat import decode_pulse
from common.keys import FIELD, QUOTES, RAW
from common.loop import StageRunner
from common.messages import Clock, Quotes, encode
from common.metrics import Metrics
from common.partition_loop import PartitionLoop
from common.redis_link import open_link
from common.settings import Settings
from common.symbols import load_symbols
from storer.database import Database
from storer.rows import rows_of
from storer.stage import storer_spec
from tests.collector.conftest import server
from tests.collector.kit import FaultServer
from tests.common.relay import feed, passed_on, relay_spec
from tests.common.test_partition_loop import BreaksTheOutput
from tests.conftest import RedisServer, start_valkey
from tests.settings.collecting import BUILTIN_VENDORS, collect_cycles, collected, plain_vendors
from tests.settings.processes import stage_running
from tests.settings.proof import Given, proves
from tests.settings.serving import api_over
from tests.storer.values import entry, quote
from tests.support import wait_until

__all__ = ["server"]

PASSWORD = "s3cret of the tests"
FOUR = "EURUSD,GBPUSD,NAS100,XAUUSD"


@pytest.fixture(scope="module")
def other_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Another server than the one of all tests: at two addresses, with a password."""
    made = start_valkey(tmp_path_factory.mktemp("other"), None, "--bind", "127.0.0.1", "127.0.0.2")
    with made.client() as client:
        client.config_set("requirepass", PASSWORD)
    yield made
    made.process.kill()
    made.process.wait()


def ask_link(settings: Settings, *command: str) -> object:
    """Return a reply to a stage's connection."""
    link = open_link(settings)
    try:
        return link.call(*command)
    finally:
        link.close()


def ask_pool(settings: Settings, *command: str) -> object:
    """Return a reply to the api's pool."""

    async def ask() -> object:
        pool = open_pool(settings)
        try:
            return (await pool.exchange([command]))[0]
        finally:
            await pool.close()

    return asyncio.run(ask())


def seen_by_server(settings: Settings) -> list[dict[str, str]]:
    """Return what the server knows of a stage's connection, and of one of the api's."""
    replies = [ask(settings, "CLIENT", "INFO") for ask in (ask_link, ask_pool)]
    found = []
    for reply in replies:
        assert isinstance(reply, bytes)
        found.append(dict(item.partition("=")[::2] for item in reply.decode().split()))
    return found


@proves("REDIS_HOST", "REDIS_PORT", "REDIS_DB", "REDIS_PASSWORD")
@pytest.mark.parametrize(("host", "db"), [("127.0.0.1", "0"), ("127.0.0.2", "5")])
def test_connections_go_to_this_address_and_database(
    given: Given, other_valkey: RedisServer, host: str, db: str
) -> None:
    settings = given(REDIS_HOST=host, REDIS_PORT=other_valkey.port, REDIS_DB=db, REDIS_PASSWORD=PASSWORD)
    seen = seen_by_server(settings)
    assert [(s["laddr"], s["db"]) for s in seen] == [(f"{host}:{other_valkey.port}", db)] * 2
    ask_link(settings, "SET", f"written in {db}", "1")
    with redis.Redis(port=other_valkey.port, db=int(db), password=PASSWORD) as client:
        assert client.exists(f"written in {db}") == 1


@pytest.mark.parametrize("password", ["", "another"])
def test_another_password_is_refused_with_the_variables_name(
    given: Given, other_valkey: RedisServer, password: str
) -> None:
    settings = given(REDIS_PORT=other_valkey.port, REDIS_PASSWORD=password)
    with pytest.raises(Fatal, match="REDIS_PASSWORD"):
        ask_link(settings, "GET", "x")
    with pytest.raises(RedisAway):
        ask_pool(settings, "GET", "x")


@proves("REDIS_POOL_SIZE")
@pytest.mark.parametrize("size", [2, 5])
async def test_the_api_never_has_more_connections_than_this(given: Given, redis_client: redis.Redis, size: int) -> None:
    pool = open_pool(given(REDIS_POOL_SIZE=size))
    before = _connections_ever(redis_client)
    waiting = [asyncio.create_task(pool.exchange([("BLPOP", "gate", 9)], within_s=9)) for _ in range(9)]
    async with asyncio.timeout(5):
        while _blocked(redis_client) < size:  # noqa: ASYNC110  # the condition lies in Redis
            await asyncio.sleep(0.005)
    redis_client.rpush("gate", *range(9))
    assert len(await asyncio.gather(*waiting)) == 9
    assert _connections_ever(redis_client) - before == size
    await pool.close()


def _connections_ever(client: redis.Redis) -> int:
    return int(client.info("stats")["total_connections_received"])


def _blocked(client: redis.Redis) -> int:
    return int(client.info("clients")["blocked_clients"])


@proves("STREAM_PARTITIONS")
@pytest.mark.parametrize("partitions", [1, 2])
async def test_symbols_are_spread_over_so_many_streams(given: Given, server: FaultServer, partitions: int) -> None:
    settings = given(STREAM_PARTITIONS=partitions, SYMBOLS=FOUR, SIMULATOR_URL=server.url, LIMITS="none")
    await collect_cycles(server, settings, plain_vendors(*BUILTIN_VENDORS), 2)
    found = [collected(settings, p) for p in range(3)]
    assert [bool(symbols) for symbols in found] == [p < partitions for p in range(3)]
    assert sorted(symbol for symbols in found for symbol in symbols) == FOUR.split(",")


@proves("PARTITIONS")
async def test_a_collector_publishes_only_into_the_partitions_that_it_serves(given: Given, server: FaultServer) -> None:
    settings = given(STREAM_PARTITIONS=2, PARTITIONS="1", SYMBOLS=FOUR, SIMULATOR_URL=server.url, LIMITS="none")
    await collect_cycles(server, settings, plain_vendors(*BUILTIN_VENDORS), 2)
    served = collected(settings, 1)
    assert served
    assert served < set(FOUR.split(","))
    assert ask_link(settings, "EXISTS", RAW.key(0)) == 0


@proves("PARTITIONS")
def test_a_stage_reads_only_the_partitions_that_it_serves(given: Given, redis_client: redis.Redis) -> None:
    with stage_running(given(STREAM_PARTITIONS=3, PARTITIONS="0,2"), relay_spec()):
        wait_until(lambda: all(redis_client.exists(RAW.key(p)) for p in (0, 2)), 10, "the groups")
        wait_until(lambda: bool(redis_client.exists(keys.heartbeat("relay", "relay"))), 10, "a heartbeat")
    assert redis_client.exists(RAW.key(1)) == 0


@proves("STREAM_BUDGET")
def test_at_its_budget_a_stream_gets_no_more_until_there_is_room(given: Given, redis_client: redis.Redis) -> None:
    settings = given(STREAM_BUDGET=5)
    link = open_link(settings)
    feed(link, *"ABCDE")
    with stage_running(settings, relay_spec()):
        wait_until(lambda: "held back: quotes at the budget of 5" in _message(redis_client), 10, "the alarm")
        feed(link, *"FGH")
        alarmed_ms = _beaten_ms(redis_client)
        wait_until(lambda: _beaten_ms(redis_client) > alarmed_ms, 10, "the next look at the streams")
        assert len(passed_on(link)) == 5
        redis_client.xtrim(QUOTES.key(0), maxlen=0)
        wait_until(lambda: len(passed_on(link)) == 3, 10, "the rest")
    link.close()


def _message(client: redis.Redis) -> str:
    body = client.get(keys.heartbeat("relay", "relay"))
    return decode_pulse(body).message if isinstance(body, bytes) else ""


def _beaten_ms(client: redis.Redis) -> int:
    body = client.get(keys.heartbeat("relay", "relay"))
    return decode_pulse(body).wall_ms if isinstance(body, bytes) else 0


class Time:
    """Stands in for the time module; the test moves it."""

    at_s = 1_000.0

    def monotonic(self) -> float:
        return self.at_s

    perf_counter = monotonic


@proves("BATCH_WRITE_INTERVAL")
@pytest.mark.parametrize("interval_s", [0.5, 30.0])
def test_rows_wait_so_long_before_they_are_written(
    given: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interval_s: float
) -> None:
    settings = given(BATCH_WRITE_INTERVAL=interval_s)
    time = Time()
    monkeypatch.setattr("common.partition_loop.time", time)
    database, link, metrics = Database(settings.database_path), open_link(settings), Metrics("storer")
    table = load_symbols(settings.symbols, settings.symbols_file)
    loop = PartitionLoop(storer_spec(database, settings, metrics, table), 0, link, "storer", metrics, tmp_path)
    loop.open()
    loop.step(0)  # the (empty) backlog
    link.call("XADD", QUOTES.key(0), "*", FIELD, encode(Quotes(quotes=(quote(1),))))
    settled = []
    for at_s in (0.0, interval_s - 0.01, interval_s):
        time.at_s = Time.at_s + at_s
        settled.append((loop.step(0), _rows(settings.database_path)))
    assert settled == [(0, 0), (0, 0), (1, 1)]
    database.close()
    link.close()


def _rows(path: Path) -> int:
    if not path.exists():
        return 0
    with sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True) as connection:
        return int(connection.execute("SELECT count(*) FROM market_data").fetchone()[0])


@proves("BATCH_WRITE_INTERVAL", "COLLECTION_INTERVAL")
@pytest.mark.parametrize(("written_s", "collected_s", "limit_s"), [(10, 1, 30), (0.1, 1, 3), (10, 60, 180)])
async def test_the_database_is_behind_after_three_of_its_intervals(
    given: Given, written_s: float, collected_s: float, limit_s: int
) -> None:
    settings = given(BATCH_WRITE_INTERVAL=written_s, COLLECTION_INTERVAL=collected_s)
    statuses = []
    async with api_over(settings) as (client, world):
        world.clock()
        newest = Clock(1, world.wall.ms, world.wall.ms, raw_id="1-0")
        database = Database(settings.database_path)
        database.write(rows_of((entry(QUOTES, 1, newest),), 0, "incarnation"))
        database.close()
        for age_ms in (limit_s * 1000, limit_s * 1000 + 1):
            world.clock(now_ms=newest.now_ms + age_ms)
            statuses.append((await client.get("/health")).json()["components"]["database"]["status"])
    assert statuses == ["healthy", "degraded"]


@proves("STATE_DIR")
async def test_the_journal_of_the_api_and_the_collectors_spending_lie_in_the_state_folder(
    given: Given, server: FaultServer, tmp_path: Path
) -> None:
    folder = tmp_path / "some" / "where"
    settings = given(STATE_DIR=folder, SYMBOLS="EURUSD", SIMULATOR_URL=server.url)
    await collect_cycles(server, settings, plain_vendors(*BUILTIN_VENDORS), 1)
    async with api_over(settings):
        pass
    assert {path.name for path in folder.iterdir()} >= {"usage-collector.json", "api-journal.db"}


@proves("STATE_DIR")
def test_what_redis_could_not_take_lies_in_the_state_folder(given: Given, tmp_path: Path) -> None:
    settings = given(STATE_DIR=tmp_path / "mine")
    BreaksTheOutput.saboteur = open_link(settings)
    runner = StageRunner(relay_spec(make_handler=BreaksTheOutput), settings, Metrics("relay"))
    feed(BreaksTheOutput.saboteur, "A")
    with pytest.raises(Fatal, match="issued again at the next start"):
        runner.run()
    assert len(list((tmp_path / "mine").rglob("relay-p0-*.json"))) == 1
    BreaksTheOutput.saboteur.close()

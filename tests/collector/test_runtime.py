"""The whole collector in this process, live: the wall's pace, a Redis that dies and comes back, the end."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from collector.runtime import Collector
from common import keys
from common.clock import monotonic_s
from common.errors import Fatal
from common.heartbeat import decode_pulse
from common.keys import FIELD, RAW
from common.messages import Clock, RawQuotes, decode
from common.settings import Settings
from tests.collector.kit import FaultServer, Heard, PlainVendor, response
from tests.conftest import RedisServer, start_valkey

TABLE = """
[class.always]
title = "a session that this test replaces"
session = "fx"
[symbol.X]
title = "X"
broker = "X"
series = "always"
quote_currency = "USD"
tick_size = 0.01
digits = 2
contract_size = 1.0
lot_min = 0.01
lot_step = 0.01
lot_max = 1.0
sources = [{ vendor = "plain", symbol = "X", class = "always", volume = "none", delay_s = 0 }]
"""


@pytest.fixture(autouse=True)
def always_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test runs at any hour of the week."""
    monkeypatch.setattr("collector.cycle.is_open", lambda session, at_ms: True)


def counting(server: FaultServer) -> Callable:
    async def behave(heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(response(b'{"quotes": {"X": [%d, 1.5]}}' % len(server.heard)))

    return behave


def collector_of(server: FaultServer, valkey: RedisServer, folder: Path) -> Collector:
    table = folder / "symbols.toml"
    table.write_text(TABLE)
    settings = Settings(
        symbols=("X",), symbols_file=table, redis_host=valkey.host, redis_port=valkey.port,
        state_dir=folder, limits="none", collection_interval=0.05, request_timeout=0.5,
    )  # fmt: skip
    return Collector(settings, {"plain": PlainVendor(hosts={"": server.url})})


@asynccontextmanager
async def running(server: FaultServer, valkey: RedisServer, folder: Path) -> AsyncIterator[Collector]:
    collector = collector_of(server, valkey, folder)
    task = asyncio.create_task(collector.run())
    try:
        yield collector
    finally:
        collector.stop()
        await asyncio.wait_for(task, 6)


async def until(predicate: Callable[[], object], deadline_s: float = 10.0) -> None:
    end_s = monotonic_s() + deadline_s
    while not predicate():  # the condition lies in Redis
        assert monotonic_s() < end_s
        await asyncio.sleep(0.01)


def messages(valkey: RedisServer) -> list[RawQuotes | Clock]:
    client = valkey.client()
    entries: list[tuple[bytes, dict[bytes, bytes]]] = client.xrange(RAW.key(0))  # type: ignore[assignment]
    client.close()
    found = [decode(fields[FIELD]) for _, fields in entries]
    return [m for m in found if isinstance(m, RawQuotes | Clock)]


def cycles(valkey: RedisServer) -> list[int]:
    return [m.cycle for m in messages(valkey) if isinstance(m, Clock)]


def reconnects(collector: Collector) -> float:
    return sum(c.value for c in collector.metrics.snapshot().counters if c.name == "md_reconnects_total")


def beaten_ms(valkey: RedisServer) -> int:
    """When the collector's heart beat last: once a second."""
    body = valkey.link().call("GET", keys.heartbeat("collector", "collector"))
    return decode_pulse(body).wall_ms if isinstance(body, bytes) else 0


async def test_live_cycles_keep_the_walls_pace_and_their_time_never_goes_back(
    server: FaultServer, redis_server: RedisServer, redis_client: object, tmp_path: Path
) -> None:
    server.behave = counting(server)
    async with running(server, redis_server, tmp_path):
        await until(lambda: len(cycles(redis_server)) >= 20)
    found = messages(redis_server)
    clocks = [m for m in found if isinstance(m, Clock)]
    assert [c.cycle for c in clocks] == list(range(1, len(clocks) + 1))
    assert all(a.now_ms <= b.now_ms for a, b in pairwise(clocks))
    took_ms = clocks[-1].wall_ms - clocks[0].wall_ms
    assert took_ms >= (len(clocks) - 1) * 50 - 45, "never bunched"
    for number, message in enumerate(found):
        if isinstance(message, RawQuotes):
            clock = next(m for m in found[number:] if isinstance(m, Clock))
            assert message.received_ms <= clock.now_ms, "the clock says that all before it was collected"


async def test_redis_killed_and_started_again_the_cycles_go_on_without_a_hole(
    server: FaultServer, tmp_path: Path
) -> None:
    server.behave = counting(server)
    folder = tmp_path / "valkey"
    folder.mkdir()
    valkey = start_valkey(folder, None, "--appendfsync", "always")
    try:
        async with running(server, valkey, tmp_path) as collector:
            await until(lambda: len(cycles(valkey)) >= 5)
            valkey.process.send_signal(signal.SIGKILL)
            valkey.process.wait()
            asked = len(server.heard)
            await until(lambda: reconnects(collector) >= 2)  # it has looked for it in vain
            valkey = start_valkey(folder, valkey.port)
            before = cycles(valkey)[-1]
            await until(lambda: cycles(valkey)[-1] >= before + 5)
            assert len(server.heard) > asked
        assert cycles(valkey) == list(range(1, cycles(valkey)[-1] + 1))
        times = [q.market_ms for m in messages(valkey) if isinstance(m, RawQuotes) for q in m.quotes]
        assert len(times) == len(set(times))
    finally:
        valkey.process.kill()
        valkey.process.wait()


async def test_after_a_flush_it_takes_its_partitions_anew_and_goes_on(
    server: FaultServer, redis_server: RedisServer, redis_client: object, tmp_path: Path
) -> None:
    server.behave = counting(server)
    async with running(server, redis_server, tmp_path) as collector:
        for _ in range(3):
            await until(lambda: len(cycles(redis_server)) >= 3)
            epoch = collector._publisher.fences[0].epoch
            redis_server.client().flushall()
            await until(lambda before=epoch: collector._publisher.fences[0].epoch > before)  # type: ignore[misc]
        await until(lambda: len(cycles(redis_server)) >= 3)
    assert cycles(redis_server)[0] == 1


async def test_a_stream_at_its_budget_holds_the_collector_back_until_there_is_room(
    server: FaultServer,
    redis_server: RedisServer,
    redis_client: object,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server.behave = counting(server)
    monkeypatch.setenv("STREAM_BUDGET", "10")
    async with running(server, redis_server, tmp_path) as collector:
        # The cycle that was under way is finished.
        await until(lambda: collector._way.held_back == ("raw",) and collector._way._no_cycle.is_set())
        count, beat_ms = len(messages(redis_server)), beaten_ms(redis_server)
        await until(lambda: beaten_ms(redis_server) > beat_ms)  # twenty cycles long
        assert len(messages(redis_server)) == count
        redis_server.client().delete(RAW.key(0))
        await until(lambda: len(messages(redis_server)) > 0)


async def test_a_key_of_another_type_is_found_before_anything_is_written(
    server: FaultServer, redis_server: RedisServer, redis_client: object, tmp_path: Path
) -> None:
    redis_server.client().set(RAW.key(0), b"not a stream")
    with pytest.raises(Fatal, match="expected a stream, found b'string'"):
        await asyncio.wait_for(collector_of(server, redis_server, tmp_path).run(), 10)

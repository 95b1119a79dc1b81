"""A cycle over HTTP and the real Valkey: nothing published twice, the clock on time."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from collector.pacer import Tick
from common import keys
from common.clock import monotonic_s
from common.errors import Fenced
from common.keys import RAW
from common.messages import Clock, decode
from common.redis_link import Link
from common.sources import SymbolStatus
from tests.collector.cycle_rig import Rig, restarted, rig_of, until
from tests.collector.kit import (
    T0,
    Heard,
    prices,
    response,
    silent,
)
from tests.conftest import RedisServer


@pytest.fixture
async def rig(valkey_link: Link, tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig_of(valkey_link, tmp_path) as made:
        yield made


# -- publishing -----------------------------------------------------------------------------------


async def test_a_cycle_is_its_quotes_and_then_the_clock_in_one_commit(rig: Rig) -> None:
    await rig.step()
    assert rig.quotes() == [("a", "EURUSD", 1.1), ("a", "GBPUSD", 1.3)]
    clock = rig.raw()[-1]
    assert clock == Clock(cycle=1, now_ms=T0 + 1_000, wall_ms=T0)
    assert decode(rig.link.call("GET", keys.clock(0))) == clock  # type: ignore[arg-type]
    assert rig.publisher.cycle == 1
    assert rig.status("EURUSD") == SymbolStatus("ok", "a", "fx_spot", "", T0 + 1_000)


async def test_an_unchanged_quote_is_not_published_again(rig: Rig) -> None:
    await rig.step()
    rig.a.behave = prices(1, EURUSD=1.1, GBPUSD=1.31)
    await rig.step()
    await rig.step()
    assert rig.quotes() == [("a", "EURUSD", 1.1), ("a", "GBPUSD", 1.3), ("a", "GBPUSD", 1.31)]
    assert [m.cycle for m in rig.raw() if isinstance(m, Clock)] == [1, 2, 3]


async def test_a_price_that_comes_back_is_published_again(rig: Rig) -> None:
    for price in (1.1, 1.2, 1.1):
        rig.a.behave = prices(1, EURUSD=price)
        await rig.step()
    assert [last for source, symbol, last in rig.quotes() if (source, symbol) == ("a", "EURUSD")] == [1.1, 1.2, 1.1]


async def test_a_cycle_repeated_after_a_crash_publishes_nothing_twice(rig: Rig, tmp_path: Path) -> None:
    await rig.step()
    before = rig.raw()
    async with restarted(rig, tmp_path) as again:
        assert again.publisher.cycle == 1
        await again.step(1)
        assert rig.raw() == before


async def test_a_crash_between_two_partitions_repeats_only_what_is_missing(valkey_link: Link, tmp_path: Path) -> None:
    async with rig_of(valkey_link, tmp_path, partitions=2, symbols=("EURUSD", "GBPUSD", "NAS100", "XAUUSD")) as rig:
        rig.a.behave = prices(1, EURUSD=1.1, GBPUSD=1.3, NAS100=25_000.0, XAUUSD=4_000.0)
        await rig.step()
        assert rig.quotes(0), rig.quotes(1)
        # Partition 1 falls back to the state before the cycle, as if the process had died between the two commits.
        for key in (RAW.key(1), keys.state(1, "collector")):
            valkey_link.call("DEL", key)
        before = rig.raw(0), rig.quotes(1)
        async with restarted(rig, tmp_path, partitions=2, symbols=tuple(rig.table.symbols)) as again:
            assert again.publisher.cycle == 0
            await again.step(1)
        assert rig.raw(0) == before[0]
        assert [m.cycle for m in rig.raw(1) if isinstance(m, Clock)] == [1]
        assert {s for _, s, _ in rig.quotes(0)} | {s for _, s, _ in rig.quotes(1)} == set(rig.table.symbols)


async def test_a_collector_that_was_overtaken_commits_nothing_more(rig: Rig, tmp_path: Path) -> None:
    await rig.step()
    before = rig.raw()
    async with restarted(rig, tmp_path):
        with pytest.raises(Fenced):
            await rig.step()
    assert rig.raw() == before


async def test_the_fence_of_one_partition_holds_after_a_commit_to_another(
    rig: Rig, redis_server: RedisServer, tmp_path: Path
) -> None:
    async with rig_of(rig.link, tmp_path, partitions=2) as ours:
        ours.publisher.fences[1].read([])  # as the backfill's poll does
        ours.publisher.commit(0, [("PING",)])  # its EXEC ends every watch of the connection
        redis_server.client().incr(keys.epoch(1, "collector"))
        with pytest.raises(Fenced):
            ours.publisher.commit(1, [("SET", "{1}:written", 1)])
        assert not redis_server.client().exists("{1}:written")


async def test_replies_in_any_order_give_the_same_stream_when_stepped(valkey_link: Link, tmp_path: Path) -> None:
    async with rig_of(valkey_link, tmp_path, batch=1, symbols=("EURUSD", "GBPUSD", "NAS100", "XAUUSD")) as rig:
        order = ["EURUSD", "GBPUSD", "NAS100", "XAUUSD"]
        for slow in order:

            async def behave(heard: Heard, writer: asyncio.StreamWriter, slow: str = slow) -> None:
                symbol = heard.query["symbols"]
                await asyncio.sleep(0.05 if symbol == slow else 0)
                writer.write(response(b'{"quotes": {"%s": [%d, 1.0]}}' % (symbol.encode(), len(rig.raw()))))

            rig.a.behave = behave
            await rig.step()
        assert [symbol for _, symbol, _ in rig.quotes()] == order * 4


# -- live -----------------------------------------------------------------------------------------


async def test_live_the_clock_goes_out_on_time_while_a_source_is_still_silent(
    valkey_link: Link, tmp_path: Path
) -> None:
    async with rig_of(valkey_link, tmp_path, stepped=False, interval_s=0.1) as rig:
        await rig.cycles.run(Tick(1, T0))
        await until(lambda: len(rig.quotes()) == 2)  # the probe is answered: no breaker keeps the next calls apart
        rig.a.behave = silent
        started_s = monotonic_s()
        for cycle in range(2, 5):
            await rig.cycles.run(Tick(cycle, T0 + cycle * 100))
        assert monotonic_s() - started_s < 5, "three cycles, though the source never answers"
        assert [m.cycle for m in rig.raw() if isinstance(m, Clock)] == [1, 2, 3, 4]
        assert len(rig.a.heard) == 2, "at most one request is outstanding per source and symbol"
        await until(lambda: len(rig.quotes()) > 2)
        assert rig.quotes()[2:] == [("b", "EURUSD", 1.2), ("b", "GBPUSD", 1.4)], "the next one, at the deadline at once"


async def test_live_a_fast_source_is_published_before_a_slow_one_answers(valkey_link: Link, tmp_path: Path) -> None:
    async with rig_of(valkey_link, tmp_path, stepped=False, batch=1) as rig:
        release = asyncio.Event()

        async def behave(heard: Heard, writer: asyncio.StreamWriter) -> None:
            symbol = heard.query["symbols"]
            if symbol == "EURUSD" and len(rig.a.heard) > 1:
                await asyncio.wait_for(release.wait(), 5)
            writer.write(response(b'{"quotes": {"%s": [%d, 1.0]}}' % (symbol.encode(), len(rig.a.heard))))

        rig.a.behave = behave
        await rig.cycles.run(Tick(1, T0))  # the probe, and then the other symbol
        running = asyncio.create_task(rig.cycles.run(Tick(2, T0 + 1_000)))
        await until(lambda: len(rig.quotes()) >= 3)
        assert [symbol for _, symbol, _ in rig.quotes()] == ["EURUSD", "GBPUSD", "GBPUSD"]
        release.set()
        await running
        assert [symbol for _, symbol, _ in rig.quotes()] == ["EURUSD", "GBPUSD", "GBPUSD", "EURUSD"]

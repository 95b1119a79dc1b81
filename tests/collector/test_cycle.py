"""A cycle over HTTP and the real Valkey: fallback at once, nothing published twice, the clock on time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from collector.cycle import Cycles, Scope
from collector.pacer import Tick
from collector.publish import Publisher
from collector.source import Means, Source
from collector.times import StreamTime
from common import keys
from common.breaker_model import State
from common.clock import monotonic_s
from common.errors import Fenced
from common.keys import RAW, SOURCE_EVENTS
from common.messages import Clock, RawQuotes, SourceEvent, decode
from common.redis_link import Link, flat_pairs
from common.sources import SymbolStatus, decode_status
from common.symbols import SymbolTable
from tests.collector.kit import (
    KEY,
    T0,
    FaultServer,
    Heard,
    Now,
    PlainVendor,
    fault_server,
    means_of,
    ok,
    prices,
    response,
    source_of,
    table_of,
)
from tests.conftest import RedisServer


@dataclass
class Rig:
    """One collector's cycles over vendors `a` and `b`."""

    link: Link
    table: SymbolTable
    now: Now
    means: Means
    a: FaultServer
    b: FaultServer
    sources: dict[str, Source]
    publisher: Publisher
    cycles: Cycles

    async def step(self, cycle: int | None = None) -> None:
        """One stepped cycle."""
        number = cycle or self.publisher.cycle + 1
        await self.cycles.run(Tick(number, T0 + number * 1_000, stepped=True))

    def raw(self, partition: int = 0) -> list[RawQuotes | Clock]:
        return [decode(m) for m in entries(self.link, RAW.key(partition))]  # type: ignore[misc]

    def quotes(self, partition: int = 0) -> list[tuple[str, str, object]]:
        messages = [m for m in self.raw(partition) if isinstance(m, RawQuotes)]
        return [(m.source, q.symbol, q.last) for m in messages for q in m.quotes]

    def status(self, symbol: str, partition: int = 0) -> SymbolStatus:
        stored = flat_pairs(self.link.call("HGETALL", keys.symbol_status(partition)))
        return decode_status(stored[symbol.encode()])


def entries(link: Link, key: str) -> list[bytes]:
    return [fields[1] for _, fields in link.call("XRANGE", key, "-", "+")]  # type: ignore[union-attr, misc, index]


def make_rig(
    link: Link, folder: Path, a: FaultServer, b: FaultServer, *, stepped: bool = True, partitions: int = 1,
    symbols: Sequence[str] = ("EURUSD", "GBPUSD"), interval_s: float = 1.0, batch: int = 10,
) -> Rig:  # fmt: skip
    now = Now()
    time = StreamTime(now, stepped=stepped)
    time.advance(T0)
    means = means_of(link, folder, time.now_ms)
    table = table_of(["a", "b"], symbols)
    sources = {
        name: source_of(PlainVendor(name, batch=batch), server.url, means, key=KEY, deadline_s=0.4, table=table)
        for name, server in (("a", a), ("b", b))
    }
    publisher = Publisher(link, table, range(partitions), partitions, means.events, means.metrics)
    scope = Scope(table, tuple(table.symbols), interval_s, delays=True)
    cycles = Cycles(scope, sources, publisher, link, means.metrics, time, now)
    cycles.statuses.restore(publisher.open())
    return Rig(link, table, now, means, a, b, sources, publisher, cycles)


@pytest.fixture
async def rig(valkey_link: Link, tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig_of(valkey_link, tmp_path) as made:
        yield made


@asynccontextmanager
async def rig_of(link: Link, folder: Path, **changes: object) -> AsyncIterator[Rig]:
    async with fault_server() as a, fault_server() as b:
        a.behave, b.behave = prices(1, EURUSD=1.1, GBPUSD=1.3), prices(1, EURUSD=1.2, GBPUSD=1.4)
        made = make_rig(link, folder, a, b, **changes)  # type: ignore[arg-type]  # test sugar
        try:
            yield made
        finally:
            await close(made)


@asynccontextmanager
async def restarted(rig: Rig, folder: Path, **changes: object) -> AsyncIterator[Rig]:
    """Another instance over the same Redis and vendors, as after a crash."""
    made = make_rig(rig.link, folder, rig.a, rig.b, **changes)  # type: ignore[arg-type]  # test sugar
    try:
        yield made
    finally:
        await close(made)


async def close(rig: Rig) -> None:
    await rig.cycles.abandon()
    for source in rig.sources.values():
        await source.fetcher.close()


async def until(predicate: Callable[[], object], deadline_s: float = 2.0) -> None:
    end_s = monotonic_s() + deadline_s
    while monotonic_s() < end_s and not predicate():  # noqa: ASYNC110  # the condition lies in Redis
        await asyncio.sleep(0.005)


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


# -- fallback -------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", ["outage", "rate_limited", "bad_key", "not_entitled", "unknown_symbol", "no_data"])
async def test_the_next_source_serves_in_the_same_cycle(rig: Rig, failure: str) -> None:
    rig.a.behave = ok({"error": failure})
    await rig.step()
    assert rig.quotes() == [("b", "EURUSD", 1.2), ("b", "GBPUSD", 1.4)]
    assert rig.status("EURUSD").source == "b"


async def test_a_symbol_that_is_missing_from_a_good_reply_falls_back_alone(rig: Rig) -> None:
    rig.a.behave = prices(1, EURUSD=1.1)
    await rig.step()
    assert rig.quotes() == [("a", "EURUSD", 1.1), ("b", "GBPUSD", 1.4)]
    assert [h.query["symbols"] for h in rig.b.heard] == ["GBPUSD"]


async def test_without_any_source_a_symbol_is_withheld_and_comes_back_by_itself(rig: Rig) -> None:
    rig.a.behave = rig.b.behave = ok({"error": "no_data"})
    await rig.step()
    assert rig.status("EURUSD") == SymbolStatus("withheld", "", "fx_spot", "no source, withheld", T0 + 1_000)
    rig.b.behave = prices(1, EURUSD=1.2, GBPUSD=1.4)
    await rig.step()
    assert rig.status("EURUSD").status == "ok"


async def test_a_closed_market_is_closed_and_nobody_is_asked(rig: Rig) -> None:
    saturday = T0 + 5 * 86_400_000
    await rig.cycles.run(Tick(1, saturday, stepped=True))
    assert rig.status("EURUSD").status == "closed"
    assert rig.a.heard == rig.b.heard == []
    assert isinstance(rig.raw()[-1], Clock)


@pytest.mark.parametrize(
    ("refusal", "calls"),
    [("bad_key", 1), ("not_entitled", 1), ("unknown_symbol", 1), ("rate_limited", 1), ("no_data", 9)],
)
async def test_a_refusal_is_not_repeated_each_second(rig: Rig, refusal: str, calls: int) -> None:
    rig.a.behave = ok({"error": refusal})
    for _ in range(9):
        await rig.step()
    assert len(rig.a.heard) == calls
    assert rig.sources["a"].breaker.read().state is State.CLOSED, "a refusal is not an outage"


async def test_a_rate_limit_is_obeyed_for_as_long_as_the_vendor_says(rig: Rig) -> None:
    rig.a.behave = ok({"error": "rate_limited", "retry_after_s": 5})
    await rig.step()
    await rig.cycles.run(Tick(2, T0 + 5_999, stepped=True))
    assert len(rig.a.heard) == 1
    await rig.cycles.run(Tick(3, T0 + 6_000, stepped=True))
    assert len(rig.a.heard) == 2


async def test_five_outages_open_the_breaker_and_say_so_in_the_stream(rig: Rig) -> None:
    await rig.step()
    rig.a.behave = ok({"error": "outage"})
    for _ in range(8):
        await rig.step()
    assert len(rig.a.heard) == 1 + 5
    events = [decode(m) for m in entries(rig.link, SOURCE_EVENTS.key(0))]
    assert all(isinstance(e, SourceEvent) for e in events)
    assert [(e.source, e.event) for e in events] == [  # type: ignore[union-attr]
        ("a", "breaker.closed"), ("b", "breaker.closed"), ("a", "breaker.opened"),
    ]  # fmt: skip
    assert len({e.id for e in events}) == 3  # type: ignore[union-attr]


async def test_a_transition_whose_maker_died_before_the_commit_is_told_by_the_next_life(
    rig: Rig, tmp_path: Path
) -> None:
    source = rig.sources["a"]
    rig.means.events.transition("a", source.breaker.record_failure(source.admit(), T0 + 7, "reset by peer"))
    (lost,) = rig.means.events.pending
    async with restarted(rig, tmp_path) as again:
        await again.step()
    assert lost in [decode(m) for m in entries(rig.link, SOURCE_EVENTS.key(0))]


# -- live -----------------------------------------------------------------------------------------


async def test_live_the_clock_goes_out_on_time_while_a_source_is_still_silent(
    valkey_link: Link, tmp_path: Path
) -> None:
    async with rig_of(valkey_link, tmp_path, stepped=False, interval_s=0.1) as rig:

        async def silent(heard: Heard, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(30)

        await rig.cycles.run(Tick(1, T0))  # the probe is answered: no breaker keeps the next calls apart
        rig.a.behave = silent
        started_s = monotonic_s()
        for cycle in range(2, 5):
            await rig.cycles.run(Tick(cycle, T0 + cycle * 100))
            assert monotonic_s() - started_s < 0.1 * (cycle - 1) + 0.1
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

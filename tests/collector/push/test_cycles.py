"""Pushed prices in the cycles: what is pushed is not polled, and polling takes over in the same cycle."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from collector.pacer import Tick
from collector.push.outlet import Outlet
from collector.push.policy import State
from common import keys
from common.breaker import Force
from common.keys import RAW
from common.messages import Clock, RawQuotes
from common.redis_link import Link, RedisAway
from tests.collector.cycle_rig import Rig, restarted, rig_of, until
from tests.collector.kit import T0, prices
from tests.collector.push.kit import Clock as Monotonic
from tests.collector.push.kit import PlainStream, PushServer, asks_for, line_to, push_server

SYMBOLS = ("EURUSD", "GBPUSD")


@asynccontextmanager
async def pushed(rig: Rig, streams: Mapping[str, PushServer], *, stepped: bool = True) -> AsyncIterator[None]:
    """The rig with an open line to each of these vendors, for both symbols."""
    push = rig.outlet.push
    push.lines = tuple(
        line_to(
            server.url, push, asks_for(*rig.table.symbols), rig.means.now_ms, vendor=PlainStream(name),
            stepped=stepped, clock=Monotonic(), expects=False,
        )
        for name, server in streams.items()
    )  # fmt: skip
    rig.outlet.open(stepped=stepped)
    await push.ready()
    assert all(line.is_up for line in push.lines)
    try:
        yield
    finally:
        await push.close()


@pytest.fixture
async def rig(valkey_link: Link, tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig_of(valkey_link, tmp_path) as made:
        yield made


@pytest.fixture
async def a() -> AsyncIterator[PushServer]:
    async with push_server() as made:
        yield made


@pytest.fixture
async def b() -> AsyncIterator[PushServer]:
    async with push_server() as made:
        yield made


def messages(rig: Rig, *, check: bool) -> list[tuple[str, list[tuple[str, object]]]]:
    found = [m for m in rig.raw() if isinstance(m, RawQuotes) and m.check is check]
    return [(m.source, [(q.symbol, q.last) for q in m.quotes]) for m in found]


def told(rig: Rig) -> list[tuple[str, list[tuple[str, object]]]]:
    """Return what feeds the series."""
    return messages(rig, check=False)


def fed(rig: Rig) -> list[tuple[str, str, object]]:
    return [(source, symbol, last) for source, quotes in told(rig) for symbol, last in quotes]


def polled(rig: Rig) -> list[str]:
    return [heard.query["symbols"] for heard in rig.a.heard]


async def test_a_symbol_that_is_pushed_is_not_polled_and_its_source_serves_it(rig: Rig, a: PushServer) -> None:
    async with pushed(rig, {"a": a}):
        await a.push(T0 + 900, EURUSD=1.5)
        await rig.step()
    assert polled(rig) == ["GBPUSD"]
    assert told(rig) == [("a", [("EURUSD", 1.5)]), ("a", [("GBPUSD", 1.3)])]
    assert (rig.status("EURUSD").status, rig.status("EURUSD").source) == ("ok", "a")
    assert isinstance(rig.raw()[-1], Clock)


async def test_polling_takes_over_in_the_cycle_after_the_silence_that_counts(rig: Rig, a: PushServer) -> None:
    async with pushed(rig, {"a": a}):
        await a.push(T0 + 900, EURUSD=1.5, GBPUSD=1.6)
        for _ in range(11):
            await rig.step()
        assert polled(rig) == []
        await rig.step()
        assert polled(rig) == ["EURUSD,GBPUSD"]
        await a.push(T0 + 13_000, EURUSD=1.51, GBPUSD=1.61)
        await rig.step()
        assert polled(rig) == ["EURUSD,GBPUSD"], "it is back, and so the polls end"


async def test_polling_takes_over_in_the_first_cycle_without_the_connection(rig: Rig, a: PushServer) -> None:
    async with pushed(rig, {"a": a}):
        await a.push(T0 + 900, EURUSD=1.5, GBPUSD=1.6)
        await rig.step()
        await a.drop()
        a.talk = lambda socket: socket.close()
        await until(lambda: rig.outlet.push.lines[0].standing.state is State.DOWN)
        await rig.step()
        assert polled(rig) == ["EURUSD,GBPUSD"]


async def test_what_came_before_the_connection_broke_is_published(rig: Rig, a: PushServer) -> None:
    async with pushed(rig, {"a": a}):
        await a.push(T0 + 900, EURUSD=1.5, GBPUSD=1.6)
        await asyncio.sleep(0.02)  # it arrives; nobody reads it before the cycle begins
        await a.drop()
        await until(lambda: rig.outlet.push.lines[0].standing.failures)
        await rig.step()
    assert ("a", [("EURUSD", 1.5), ("GBPUSD", 1.6)]) in told(rig)


async def test_what_a_source_pushes_that_was_forced_open_is_not_heard(rig: Rig, a: PushServer) -> None:
    async with pushed(rig, {"a": a}):
        push = rig.outlet.push
        await a.push(T0 + 900, EURUSD=1.5)
        await rig.step()
        push.barred = {"a"}
        rig.sources["a"].breaker.force(Force.OPEN, "ann", "wrong prices", T0)
        await a.push(T0 + 1_900, EURUSD=9.9)
        await rig.step()
        assert fed(rig)[2:] == [("b", "EURUSD", 1.2), ("b", "GBPUSD", 1.4)]
        assert push.lines[0].is_up, "the connection is left alone"


async def test_a_poll_that_is_no_newer_than_what_was_pushed_is_no_news(rig: Rig, a: PushServer) -> None:
    rig.a.behave = prices(T0 + 500, EURUSD=1.4, GBPUSD=1.3)
    async with pushed(rig, {"a": a}):
        await a.push(T0 + 900, EURUSD=1.5)
        await rig.step()
        a.talk = lambda socket: socket.close()
        await a.drop()
        await until(lambda: not rig.outlet.push.lines[0].is_up)
        await rig.step()
        rig.a.behave = prices(T0 + 901, EURUSD=1.41, GBPUSD=1.3)
        await rig.step()
    assert [last for _, symbol, last in fed(rig) if symbol == "EURUSD"] == [1.5, 1.41]
    assert rig.status("EURUSD").status == "ok"


async def test_a_push_from_the_future_keeps_nothing_that_comes_after_it_out(rig: Rig, a: PushServer) -> None:
    rig.a.behave = prices(T0 + 2_500, EURUSD=1.4)
    async with pushed(rig, {"a": a}):
        await a.push(T0 + 900, EURUSD=1.5)
        await a.push(T0 + 3_600_000, EURUSD=9.9)
        await rig.step()
        a.talk = lambda socket: socket.close()
        await a.drop()
        await until(lambda: not rig.outlet.push.lines[0].is_up)
        await rig.step()
    found = [last for source, symbol, last in fed(rig) if (source, symbol) == ("a", "EURUSD")]
    assert found == [1.5, 9.9, 1.4], "the validator is told of it, and quarantines it"


async def test_a_push_of_what_a_poll_has_just_brought_is_no_news(rig: Rig, a: PushServer) -> None:
    rig.a.behave = prices(T0 + 500, EURUSD=1.4, GBPUSD=1.3)
    async with pushed(rig, {"a": a}):
        await rig.step()
        await a.push(T0 + 500, EURUSD=1.4, GBPUSD=1.31)
        await rig.step()
    assert fed(rig) == [("a", "EURUSD", 1.4), ("a", "GBPUSD", 1.3), ("a", "GBPUSD", 1.31)]


async def test_the_preferred_source_feeds_and_the_others_check_it(rig: Rig, a: PushServer, b: PushServer) -> None:
    async with pushed(rig, {"a": a, "b": b}):
        for server, price in ((b, 1.2), (a, 1.1)):
            await server.push(T0 + 900, EURUSD=price, GBPUSD=price)
        await rig.step()
        assert told(rig) == [("a", [("EURUSD", 1.1), ("GBPUSD", 1.1)])]
        assert messages(rig, check=True) == [("b", [("EURUSD", 1.2), ("GBPUSD", 1.2)])]
        await a.drop()
        a.talk = lambda socket: socket.close()
        await until(lambda: not rig.outlet.push.lines[0].is_up)
        await rig.step()
        await b.push(T0 + 1_900, EURUSD=1.21)
        await rig.step()
        assert told(rig)[1:] == [("b", [("EURUSD", 1.21)])], "it feeds now, and nothing had to be polled"
        assert polled(rig) == []


async def test_a_cycle_repeated_after_a_crash_publishes_what_was_pushed_once(
    rig: Rig, a: PushServer, tmp_path: Path
) -> None:
    async with pushed(rig, {"a": a}):
        await a.push(T0 + 900, EURUSD=1.5, GBPUSD=1.6)
        await rig.step()
    before = rig.raw()
    async with restarted(rig, tmp_path) as again, pushed(again, {"a": a}):
        await a.push(T0 + 900, EURUSD=1.5, GBPUSD=1.6)
        await again.step(1)
        assert again.raw() == before
        await again.step()
        assert fed(again) == fed(rig), "and it is fresh still: nothing is polled"
        assert polled(again) == []


# -- live -----------------------------------------------------------------------------------------


async def test_live_a_price_is_published_as_it_comes(valkey_link: Link, tmp_path: Path, a: PushServer) -> None:
    async with rig_of(valkey_link, tmp_path, stepped=False) as rig, pushed(rig, {"a": a}, stepped=False):
        publishing = asyncio.create_task(rig.outlet.run())
        for number in range(1, 4):
            await a.push(T0 + number, EURUSD=number, GBPUSD=number)
            await until(lambda: len(told(rig)) == number)  # noqa: B023  # awaited at once
        publishing.cancel()
        assert told(rig) == [("a", [("EURUSD", n), ("GBPUSD", n)]) for n in (1, 2, 3)]
        await rig.cycles.run(Tick(1, T0))
        assert polled(rig) == []


async def test_live_what_comes_while_a_commit_waits_goes_out_as_one_message(
    valkey_link: Link, tmp_path: Path, a: PushServer
) -> None:
    async with rig_of(valkey_link, tmp_path, stepped=False) as rig, pushed(rig, {"a": a}, stepped=False):
        for number in range(1, 4):
            await a.push(T0 + number, EURUSD=number)
        await until(lambda: rig.outlet.push._last_price_ms and len(rig.outlet.push._buffer) == 3)
        assert rig.outlet.flush(checks=False) == 3
        assert told(rig) == [("a", [("EURUSD", 1), ("EURUSD", 2), ("EURUSD", 3)])]


async def test_live_nothing_is_written_while_a_stream_is_at_its_budget(
    valkey_link: Link, tmp_path: Path, a: PushServer
) -> None:
    async with rig_of(valkey_link, tmp_path, stepped=False) as rig, pushed(rig, {"a": a}, stepped=False):
        rig.outlet._way.held_back = ("raw",)
        publishing = asyncio.create_task(rig.outlet.run())
        await a.push(T0 + 1, EURUSD=1.5)
        await until(rig.outlet.push.arrived.is_set)
        await asyncio.sleep(0.02)
        assert told(rig) == []
        rig.outlet._way.held_back = ()
        await until(lambda: told(rig))
        publishing.cancel()


@pytest.mark.parametrize("happened", [False, True])
async def test_a_commit_that_was_lost_is_repeated_where_it_had_not_happened_and_only_there(
    valkey_link: Link, tmp_path: Path, a: PushServer, monkeypatch: pytest.MonkeyPatch, happened: bool
) -> None:
    symbols = ("EURUSD", "GBPUSD", "NAS100", "XAUUSD")
    async with rig_of(valkey_link, tmp_path, stepped=False, partitions=2, symbols=symbols) as rig:
        async with pushed(rig, {"a": a}, stepped=False):
            await a.push(T0 + 1, EURUSD=1.0, GBPUSD=1.0, NAS100=1.0, XAUUSD=1.0)
            await a.push(T0 + 1, EURUSD=2.0, GBPUSD=2.0, NAS100=2.0, XAUUSD=2.0)
            await until(lambda: len(rig.outlet.push._buffer) == 8)
            commit = rig.publisher.commit

            def fails(partition: int, *rest: object) -> None:
                if partition == 0 or happened:
                    commit(partition, *rest)  # type: ignore[arg-type]
                if partition == 1:
                    raise RedisAway("the reply was lost")

            monkeypatch.setattr(rig.publisher, "commit", fails)
            with pytest.raises(RedisAway):
                rig.outlet.flush(checks=False)
            monkeypatch.setattr(rig.publisher, "commit", commit)
            rig.publisher.open()
            rig.outlet.open(stepped=False)
            rig.outlet.flush(checks=False)
        found = [(s, last) for p in (0, 1) for _, s, last in rig.quotes(p)]
        assert sorted(found) == sorted((s, last) for s in symbols for last in (1.0, 2.0))
        assert rig.quotes(0), rig.quotes(1)


def test_an_outlet_without_connections_writes_nothing(rig: Rig) -> None:
    assert isinstance(rig.outlet, Outlet)
    assert rig.outlet.flush(checks=True) == 0
    assert rig.link.call("EXISTS", RAW.key(0)) == 0
    assert rig.link.call("HEXISTS", keys.state(0, "collector"), "batch") == 0

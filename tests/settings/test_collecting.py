"""What the variables of symbols and sources do: seen by the vendors, and by what the collector publishes."""

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from collector.runtime import Collector
from collector.vendors.alphavantage import AlphaVantage
from collector.vendors.base import Ask, Vendor, Verdict
from collector.vendors.polygon import Polygon
from collector.vendors.twelvedata import TwelveData
from collector.vendors.yahoo import Yahoo
from common import keys
from common.breaker import State
from common.clock import monotonic_s
from common.heartbeat import decode_pulse
from common.redis_link import open_link
from common.sources import SourceReport, decode_report
from tests.collector.conftest import server
from tests.collector.kit import FaultServer, Heard, Now, PlainVendor, ok, prices, response
from tests.features.support import Store, clock
from tests.settings.collecting import (
    BUILTIN_VENDORS,
    collect_cycles,
    collecting,
    one_source,
    plain_vendors,
    until_cycle,
    write_table,
)
from tests.settings.judging import closed_bars, features_handler, first_quote
from tests.settings.proof import Given, proves
from tests.settings.serving import api_over
from tests.support import free_port

__all__ = ["server"]

X = (Ask("X", "X", "spot"),)


@proves("SYMBOLS")
async def test_symbols_are_those_that_are_asked_for_and_listed(given: Given, server: FaultServer) -> None:
    for symbols, at_yahoo in (("EURUSD,GBPUSD", "EURUSD=X,GBPUSD=X"), ("XAUUSD", "GC=F")):
        settings = given(SYMBOLS=symbols, SIMULATOR_URL=server.url, LIMITS="none", STATE_DIR=f"state-{symbols}")
        asked = await collect_cycles(server, settings, plain_vendors(*BUILTIN_VENDORS), 1)
        assert [(h.path, h.query["symbols"]) for h in asked] == [("/yahoo/latest", at_yahoo)]
        open_link(settings).call("FLUSHALL")
        async with api_over(settings) as (client, _):
            listed = (await client.get("/api/symbols")).json()["symbols"]
        assert [s["symbol"] for s in listed] == symbols.split(",")


@proves("SYMBOLS_FILE")
async def test_the_symbols_file_replaces_the_table_that_comes_with_the_project(
    given: Given, server: FaultServer, tmp_path: Path
) -> None:
    table = write_table(tmp_path / "mine.toml", "plain", "SILVER", vendor_symbol="XAG")
    settings = given(SYMBOLS="SILVER", SYMBOLS_FILE=table, SIMULATOR_URL=server.url, LIMITS="none")
    asked = await collect_cycles(server, settings, plain_vendors("plain"), 1)
    assert [(h.path, h.query["symbols"]) for h in asked] == [("/plain/latest", "XAG")]
    async with api_over(settings) as (client, _):
        listed = (await client.get("/api/symbols")).json()["symbols"]
    assert [(s["symbol"], s["broker"]) for s in listed] == [("SILVER", "SILVER.broker")]


KEYED: dict[str, tuple[type[Vendor], str]] = {
    "ALPHAVANTAGE_API_KEY": (AlphaVantage, "EUR/USD"),
    "TWELVEDATA_API_KEY": (TwelveData, "EUR/USD"),
    "POLYGON_API_KEY": (Polygon, "C:EURUSD"),
}


@proves(*KEYED)
@pytest.mark.parametrize("variable", KEYED)
async def test_a_vendor_gets_its_own_key_and_without_it_is_not_asked(
    given: Given, server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setattr("collector.cycle.is_open", lambda session, at_ms: True)  # at any hour of the week
    kind, vendor_symbol = KEYED[variable]
    vendor = kind()
    monkeypatch.setattr(vendor, "hosts", {"": server.url})
    table = write_table(tmp_path / "t.toml", vendor.name, "EURUSD", vendor_symbol=vendor_symbol)
    common = {"SYMBOLS": "EURUSD", "SYMBOLS_FILE": table, "COLLECTION_INTERVAL": 0.05, "LIMITS": "none"}
    others = {name: f"planted-{name}" for name in KEYED if name != variable}

    without = given(**common, **others)
    async with collecting(without, {vendor.name: vendor}) as collector:
        await until_cycle(collector, 2)
        assert not _report(collector, vendor.name).configured
    assert server.heard == []

    async with collecting(given(**common, **others, **{variable: "planted-own"}), {vendor.name: vendor}) as collector:
        await until_cycle(collector, 4)
        assert _report(collector, vendor.name).configured
    assert server.heard
    assert all("planted-own" in str(heard) for heard in server.heard)


def _report(collector: Collector, vendor: str) -> SourceReport:
    collector._report()
    body = collector._link.call("GET", keys.source_report(vendor))
    assert isinstance(body, bytes)
    return decode_report(body)


@proves("COLLECTION_INTERVAL")
@pytest.mark.parametrize(("interval", "step_ms"), [("0.25", 250), ("7", 7_000)])
async def test_cycles_begin_at_each_interval_of_the_wall_clock(
    given: Given, monkeypatch: pytest.MonkeyPatch, interval: str, step_ms: int
) -> None:
    at_ms = 1_700_000_000_123.0

    async def sleep(seconds: float) -> None:
        nonlocal at_ms
        at_ms += seconds * 1000

    monkeypatch.setattr("collector.runtime.wall_ms", lambda: int(at_ms))
    collector = Collector(given(COLLECTION_INTERVAL=interval), {name: Yahoo() for name in BUILTIN_VENDORS})
    monkeypatch.setattr(collector._pacer, "_sleep", sleep)
    begun = [(await collector._pacer.next(n)).now_ms for n in range(4)]
    assert [b - a for a, b in pairwise(begun)] == [step_ms] * 3
    assert all(at % step_ms == 0 for at in begun)
    await collector._close()


@proves("COLLECTION_INTERVAL")
async def test_a_longer_interval_lets_the_collectors_clock_be_older(given: Given) -> None:
    reasons = {}
    for interval in ("1", "5"):
        settings = given(COLLECTION_INTERVAL=interval, FEATURE_CACHE_TTL=60, LIMITS="none")
        async with api_over(settings) as (client, world):
            world.alive("EURUSD")
            world.clock(wall_ms=world.wall.ms - 8_000)
            withheld = (await client.get("/api/signals")).json()["withheld"]
            reasons[interval] = next(item["reason"] for item in withheld if item["instrument"] == "EURUSD")
    assert reasons == {"1": "collector_silent", "5": "no_signal"}


@proves("COLLECTION_INTERVAL")
async def test_a_collector_that_waits_for_a_long_interval_does_not_call_itself_stalled(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    statuses = {}
    for interval in ("1", "30"):
        collector = Collector(given(COLLECTION_INTERVAL=interval), plain_vendors(*BUILTIN_VENDORS))
        collector._moved_s -= 29
        collector._beat()
        body = collector._link.call("GET", keys.heartbeat("collector", "collector"))
        assert isinstance(body, bytes)
        statuses[interval] = decode_pulse(body).status
        await collector._close()
    assert statuses == {"1": "degraded", "30": "ok"}


@proves("REQUEST_TIMEOUT")
@pytest.mark.parametrize("timeout_s", [0.1, 0.3])
async def test_a_silent_vendor_is_waited_for_so_long(
    given: Given, server: FaultServer, tmp_path: Path, timeout_s: float
) -> None:
    async def silent(heard: Heard, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()  # for ever: the server cancels it at its end

    server.behave = silent
    table = write_table(tmp_path / "t.toml", "plain", "X")
    settings = given(SYMBOLS="X", SYMBOLS_FILE=table, REQUEST_TIMEOUT=timeout_s)
    async with one_source(settings, server, Now()) as source:
        started_s = monotonic_s()
        answer = await source.latest(X, source.admit())
        took_s = monotonic_s() - started_s
        assert answer.verdict is Verdict.OUTAGE
        assert f"within {timeout_s:g} s" in source.stats.last_error
    assert timeout_s <= took_s < timeout_s + 1.5  # the default is 2 s


@proves("HTTP_POOL_SIZE")
@pytest.mark.parametrize("size", [2, 5])
async def test_a_vendor_sees_so_many_connections_at_once(
    given: Given, server: FaultServer, tmp_path: Path, size: int
) -> None:
    served, full, counts = 0, asyncio.Event(), []

    async def slow(heard: Heard, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        counts.append(served)
        if served >= size:
            full.set()
        await asyncio.wait_for(full.wait(), 5)
        await asyncio.sleep(0.02)  # the vendor's own slowness: whoever may come comes meanwhile
        served -= 1
        writer.write(response(b'{"quotes": {"X": [1, 1.0]}}'))

    server.behave = slow
    table = write_table(tmp_path / "t.toml", "plain", "X")
    settings = given(SYMBOLS="X", SYMBOLS_FILE=table, HTTP_POOL_SIZE=size, REQUEST_TIMEOUT=10)
    async with one_source(settings, server, Now()) as source:
        readings = await asyncio.gather(*(source.fetcher.latest(X) for _ in range(9)))
    assert [reading.verdict for reading, _ in readings] == [Verdict.OK] * 9
    assert max(counts) == size


@proves("NETWORK_CHECK")
async def test_whether_a_source_is_blamed_goes_by_the_places_of_the_check(
    given: Given, server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.cycle.is_open", lambda session, at_ms: True)
    table, port = write_table(tmp_path / "t.toml", "plain", "X"), free_port()
    vendors: dict[str, Vendor] = {"plain": PlainVendor(hosts={"": f"http://127.0.0.1:{port}"})}  # nobody listens
    blamed = {}
    for check in (server.url.removeprefix("http://"), f"127.0.0.1:{port}", "off"):
        settings = given(SYMBOLS="X", SYMBOLS_FILE=table, NETWORK_CHECK=check, COLLECTION_INTERVAL=0.05, LIMITS="none")
        async with collecting(settings, vendors) as collector, asyncio.timeout(10):
            source = collector._sources["plain"]
            while not (source.breaker.read().last_error or collector._network.offline):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            blamed[check] = bool(source.breaker.read().last_error)
        open_link(settings).call("FLUSHALL")
    assert list(blamed.values()) == [True, False, True]


@proves("BREAKER_FAILURES", "BREAKER_OPEN_TIME")
@pytest.mark.parametrize(("failures", "open_s"), [(2, 30), (7, 4)])
async def test_a_breaker_opens_after_so_many_failures_and_stays_open_so_long(
    given: Given, server: FaultServer, tmp_path: Path, failures: int, open_s: int
) -> None:
    table, now = write_table(tmp_path / "t.toml", "plain", "X"), Now()
    settings = given(SYMBOLS="X", SYMBOLS_FILE=table, BREAKER_FAILURES=failures, BREAKER_OPEN_TIME=open_s)
    async with one_source(settings, server, now) as source:
        server.behave = prices(1, X=1.0)
        await source.latest(X, source.admit())
        server.behave = ok({"error": "outage"})
        for _ in range(failures):
            assert source.breaker.read().state is State.CLOSED
            await source.latest(X, source.admit())
        assert source.breaker.read().state is State.OPEN
        now.at_ms += open_s * 1000 - 1
        assert not source.admit().allowed
        now.at_ms += 1 + open_s * 200  # jitter makes it up to a fifth longer
        assert source.admit().is_probe


@proves("LIMITS")
async def test_limits_are_the_vendors_quotas_or_none(given: Given, server: FaultServer, tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.toml", "alphavantage", "X")  # 25 calls a day: the next one is an hour away
    calls = {}
    for limits in ("real", "none"):
        settings = given(
            SYMBOLS="X", SYMBOLS_FILE=table, SIMULATOR_URL=server.url, LIMITS=limits, STATE_DIR=tmp_path / limits
        )
        calls[limits] = len(await collect_cycles(server, settings, plain_vendors("alphavantage"), 5))
        open_link(settings).call("FLUSHALL")
    assert calls == {"real": 1, "none": 5}


@proves("LIMITS")
def test_limits_are_the_vendors_delays_or_none(given: Given) -> None:
    """The future behind NAS100 is ten minutes late by contract: so much later its bars close."""
    closed_after_ms = {}
    for limits in ("real", "none"):
        handler = features_handler(given(LIMITS=limits, TIMEFRAMES="1m", LATENESS=2), Store())
        at_ms = first_quote(handler, "NAS100")
        for after_ms in (61_999, 62_000, 661_999, 662_000):
            if closed_bars(handler, clock(at_ms + after_ms)):
                closed_after_ms[limits] = after_ms
    assert closed_after_ms == {"real": 662_000, "none": 62_000}


@proves("LIMITS")
async def test_limits_decide_whether_a_delayed_class_may_give_signals(given: Given) -> None:
    counts = {}
    for limits in ("real", "none"):
        async with api_over(given(LIMITS=limits)) as (client, world):
            world.alive("NAS100")
            world.signal("NAS100")
            counts[limits] = (await client.get("/api/signals?equity=100000")).json()["count"]
    assert counts == {"real": 0, "none": 1}


@proves("SIMULATOR_URL")
async def test_the_simulator_stands_in_for_every_vendor_and_gives_the_pace(given: Given, server: FaultServer) -> None:
    settings = given(SYMBOLS="EURUSD", SIMULATOR_URL=server.url, COLLECTION_INTERVAL=3600)
    asked = await collect_cycles(server, settings, plain_vendors(*BUILTIN_VENDORS), 3, prices=False)
    # None has a price, so each is asked once; by their real limits it is nobody's turn again within three seconds.
    assert [heard.path for heard in asked] == [f"/{name}/latest" for name in BUILTIN_VENDORS]
    clocks = [heard.query["after"] for heard in server.heard if heard.path == "/sim/clock"]
    assert clocks[:3] == ["0", "1", "2"]  # three cycles, and nobody waited for the hour


@proves("SIMULATOR_URL")
async def test_with_a_simulator_every_answer_says_simulated(given: Given) -> None:
    for url, simulated in (("http://127.0.0.1:1", True), ("", False)):
        async with api_over(given(SIMULATOR_URL=url)) as (client, world):
            world.alive("EURUSD")
            for path in ("/api/signals", "/api/features/EURUSD?timeframe=1s", "/api/symbols", "/health"):
                assert (await client.get(path)).json()["simulated"] is simulated, path

"""Never all sources open because of our own network: the check, and the whole collector going offline and back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis

from collector import network, reach
from collector.network import Network, Place, places_of, reachable
from collector.reach import Contact
from collector.runtime import Collector
from common import keys
from common.breaker import BreakerView, State, view_of
from common.clock import monotonic_s
from common.heartbeat import Pulse, decode_pulse
from common.keys import FIELD, SOURCE_EVENTS
from common.messages import SourceEvent, decode
from common.settings import Settings
from common.sources import decode_report, decode_status
from tests.collector.kit import T0, FaultServer, PlainVendor, ok
from tests.collector.test_runtime import TABLE, always_open, counting, cycles, until
from tests.conftest import RedisServer
from tests.support import free_port

__all__ = ["always_open"]


class Host:
    """A host of the internet: it can be reached, or not."""

    def __init__(self, handle: Callable | None = None) -> None:
        self.port = free_port()
        self.place = Place("127.0.0.1", self.port)
        self.reached = 0
        self._handle = handle or self._hang_up
        self._server: asyncio.Server | None = None

    async def up(self) -> None:
        self._server = await asyncio.start_server(self._handle, "127.0.0.1", self.port)

    async def down(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _hang_up(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reached += 1
        writer.close()


@asynccontextmanager
async def host(handle: Callable | None = None) -> AsyncIterator[Host]:
    made = Host(handle)
    await made.up()
    try:
        yield made
    finally:
        await made.down()


def settings(**values: object) -> Settings:
    return Settings(_env_file=None, **values)  # type: ignore[arg-type, call-arg]  # as strings of a file


# -- the check ------------------------------------------------------------------------------------


async def test_one_place_that_answers_is_enough() -> None:
    async with host() as there:
        nowhere = Place("127.0.0.1", free_port())
        assert await reachable([nowhere, there.place, nowhere], 2.0)
        assert not await reachable([nowhere, nowhere], 2.0)
        assert not await reachable([], 2.0)


async def test_a_place_that_stays_silent_is_given_up_in_time() -> None:
    started_s = monotonic_s()
    assert not await reachable([Place("192.0.2.1", 443)], 0.1)  # a network for documents: nobody answers
    assert monotonic_s() - started_s < 2.0


@pytest.mark.parametrize(
    ("given", "places"),
    [
        (settings(network_check="[2606::1]:53, 9.9.9.9:443"), (Place("2606::1", 53), Place("9.9.9.9", 443))),
        (settings(network_check="off"), ()),
        (Settings(simulator_url="http://127.0.0.1:8020"), (Place("127.0.0.1", 8020),)),
        (settings(simulator_url="http://127.0.0.1:8020", network_check="off"), ()),
    ],
)
def test_the_places_are_those_of_the_settings_or_the_simulator(given: Settings, places: tuple) -> None:
    assert places_of(given) == places


async def test_calls_that_fail_together_share_one_check() -> None:
    async with host() as there:
        ours = Network([there.place])
        at_s = monotonic_s()
        assert await asyncio.gather(*[ours.is_to_blame(name, at_s, T0) for name in "abc"]) == [False] * 3
        assert there.reached == 1


async def test_a_socket_that_fails_brings_on_a_check_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "POLL_S", 0.01)
    told: list[int | None] = []
    ours = Network([Place("127.0.0.1", free_port())], told.append)
    watch = asyncio.create_task(ours.run(lambda: T0 + 5))
    ours.report("a", Contact.OK, T0)
    ours.report("a", Contact.UNREACHABLE, T0 + 1)
    await until(lambda: told)
    assert (told, ours.offline, ours.offline_since_ms) == ([T0 + 1], True, T0 + 1)
    ours.report("a", Contact.OK, T0 + 9)
    assert (told, ours.offline) == ([T0 + 1, None], False)
    watch.cancel()


async def test_without_a_check_every_failure_is_theirs() -> None:
    told: list[int | None] = []
    ours = Network((), told.append)
    ours.report("a", Contact.UNREACHABLE, T0)
    assert not await ours.is_to_blame("a", monotonic_s(), T0)
    assert (ours.offline, ours.blocks(T0), told) == (False, {}, [])


async def test_what_was_told_is_taken_back_where_the_check_was_switched_off_meanwhile() -> None:
    told: list[int | None] = []
    Network((), told.append).restore(T0)
    assert told == [None]


# -- the whole collector --------------------------------------------------------------------------


class World:
    """A vendor, the rest of the internet, and what the collector makes of it."""

    def __init__(self, vendor: Host, rest: Host, valkey: RedisServer, folder: Path) -> None:
        self.vendor, self.rest, self.valkey = vendor, rest, valkey
        self._client = valkey.client()
        table = folder / "symbols.toml"
        table.write_text(TABLE)
        self.settings = settings(
            symbols=("X",), symbols_file=table, redis_host=valkey.host, redis_port=valkey.port, state_dir=folder,
            limits="none", collection_interval=0.05, request_timeout=0.5,
            network_check=f"127.0.0.1:{rest.port}",
        )  # fmt: skip

    @asynccontextmanager
    async def collecting(self) -> AsyncIterator[Collector]:
        vendor = PlainVendor(hosts={"": f"http://127.0.0.1:{self.vendor.port}"})
        collector = Collector(self.settings, {"plain": vendor})
        task = asyncio.create_task(collector.run())
        try:
            yield collector
        finally:
            collector.stop()
            await asyncio.wait_for(task, 6)

    def breaker(self) -> BreakerView:
        return view_of(self._client.hgetall(keys.breaker("plain")))  # type: ignore[arg-type]

    def events(self) -> list[SourceEvent]:
        entries: list[tuple[bytes, dict[bytes, bytes]]] = self._client.xrange(SOURCE_EVENTS.key(0))  # type: ignore[assignment]
        found = [decode(fields[FIELD]) for _, fields in entries]
        return [event for event in found if isinstance(event, SourceEvent)]

    def names(self) -> list[str]:
        return [event.event for event in self.events() if not event.event.startswith("quota.")]

    def cycle(self) -> int:
        return cycles(self.valkey)[-1]

    def pulse(self) -> Pulse | None:
        body = self._client.get(keys.heartbeat("collector", "collector"))
        return decode_pulse(body) if isinstance(body, bytes) else None

    def says(self, text: str) -> bool:
        pulse = self.pulse()
        return pulse is not None and pulse.message.startswith(text)

    def counted(self, name: str, **labels: str) -> float:
        pulse = self.pulse()
        samples = (*pulse.metrics.counters, *pulse.metrics.gauges) if pulse else ()
        return sum(s.value for s in samples if s.name == name and labels.items() <= s.labels.items())


@pytest.fixture(autouse=True)
def quick_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every tenth of a second instead of every two seconds."""
    monkeypatch.setattr(reach, "CHECK_S", 0.1)
    monkeypatch.setattr(network, "POLL_S", 0.02)


@pytest.fixture
async def world(
    server: FaultServer, redis_server: RedisServer, redis_client: redis.Redis, tmp_path: Path
) -> AsyncIterator[World]:
    server.behave = counting(server)
    async with host(server._handle) as vendor, host() as rest:
        yield World(vendor, rest, redis_server, tmp_path)


async def disconnect(world: World, server: FaultServer) -> None:
    """Everything is out of reach, connections that are open included."""
    await world.vendor.down()
    await world.rest.down()
    for handler in list(server.handlers):
        handler.cancel()


async def test_offline_no_source_is_blamed_and_all_goes_on_by_itself(world: World, server: FaultServer) -> None:
    async with world.collecting():
        await until(lambda: world.breaker().state is State.CLOSED)
        await disconnect(world, server)
        await until(lambda: world.says("we are offline since 20"))
        assert world.counted("md_offline") == 1
        asked = world.counted("md_fetch_total", verdict="offline")
        cycle = cycles(world.valkey)[-1]
        await until(lambda: cycles(world.valkey)[-1] > cycle + 30)
        pulse = world.pulse()
        assert pulse is not None
        assert pulse.status == "degraded"
        assert (world.breaker().state, world.breaker().failures) == (State.CLOSED, 0)
        assert world.counted("md_fetch_total", verdict="offline") == asked, "sources rest"
        client = world.valkey.client()
        assert decode_status(client.hget(keys.symbol_status(0), "X")).status == "withheld"  # type: ignore[arg-type]
        report = decode_report(client.get(keys.source_report("plain")))  # type: ignore[arg-type]
        assert report.blocked is not None
        assert report.blocked.reason == "offline"
        await world.vendor.up()
        await world.rest.up()
        heard = len(server.heard)
        await until(lambda: len(server.heard) > heard and not world.says("we are offline"))
    assert world.names() == ["breaker.closed", "network.offline", "network.online"]
    assert world.counted("md_offline") == 0


async def test_where_the_rest_of_the_world_answers_the_source_is_down(world: World, server: FaultServer) -> None:
    async with world.collecting():
        await until(lambda: world.breaker().state is State.CLOSED)
        await world.vendor.down()
        for handler in list(server.handlers):
            handler.cancel()
        await until(lambda: world.breaker().state is State.OPEN)
    assert world.breaker().failures == 5
    assert world.names() == ["breaker.closed", "breaker.opened"]
    assert world.rest.reached <= 6, "no more checks than failures"


async def test_errors_over_http_need_no_check(world: World, server: FaultServer) -> None:
    async with world.collecting():
        await until(lambda: world.breaker().state is State.CLOSED)
        server.behave = ok({"error": "outage"})
        await until(lambda: world.breaker().state is State.OPEN)
    assert world.rest.reached == 0


async def test_a_restart_while_offline_tells_it_once(world: World, server: FaultServer) -> None:
    async with world.collecting():
        await until(lambda: world.breaker().state is State.CLOSED)
        await disconnect(world, server)
        await until(lambda: "network.offline" in world.names())
    (offline,) = [event for event in world.events() if event.event == "network.offline"]
    async with world.collecting() as again:
        await until(lambda: world.says("we are offline since 20"))
        assert again._network.offline_since_ms == offline.at_ms
        await world.vendor.up()
        await world.rest.up()
        await until(lambda: "network.online" in world.names())
    assert world.names() == ["breaker.closed", "network.offline", "network.online"]


async def test_places_that_are_closed_to_us_never_keep_a_source_waiting_for_long(
    world: World, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "TRY_S", 0.3)
    await world.rest.down()
    async with world.collecting() as collector:
        await until(lambda: world.breaker().state is State.CLOSED)
        await disconnect(world, server)
        await until(lambda: collector._network.offline_since_ms is not None)
        await world.vendor.up()
        heard = len(server.heard)
        await until(lambda: len(server.heard) > heard + 3 and not collector._network._reach.trusted)
        await world.vendor.down()
        for handler in list(server.handlers):
            handler.cancel()
        await until(lambda: world.breaker().state is State.OPEN)
    assert world.names() == ["breaker.closed", "network.offline", "network.online", "breaker.opened"]

"""The collector's process: cycles, backfill and housekeeping side by side, over one connection to Redis."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType

import httpx
import structlog

from collector.active import Active, Terms
from collector.backfill import Backfill
from collector.build import build_sources
from collector.cycle import Cycles, Scope
from collector.events import Events
from collector.feeding import Feeding
from collector.fetch import Access, make_client
from collector.kind_of_run import claim
from collector.network import Network, places_of
from collector.pacer import SimPacer, Tick, WallPacer
from collector.publish import STAGE, Publisher
from collector.push.build import build_push
from collector.push.outlet import Outlet
from collector.push.report import with_push
from collector.report import note_metrics, report_of
from collector.right_of_way import HELD_BACK_S, RightOfWay
from collector.source import Means, read_views
from collector.terminal import Terminal
from collector.times import StreamTime, iso
from collector.usage import UsageFile
from collector.vendors.base import Ask, Vendor
from collector.vendors.stream import StreamVendor
from common import keys
from common.breaker import Force
from common.clock import monotonic_s, wall_ms
from common.fence import EpochLost
from common.heartbeat import Heartbeat
from common.housekeeping import over_budget, trim
from common.keys import RAW, SOURCE_EVENTS
from common.messages import RawQuote
from common.metrics import Metrics
from common.partition_count import claim_partitions
from common.redis_link import Command, Link, RedisAway, open_link
from common.sessions import is_open
from common.settings import Settings
from common.sources import encode_report
from common.symbols import load_symbols

log = structlog.get_logger()

HOUSEKEEPING_S = 1.0
RECONNECT_FIRST_S, RECONNECT_LONGEST_S = 0.1, 2.0
STOP_S = 4.5  # supervisord kills after five
# Cycles that stand still for so long are worth a word in the heartbeat.
STALLED_S = 10.0
OUTPUTS = (RAW, SOURCE_EVENTS)


class Collector:
    """One collector process."""

    def __init__(
        self, settings: Settings, vendors: Mapping[str, Vendor], link: Link | None = None,
        streams: Mapping[str, StreamVendor] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        """streams: the vendors' push sides."""
        self._settings, self._link = settings, link or open_link(settings)
        self.metrics = Metrics(STAGE)
        self._events = Events(self.metrics, tells_breakers=0 in settings.partitions)
        self._time = StreamTime(wall_ms, stepped=settings.simulated)
        instance = settings.instance or STAGE
        table = load_symbols(settings.symbols, settings.symbols_file)
        usage = UsageFile(settings.state_dir, instance)
        self._network = Network(places_of(settings), lambda since: self._events.network(since, self._time.now_ms()))
        means = Means(self._link, self.metrics, self._events, usage, self._time.now_ms, self._network)
        self._usage = usage
        self._sources = build_sources(settings, vendors, table, means)
        of = settings.stream_partitions
        self._publisher = Publisher(means, table, settings.partitions, of, settings.state_dir / "dead-letters")
        symbols = tuple(s.name for s in table.symbols.values() if s.partition(of) in settings.partitions)
        scope = Scope(table, symbols, settings.collection_interval, delays=settings.limits == "real")
        self._way = RightOfWay()
        active = Active(Terms(table, symbols, scope.delays, of), self.metrics)
        self._terminal = Terminal(table, self._publisher, means, active, self._way)
        self._feeding = Feeding(active, self._terminal, self._sources, self._publisher, self._link, symbols)
        self._push = build_push(settings, streams, table, symbols, means, active.class_of, self._note_pushed)
        self._outlet = Outlet(self._push, self._publisher, self._way, self._time.now_ms)
        self._cycles = Cycles(
            scope, self._sources, self._publisher, means, self._time, wall_ms, self._outlet, self._feeding
        )
        self._backfill = Backfill(table, self._sources, self._publisher, means, self._way)
        self._clock_client = make_client(Access())
        self._pacer = self._make_pacer(self._clock_client)
        self._heartbeat = Heartbeat(self._store, STAGE, instance, self.metrics)
        for symbol in symbols:  # loading the calendars takes most of a second: not in the first cycle
            is_open(table.session_of(symbol), wall_ms())
        self._stop = asyncio.Event()
        self._moved_s = monotonic_s()

    def _make_pacer(self, client: httpx.AsyncClient) -> SimPacer | WallPacer:
        if self._settings.simulated:
            return SimPacer(self._settings.simulator_url, client)
        return WallPacer(self._settings.collection_interval, wall_ms)

    # -- life --------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work until told to stop. Redis may come late, go away and come back; anything Fatal is raised."""
        pause_s = RECONNECT_FIRST_S
        try:
            while not self._stop.is_set():
                try:
                    self._open()
                    pause_s = RECONNECT_FIRST_S
                    await self._work()
                except EpochLost as e:
                    log.error("redis.groups_lost", error=str(e))
                except RedisAway as e:
                    log.warning("redis.away", error=str(e), retry_in_s=pause_s)
                    self.metrics.count("md_reconnects_total")
                    await self._wait_or_stop(pause_s)
                    pause_s = min(pause_s * 2, RECONNECT_LONGEST_S)
        finally:
            await self._close()
        log.info("stage.stopped")

    def stop(self) -> None:
        """Ask for the end: the cycle in hand is finished first."""
        self._stop.set()

    def _open(self) -> None:
        """Take the partitions over and go back to what was committed."""
        claim(self._link, simulated=self._settings.simulated)
        claim_partitions(self._link, self._settings.stream_partitions)
        self._cycles.statuses.restore(self._publisher.open())
        self._time.advance(self._publisher.now_ms)
        self._network.restore(self._events.offline_since_ms)
        for source in self._sources.values():
            source.open(first_start=self._publisher.first_start)
        self._usage.save()
        self._feeding.open()
        self._outlet.open(stepped=self._settings.simulated)
        self._backfill.open()
        log.info(
            "stage.ready", partitions=list(self._publisher.partitions), redis=self._link.where,
            cycle=self._publisher.cycle, simulated=self._settings.simulated, limits=self._settings.limits,
        )  # fmt: skip

    async def _work(self) -> None:
        """Do everything at once until the cycles end, or something fails: its error comes out."""
        jobs: list[Coroutine[None, None, None]] = [self._run_cycles(), self._backfill.run(), self._keep_house()]
        jobs.append(self._network.run(self._time.now_ms))
        if not self._settings.simulated:
            jobs += [self._outlet.run(), self._terminal.run()]
        tasks = [asyncio.create_task(job) for job in jobs]
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
            if self._stop.is_set() and not tasks[0].done():
                await asyncio.wait(tasks[:1], timeout=STOP_S)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            await _cancel([*tasks, stopping])
            await self._cycles.abandon()

    async def _run_cycles(self) -> None:
        while not self._stop.is_set():
            if self._way.held_back:
                await self._wait_or_stop(HELD_BACK_S)
                continue
            ticking = asyncio.create_task(self._next_tick())
            stopping = asyncio.create_task(self._stop.wait())
            try:
                await asyncio.wait([ticking, stopping], return_when=asyncio.FIRST_COMPLETED)
                if not ticking.done():
                    return
                if not self._way.held_back:  # meanwhile
                    with self._way.cycle():
                        await self._cycles.run(ticking.result())
                    self._moved_s = monotonic_s()
            finally:
                await _cancel([ticking, stopping])

    async def _next_tick(self) -> Tick:
        if self._settings.simulated:
            await self._push.ready()  # what the next cycle pushes goes to whoever listens when it is asked for
        return await self._pacer.next(self._publisher.cycle)

    async def _wait_or_stop(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)

    async def _close(self) -> None:
        await self._push.close()
        await self._clock_client.aclose()
        for source in self._sources.values():
            await source.fetcher.close()
        self._link.close()

    # -- housekeeping ------------------------------------------------------------------------------

    async def _keep_house(self) -> None:
        while True:
            self._push.check()
            self._look_after_streams()
            self._report()
            self._beat()
            await asyncio.sleep(HOUSEKEEPING_S)

    def _look_after_streams(self) -> None:
        held_back: list[str] = []
        budget = self._settings.stream_budget
        for partition in self._publisher.partitions:
            trim(self._link, OUTPUTS, partition, budget)
            held_back += over_budget(self._link, OUTPUTS, partition, budget)
        for stream in OUTPUTS:
            self.metrics.gauge("md_stream_over_budget", float(stream.name in held_back), stream=stream.name)
        if tuple(held_back) != self._way.held_back:
            log.warning("stage.held_back", streams=held_back, budget=budget)
        self._way.held_back = tuple(held_back)

    def _report(self) -> None:
        """Write each source's report. Every collector process writes its own view; the newest stands."""
        now_ms = self._time.now_ms()
        commands: list[Command] = []
        views = read_views(self._sources, self._link, now_ms)
        self._push.barred = frozenset(name for name, view in views.items() if view.breaker.force is Force.OPEN)
        for name, view in views.items():
            note_metrics(self.metrics, view, now_ms)
            report = report_of(self._sources[name], view, self._publisher.published, now_ms, wall_ms())
            report = with_push(report, self._push.report(name, now_ms))
            commands.append(("SET", keys.source_report(name), encode_report(report)))
        terminal = self._terminal.report(now_ms, wall_ms())
        commands.append(("SET", keys.source_report(terminal.name), encode_report(terminal)))
        self._push.note_metrics(now_ms)
        self._link.exchange(commands)

    def _note_pushed(self, source: str, ask: Ask, quote: RawQuote, at_ms: int) -> None:
        self._sources[source].stats.symbol(ask).pushed(quote, at_ms)

    def _beat(self) -> None:
        stalled_s = monotonic_s() - self._moved_s
        status, message = "ok", ""
        if self._way.held_back:
            status, message = "degraded", f"held back: {', '.join(self._way.held_back)} at its budget"
        elif (since_ms := self._network.offline_since_ms) is not None:
            status, message = "degraded", f"we are offline since {iso(since_ms)}"
        elif stalled_s > max(STALLED_S, 2 * self._settings.collection_interval):
            status, message = "degraded", f"no cycle for {stalled_s:.0f} s"
        info: dict[str, object] = {"cycle": self._publisher.cycle, "now_ms": self._time.now_ms()}
        self._heartbeat.beat(wall_ms(), status, message, info)

    def _store(self, key: str, value: bytes) -> None:
        self._link.call("SET", key, value)


async def _cancel(tasks: Sequence[asyncio.Task[object]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

"""One collector's cycles over HTTP and the real Valkey, as the tests of cycles use them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from collector.active import Active, Terms
from collector.cycle import Cycles, Scope
from collector.feeding import Feeding
from collector.pacer import Tick
from collector.publish import Publisher
from collector.push.outlet import Outlet
from collector.push.push import Push
from collector.right_of_way import RightOfWay
from collector.source import Means, Source
from collector.terminal import Terminal
from collector.times import StreamTime
from common import keys
from common.clock import monotonic_s
from common.keys import RAW
from common.messages import Clock, RawQuotes, SeriesChange, decode
from common.redis_link import Link, flat_pairs
from common.sources import SymbolStatus, decode_status
from common.symbols import SymbolTable
from tests.collector.kit import (
    KEY,
    T0,
    FaultServer,
    Now,
    PlainVendor,
    fault_server,
    means_of,
    prices,
    source_of,
    table_of,
)


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
    terminal: Terminal
    outlet: Outlet

    async def step(self, cycle: int | None = None) -> None:
        """One stepped cycle."""
        number = cycle or self.publisher.cycle + 1
        await self.cycles.run(Tick(number, T0 + number * 1_000, stepped=True))

    def raw(self, partition: int = 0) -> list[RawQuotes | Clock | SeriesChange]:
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
    table: SymbolTable | None = None,
) -> Rig:  # fmt: skip
    now = Now()
    time = StreamTime(now, stepped=stepped)
    time.advance(T0)
    means = means_of(link, folder, time.now_ms)
    table = table or table_of(["a", "b"], symbols)
    sources = {
        name: source_of(PlainVendor(name, batch=batch), server.url, means, key=KEY, deadline_s=0.4, table=table)
        for name, server in (("a", a), ("b", b))
    }
    publisher = Publisher(means, table, range(partitions), partitions, folder / "dead-letters")
    scope = Scope(table, tuple(table.symbols), interval_s, delays=True)
    push = Push(table, means.metrics, lambda symbol: table.symbols[symbol].series, lambda *_: None)
    outlet = Outlet(push, publisher, RightOfWay(), time.now_ms)
    symbols = tuple(table.symbols)
    active = Active(Terms(table, symbols, scope.delays, partitions), means.metrics)
    terminal = Terminal(table, publisher, means, active, RightOfWay())
    feeding = Feeding(active, terminal, sources, publisher, link, symbols)
    cycles = Cycles(scope, sources, publisher, means, time, now, outlet, feeding)
    cycles.statuses.restore(publisher.open())
    feeding.open()
    return Rig(link, table, now, means, a, b, sources, publisher, cycles, terminal, outlet)


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

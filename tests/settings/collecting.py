"""A collector in this process over a stand-in for the simulator, and sources without the collector around them."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from collector.build import build_sources
from collector.runtime import Collector
from collector.source import Source
from collector.vendors.base import Vendor
from common.keys import FIELD, RAW
from common.messages import Clock, RawQuotes, decode
from common.redis_link import Link, open_link
from common.settings import Settings
from common.symbols import load_symbols
from tests.collector.kit import T0, FaultServer, Heard, Now, PlainVendor, means_of, response

BUILTIN_VENDORS = ("yahoo", "alphavantage", "twelvedata", "polygon")


def plain_vendors(*names: str) -> dict[str, Vendor]:
    """Return vendors that speak the tests' own format."""
    return {name: PlainVendor(name) for name in names}


def write_table(path: Path, vendor: str, *symbols: str, vendor_symbol: str = "") -> Path:
    """Write a symbol table whose symbols come from one vendor only."""
    lines = ['[class.spot]\ntitle = "spot"\nsession = "fx"']
    for name in symbols:
        at_vendor = vendor_symbol or name
        source = f'vendor = "{vendor}", symbol = "{at_vendor}", class = "spot", volume = "none", delay_s = 0'
        lines.append(
            f'[symbol.{name}]\ntitle = "{name}"\nbroker = "{name}.broker"\nseries = "spot"\nquote_currency = "USD"\n'
            "tick_size = 0.01\ndigits = 2\ncontract_size = 1.0\nlot_min = 0.01\nlot_step = 0.01\nlot_max = 1.0\n"
            f"sources = [{{ {source} }}]"
        )
    path.write_text("\n".join(lines))
    return path


class SimulatorStandIn:
    """Gives the time of so many cycles, a second each, and answers for every vendor, with a new price for each symbol.

    prices: False: every vendor answers that it has none.
    """

    def __init__(self, cycles: int, *, prices: bool = True) -> None:
        self._cycles, self._prices = cycles, prices
        self.asked: list[Heard] = []
        """Calls to vendors."""

    async def __call__(self, heard: Heard, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        body: dict[str, object]
        if heard.path == "/sim/clock":
            cycle = int(heard.query["after"]) + 1
            body = {"cycle": cycle, "now_ms": T0 + 1_000 * cycle} if cycle <= self._cycles else {"done": True}
        else:
            self.asked.append(heard)
            symbols = heard.query.get("symbols", "").split(",") if self._prices else []
            body = {"quotes": {symbol: [T0 + len(self.asked), 1.0] for symbol in symbols}}
        writer.write(response(json.dumps(body).encode()))


@asynccontextmanager
async def collecting(settings: Settings, vendors: Mapping[str, Vendor]) -> AsyncIterator[Collector]:
    """A collector at work."""
    collector = Collector(settings, vendors)
    task = asyncio.create_task(collector.run())
    try:
        yield collector
    finally:
        collector.stop()
        await asyncio.wait_for(task, 6)


async def collect_cycles(
    server: FaultServer, settings: Settings, vendors: Mapping[str, Vendor], cycles: int, *, prices: bool = True
) -> list[Heard]:
    """Collect so many cycles of simulated time, and return the calls to vendors."""
    stand_in = server.behave = SimulatorStandIn(cycles, prices=prices)
    async with collecting(settings, vendors) as collector:
        await until_cycle(collector, cycles)
    return stand_in.asked


async def until_cycle(collector: Collector, cycle: int) -> None:
    """Return when the collector has committed the cycle."""
    async with asyncio.timeout(10):
        while collector._publisher.cycle < cycle:  # noqa: ASYNC110  # it stands in a plain attribute
            await asyncio.sleep(0.005)


def collected(settings: Settings, partition: int) -> set[str]:
    """Return the symbols whose quotes stand in a partition's raw stream; empty if it has none."""
    return {q.symbol for m in raw(settings, partition) if isinstance(m, RawQuotes) for q in m.quotes}


def raw(settings: Settings, partition: int = 0) -> list[RawQuotes | Clock]:
    """Return what the collector published in a partition."""
    link = open_link(settings)
    entries: Iterable[list[list[bytes]]] = link.call("XRANGE", RAW.key(partition), "-", "+")  # type: ignore[assignment]
    found = [decode(dict(zip(fields[::2], fields[1::2], strict=True))[FIELD]) for _, fields in entries]
    link.close()
    return [m for m in found if isinstance(m, RawQuotes | Clock)]


@asynccontextmanager
async def one_source(settings: Settings, server: FaultServer, now: Now, batch: int = 10) -> AsyncIterator[Source]:
    """The source of a table with one plain vendor at the server, as the collector makes it from the settings."""
    table = load_symbols(settings.symbols, settings.symbols_file)
    (name,) = {listing.vendor for symbol in table.symbols.values() for listing in symbol.sources}
    vendor = PlainVendor(name, batch=batch, hosts={"": server.url})
    link: Link = open_link(settings)
    unlimited = settings.model_copy(update={"limits": "none"})  # there are no limits for a vendor of the tests
    source = build_sources(unlimited, {name: vendor}, table, means_of(link, settings.state_dir, now))[name]
    source.open(first_start=True)
    try:
        yield source
    finally:
        await source.fetcher.close()
        link.close()

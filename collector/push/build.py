"""Put the push side together: each vendor's connections, for the symbols that this process serves."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from itertools import product

import httpx
import structlog

from collector.build import hosts_of, key_of
from collector.push.connection import Given
from collector.push.line import Line
from collector.push.push import FeedingClass, Note, Push
from collector.push.sockets import Place, base_url
from collector.source import Means
from collector.vendors.base import Ask, Credentials
from collector.vendors.stream import StreamVendor
from common.clock import monotonic_s
from common.sessions import is_open
from common.settings import Settings
from common.symbols import TERMINAL, Listing, SymbolTable

log = structlog.get_logger()


def build_push(
    settings: Settings, vendors: Mapping[str, StreamVendor], table: SymbolTable, symbols: Sequence[str], means: Means,
    feeding: FeedingClass, note: Note,
) -> Push:  # fmt: skip
    """Return the push side; without connections if it is switched off."""
    push = Push(table, means.metrics, feeding, note)
    if settings.push == "off":
        return push
    given = Given(
        now_ms=means.now_ms, clock_s=monotonic_s, random=random.random, sleep=asyncio.sleep,
        stepped=settings.simulated, metrics=means.metrics, hear=push.hear,
        expects=Expectation(table, delays=settings.limits == "real", means=means),
        contact=lambda source, contact: means.network.report(source, contact, means.now_ms()),
    )  # fmt: skip
    push.lines = tuple(
        line
        for vendor in vendors.values()
        for line in _lines(settings, vendor, asks_of(vendor.name, table, symbols), given)
    )
    return push


def asks_of(vendor: str, table: SymbolTable, symbols: Sequence[str]) -> tuple[Ask, ...]:
    """Return what to subscribe to at a vendor: each symbol in the first class that may feed its series."""
    found: list[Ask] = []
    for symbol in symbols:
        listing = _listing(vendor, table, symbol)
        if listing is not None:
            found.append(Ask(symbol, listing.symbol, listing.source_class, listing.volume))
    return tuple(found)


def _listing(vendor: str, table: SymbolTable, symbol: str) -> Listing | None:
    """None: the vendor has none that may feed it."""
    entry = table.symbols[symbol]
    for source_class, listing in product(entry.may_feed(), entry.sources):
        if listing.vendor == vendor != TERMINAL and listing.source_class == source_class:
            return listing
    return None


class Expectation:
    """Whether a price should come now."""

    def __init__(self, table: SymbolTable, *, delays: bool, means: Means) -> None:
        """delays: sources are as late as their contract says."""
        self._table, self._delays, self._now_ms = table, delays, means.now_ms

    def __call__(self, asks: Sequence[Ask]) -> bool:
        """Return whether any of these markets is open, as far as a late source shows it."""
        now_ms = self._now_ms()
        return any(self._is_open(ask, now_ms) for ask in asks)

    def _is_open(self, ask: Ask, now_ms: int) -> bool:
        listings = self._table.symbols[ask.symbol].feed(ask.source_class)
        late_s = max(listing.delay_s for listing in listings) if self._delays else 0
        return is_open(self._table.session_of(ask.symbol, ask.source_class), now_ms - late_s * 1000)


def _lines(settings: Settings, vendor: StreamVendor, asks: tuple[Ask, ...], given: Given) -> list[Line]:
    key = key_of(settings, vendor)
    if not asks or (vendor.needs_key and not key):
        return []
    tls = httpx.create_ssl_context(trust_env=False)
    credentials = Credentials(key)
    hosts = hosts_of(settings, f"{vendor.name}_stream_host", vendor.stream_hosts)
    return [
        Line(
            vendor,
            Place(
                base_url(settings.simulator_url, vendor.name, hosts, endpoint.host),
                endpoint, settings.request_timeout, tls,
            ),
            credentials,
            given,
        )
        for endpoint in vendor.endpoints(asks, credentials)
    ]  # fmt: skip

"""Put the sources together: each vendor with its key, its limits, its breaker and its client."""

import random
import ssl
import zlib
from collections.abc import Mapping
from typing import Protocol

import httpx
import structlog

from collector.fetch import DEADLINES_PER_CALL, Access, Fetcher, Pay, make_client
from collector.limits import Plan, load_limits, plan_of
from collector.pace import Course
from collector.quota import Quota
from collector.source import Means, Source
from collector.vendors.base import Vendor
from common.breaker import Breaker, Draw, Rules
from common.errors import Fatal
from common.settings import Settings
from common.symbols import TERMINAL, Listing, SymbolTable

log = structlog.get_logger()

SLOW_PERCENT = 75
"""A call that takes more of its deadline than this is slow."""
SIMULATED_KEY = "simulated"
"""What a vendor that needs a key gets from us in a simulated run where none is set."""


def build_sources(
    settings: Settings, vendors: Mapping[str, Vendor], table: SymbolTable, means: Means
) -> dict[str, Source]:
    """Return the sources by name, in the vendors' order. Fatal if the table names a vendor that there is none of."""
    named = {listing.vendor for symbol in table.symbols.values() for listing in symbol.sources}
    if unknown := named - vendors.keys() - {TERMINAL}:
        raise Fatal(f"SYMBOLS_FILE: no such vendor: {', '.join(sorted(unknown))}; there are {', '.join(vendors)}")
    tls = httpx.create_ssl_context(trust_env=False)
    plans = load_limits()
    return {
        name: _source(settings, vendor, plan_of(name, plans, limits=settings.limits), table, means, tls)
        for name, vendor in vendors.items()
    }


def listed_at(vendor: str, table: SymbolTable) -> dict[str, Listing]:
    """Return the vendor's listing of each symbol whose series it can feed."""
    found: dict[str, Listing] = {}
    for symbol in table.symbols.values():
        for listing in symbol.feed():
            if listing.vendor == vendor:
                found.setdefault(symbol.name, listing)
    return found


def course_of(
    settings: Settings, vendor: Vendor, plan: Plan, listed: Mapping[str, Listing], table: SymbolTable
) -> Course:
    """Return what a source's budget is spread over: the markets of the symbols whose series it can feed."""
    of, served = settings.stream_partitions, settings.partitions
    return Course(
        sessions={symbol: table.session_of(symbol, listing.source_class) for symbol, listing in listed.items()},
        batch=vendor.batch,
        per_symbol=plan.per_symbol,
        foreign=frozenset(symbol for symbol in listed if table.symbols[symbol].partition(of) not in served),
    )


def rules_of(settings: Settings) -> Rules:
    """Return the breaker's rules that the settings ask for."""
    deadline_ms = int(settings.request_timeout * 1000)
    return Rules(
        failures_to_open=settings.breaker_failures,
        open_ms=int(settings.breaker_open_time * 1000),
        lease_ms=2 * deadline_ms * DEADLINES_PER_CALL,
        slow_call_ms=deadline_ms * SLOW_PERCENT // 100,
    )


def draw_for(settings: Settings, source: str) -> Draw:
    """Return where a breaker's jitter comes from; in a simulated run it is the same each time."""
    if settings.simulated:
        return lambda generation: zlib.crc32(f"{source}|{generation}".encode()) / 2**32
    return lambda _generation: random.random()


class Keyed(Protocol):
    """What a key is looked up for: either side of a vendor, the polled or the pushing one."""

    name: str
    needs_key: bool


def key_of(settings: Settings, vendor: Keyed) -> str:
    """Return the vendor's key from its setting, named <VENDOR>_API_KEY; empty if there is none."""
    secret = getattr(settings, f"{vendor.name}_api_key", None)
    key = str(secret.get_secret_value()) if secret is not None else ""
    return key or (SIMULATED_KEY if settings.simulated and vendor.needs_key else "")


def hosts_of(settings: Settings, setting: str, hosts: Mapping[str, str]) -> Mapping[str, str]:
    """Return a vendor's base URLs, the main one at the host that the setting names if there is such a setting."""
    host = getattr(settings, setting, "")
    return {**hosts, "": f"{hosts[''].partition('://')[0]}://{host}"} if host else hosts


def _source(
    settings: Settings, vendor: Vendor, plan: Plan, table: SymbolTable, means: Means, tls: ssl.SSLContext
) -> Source:
    listed = listed_at(vendor.name, table)
    key = key_of(settings, vendor)
    access = Access(
        key=key,
        base_url=f"{settings.simulator_url}/{vendor.name}" if settings.simulated else "",
        hosts=hosts_of(settings, f"{vendor.name}_host", vendor.hosts),
        deadline_s=settings.request_timeout,
        connections=settings.http_pool_size,
        simulated=settings.simulated,
    )

    def make_fetcher(pay: Pay) -> Fetcher:
        return Fetcher(vendor, access, make_client(access, tls), means.now_ms, pay)

    configured = bool(key) or not vendor.needs_key
    if not configured and listed:
        log.info("source.not_configured", source=vendor.name, variable=f"{vendor.name.upper()}_API_KEY")
    quota = Quota(means.link, plan)
    breaker = Breaker(means.link, vendor.name, rules_of(settings), draw_for(settings, vendor.name))
    course = course_of(settings, vendor, plan, listed, table)
    return Source(vendor, make_fetcher, breaker, quota, means, listed, course, configured=configured)

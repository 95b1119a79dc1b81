"""Put the sources together: each vendor with its key, its limits, its breaker and its client."""

import ssl
from collections.abc import Callable, Mapping

import httpx
import structlog

from collector.fetch import DEADLINES_PER_CALL, Access, Fetcher, make_client
from collector.limits import Plan, load_limits, unlimited
from collector.quota import Quota
from collector.source import Means, Source
from collector.vendors.base import Vendor
from common.breaker import Breaker, Rules
from common.errors import Fatal
from common.settings import Settings
from common.symbols import TERMINAL, Listing, SymbolTable

log = structlog.get_logger()

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
        name: _source(settings, vendor, plans.get(name, Plan(name)), listed_at(name, table), means, tls)
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


def rules_of(settings: Settings) -> Rules:
    """Return the breaker's rules that the settings ask for."""
    longest_call_ms = int(settings.request_timeout * 1000) * DEADLINES_PER_CALL
    return Rules(settings.breaker_failures, int(settings.breaker_open_time * 1000), 2 * longest_call_ms)


def key_of(settings: Settings, vendor: Vendor) -> str:
    """Return the vendor's key from its setting, named <VENDOR>_API_KEY; empty if there is none."""
    secret = getattr(settings, f"{vendor.name}_api_key", None)
    key = str(secret.get_secret_value()) if secret is not None else ""
    return key or (SIMULATED_KEY if settings.simulated and vendor.needs_key else "")


def _source(
    settings: Settings, vendor: Vendor, plan: Plan, listed: Mapping[str, Listing], means: Means, tls: ssl.SSLContext
) -> Source:
    key = key_of(settings, vendor)
    access = Access(
        key=key,
        base_url=f"{settings.simulator_url}/{vendor.name}" if settings.simulated else "",
        deadline_s=settings.request_timeout,
        connections=settings.http_pool_size,
        simulated=settings.simulated,
    )

    def make_fetcher(pay: Callable[[int], bool]) -> Fetcher:
        return Fetcher(vendor, access, make_client(access, tls), means.now_ms, pay)

    configured = bool(key) or not vendor.needs_key
    if not configured and listed:
        log.info("source.not_configured", source=vendor.name, variable=f"{vendor.name.upper()}_API_KEY")
    quota = Quota(means.link, unlimited(plan) if settings.limits == "none" else plan)
    breaker = Breaker(means.link, vendor.name, rules_of(settings))
    return Source(vendor, make_fetcher, breaker, quota, means, listed, configured=configured)

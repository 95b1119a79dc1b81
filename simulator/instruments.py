"""Which vendor symbols exist, what each is, and how its price lies to the spot price of its generic symbol."""

from collections.abc import Mapping
from dataclasses import dataclass

from common.symbols import TERMINAL, SymbolTable


@dataclass(frozen=True)
class Terms:
    """How the price of one class follows from the spot price: spot * ratio + offset, on a grid."""

    ratio: float = 1.0
    offset: float = 0.0
    steps_per_unit: int = 100
    """Of the price grid: 4 means quarters."""
    half_spread_steps: int = 1
    volume_per_s: float = 0.0

    def price(self, spot: float) -> float:
        """Return the class's price for one spot price."""
        return round((spot * self.ratio + self.offset) * self.steps_per_unit) / self.steps_per_unit


# Gold futures stood 56 to 62 dollars above spot in 2026; index futures carry the money-market rate less dividends.
TERMS: dict[str, Terms] = {
    "fx_spot": Terms(steps_per_unit=100_000, half_spread_steps=3),
    "gold_spot": Terms(half_spread_steps=15),
    "comex_gold_future": Terms(offset=58.0, steps_per_unit=10, volume_per_s=2.5),
    "cme_nq_future": Terms(ratio=1.008, steps_per_unit=4, volume_per_s=6.0),
    "cbot_ym_future": Terms(ratio=1.007, steps_per_unit=1, volume_per_s=1.5),
    "cme_es_future": Terms(ratio=1.0075, steps_per_unit=4, volume_per_s=15.0),
    "ndx_cash": Terms(half_spread_steps=50),
    "dji_cash": Terms(half_spread_steps=100),
    "spx_cash": Terms(half_spread_steps=20),
}


@dataclass(frozen=True)
class Instrument:
    """One symbol at one vendor."""

    vendor: str
    vendor_symbol: str
    symbol: str
    """Generic."""
    source_class: str
    session: str
    delay_ms: int
    """How late the vendor serves it on its usual plan."""
    traded: bool
    """The vendor tells a traded volume."""


Listings = Mapping[str, Mapping[str, Instrument]]
"""Vendor -> vendor symbol -> instrument."""


def terms_of(source_class: str, tick_size: float) -> Terms:
    """Return the terms of a class; one that is not known here trades at spot on the symbol's own grid."""
    return TERMS.get(source_class) or Terms(steps_per_unit=max(1, round(1 / tick_size)))


def listings(table: SymbolTable) -> Listings:
    """Return all instruments of the table; a terminal is no vendor."""
    found: dict[str, dict[str, Instrument]] = {}
    for symbol in table.symbols.values():
        for listing in symbol.sources:
            if listing.vendor == TERMINAL:
                continue
            found.setdefault(listing.vendor, {})[listing.symbol] = Instrument(
                vendor=listing.vendor,
                vendor_symbol=listing.symbol,
                symbol=symbol.name,
                source_class=listing.source_class,
                session=table.classes[listing.source_class].session,
                delay_ms=listing.delay_s * 1000,
                traded=listing.volume == "traded",
            )
    return found

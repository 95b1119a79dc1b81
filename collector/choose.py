"""Whom to ask for each symbol: pure, from the sources as they are now.

The caller hands in the listings of the symbol's own class only: no other one may replace them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from collector.blocks import Block
from collector.plan import Turn, affordable, turn
from collector.quota import QuotaView
from collector.vendors.base import Ask
from common.breaker_model import BreakerView, Rules
from common.symbols import Listing


@dataclass(frozen=True)
class SourceView:
    """One source at one moment, as far as choosing needs it."""

    name: str
    configured: bool
    batch: int
    breaker: BreakerView
    rules: Rules
    quota: QuotaView
    spacing_ms: int = 0
    per_symbol: bool = False
    blocks: Mapping[str, Block] = field(default_factory=dict)
    """Symbol -> block that counts now; the empty name is the source as a whole."""
    last_asked_ms: Mapping[str, int] = field(default_factory=dict)
    """Symbol -> when this source was last asked for it."""

    def why_not(self, symbol: str, now_ms: int) -> str:
        """Return why the source can't serve the symbol now, as a slug; empty if it can."""
        if not self.configured:
            return "no_key"
        block = self.blocks.get("") or self.blocks.get(symbol)
        if block is not None:
            return block.verdict
        if not self.breaker.admits(now_ms, self.rules):
            return "breaker_open"
        if turn(self.quota, self.spacing_ms, now_ms) is Turn.EXHAUSTED:
            return "quota_spent"
        return ""


@dataclass(frozen=True)
class Choice:
    """What to do for the symbols in question."""

    groups: tuple[tuple[str, tuple[Ask, ...]], ...]
    """Source and what to ask of it, in one or more calls; sources and symbols in the table's order."""
    waiting: Mapping[str, Listing]
    """Symbol -> the source that serves it, whose turn it is not yet."""
    withheld: Mapping[str, str]
    """Symbol -> why each of its sources was passed over, for humans."""


def choose(
    wanted: Mapping[str, Sequence[Listing]],
    sources: Mapping[str, SourceView],
    tried: Mapping[str, frozenset[str]],
    now_ms: int,
) -> Choice:
    """Return whom to ask for each symbol.

    wanted: symbol -> its listings, preferred first. tried: symbol -> sources that failed it in this cycle.
    """
    per_source: dict[str, list[Ask]] = {}
    listed: dict[tuple[str, str], Listing] = {}
    waiting: dict[str, Listing] = {}
    withheld: dict[str, str] = {}
    for symbol, listings in wanted.items():
        listing, is_due, reasons = _best(symbol, listings, sources, tried.get(symbol, frozenset()), now_ms)
        if listing is None:
            withheld[symbol] = reasons
        elif not is_due:
            waiting[symbol] = listing
        else:
            per_source.setdefault(listing.vendor, []).append(_ask(symbol, listing))
            listed[listing.vendor, symbol] = listing
    groups = {name: _carried(sources[name], asks) for name, asks in per_source.items()}
    for name, asks in per_source.items():
        left_out = [ask for ask in asks if ask not in groups[name]]
        waiting |= {ask.symbol: listed[name, ask.symbol] for ask in left_out}
    return Choice(tuple((name, asks) for name, asks in groups.items() if asks), waiting, withheld)


def batches(asks: Sequence[Ask], size: int) -> list[tuple[Ask, ...]]:
    """Return the asks in calls of at most `size`."""
    return [tuple(asks[i : i + size]) for i in range(0, len(asks), size)]


def _best(
    symbol: str,
    listings: Sequence[Listing],
    sources: Mapping[str, SourceView],
    tried: frozenset[str],
    now_ms: int,
) -> tuple[Listing | None, bool, str]:
    """Return the source to ask, or to wait for (False), or None and why each was passed over."""
    reasons: list[str] = []
    later: Listing | None = None
    for listing in listings:
        source = sources.get(listing.vendor)
        why_not = "failed" if listing.vendor in tried else source.why_not(symbol, now_ms) if source else "unknown"
        if source is None or why_not:
            reasons.append(f"{listing.vendor}: {why_not}")
            continue
        when = turn(source.quota, source.spacing_ms, now_ms)
        if when is not Turn.LATER:
            return listing, when is Turn.NOW, ""
        later = later or listing
    return later, False, ", ".join(reasons)


def _ask(symbol: str, listing: Listing) -> Ask:
    return Ask(symbol, listing.symbol, listing.source_class, listing.volume)


def _carried(source: SourceView, asks: Sequence[Ask]) -> tuple[Ask, ...]:
    return affordable(asks, source.quota, source.last_asked_ms, per_symbol=source.per_symbol)

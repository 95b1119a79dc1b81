"""Compare each quote with the other ways of its series, and keep what was found."""

from collections.abc import Sequence

from common.metrics import Metrics
from common.symbols import Listing
from validator.compare import (
    FRESH_MS,
    LEAST_SPACING_MS,
    SAMPLES,
    Difference,
    Gauge,
    Pair,
    Track,
    after_comparison,
    after_quote,
    measure,
    turned,
    usual_of,
)
from validator.memory import FeedName, Memory, PairName
from validator.rules import Terms
from validator.state import Observation
from validator.vote import NO_OPINION, Opinion, View, opinion_of

BASIS_POINT = 1e-4


def spacing_ms(listings: Sequence[Listing], *, delays: bool) -> int:
    """Return the distance between samples with which a class's latest source can be compared with its promptest."""
    late_s = [listing.delay_s for listing in listings] if delays else [0]
    return max(LEAST_SPACING_MS, (FRESH_MS + (max(late_s) - min(late_s)) * 1000) // SAMPLES)


def cross_check(memory: Memory, name: FeedName, quote: Observation, terms: Terms) -> tuple[Opinion, Track]:
    """Return what the other fresh ways say of the quote, and its own way's track with it. Pairs are kept in `memory`.

    A quote older than its way's newest is not compared.
    """
    before = memory.track(name)
    own = after_quote(before, quote, terms.spacing_ms)
    if before is not None and quote.market_ms < before.samples[-1].market_ms:
        return NO_OPINION, own
    views = []
    for way, other in sorted(memory.tracks_of(name[:2]).items()):
        if way == name[2] or quote.received_ms - other.received_ms > FRESH_MS:
            continue
        pair = memory.pair(_pair_name(name, way))
        found = measure(own, other, Gauge(terms.tick_size, usual_of(pair)))
        if found is not None:
            view = View(way, *found)
            views.append(view)
            _keep(memory, name, view, quote.received_ms)
    return opinion_of(name[2], views, terms.tick_size), own


def _pair_name(name: FeedName, way: str) -> PairName:
    symbol, source_class, own = name
    return (symbol, source_class, min(own, way), max(own, way))


def _keep(memory: Memory, name: FeedName, view: View, now_ms: int) -> None:
    """Keep a comparison under the pair's name, in which the ways are sorted."""
    first = name[2] < view.way
    pair_name = _pair_name(name, view.way)
    found: Difference = view.best if first else turned(view.best)
    market_ms = min(view.best.own.market_ms, view.best.other.market_ms)
    memory.keep_pair(pair_name, after_comparison(memory.pair(pair_name), found, view.agrees, now_ms, market_ms))


def pair_figures(memory: Memory, tick_sizes: dict[str, float]) -> dict[str, list[dict[str, object]]]:
    """Return symbol -> what was compared and how it came out, for the operator."""
    figures: dict[str, list[dict[str, object]]] = {}
    for (symbol, source_class, one, other), pair in memory.pairs().items():
        if symbol in tick_sizes:
            figures.setdefault(symbol, []).append(
                {
                    "source_class": source_class,
                    "sources": [one, other],
                    "difference_ticks": round(pair.difference * pair.price / tick_sizes[symbol], 1) + 0.0,  # never -0.0
                    "difference_bp": round(pair.difference / BASIS_POINT, 2) + 0.0,
                    "limit_bp": round(pair.limit / BASIS_POINT, 2),
                    "compared_ms": pair.compared_ms,
                    "disagreeing_since_ms": pair.since_ms,
                }
            )
    return figures


def measure_pairs(memory: Memory, metrics: Metrics) -> None:
    """Set the gauges of the pairs that were compared since the last call."""
    for symbol, source_class, one, other in memory.take_compared():
        pair: Pair | None = memory.pair((symbol, source_class, one, other))
        if pair is not None:
            labels = {"symbol": symbol, "source_class": source_class, "source": one, "other": other}
            metrics.gauge("md_source_difference_ratio", pair.difference, **labels)
            metrics.gauge("md_source_disagrees", float(pair.since_ms is not None), **labels)

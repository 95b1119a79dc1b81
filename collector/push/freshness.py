"""When each source last pushed news of each symbol: what decides whether the symbol must be polled. Pure."""

from collections.abc import Iterable

from msgspec import Struct

from common.messages import AHEAD_MS, RawQuote


class Mark(Struct, frozen=True, array_like=True):
    """The newest quote that a source has pushed of a symbol in one class. Kept in the collector's state."""

    source: str
    symbol: str
    source_class: str
    market_ms: int | None
    at_ms: int
    """Stream time at which it came."""


Key = tuple[str, str, str]
"""Source, symbol, class."""


def key_of(source: str, quote: RawQuote) -> Key:
    """Return under what a quote's mark is kept."""
    return source, quote.symbol, quote.source_class


def is_ahead(quote: RawQuote, at_ms: int) -> bool:
    """Return whether a quote that came at `at_ms` tells a market time that can't be."""
    return quote.market_ms is not None and quote.market_ms > at_ms + AHEAD_MS


def marked(before: Mark | None, source: str, quote: RawQuote, at_ms: int) -> Mark | None:
    """Return the mark that a pushed quote makes; None if it is no news.

    A vendor that repeats a price keeps its socket busy and tells nothing: only a market time that goes on is news. One
    that is still to come is the vendor's error: a mark of it would outdate all that follows.
    """
    if is_ahead(quote, at_ms):
        return None
    known_ms = before.market_ms if before else None
    if quote.market_ms is not None and known_ms is not None and quote.market_ms <= known_ms:
        return None
    market_ms = known_ms if quote.market_ms is None else quote.market_ms
    return Mark(*key_of(source, quote), market_ms, at_ms)


class Freshness:
    """All marks of one process."""

    def __init__(self) -> None:
        self._marks: dict[Key, Mark] = {}

    def restore(self, marks: Iterable[Mark]) -> None:
        """Know what was committed, too."""
        for mark in marks:
            key = mark.source, mark.symbol, mark.source_class
            known = self._marks.get(key)
            if known is None or known.at_ms < mark.at_ms:
                self._marks[key] = mark

    def note(self, source: str, quote: RawQuote, at_ms: int) -> bool:
        """Keep a pushed quote's mark. Returns whether it was news."""
        key = key_of(source, quote)
        mark = marked(self._marks.get(key), source, quote, at_ms)
        if mark is None:
            return False
        self._marks[key] = mark
        return True

    def is_fresh(self, key: Key, now_ms: int, silence_s: float) -> bool:
        """Return whether there was news within the time after which silence counts."""
        mark = self._marks.get(key)
        return mark is not None and now_ms - mark.at_ms <= silence_s * 1000

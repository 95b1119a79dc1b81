"""What the validator remembers, and how an observation changes it. Committed with each batch, as JSON.

A series is one instrument: a symbol in one equivalence class, whichever source quotes it. A feed is one source of it.
"""

import math
from typing import NamedTuple

from msgspec import Struct

WINDOW = 64
"""Moves that the scale rests on: the newest."""


class Observation(NamedTuple):
    """One well-formed quote: finite positive prices, a time."""

    market_ms: int
    """Equals received_ms where market_time is False."""
    received_ms: int
    price: float
    last: float | None
    bid: float | None
    ask: float | None
    day_volume: float | None
    tick: int | None
    market_time: bool


class Level(Struct, frozen=True):
    """Prices too far from the series to be believed at once, that agree with each other."""

    price: float
    since_ms: int
    market_ms: int
    quotes: int


class Series(Struct, frozen=True, omit_defaults=True):
    """One instrument."""

    price: float
    """Of the newest accepted quote, by market time."""
    market_ms: int
    moves: tuple[float, ...] = ()
    """Sizes of the newest accepted moves, oldest first: |log return| a square root of a second."""
    candidate: Level | None = None


Identity = tuple[int | None, float | None, float | None, float | None, float | None, int | None]


class Feed(Struct, frozen=True, omit_defaults=True):
    """One source of a series."""

    seen: Identity
    """Of the last well-formed quote, accepted or not: market_ms, last, bid, ask, day_volume, tick."""
    seen_price: float
    received_ms: int
    """When it came."""
    newest_ms: int | None = None
    """Market time of the newest accepted quote."""
    day_volume: float | None = None
    """Highest of the session, up to the last accepted quote that told one ..."""
    volume_ms: int | None = None
    """... and that quote's market time."""
    before_ms: int | None = None
    """When the last one came that did not come together with `seen`; None: none has."""

    def asked_before(self, received_ms: int) -> int | None:
        """Return when the source had its last chance before this one to show a quote: not in the same batch."""
        return self.before_ms if received_ms == self.received_ms else self.received_ms


def identity(quote: Observation) -> Identity:
    """Return what two quotes of one feed must share to be the same quote."""
    market_ms = quote.market_ms if quote.market_time else None
    return (market_ms, quote.last, quote.bid, quote.ask, quote.day_volume, quote.tick)


def move_size(price: float, other: float) -> float:
    """Return |log(price / other)|. Of any two positive prices: their quotient may be infinite or zero."""
    return abs(math.log(price) - math.log(other))


def after_accepted(
    series: Series | None, quote: Observation, confirmed: bool = False, disagrees: bool = False
) -> Series:
    """Return the series with an accepted quote. An older one than the newest changes nothing but the doubt.

    confirmed: the quote is the proof of a new level; its distance from the old one is not a move to learn from.
    disagrees: it may be another source's error, so its distance isn't one either.
    """
    if series is None:
        return Series(quote.price, quote.market_ms)
    if confirmed:
        return Series(quote.price, max(quote.market_ms, series.market_ms), series.moves)
    if quote.market_ms < series.market_ms:
        return Series(series.price, series.market_ms, series.moves)
    if disagrees:
        return Series(quote.price, quote.market_ms, series.moves)
    seconds = max(1.0, (quote.market_ms - series.market_ms) / 1000)
    move = move_size(quote.price, series.price) / math.sqrt(seconds)
    return Series(quote.price, quote.market_ms, (*series.moves, move)[-WINDOW:])


def after_doubted(series: Series | None, candidate: Level | None) -> Series | None:
    """Return the series after a rejected quote whose level is `candidate`; None leaves it as it was."""
    if series is None or candidate is None:
        return series
    return Series(series.price, series.market_ms, series.moves, candidate)


def after_seen(feed: Feed | None, quote: Observation, accepted: bool) -> Feed:
    """Return the feed after a well-formed quote."""
    newest_ms = feed.newest_ms if feed else None
    day_volume = feed.day_volume if feed else None
    volume_ms = feed.volume_ms if feed else None
    in_order = newest_ms is None or quote.market_ms >= newest_ms
    if accepted and in_order:
        newest_ms = quote.market_ms
        if quote.day_volume is not None:
            # 0 is what a vendor writes for "none": were it kept, the day's volume would be traded anew with the next.
            told = quote.day_volume > 0
            corrected = day_volume is not None and not (told and is_new_session(day_volume, quote.day_volume))
            day_volume = max(quote.day_volume, day_volume or 0.0) if corrected else quote.day_volume
            volume_ms = quote.market_ms
    before_ms = feed.asked_before(quote.received_ms) if feed else None
    return Feed(identity(quote), quote.price, quote.received_ms, newest_ms, day_volume, volume_ms, before_ms)


def is_new_session(before: float, day_volume: float) -> bool:
    """Return whether a cumulative volume began again: a small step back is a vendor's correction, not a new day."""
    return day_volume < before / 2

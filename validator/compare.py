"""Whether the sources of one instrument agree with each other, each compared at a market time that both have reached.

A *way* is a source as it feeds the series, or the same source asked as a check. Differences are log(own / other).
The thresholds were measured on three files of recorded quotes (with a jobs report) and three of recorded bars, each
told by two and three sources with noise, half a pip of offset, lag and gaps of their own: of 2,346,490 quotes 28 are
doubted, 27 of them for one check. 20 pips, or another scale, are found with the next quote, a frozen price when the
market has moved by 2 basis points, a drift of half a pip a minute within 6 minutes.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from msgspec import Struct

from validator.moves import TO_SIGMA
from validator.state import Observation, move_size

# A source that brought nothing for so long is not there to compare with.
FRESH_MS = 60_000
# Prices further apart in market time say nothing of each other.
MATCH_MS = 60_000
SAMPLES = 32
"""Of each way, the newest included: enough for FRESH_MS and for the delays between the sources of a class."""
LEAST_SPACING_MS = 1_000

# Differences that need no explanation: roundings, who quotes bid and who quotes the middle.
FLOOR_TICKS = 20
FLOOR = 0.000_1
# What a pair usually differs by is allowed several times over; but never more than this is usual.
USUAL_TIMES = 4.0
CAP = 0.000_5
# The usual is a median over two hours, so that a slow drift is found before it is usual. Before there are enough
# comparisons CAP counts.
USUAL_EVERY_MS = 300_000
USUAL_KEPT = 24
USUAL_ENOUGH = 4
# Moves of the market between two samples, in robust standard deviations of the calmer way's own moves: both of one
# series together would take what they differ by for moves.
MOVE_SCALES = 6.0
ENOUGH_MOVES = 8
# How well vendors' clocks agree; and how old the price of a vendor that gives no market time may be.
CLOCK_MS = 2_000
CLOCKLESS_MS = 30_000


class Sample(NamedTuple):
    """One price of a way."""

    market_ms: int
    price: float
    half_spread: float
    """As a share of the price; 0 where no spread was told."""


class Track(Struct, frozen=True, omit_defaults=True):
    """The newest prices of one way, oldest first, thinned out but for the newest."""

    samples: tuple[Sample, ...]
    received_ms: int
    market_time: bool = True


class Pair(Struct, frozen=True, omit_defaults=True):
    """Two ways of one series, the first by name compared with the second."""

    difference: float
    limit: float
    price: float
    """Of the first."""
    market_ms: int
    compared_ms: int
    """Stream time."""
    usual: tuple[float, ...] = ()
    """Sizes of differences, one in USUAL_EVERY_MS."""
    usual_ms: int = 0
    """Stream time of the last of them."""
    since_ms: int | None = None
    """Stream time since when they disagree; None: they agree."""


class Gauge(NamedTuple):
    """What a comparison of two ways rests on besides their prices."""

    tick_size: float
    usual: float | None
    """What the pair usually differs by; None: not known yet."""


class Difference(NamedTuple):
    """Two prices of one moment. agrees: within the limit."""

    own: Sample
    other: Sample
    size: float
    """Signed: log(own / other)."""
    limit: float

    @property
    def agrees(self) -> bool:
        """Whether the difference is within the limit."""
        return abs(self.size) <= self.limit


def after_quote(track: Track | None, quote: Observation, spacing_ms: int) -> Track:
    """Return the track with the quote, unless it is older than the newest."""
    half_spread = 0.0
    if quote.bid is not None and quote.ask is not None and quote.ask > quote.bid:
        half_spread = (quote.ask - quote.bid) / (2 * quote.price)
    sample = Sample(quote.market_ms, quote.price, half_spread)
    if track is None:
        return Track((sample,), quote.received_ms, quote.market_time)
    kept = track.samples
    if sample.market_ms < kept[-1].market_ms:
        return Track(kept, quote.received_ms, track.market_time)
    # The newest is kept for good when it has its distance from the one before it.
    replaced = len(kept) > 1 and kept[-1].market_ms - kept[-2].market_ms < spacing_ms
    older = kept[:-1] if replaced or kept[-1].market_ms == sample.market_ms else kept
    return Track((*older, sample)[-SAMPLES:], quote.received_ms, quote.market_time)


def usual_of(pair: Pair | None) -> float | None:
    """Return what the pair usually differs by; None: not known yet."""
    return median(pair.usual) if pair is not None and len(pair.usual) >= USUAL_ENOUGH else None


def measure(own: Track, other: Track, gauge: Gauge) -> tuple[Difference, Difference] | None:
    """Return the difference of the newest own price from the other way, and that at the newest moment both have seen.

    The first may be a move that the other has not seen yet; the second can't. They are one where the first is within
    its limit. None: too far apart in time.
    """
    newest_ms = own.samples[-1].market_ms
    both_ms = min(newest_ms, other.samples[-1].market_ms)
    now = _difference_at(own, other, newest_ms, gauge)
    if now is not None and (now.agrees or both_ms == newest_ms):
        return now, now
    then = _difference_at(own, other, both_ms, gauge)
    return None if then is None else (now or then, then)


def after_comparison(pair: Pair | None, found: Difference, agree: bool, now_ms: int, market_ms: int) -> Pair:
    """Return the pair with a comparison, told from its first way's side."""
    usual, usual_ms, since_ms = ((), 0, None) if pair is None else (pair.usual, pair.usual_ms, pair.since_ms)
    if not usual or now_ms - usual_ms >= USUAL_EVERY_MS:
        usual, usual_ms = (*usual, abs(found.size))[-USUAL_KEPT:], now_ms
    since_ms = None if agree else since_ms or now_ms
    return Pair(found.size, found.limit, found.own.price, market_ms, now_ms, usual, usual_ms, since_ms)


def turned(found: Difference) -> Difference:
    """Return the difference as seen from the other side."""
    return Difference(found.other, found.own, -found.size, found.limit)


def _difference_at(own: Track, other: Track, at_ms: int, gauge: Gauge) -> Difference | None:
    a, b = _nearest(own.samples, at_ms), _nearest(other.samples, at_ms)
    apart_ms = abs(a.market_ms - b.market_ms)
    if apart_ms > MATCH_MS:
        return None
    size, limit = math.log(a.price) - math.log(b.price), _limit(a, b, gauge)
    if abs(size) > limit:  # else it needs no explanation
        limit += _move(own, other, at_ms, apart_ms)
    return Difference(a, b, size, limit)


def _move(own: Track, other: Track, at_ms: int, apart_ms: int) -> float:
    """Return how far the market may have moved between two samples of about the same time."""
    clocked = own.market_time and other.market_time
    slack_ms = CLOCK_MS if clocked else CLOCKLESS_MS
    scale = min((found for track in (own, other) if (found := _scale(track.samples)) is not None), default=0.0)
    guessed = MOVE_SCALES * scale * math.sqrt(max(apart_ms, slack_ms) / 1000)
    around = [_span(_around(track.samples, at_ms, slack_ms)) for track in (own, other)]
    # Where both tell the time a move counts if both made it: one alone may be the error that is looked for.
    seen = min(around) if clocked else max(around)
    between = max(_span(_between(track.samples, at_ms)) for track in (own, other))
    return max(guessed, seen, between)


def _limit(own: Sample, other: Sample, gauge: Gauge) -> float:
    """Return what two prices of one moment may differ by."""
    floor = max(FLOOR, FLOOR_TICKS * gauge.tick_size / other.price)
    cap = max(CAP, floor)
    if gauge.usual is None:
        return cap
    return min(cap, max(floor, USUAL_TIMES * gauge.usual, own.half_spread + other.half_spread))


def _nearest(samples: Sequence[Sample], at_ms: int) -> Sample:
    if samples[-1].market_ms <= at_ms:
        return samples[-1]
    i = bisect_left(samples, at_ms, key=_time)
    near = samples[max(0, i - 1) : i + 1]
    return min(near, key=lambda sample: abs(sample.market_ms - at_ms))


def _scale(samples: Sequence[Sample]) -> float | None:
    """Return a robust standard deviation of the way's move in one second; None: too few are known."""
    if len(samples) <= ENOUGH_MOVES:
        return None
    seconds = ((b.market_ms - a.market_ms) / 1000 for a, b in pairwise(samples))
    moves = (move_size(b.price, a.price) for a, b in pairwise(samples))
    return TO_SIGMA * median(move / math.sqrt(max(1.0, s)) for move, s in zip(moves, seconds, strict=True))


def _around(samples: Sequence[Sample], at_ms: int, slack_ms: int) -> Sequence[Sample]:
    """Return the samples within the slack of that time."""
    first = bisect_left(samples, at_ms - slack_ms, key=_time)
    return samples[first : bisect_right(samples, at_ms + slack_ms, key=_time)]


def _between(samples: Sequence[Sample], at_ms: int) -> Sequence[Sample]:
    """Return the last sample before that time and the first after it: the price was somewhere between them."""
    i = bisect_left(samples, at_ms, key=_time)
    if i == 0 or i == len(samples) or samples[i].market_ms == at_ms:
        return ()
    near = samples[i - 1 : i + 1]
    return near if near[1].market_ms - near[0].market_ms <= MATCH_MS else ()


def _span(samples: Sequence[Sample]) -> float:
    """Return how far apart the furthest prices are."""
    if not samples:
        return 0.0
    prices = [sample.price for sample in samples]
    return move_size(max(prices), min(prices))


def _time(sample: Sample) -> int:
    return sample.market_ms

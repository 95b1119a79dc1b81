"""Whether a price can follow the last one: jumps, spikes, and levels that prove to be real.

A move is measured as |log return|. The thresholds were measured on 24 files of real bars and quotes (six symbols and
bitcoin, 2014 to 2026, NFP and FOMC days among them; each bar as four ticks 15 s apart): 85 of 3,343,177 true prices are
taken for spikes, 25 of them bitcoin's and none of 735,033 real quotes, never more than three in a row; of 3,252 prices
moved by x10, x0.1, +2 % or -2 %, four pass.
"""

import math
from statistics import median
from typing import NamedTuple

from validator.state import Level, Observation, Series, move_size

# Below this (and two ticks) a move needs no explanation, however calm the market.
QUIET = 0.000_5
# A move beyond so many times the recent scale, or beyond FLOOR, lowers the score.
JUMP_SCALES = 10.0
# A move is a spike beyond so many times the recent scale, but never below FLOOR and never within CAP.
SPIKE_SCALES = 25.0
FLOOR = 0.007_5
CAP = 0.018
# After so long without a quote (the daily break, a weekend) FLOOR grows with the square root of time, up to GAP_CAP.
SILENCE_S = 300.0
GAP_CAP = 0.06
# A level is believed with the third quote that agrees with the first, or with any that comes this much later.
AGREEING_QUOTES = 3
AGREEING_MS = 30_000
# Moves like these are errors of scale (x10, another instrument) unless they last.
HUGE = 0.2
HUGE_AGREEING_QUOTES = 60
HUGE_AGREEING_MS = 300_000
# Moves that a scale needs; before, only FLOOR and CAP count.
ENOUGH_MOVES = 16
# The median of absolute normal values is 0.6745 of their standard deviation.
TO_SIGMA = 1.4826


class Mark(NamedTuple):
    """Something to be said of a quote. A penalty of 1 rejects it whatever the threshold, one of 0 only tells.

    What begins or proves a level has none: a high threshold must not keep a series out for ever.
    """

    reason: str
    penalty: float
    detail: str = ""


class Step(NamedTuple):
    """How a quote continues its series."""

    mark: Mark | None = None
    doubted: Level | None = None
    """The level to remember if the quote is rejected."""
    confirmed: bool = False


_FITS = Step()


def step_from(series: Series | None, quote: Observation, tick_size: float) -> Step:
    """Judge the move from the series' last price to this one."""
    if series is None:
        return Step(Mark("first_quote", 0.0, "nothing to compare with"))
    size = move_size(quote.price, series.price)
    if size <= QUIET + 2 * tick_size / series.price:
        return _FITS
    elapsed_s = abs(quote.market_ms - series.market_ms) / 1000
    scale = _scale(series.moves) * math.sqrt(max(1.0, elapsed_s))
    limit = _limit(scale, elapsed_s)
    if size <= min(JUMP_SCALES * scale, FLOOR):
        return _FITS
    # A high REJECT_SCORE turns jumps away as well: they too may be the first of a new level.
    level = _level(series.candidate, quote)
    if _believed(level, size):
        detail = f"{size:.3%} from {series.price}, as {level.quotes - 1} quotes before"
        return Step(Mark("level_confirmed", 0.0, detail), level, confirmed=True)
    if size > limit:
        detail = f"expected within {limit:.3%} of {series.price}, found {quote.price} ({size:.3%})"
        return Step(Mark("spike", 1.0, detail), level)
    reason = "gap" if elapsed_s > SILENCE_S else "jump"
    detail = f"{size:.3%} in {elapsed_s:.1f} s, scale {scale:.4%}"
    return Step(Mark(reason, 0.05 + 0.3 * size / limit, detail), level)


def _scale(moves: tuple[float, ...]) -> float:
    """Return a robust standard deviation of the move in one second: 0 while too few are known."""
    return TO_SIGMA * median(moves) if len(moves) >= ENOUGH_MOVES else 0.0


def _limit(scale: float, elapsed_s: float) -> float:
    floor = min(GAP_CAP, FLOOR * math.sqrt(max(1.0, elapsed_s / SILENCE_S)))
    return min(max(floor, SPIKE_SCALES * scale), max(CAP, floor))


def _level(candidate: Level | None, quote: Observation) -> Level:
    """Return the candidate with this quote, or a new one where it doesn't agree."""
    if candidate is not None:
        elapsed_s = abs(quote.market_ms - candidate.market_ms) / 1000
        if move_size(quote.price, candidate.price) <= _limit(0.0, elapsed_s):
            return Level(quote.price, candidate.since_ms, quote.market_ms, candidate.quotes + 1)
    return Level(quote.price, quote.market_ms, quote.market_ms, 1)


def _believed(level: Level, size: float) -> bool:
    agreeing, lasted_ms = level.quotes - 1, level.market_ms - level.since_ms
    if size > HUGE:
        return agreeing >= HUGE_AGREEING_QUOTES and lasted_ms >= HUGE_AGREEING_MS
    return agreeing >= AGREEING_QUOTES or (agreeing >= 1 and lasted_ms >= AGREEING_MS)

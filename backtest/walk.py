"""Walk-forward: parameters chosen on one stretch of a history, and traded on the next one, which the choice never saw.

The history is cut into parts. A window is INSIDE parts in which each strategy's best set of parameters is chosen, by
the trades that have ended within them, and the part after them, in which that set trades. Then the window moves on by
one part. What the parts after have earned is out of sample; by how much it is less than what was seen inside is what
the choosing itself pretended.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from backtest.figures import FEWEST_TRADES, LEVEL, buy_and_hold, random_gains
from backtest.history import History
from backtest.trades import Costs, Market, Trade, gains
from common.errors import Fatal
from common.indicators import F64
from common.indicators.anchors import I64

INSIDE = 3
"""Parts that a choice rests on."""
LEAST_CHOSEN_BY = 10
"""Trades inside, below which a set is not chosen: of few trades the best is luck."""
RESAMPLES = 4_000
_SEED = 20_220_117


@dataclass(frozen=True)
class Window:
    """Chosen in [inside_ms, outside_ms), traded in [outside_ms, end_ms)."""

    inside_ms: int
    outside_ms: int
    end_ms: int


@dataclass(frozen=True)
class Pick:
    """What was chosen in one window. r: of its trades inside; None where none had enough."""

    window: Window
    variant: int
    r: float | None


@dataclass(frozen=True)
class Walked:
    """One strategy, walked forward. R are means of trades."""

    strategy: str
    picks: tuple[Pick, ...]
    labels: tuple[str, ...]
    """Of the sets that were chosen, in order."""
    trades: int
    inside_r: float | None
    """Mean of what the chosen sets had made where they were chosen."""
    outside_r: float
    low_r: float
    """Lower end of the 95 % interval of outside_r, by resampling blocks of trades that follow each other."""
    high_r: float
    gain: float
    random_gain: float
    random_beats: float
    verdict: str


@dataclass(frozen=True)
class Forward:
    """All strategies of one history."""

    from_ms: int
    to_ms: int
    hold: float
    """Gain of buying at the beginning of the first part that was traded, and holding."""
    sets: int
    """Most sets that any strategy could choose from."""
    walked: tuple[Walked, ...]


def windows(open_ms: I64, length_ms: int, count: int) -> list[Window]:
    """Return so many windows over a history's bars, each moved on by one part of equally many bars. Fatal: too few."""
    parts = count + INSIDE
    if len(open_ms) < parts:
        raise Fatal(f"WALK: expected at least {parts} bars for {count} parts, found {len(open_ms)}")
    ends = [int(open_ms[len(open_ms) * n // parts]) for n in range(parts)] + [int(open_ms[-1]) + length_ms]
    return [Window(ends[n], ends[n + INSIDE], ends[n + INSIDE + 1]) for n in range(count)]


def pick(by_variant: Sequence[Sequence[Trade]], window: Window, open_ms: I64) -> Pick:
    """Return the best set by the trades that began and ended inside; the file's own where none has enough of them."""
    best = Pick(window, 0, None)
    for variant, trades in enumerate(by_variant):
        r = gains([t for t in trades if window.inside_ms <= open_ms[t.first] and t.closed_ms <= window.outside_ms])
        if len(r) >= LEAST_CHOSEN_BY and (best.r is None or float(np.mean(r)) > best.r):
            best = Pick(window, variant, float(np.mean(r)))
    return best


def outside(by_variant: Sequence[Sequence[Trade]], picks: Sequence[Pick], open_ms: I64) -> list[Trade]:
    """Return the trades of the chosen sets, each in the part after its choice; one position at a time."""
    found: list[Trade] = []
    for one in picks:
        for trade in by_variant[one.variant]:
            in_part = one.window.outside_ms <= open_ms[trade.first] < one.window.end_ms
            if in_part and (not found or trade.first > found[-1].last):
                found.append(trade)
    return found


def forward(
    history: History, by_strategy: Mapping[str, Sequence[tuple[str, Sequence[Trade]]]], costs: Costs, count: int,
    tests: int,
) -> Forward:  # fmt: skip
    """Return what came of walking forward. by_strategy: the label and the trades of each set over the whole history."""
    open_ms = history.times()
    parts = windows(open_ms, history.length_ms, count)
    begins = int(np.searchsorted(open_ms, parts[0].outside_ms))
    later = Market(replace(history, bars=history.bars[begins:]))
    walked = []
    for strategy, sets in by_strategy.items():
        trades = [one for _, one in sets]
        picks = [pick(trades, window, open_ms) for window in parts]
        shifted = [replace(t, first=t.first - begins, last=t.last - begins) for t in outside(trades, picks, open_ms)]
        labels = tuple(sets[one.variant][0] for one in picks)
        walked.append(_walked(strategy, picks, labels, _Market(later, costs, tests), shifted))
    most = max((len(sets) for sets in by_strategy.values()), default=0)
    return Forward(parts[0].outside_ms, parts[-1].end_ms, buy_and_hold(later, costs), most, tuple(walked))


@dataclass(frozen=True)
class _Market:
    market: Market
    costs: Costs
    tests: int


def _walked(
    strategy: str, picks: Sequence[Pick], labels: tuple[str, ...], where: _Market, trades: Sequence[Trade]
) -> Walked:
    known = [one.r for one in picks if one.r is not None]
    inside_r = float(np.mean(known)) if known else None
    if not trades:
        return Walked(strategy, tuple(picks), labels, 0, inside_r, *(0.0,) * 5, 1.0, "no trades")
    r, tests = gains(trades), max(1, where.tests)
    means = block_means(r)
    low_r, high_r, sure_low_r = (float(np.quantile(means, q)) for q in (LEVEL / 2, 1 - LEVEL / 2, LEVEL / 2 / tests))
    gain, random = sum(trade.gain for trade in trades), random_gains(trades, where.market, where.costs)
    beats = (1 + int(np.sum(random >= gain))) / (1 + len(random))
    verdict = _verdict(len(r), sure_low_r, beats * tests)
    return Walked(
        strategy, tuple(picks), labels, len(r), inside_r, float(np.mean(r)), low_r, high_r, gain,
        float(np.mean(random)), beats, verdict,
    )  # fmt: skip


def block_means(r: F64) -> F64:
    """Return the means of resamples of blocks of neighbours, for trades that follow each other may hang together.

    The blocks are as long as the cube root of the sample. Source: Hall, Horowitz and Jing, On blocking rules for the
    bootstrap with dependent data (1995).
    """
    rng, n = np.random.default_rng(_SEED), len(r)
    length = max(1, round(n ** (1 / 3)))
    blocks = -(-n // length)
    starts = rng.integers(0, n, (RESAMPLES, blocks))
    places = (starts[:, :, None] + np.arange(length)).reshape(RESAMPLES, -1)[:, :n] % n
    found: F64 = np.mean(r[places], axis=1)
    return found


def _verdict(trades: int, sure_low_r: float, corrected_beats: float) -> str:
    if trades < FEWEST_TRADES:
        return f"too few trades out of sample to tell (fewer than {FEWEST_TRADES})"
    if sure_low_r <= 0:
        return "NO EDGE out of sample: the expectancy may well be 0 or less"
    if corrected_beats >= LEVEL:
        return "NO EDGE out of sample: random entries do as well"
    return "an edge out of sample on this data, which is no promise for other data"

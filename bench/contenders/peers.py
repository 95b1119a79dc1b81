"""What the engine is compared with."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from bench.contenders import kand_peer, pandas_peer, talipp_peer
from bench.contenders.accuracy import accuracy
from bench.contenders.batch import Batch, over_all, windowed
from bench.contenders.contender import Contender
from bench.contenders.engine import Lanes
from bench.contenders.market import HISTORY, Series, part
from bench.contenders.steps import Handles, Steps, Unrolled
from common.indicators import Plan

CHECKED = 300
"""Bars over which accuracy is measured."""
LAST_OF_HISTORY = slice(HISTORY - CHECKED, HISTORY)


@dataclass(frozen=True)
class Peer:
    """One of them."""

    name: str
    plan: Plan
    """What the engine computes beside it: what both have, but for what the name says that the peer lacks."""
    make: Callable[[int, int], Contender]
    """Symbols, bars that a lane opens over -> what is measured."""
    most_symbols: int
    """A peer that is slow is measured on so many at the most: for each symbol it does the same again."""
    most_bars: int = 1_000
    """The same in a round."""
    recomputes: bool = False
    """An open bar costs what a closed one does."""
    accuracy: str = ""
    same: bool = False
    """It gives the engine's own values, bit for bit."""


def check_same(lanes: Lanes, other: Contender) -> None:
    """Raise RuntimeError if a lane's values after the last bar are not those of the other's handles."""
    assert isinstance(other, Steps | Unrolled)
    for number, values in enumerate(other.values):
        if lanes.values(number) != values:
            raise RuntimeError(f"lane {number}: expected {values}, found {lanes.values(number)}")


def bare(market: Sequence[Series], plan: Plan) -> Peer:
    """Return the engine's own functions without the engine."""

    def make(symbols: int, max_bars: int) -> Contender:
        return Steps(market, plan, symbols, Handles(plan, max_bars).follow)

    return Peer("TA-Lib's handles in a loop", plan, make, most_symbols=10_000, accuracy="0", same=True)


def unrolled(market: Sequence[Series], plan: Plan) -> Peer:
    """Return the same, called by the code that the engine writes out for a plan: what is left is the lane's own."""

    def make(symbols: int, max_bars: int) -> Contender:
        return Unrolled(market, plan, symbols, Handles(plan, max_bars).follow)

    return Peer("TA-Lib's handles, unrolled", plan, make, most_symbols=10_000, accuracy="0", same=True)


def peers(market: Sequence[Series], plan: Plan) -> Iterator[Peer]:
    """Yield all of them; those after one another that compute the same can share the engine's lanes."""
    yield bare(market, plan)
    yield unrolled(market, plan)
    for bars in (HISTORY, 500):
        yield _batch(market, plan, bars)
        yield _pandas(market, plan, bars)
    yield _talipp(market, plan)
    yield _kand(market, plan)


def _batch(market: Sequence[Series], plan: Plan, bars: int) -> Peer:
    known = Plan(tuple(one for one in plan.indicators if one.function.source == "TA-Lib"))
    places = slice(HISTORY, HISTORY + CHECKED)
    found = windowed(known, market[0], places, bars)
    return Peer(
        f"TA-Lib over {bars:,} bars{_without(plan, known)}",
        plan,
        lambda symbols, _: Batch(market, known, symbols, bars),
        most_symbols=20,
        most_bars=20,
        recomputes=True,
        accuracy=str(accuracy(found, over_all(known, market[0], places))),
    )


def _without(plan: Plan, known: Plan) -> str:
    """Return what the peer lacks, which the engine computes beside."""
    lacks = [one.name for one in plan.indicators if one not in known.indicators]
    return f" without {', '.join(lacks)}" if lacks else ""


def _talipp(market: Sequence[Series], plan: Plan) -> Peer:
    same = part(plan, talipp_peer.NAMES)
    found = talipp_peer.values(market[0], CHECKED)
    off = accuracy(found, over_all(same, market[0], LAST_OF_HISTORY))
    return Peer(
        "talipp", same, lambda symbols, _: talipp_peer.Talipp(market, symbols), most_symbols=100, accuracy=str(off)
    )


def _pandas(market: Sequence[Series], plan: Plan, bars: int) -> Peer:
    known = part(plan, pandas_peer.NAMES)
    found = pandas_peer.values(market[0], slice(HISTORY - bars, HISTORY), CHECKED)

    def make(symbols: int, _: int) -> Contender:
        return pandas_peer.PandasTa(market, symbols, bars)

    return Peer(
        f"pandas-ta-classic over {bars:,} bars{_without(plan, known)}",
        plan,
        make,
        most_symbols=1,
        most_bars=1,
        recomputes=True,
        accuracy=str(accuracy(found, over_all(known, market[0], LAST_OF_HISTORY))),
    )


def _kand(market: Sequence[Series], plan: Plan) -> Peer:
    same = kand_peer.offered(plan)
    found = kand_peer.values(same, market[0], CHECKED)
    off = accuracy(found, over_all(same, market[0], slice(HISTORY, HISTORY + CHECKED)))

    def make(symbols: int, _: int) -> Contender:
        return Steps(market, same, symbols, partial(kand_peer.follow, same))

    return Peer("kand", same, make, most_symbols=1_000, accuracy=str(off))

"""Indicators per closed bar and per update of the open bar: the engine's lanes beside TA-Lib bare and other libraries.

Times are the processor's, a symbol, in rounds that measure both in turn. "Off by" is the largest difference from
TA-Lib's batch functions over all bars, as a share of the largest number of that name. The engine's own numbers are
compared with those of the handles after each run: they must be the same.
"""

import gc
from collections.abc import Iterator, Sequence

from bench.contenders.contender import Contender
from bench.contenders.engine import Lanes
from bench.contenders.market import HISTORY, SPAN, Series, made
from bench.contenders.measure import Measured, Rounds, in_turn
from bench.contenders.peers import Peer, bare, check_same, peers, unrolled
from bench.lane_costs import FIFTEEN, encoding_rows, opening_rows
from bench.row import Row
from common.indicators import Plan, load_plan, parse_plan

BARS_OF_A_ROUND = {3: 60, 100: 5, 1_000: 1, 10_000: 1}
"""By the number of symbols."""
ROUNDS = 7
WALKS = 16
"""Different series of bars; with more symbols, several have the same."""
SMALL_CACHE = 1_000
"""Bars of a lane above 1,000 symbols, so that all lanes fit into 3 GB; the default plan needs 995."""


def run() -> list[Row]:
    """Return the rows: for each number of symbols, then what a lane costs beside."""
    market, plan = made(WALKS), load_plan(None).unchained()
    compared = list(peers(market, plan))
    rows = [row for symbols in BARS_OF_A_ROUND for row in _rows(market, compared, symbols)]
    fifteen = parse_plan(FIFTEEN, "the bench")
    rows += _rows(market, [bare(market, fifteen), unrolled(market, fifteen)], 100)
    return rows + opening_rows(market[0]) + encoding_rows(market[0])


def _rows(market: Sequence[Series], compared: Sequence[Peer], symbols: int) -> Iterator[Row]:
    max_bars = HISTORY if symbols <= 1_000 else SMALL_CACHE
    ours = Ours(market, symbols, max_bars)
    for peer in compared:
        other = peer.make(min(symbols, peer.most_symbols), max_bars)
        bars = BARS_OF_A_ROUND[symbols]
        rounds = Rounds(ROUNDS, bars, min(bars, peer.most_bars), peeks=not peer.recomputes)
        lanes, first = ours.for_bars(peer.plan, rounds.needed)
        if peer.same:
            for place in range(first):  # what the lanes have taken in beside other peers
                other.close(place)
        mine, its = in_turn(lanes, other, first, rounds)
        if peer.same:
            check_same(lanes, other)
        yield from _of_peer(peer, mine, its, f"{symbols:,} symbols", _note(ours, other))


def _of_peer(peer: Peer, mine: Measured, its: Measured, symbols: str, note: str) -> Iterator[Row]:
    kinds = {"closed bar": (mine.closes, its.closes), "open bar": (mine.peeks, its.peeks)}
    for kind, (ours_us, peer_us) in kinds.items():
        if ours_us:
            what = f"{symbols}, {len(peer.plan.indicators)} indicators, {kind}"
            yield Row(what, "us", ours_us, peer.name, peer_us, by_round=True, accuracy=peer.accuracy, note=note)


class Ours:
    """The lanes of the last plan that was asked for: those of one plan at a time are what fits into memory."""

    def __init__(self, market: Sequence[Series], symbols: int, max_bars: int) -> None:
        self.symbols, self.max_bars = symbols, max_bars
        self._market = market
        self._plan, self._lanes, self._place = Plan(()), Lanes(market, Plan(()), 0, max_bars), 0

    def for_bars(self, plan: Plan, bars: int) -> tuple[Lanes, int]:
        """Return lanes, and the first of so many bars that they have not seen."""
        if plan is not self._plan or self._place + bars > SPAN:
            del self._lanes
            gc.collect()
            self._plan, self._place = plan, 0
            self._lanes = Lanes(self._market, plan, self.symbols, self.max_bars)
        first, self._place = self._place, self._place + bars
        return self._lanes, first


def _note(ours: Ours, other: Contender) -> str:
    """Return how the row was measured: the bars that lanes keep, and how many symbols the peer had."""
    peers = f", peer on {other.symbols:,} of them" if other.symbols < ours.symbols else ""
    return f"MAX_BARS_CACHE {ours.max_bars:,}{peers}"

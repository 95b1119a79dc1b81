"""Two contenders in turn, so that what else the machine does meets both."""

import gc
import time
from dataclasses import dataclass, field

from bench.contenders.contender import Contender

WARM_UP = 3
"""Bars that are not measured: with a lane's first one, the list of its bars moves to where it can grow."""


@dataclass
class Measured:
    """Microseconds of the processor a bar and symbol, in each round."""

    peeks: list[float] = field(default_factory=list)
    closes: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Rounds:
    """How both are measured."""

    count: int
    bars: int
    """Of ours in a round."""
    peer_bars: int
    """Of the peer's: the first ones of ours."""
    peeks: bool
    """Whether with open bars, too."""

    @property
    def needed(self) -> int:
        """Bars that all of it takes."""
        return WARM_UP + self.count * self.bars


def in_turn(ours: Contender, peer: Contender, first: int, rounds: Rounds) -> tuple[Measured, Measured]:
    """Measure both in each round, open bars before the same are closed. first: among the bars to be measured."""
    found = Measured(), Measured()
    for contender in (ours, peer):
        _close(contender, range(first, first + WARM_UP))
    gc.collect()
    gc.freeze()  # as the stages do
    for number in range(rounds.count):
        start = first + WARM_UP + number * rounds.bars
        both = (ours, range(start, start + rounds.bars)), (peer, range(start, start + rounds.peer_bars))
        if rounds.peeks:
            for (contender, places), measured in zip(both, found, strict=True):
                measured.peeks.append(_peek(contender, places))
        for (contender, places), measured in zip(both, found, strict=True):
            measured.closes.append(_close(contender, places))
    gc.unfreeze()
    return found


def _peek(contender: Contender, places: range) -> float:
    began_s = time.process_time()
    for place in places:
        contender.peek(place)
    return _each_us(began_s, contender, places)


def _close(contender: Contender, places: range) -> float:
    began_s = time.process_time()
    for place in places:
        contender.close(place)
    return _each_us(began_s, contender, places)


def _each_us(began_s: float, contender: Contender, places: range) -> float:
    return (time.process_time() - began_s) * 1e6 / (len(places) * contender.symbols)

"""Run a stored period through the stages again, and compare."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from replay.bars import BarCheck
from replay.lead_in import seed
from replay.line import Line, Produced
from replay.plan import Plan
from replay.record import Record
from replay.signals import SignalCheck
from replay.tally import Findings
from replay.terms import Terms
from replay.verdicts import VerdictCheck
from storer.rebuild import Id

CHUNK_CYCLES = 250


class Progress(Protocol):
    """Hears how far the replay is."""

    def __call__(self, cycles: int, entries: int) -> None: ...


@dataclass(frozen=True)
class _Leg:
    """Entries that are replayed together, and what follows them."""

    after: Id
    last: Id
    fresh_start: bool
    """Redis was found empty after them."""


class Replay:
    """One partition's period."""

    def __init__(self, record: Record, line: Line, planned: Plan, findings: Findings, progress: Progress) -> None:
        self._record, self._line, self._plan = record, line, planned
        self._findings, self._progress = findings, progress
        span, tallies = planned.span, findings.tallies
        lead_in_ms = None if planned.whole else record.clock(span.partition, planned.begin).now_ms
        self._terms = Terms(line.table, line.settings, lead_in_ms)
        self._doubted: set[str] = set()
        """Symbols of which quotes were judged otherwise than stored."""
        self._verdicts = VerdictCheck(record, planned, tallies)
        self._bars = BarCheck(record, planned, self._terms, self._doubted, tallies["bars"])
        self._signals = SignalCheck(record, planned, self._terms, self._bars, tallies["signals"])
        self._taken = record.taken(span.partition, planned.begin, span.last)

    def run(self) -> None:
        """Replay and compare all of it."""
        begin, span = self._plan.begin, self._plan.span
        self._line.begin([] if self._plan.whole else seed(self._record, span.partition, begin, self._terms))
        for leg in self._legs():
            self._replay(leg)
            self._give(leg.last)
            if leg.fresh_start:
                self._begin_anew()
        self._bars.finish()
        self._signals.finish()

    def _begin_anew(self) -> None:
        self._findings.fresh_starts += 1
        self._signals.lose()
        self._bars.lose()
        self._line.begin()

    def _legs(self) -> Iterator[_Leg]:
        """Yield the period in pieces that end where something else than entries of `raw` comes in."""
        span, at = self._plan.span, self._plan.begin
        fresh = {place for place in self._record.fresh_starts(span.partition, span.last) if place > at}
        cuts = {*fresh, *(taken.after for taken in self._taken), span.after, span.last}
        for cut in sorted(place for place in cuts if place > at):
            while at < cut:
                last = min(cut, self._record.clocks_ahead(span.partition, at, span.last, CHUNK_CYCLES))
                yield _Leg(at, last, last in fresh)
                at = last

    def _replay(self, leg: _Leg) -> None:
        entries = self._record.entries(self._plan.span.partition, leg.after, leg.last)
        produced = self._line.feed(entries)
        if leg.after >= self._plan.span.after:
            self._compare(leg, produced)
        cycles = sum(message.__struct_config__.tag == "clock" for _, message in entries)
        self._findings.entries += len(entries)
        self._findings.cycles += cycles
        self._progress(cycles, len(entries))

    def _give(self, place: Id) -> None:
        for taken in self._taken:
            if taken.after == place:
                self._line.give(taken.history)

    def _compare(self, leg: _Leg, produced: Produced) -> None:
        self._doubted |= self._verdicts.compare(leg.after, leg.last, produced)
        self._bars.compare(produced.bars)
        self._signals.compare(produced.signals)

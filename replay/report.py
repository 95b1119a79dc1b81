"""What the operator reads: how far it is, and how it came out."""

import sys
import time
from collections.abc import Collection, Iterator, Sequence
from typing import TextIO

from replay.period import shown
from replay.plan import Plan
from replay.tally import Findings, Tally

EVERY_S = 1.0
QUIET_S = 2.0  # what is done sooner needs no progress


class Meter:
    """Tells the progress of long work on stderr: on a terminal in one line, else a line every ten seconds."""

    def __init__(self, cycles: int, out: TextIO = sys.stderr) -> None:
        """`cycles`: all that there are."""
        self._all, self._out = max(1, cycles), out
        self._cycles = self._entries = 0
        self._began_s = self._told_s = time.monotonic()
        self._every_s = EVERY_S if out.isatty() else 10 * EVERY_S

    @property
    def seconds(self) -> float:
        """Since it began."""
        return max(1e-9, time.monotonic() - self._began_s)

    def __call__(self, cycles: int, entries: int) -> None:
        """Count what is done."""
        self._cycles, self._entries = self._cycles + cycles, self._entries + entries
        now_s = time.monotonic()
        if self.seconds < QUIET_S or now_s - self._told_s < self._every_s:
            return
        self._told_s = now_s
        left_s = self.seconds * (self._all - self._cycles) / max(1, self._cycles)
        line = (
            f"{self._cycles / self._all:4.0%}  {self._entries:,} entries, {self._entries / self.seconds:,.0f} a second,"
            f" {_clock(left_s)} left"
        )
        self._out.write(f"\r{line}   " if self._out.isatty() else f"{line}\n")
        self._out.flush()

    def end(self) -> None:
        """Leave the line."""
        if self._out.isatty() and self.seconds >= QUIET_S:
            self._out.write("\r" + " " * 78 + "\r")


def lines(plans: Sequence[Plan], findings: Findings, seconds: float, left_out: Collection[str]) -> list[str]:
    """Return the report. left_out: symbols that were asked for, and of which nothing can be said."""
    return [
        *_heading(plans, findings, seconds),
        *_table(findings),
        *_notes(findings),
        *_reservations(plans),
        *([f"left out, without quotes or moved between partitions: {', '.join(sorted(left_out))}"] if left_out else []),
        *_differences(findings),
        verdict(findings),
    ]


def verdict(findings: Findings) -> str:
    """Return the last word."""
    if findings.differing:
        return f"DIFFERENT: {findings.differing:,} of {_compared(findings):,} results are not as they were stored"
    if findings.doubtful:
        return f"UNDECIDED: {findings.doubtful:,} results differ, and the notes above may be why"
    return f"identical: {_compared(findings):,} results"


def _heading(plans: Sequence[Plan], findings: Findings, seconds: float) -> list[str]:
    first, last = min(p.span.from_ms for p in plans), max(p.span.to_ms for p in plans)
    number = f", {len(plans)} partitions" if len(plans) > 1 else ""
    whole = all(plan.whole for plan in plans)
    began = "from where nothing had been before" if whole else "with a shortened lead-in, over the stored bars"
    done = f"{findings.entries:,} entries, {findings.cycles:,} cycles in {_clock(seconds)}"
    return [
        f"compared: {shown(first)} to {shown(last)}{number}",
        f"replayed: {done} ({findings.entries / seconds:,.0f} entries a second), {began}",
    ]


def _table(findings: Findings) -> list[str]:
    rows = [(k, f"{t.compared:,}", f"{t.equal:,}", f"{t.differing:,}") for k, t in findings.tallies.items()]
    return [f"{k:16}{c:>12}{e:>12}{d:>12}" for k, c, e, d in [("", "compared", "equal", "different"), *rows]]


def _notes(findings: Findings) -> list[str]:
    bars, found = findings.tallies["bars"], []
    if bars.superseded:
        found.append(f"bars: {bars.superseded:,} more were built in part, and a repair stands in their place")
    for kind, tally in findings.tallies.items():
        if tally.not_stored_yet:
            found.append(f"{kind}: {tally.not_stored_yet:,} more at the newest end are not stored yet")
        if tally.lost:
            found.append(f"{kind}: {tally.lost:,} more were lost when Redis was emptied")
    if findings.fresh_starts:
        found.append(f"times that Redis was emptied, where the replay forgot everything, too: {findings.fresh_starts}")
    return found


def _reservations(plans: Sequence[Plan]) -> Iterator[str]:
    """Yield why not everything is promised."""
    if not all(plan.whole for plan in plans):
        yield "note: the lead-in is shortened; scores and signals may rest on what was before it"
    for plan in plans:
        if plan.sure_to != plan.span.last:
            yield (
                f"note: after raw entry {plan.sure_to[0]}-{plan.sure_to[1]} Redis went back to an older state and the"
                " stages saw some entries twice, which are kept once: what follows may differ"
            )


def _differences(findings: Findings) -> list[str]:
    return [line for tally in findings.tallies.values() for line in _first(tally)]


def _first(tally: Tally) -> list[str]:
    found = tally.first
    if found is None:
        return []
    place = f"raw entry {found.raw_id}" if found.raw_id else "an entry that is not in the period"
    doubt = "" if found.promised else " (not promised)"
    return [
        f"first difference in {found.kind}, {place}: {found.what}{doubt}",
        *(f"    {line}" for line in found.details),
    ]


def _compared(findings: Findings) -> int:
    return sum(tally.compared for tally in findings.tallies.values())


def _clock(seconds: float) -> str:
    whole = round(seconds)
    return f"{seconds:.1f} s" if seconds < 60 else f"{whole // 60}:{whole % 60:02} min"

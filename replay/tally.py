"""What a comparison has found."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

HISTORIES = "vendors' history"
KINDS = ("quotes", "rejects", HISTORIES, "bars", "signals")


class Difference(NamedTuple):
    """One thing that is stored as it was not replayed."""

    kind: str
    raw_id: str
    """The entry of `raw` that it comes from; empty where it can't be told."""
    what: str
    """Which quote, bar or signal."""
    details: tuple[str, ...]
    """What is stored and what was replayed, one line each."""
    promised: bool = True
    """False: a shortened lead-in, or what Redis forgot, may be why."""


@dataclass
class Tally:
    """How many things of one kind were compared, and what was found first."""

    compared: int = 0
    equal: int = 0
    superseded: int = 0
    """Bars in whose place a better one stands now."""
    differing: int = 0
    doubtful: int = 0
    """Of those that differ: equality was not promised."""
    not_stored_yet: int = 0
    """At the newest end: what the storer had not been given yet."""
    lost: int = 0
    """What was on its way to the storer when Redis was emptied."""
    first: Difference | None = None
    """One whose equality was promised goes before."""

    def add_equal(self, count: int) -> None:
        """Count things that are equal."""
        self.compared += count
        self.equal += count

    def add(self, difference: Difference) -> None:
        """Count a thing that differs."""
        self.compared += 1
        self.differing += 1
        self.doubtful += not difference.promised
        if self.first is None or (difference.promised and not self.first.promised):
            self.first = difference


@dataclass
class Findings:
    """All of it."""

    tallies: dict[str, Tally] = field(default_factory=lambda: {kind: Tally() for kind in KINDS})
    entries: int = 0
    cycles: int = 0
    fresh_starts: int = 0
    """Places at which Redis had been empty."""

    @property
    def differing(self) -> int:
        """How many things differ that should not."""
        return sum(tally.differing - tally.doubtful for tally in self.tallies.values())

    @property
    def doubtful(self) -> int:
        """How many things differ whose equality was not promised."""
        return sum(tally.doubtful for tally in self.tallies.values())


def fields_that_differ(names: Iterable[str], stored: Iterable[object], replayed: Iterable[object]) -> tuple[str, ...]:
    """Return a line for each column in which two rows differ."""
    rows = zip(names, stored, replayed, strict=True)
    return tuple(f"{name}: stored {ours!r}, replayed {theirs!r}" for name, ours, theirs in rows if ours != theirs)

"""What was pushed and is not committed yet: bounded, in order, the newest of each symbol never lost. Pure."""

from collections import deque
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import NamedTuple

from collector.news import News
from collector.push.freshness import Key, key_of
from common.messages import RawQuote

LIMIT = 5_000  # quotes: minutes of six busy symbols


class Arrival(NamedTuple):
    """One quote as it came."""

    source: str
    at_ms: int
    """Stream time."""
    quote: RawQuote


Feeds = Callable[[str, RawQuote], bool]
"""Whether a source's quote feeds a series now; else it only checks the source that does."""


class Buffer:
    """The quotes of all sources until they are taken."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._arrivals: deque[Arrival] = deque()
        self._checks: dict[Key, Arrival] = {}

    def __len__(self) -> int:
        return len(self._arrivals)

    def add(self, source: str, quotes: Sequence[RawQuote], at_ms: int) -> int:
        """Keep quotes. Returns how many older ones gave way: beyond the limit each symbol keeps its newest only."""
        self._arrivals += [Arrival(source, at_ms, quote) for quote in quotes]
        if len(self._arrivals) <= self._limit:
            return 0
        before = len(self._arrivals)
        last = {key_of(arrival.source, arrival.quote): n for n, arrival in enumerate(self._arrivals)}
        self._arrivals = deque(self._arrivals[n] for n in sorted(last.values()))
        return before - len(self._arrivals)

    def take(self, feeds: Feeds, sources: Sequence[str], *, checks: bool) -> tuple[News, ...]:
        """Hand out everything, in the sources' order and then as it came. What only checks waits, each symbol's newest.

        checks: it is their turn.
        """
        feeding: list[Arrival] = []
        for arrival in self._arrivals:
            key = key_of(arrival.source, arrival.quote)
            self._checks.pop(key, None)
            if feeds(arrival.source, arrival.quote):
                feeding.append(arrival)
            else:
                self._checks[key] = arrival
        self._arrivals.clear()
        found = _grouped(feeding, sources, check=False)
        if checks:
            found += _grouped(list(self._checks.values()), sources, check=True)
            self._checks.clear()
        return tuple(found)

    def clear(self) -> None:
        """Forget everything."""
        self._arrivals.clear()
        self._checks.clear()


def _grouped(arrivals: list[Arrival], sources: Sequence[str], *, check: bool) -> list[News]:
    # One message a source; quotes that had to wait keep the second in which they came.
    arrivals.sort(key=lambda a: (sources.index(a.source), a.at_ms // 1000))
    found: list[News] = []
    for (source, _), group in groupby(arrivals, key=lambda a: (a.source, a.at_ms // 1000)):
        held = list(group)
        quotes = tuple(a.quote for a in held)
        found.append(News(source, max(a.at_ms for a in held), quotes, check=check, pushed=True))
    return found

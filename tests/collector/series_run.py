"""A symbol's series, second after second, over sources and sessions that a test lets come and go."""

import msgspec

from collector import series
from collector.series import (
    Allowed,
    Change,
    Record,
)

T0 = 1_763_992_800_000
SECOND = 1_000
OWN, SECOND_BEST, LAST, TERMINAL = "own", "second", "last", "terminal"
ALL = Allowed(TERMINAL, (OWN, SECOND_BEST, LAST))


class Market:
    """What a decision looks at: which sessions are open, and which classes can be asked."""

    def __init__(self, *closed: str) -> None:
        self.closed = set(closed)
        self.unable: set[str] = set()

    def is_open(self, source_class: str, for_ms: int = 0) -> bool:
        return source_class not in self.closed

    def can_serve(self, source_class: str) -> bool:
        return self.is_open(source_class) and source_class not in self.unable


class Run:
    """One symbol, second after second, as the cycles take it through."""

    def __init__(self, allowed: Allowed = ALL) -> None:
        self.allowed, self.market = allowed, Market()
        self.up = set(allowed.vendors)
        self.record = Record(OWN, OWN)
        self.now_ms = T0
        self.changes: list[tuple[int, str, Change]] = []
        self.terminal_every_s: int | None = None
        self._seconds = 0

    def step(self) -> None:
        self.now_ms += SECOND
        self._seconds += 1
        if self.terminal_every_s is not None and self._seconds % self.terminal_every_s == 0:
            self.record = series.heard(self.record, self.now_ms)
        change = series.decide(self.record, self.allowed, self.now_ms, self.market)
        if change is not None:
            self.changes.append((self.now_ms, self.record.active, change))
            self.record = series.changed(self.record, change, self.now_ms)
        self.record = msgspec.json.decode(msgspec.json.encode(self.record), type=Record)  # as a restart would
        self._ask()

    def _ask(self) -> None:
        active = self.record.active
        if active in self.allowed.vendors:
            closed = active in self.market.closed
            served = active in self.up and not closed
            self.record = series.stands(self.record, served=served, closed=closed, now_ms=self.now_ms)
        other = series.to_try(self.record, self.allowed, self.now_ms, self.market)
        if other:
            assert other in self.allowed.vendors
            assert other != active
            self.record = series.was_tried(self.record, other, served=other in self.up, now_ms=self.now_ms)

    def run(self, seconds: int) -> list[tuple[int, str, str]]:
        """Return the changes of so many seconds: after how many, to which class, why."""
        began_ms, known = self.now_ms, len(self.changes)
        for _ in range(seconds):
            self.step()
        return [((at - began_ms) // SECOND, c.source_class, c.why) for at, _, c in self.changes[known:]]

"""What every call and every WebSocket was, in simulated time, and which ticks were told."""

from collections import Counter, deque
from collections.abc import Iterable
from typing import NamedTuple

_KEPT = 300_000
"""Calls kept one by one; older ones stay only in the counts."""


class Entry(NamedTuple):
    """One call."""

    number: int
    cycle: int
    now_ms: int
    vendor: str
    path: str
    verdict: str
    status: int
    credits: int


class Served:
    """Which ticks of one vendor symbol were told: the highest number, and how many distinct ones (a bit for each)."""

    def __init__(self) -> None:
        self.highest = 0
        self.distinct = 0
        self._bits = bytearray(1024)

    def add(self, number: int) -> None:
        """Count a tick that a complete reply told."""
        self.highest = max(self.highest, number)
        place, bit = number >> 3, 1 << (number & 7)
        if place >= len(self._bits):
            self._bits.extend(bytes(max(len(self._bits), place + 1 - len(self._bits))))
        if number > 0 and not self._bits[place] & bit:
            self._bits[place] |= bit
            self.distinct += 1


class Ledger:
    """All calls since the start."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=_KEPT)
        self._number = 0
        self.counts: dict[str, Counter[str]] = {}
        self.streams: dict[str, Counter[str]] = {}
        """Vendor -> WebSockets opened, refused, closed and cut_off, frames sent, ticks told by them."""
        self.served: dict[str, dict[str, Served]] = {}

    def add(self, *, cycle: int, now_ms: int, vendor: str, path: str, verdict: str, status: int, credits_: int) -> None:
        """Note one call."""
        self._number += 1
        self._entries.append(Entry(self._number, cycle, now_ms, vendor, path, verdict, status, credits_))
        self.counts.setdefault(vendor, Counter())[verdict] += 1

    def count_stream(self, vendor: str, what: str, many: int = 1) -> None:
        """Count what happened on a vendor's WebSockets."""
        self.streams.setdefault(vendor, Counter())[what] += many

    def tell(self, vendor: str, ticks: Iterable[tuple[str, int]]) -> None:
        """Note the ticks that a complete reply told."""
        own = self.served.setdefault(vendor, {})
        for symbol, number in ticks:
            if symbol not in own:
                own[symbol] = Served()
            own[symbol].add(number)

    def entries(self, vendor: str | None = None) -> list[Entry]:
        """Return the kept calls, oldest first."""
        return [entry for entry in self._entries if vendor is None or entry.vendor == vendor]

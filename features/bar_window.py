"""The newest bars of one lane, as the bar cache holds them, and the window that its indicators rest on.

All indicators are a pure function of this list of bars. The window begins `max_bars` bars before (and including) the
last anchor: the first bar at or after a multiple of `anchor_bars` bar lengths of time. Between two anchors lie at most
`anchor_bars` bars, so a list of max_bars + anchor_bars bars always reaches back to its own window's beginning; while
fewer were ever seen, the window begins with the first of them.
"""

import zlib
from collections.abc import Iterable

import numpy as np

from common.bars import INCOMPLETE, RECORD, VENDOR, Records, unpack

SLACK_BARS = 512  # how many bars more are kept in memory, so that the front is cut off once in a while, not each time
_SIZE = RECORD.itemsize


class BarWindow:
    """A growing list of packed bars, of which the last max_bars + anchor_bars count."""

    def __init__(self, lane: str, timeframe_ms: int, max_bars: int, anchor_bars: int) -> None:
        """`lane`: its name, whose hash moves the anchors so that not all lanes reopen at once."""
        self.kept_bars = max_bars + anchor_bars
        self.bars_seen = 0
        """Bars in the window."""
        self.last_open_ms: int | None = None
        self._max_bars = max_bars
        self._period_ms = anchor_bars * timeframe_ms
        self._offset_ms = zlib.crc32(lane.encode()) % anchor_bars * timeframe_ms
        self._packed = bytearray()

    def __len__(self) -> int:
        return min(len(self._packed) // _SIZE, self.kept_bars)

    def load(self, records: Iterable[bytes]) -> None:
        """Take the list as it was stored, oldest first."""
        self._packed = bytearray(b"".join(records))
        kept = self.records()
        self.last_open_ms = int(kept["open_ms"][-1]) if len(kept) else None
        self.bars_seen = len(kept) - self._window_start(kept)

    def append(self, record: bytes, open_ms: int) -> bool:
        """Add the next closed bar; tell whether it is an anchor, where the window moves on."""
        anchor = self.last_open_ms is not None and self._epoch(open_ms) != self._epoch(self.last_open_ms)
        self._packed += record
        self.last_open_ms = open_ms
        surplus = len(self._packed) // _SIZE - self.kept_bars
        if surplus > SLACK_BARS:
            del self._packed[: surplus * _SIZE]
        self.bars_seen = min(self._max_bars, len(self)) if anchor else self.bars_seen + 1
        return anchor

    def merge(self, records: dict[int, bytes], *, instead: bool = False) -> set[int]:
        """Take history in, by open time; return which times changed by it. instead: whatever is there.

        Else, of two bars of one time, the better stays, as in SQLite: our own complete one, then a vendor's, then our
        own incomplete one; among equals the first, but for a vendor's later word on its own bar.
        """
        known = {int(r["open_ms"]): r.tobytes() for r in self.records()}
        better = {at: r for at, r in records.items() if instead or at not in known or _goes_before(r, known[at])}
        merged = known | better
        newest = {at: merged[at] for at in sorted(merged)[-self.kept_bars :]}
        changed = {at for at, record in newest.items() if known.get(at) != record}
        if changed:
            self.load(newest.values())
        return changed

    def records(self) -> Records:
        """Return a copy of the bars that count, oldest first."""
        return unpack(bytes(self._packed[-self.kept_bars * _SIZE :]))

    def window(self) -> Records:
        """Return a copy of the window's bars, oldest first."""
        return unpack(bytes(self._packed[len(self._packed) - self.bars_seen * _SIZE :]))

    def stored(self) -> list[bytes]:
        """Return what the bar cache's list must hold."""
        joined = bytes(self._packed[-self.kept_bars * _SIZE :])
        return [joined[at : at + _SIZE] for at in range(0, len(joined), _SIZE)]

    def _epoch(self, open_ms: int) -> int:
        return (open_ms + self._offset_ms) // self._period_ms

    def _window_start(self, kept: Records) -> int:
        """Return the index of the window's first bar."""
        if not len(kept):
            return 0
        epochs = (kept["open_ms"] + self._offset_ms) // self._period_ms
        anchor = int(np.searchsorted(epochs, epochs[-1]))
        # At index 0 nothing tells whether it was an anchor, and it need not: the window begins there anyway.
        return max(0, anchor + 1 - self._max_bars)


def _goes_before(record: bytes, known: bytes) -> bool:
    new, old = unpack(record)[0], unpack(known)[0]
    if rank(record) != rank(known):
        return rank(record) > rank(known)
    correction = new["flags"] & VENDOR and new["source"] == old["source"]
    return bool(correction) and any(new[name] != old[name] for name in ("open", "high", "low", "close", "volume"))


def rank(record: bytes) -> int:
    """Return how much a bar is to be believed: 2 built and complete, 1 a vendor's, 0 built in part."""
    flags = int(unpack(record)["flags"][0])
    if flags & VENDOR:
        return 1
    return 0 if flags & INCOMPLETE else 2

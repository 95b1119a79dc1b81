"""The newest bars of one lane, as the bar cache holds them, and the window that its indicators rest on.

All indicators are a pure function of this list of bars: common/indicators/anchors.py tells which of them count.
"""

from common.bars import INCOMPLETE, RECORD, VENDOR, Records, unpack
from common.indicators.anchors import Anchors

SLACK_BARS = 512  # how many bars more are kept in memory, so that the front is cut off once in a while, not each time
_SIZE = RECORD.itemsize


class BarWindow:
    """A growing list of packed bars, of which the last max_bars + anchor_bars count."""

    def __init__(self, lane: str, timeframe_ms: int, max_bars: int, anchor_bars: int) -> None:
        """`lane`: its name, whose hash moves the anchors so that not all lanes reopen at once."""
        self.timeframe_ms = timeframe_ms
        self.kept_bars = max_bars + anchor_bars
        self.bars_seen = 0
        """Bars in the window."""
        self.anchor_place = 0
        """Where in the window the last anchor stands: the first bar, where there was none."""
        self.last_open_ms: int | None = None
        self.loads = 0
        """How often the list was taken as a whole."""
        self.version = 0
        """Grows with each load and each anchor: what is opened over the window is opened anew."""
        self.max_bars = max_bars
        self._anchors = Anchors(lane, timeframe_ms, anchor_bars)
        self._packed = bytearray()

    def __len__(self) -> int:
        return min(len(self._packed) // _SIZE, self.kept_bars)

    def load(self, joined: bytes | bytearray) -> None:
        """Take the list as it was stored, oldest first. A bytearray is not copied: nobody else may change it."""
        self._packed = joined if isinstance(joined, bytearray) else bytearray(joined)
        self.loads += 1
        self.version += 1
        open_ms = unpack(joined)["open_ms"][-self.kept_bars :]
        self.last_open_ms = int(open_ms[-1]) if len(open_ms) else None
        start, anchor = self._anchors.window(open_ms, self.max_bars)
        self.bars_seen, self.anchor_place = len(open_ms) - start, anchor - start

    def append(self, record: bytes, open_ms: int) -> bool:
        """Add the next closed bar; tell whether it is an anchor, where the window moves on."""
        epoch, before_ms = self._anchors.epoch, self.last_open_ms
        anchor = before_ms is not None and epoch(open_ms) != epoch(before_ms)
        self._packed += record
        self.last_open_ms = open_ms
        surplus = len(self._packed) // _SIZE - self.kept_bars
        if surplus > SLACK_BARS:
            del self._packed[: surplus * _SIZE]
        self.bars_seen = min(self.max_bars, len(self)) if anchor else self.bars_seen + 1
        if anchor:
            self.anchor_place = self.bars_seen - 1
            self.version += 1
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
            self.load(b"".join(newest.values()))
        return changed

    def records(self) -> Records:
        """Return a copy of the bars that count, oldest first."""
        return self._last(self.kept_bars)

    def newest(self, count: int) -> Records:
        """Return a copy of so many of them, the newest; fewer where there are no more."""
        return self._last(min(count, self.kept_bars))

    def newest_record(self) -> bytes | None:
        """Return the newest bar as it is packed; None without one."""
        return bytes(self._packed[-_SIZE:]) or None

    def first_open_ms(self) -> int | None:
        """Return when the oldest bar that counts opened; None without one."""
        at = len(self._packed) - len(self) * _SIZE
        return int(unpack(bytes(self._packed[at : at + _SIZE]))["open_ms"][0]) if self._packed else None

    def window(self) -> Records:
        """Return a copy of the window's bars, oldest first."""
        return self._last(self.bars_seen)

    def _last(self, count: int) -> Records:
        with memoryview(self._packed) as packed:
            return unpack(bytes(packed[max(0, len(packed) - count * _SIZE) :]))

    def stored(self) -> list[bytes]:
        """Return what the bar cache's list must hold."""
        joined = bytes(self._packed[-self.kept_bars * _SIZE :])
        return [joined[at : at + _SIZE] for at in range(0, len(joined), _SIZE)]


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

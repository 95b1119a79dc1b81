"""Which of the terminal's ticks were seen already.

The newest ticks of each symbol are remembered by what they say. One that is older than all of them can't be told from a
repetition, and is taken for one. Ticks from the future (a wrong offset, a wrong clock) are the first to be forgotten:
else they would keep out all that come once it is put right.
"""

import zlib
from bisect import insort
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from common.messages import AHEAD_MS, TerminalTick
from common.redis_link import Command

KEPT = 2_000
"""Ticks remembered of each symbol: minutes of a busy market, far more than a client sends again."""

_encoder = msgspec.json.Encoder()


class Head(Struct, frozen=True):
    """What is told of a symbol's ticks, and committed."""

    newest_ms: int = 0
    """Market time of the newest one."""
    received_ms: int = 0
    """Stream time at which the last new one came."""
    account: str = ""
    """Whose terminal sent it."""


_decoder = msgspec.json.Decoder(Head)


class Seen:
    """The ticks of one symbol: in memory, and in a sorted set of Redis."""

    def __init__(self, head: bytes = b"{}", members: Sequence[bytes] = ()) -> None:
        """head, members: as `take_writes` has stored them."""
        self.head = _decoder.decode(head)
        self._order = sorted(members)  # as Redis orders them: by market time, then by content
        self._names = set(members)
        self._added: list[tuple[int, bytes]] = []
        self._forgotten: list[bytes] = []

    def admit(self, tick: TerminalTick, account: str, received_ms: int) -> bool:
        """Return whether the tick is new, and remember it."""
        name = identity(tick)
        if name in self._names:
            return False
        if len(self._order) >= KEPT:
            soon = b"%013d" % (received_ms + AHEAD_MS)
            if name < self._order[0] < soon:
                return False
            if name < soon < self._order[-1]:
                self._forget_newest()
        self._names.add(name)
        insort(self._order, name)
        if len(self._order) > KEPT:
            self._names.discard(self._order.pop(0))
        self._added.append((tick.market_ms, name))
        self.head = Head(max(self.head.newest_ms, tick.market_ms), received_ms, account)
        return True

    def _forget_newest(self) -> None:
        gone = self._order.pop()
        self._names.discard(gone)
        self._forgotten.append(gone)

    def take_writes(self, key: str, state: str, field: str) -> list[Command]:
        """Return what commits the ticks that were new since the last call: their set at `key`, the head to `state`."""
        if not self._added:
            return []
        pairs = [part for added in self._added for part in added]
        forget: list[Command] = [("ZREM", key, *self._forgotten)] if self._forgotten else []
        self._added, self._forgotten = [], []
        return [
            ("ZADD", key, *pairs),
            *forget,
            ("ZREMRANGEBYRANK", key, 0, -KEPT - 1),
            ("HSET", state, field, _encoder.encode(self.head)),
        ]


def identity(tick: TerminalTick) -> bytes:
    """Return what a tick has in common with its repetition; sorts by market time."""
    content = _encoder.encode((tick.bid, tick.ask, tick.last, tick.volume))
    return b"%013d:%08x" % (tick.market_ms, zlib.crc32(content))

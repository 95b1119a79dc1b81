"""One live client: what it wants, what waits for it, and why it is sent away."""

import asyncio
from dataclasses import dataclass

from api.live.cursor import Cursor
from common.messages import Signal

QUEUE = 100  # signals; more than a client that reads ever has waiting, and soon worthless anyway


@dataclass(frozen=True)
class End:
    """Why the server ends a connection. `code` is a fixed slug."""

    code: str
    message: str
    socket_code: int
    """A WebSocket's close code."""
    within_s: float
    """How long the client has to take what it was sent, and this word; then the connection is cut."""


TOO_SLOW = End("too_slow", "signals came faster than they were read; connect again and read on", 4008, 2.0)
AWAY = End("redis_away", "the stream of signals can't be read; connect again", 1013, 2.0)
RESTARTING = End("restarting", "the server is stopping; connect again", 1012, 0.5)


@dataclass(frozen=True)
class Wanted:
    """What a client asked for."""

    equity: float
    symbols: frozenset[str]
    """Generic names; empty: all."""
    since: Cursor | None
    """Where it has been before; None: it begins now."""


@dataclass(frozen=True)
class Entry:
    """One published signal. `cursor`: where one is who has read it."""

    cursor: Cursor
    signal: Signal


class Client:
    """What waits for one client. `joined`: where the reader was when it came."""

    def __init__(self, wanted: Wanted, transport: str, joined: Cursor) -> None:
        self.wanted = wanted
        self.transport = transport
        self.joined = joined
        self.ended: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self._waiting: asyncio.Queue[Entry] = asyncio.Queue(QUEUE)

    def offer(self, entry: Entry) -> None:
        """Have an entry wait; a client that is too far behind is sent away instead."""
        try:
            self._waiting.put_nowait(entry)
        except asyncio.QueueFull:
            self.end(TOO_SLOW)

    def end(self, why: End) -> None:
        """Send the client away. The first reason counts."""
        if not self.ended.done():
            self.ended.set_result(why)

    async def next(self, within_s: float) -> Entry | None:
        """Return the next entry; None if none comes in time."""
        try:
            async with asyncio.timeout(within_s):
                return await self._waiting.get()
        except TimeoutError:
            return None

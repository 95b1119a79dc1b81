"""From the sockets to the stream while it comes: each commit takes all that has come since the one before."""

import asyncio
from collections.abc import Callable
from uuid import uuid4

from collector.news import News
from collector.publish import Publisher
from collector.push.push import Push
from collector.right_of_way import RightOfWay

PAUSE_S = 0.01  # between two commits: busy vendors cost a hundred of them a second, not thousands


class Outlet:
    """Where the cycles and the sockets meet.

    A live commit that failed is repeated where it had not happened, and only there. Stepped, what was pushed goes out
    with its cycle's end, and comes again with a cycle that is repeated.
    """

    def __init__(self, push: Push, publisher: Publisher, way: RightOfWay, now_ms: Callable[[], int]) -> None:
        self.push = push
        self._publisher, self._way, self._now_ms = publisher, way, now_ms
        self._life, self._number = uuid4().hex[:8], 0
        self._in_hand: tuple[News, ...] = ()

    def open(self, *, stepped: bool) -> None:
        """Go on from what was committed."""
        self.push.restore(self._publisher.marks(), forget=stepped)
        self.push.start()

    async def step(self, now_ms: int) -> tuple[News, ...]:
        """Return all that was pushed up to the stepped cycle that has just begun."""
        await self.push.catch_up()
        return self.push.take(now_ms, checks=True)

    async def run(self) -> None:
        """Publish as it comes, until cancelled."""
        while True:
            await self.push.arrived.wait()
            await self._way.room()
            self.flush(checks=False)
            await asyncio.sleep(PAUSE_S)

    def flush(self, *, checks: bool) -> int:
        """Commit all that has come; with `checks` also what only checks. Returns how many quotes were new."""
        new = self._commit() if self._in_hand else 0
        self._in_hand = self.push.take(self._now_ms(), checks=checks)
        if self._in_hand:
            self._number += 1
            new += self._commit()
        return new

    def _commit(self) -> int:
        new = self._publisher.publish_batch(f"{self._life}:{self._number}", self._in_hand)
        self._in_hand = ()
        return new

"""How fast simulated time may go."""

import asyncio
from collections.abc import Awaitable, Callable

_LATE_AT_MOST_S = 0.25
"""A cycle that is asked for later than this is not caught up with: time then goes on from when it was asked for."""


class Pace:
    """Releases cycles at most `speed` times as fast as real time; speed 0 releases them at once."""

    def __init__(
        self,
        speed: float,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.speed = speed
        self._clock = clock
        self._sleep = sleep
        self._due_s: float | None = None
        """Real time at which the last cycle was due ..."""
        self._at_ms = 0
        """... and its simulated time."""
        self._era = 0

    async def release(self, at_ms: int) -> None:
        """Return when the cycle at simulated time `at_ms` is due. A time that was released already is due at once."""
        if self.speed <= 0:
            return
        now_s = self._clock()
        if self._due_s is None:
            self._due_s, self._at_ms = now_s, at_ms
        if at_ms <= self._at_ms:
            return
        era = self._era
        due_s = self._due_s + (at_ms - self._at_ms) / 1000 / self.speed
        if due_s > now_s:
            await self._sleep(due_s - now_s)
        elif due_s < now_s - _LATE_AT_MOST_S:
            due_s = now_s
        if era == self._era:  # else time was moved on meanwhile
            self._due_s, self._at_ms = due_s, at_ms

    def rebase(self) -> None:
        """Begin anew with the next cycle, which is due at once."""
        self._due_s = None
        self._era += 1

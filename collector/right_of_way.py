"""Who goes first in the collector: cycles before history, and nobody while a stream is at its budget."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# A cycle that waits for a silent vendor, or one after the other without a pause, must not keep history for ever.
YIELD_S = 0.5
HELD_BACK_S = 0.2


class RightOfWay:
    """What runs beside the cycles asks here before each piece of its work."""

    def __init__(self) -> None:
        self.held_back: tuple[str, ...] = ()
        """The streams that are at their budget: nothing may be written until there is room."""
        self._no_cycle = asyncio.Event()
        self._no_cycle.set()

    @contextmanager
    def cycle(self) -> Iterator[None]:
        """Go first for as long as this lasts."""
        self._no_cycle.clear()
        try:
            yield
        finally:
            self._no_cycle.set()

    async def free(self) -> None:
        """Wait until nothing is held back and no cycle is in progress; for a cycle at most YIELD_S."""
        await asyncio.sleep(0)
        await self.room()
        with suppress(TimeoutError):
            async with asyncio.timeout(YIELD_S):
                await self._no_cycle.wait()

    async def room(self) -> None:
        """Wait until nothing is held back: for what is as urgent as a cycle."""
        while self.held_back:  # noqa: ASYNC110  # told once a second; an event would have to be told twice
            await asyncio.sleep(HELD_BACK_S)

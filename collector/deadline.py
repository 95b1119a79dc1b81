"""How long a vendor may take: time in which this process itself stood still is no silence of the vendor's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

STOOD_STILL_S = 0.25
"""So late is a timer only where the process was stopped, suspended or starved: then an answer may lie unread."""


@asynccontextmanager
async def deadline(seconds: float) -> AsyncIterator[None]:
    """Do as asyncio.timeout does; but where the process stood still beyond the end, the time begins anew, once."""
    loop = asyncio.get_running_loop()
    end_s, anew = loop.time() + seconds, False
    timer: asyncio.TimerHandle

    def look() -> None:
        nonlocal end_s, anew, timer
        now_s = loop.time()
        if anew or now_s - end_s <= STOOD_STILL_S:
            limit.reschedule(now_s)
            return
        end_s, anew = now_s + seconds, True
        timer = loop.call_at(end_s, look)

    async with asyncio.timeout(None) as limit:
        timer = loop.call_at(end_s, look)
        try:
            yield
        finally:
            timer.cancel()

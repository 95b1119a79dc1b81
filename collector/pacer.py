"""When a cycle begins: at each interval of the wall clock, or when the simulator says so."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx
import msgspec
import structlog
from msgspec import Struct

from common.errors import Fatal

log = structlog.get_logger()

Sleep = Callable[[float], Awaitable[None]]

LONGEST_NAP_S = 0.5  # the wall clock may be set meanwhile
SIMULATOR_PAUSE_S = 0.5
SIMULATOR_DEADLINE_S = 60.0  # it holds the request back until the cycle is due
IDLE_POLL_S = 2.0


@dataclass(frozen=True)
class Tick:
    """One cycle that is due."""

    cycle: int
    now_ms: int
    """The stream's time at its beginning."""
    speed: float = 1.0
    skipped: int = 0
    """Cycles that were not begun because the one before took too long."""
    stepped: bool = False
    """Time stands still until the cycle is committed."""


class WallPacer:
    """A tick at every whole interval of the wall clock. One that was missed is counted and never made up for."""

    def __init__(self, interval_s: float, wall_ms: Callable[[], int], sleep: Sleep = asyncio.sleep) -> None:
        self.interval_ms = max(1, round(interval_s * 1000))
        self._wall_ms, self._sleep = wall_ms, sleep
        self._last = 0
        """Number of the last interval that had its tick; 0: none yet."""

    async def next(self, after: int) -> Tick:
        """Return the tick of the next interval; `after` is the last committed cycle."""
        due = self._wall_ms() // self.interval_ms + 1
        while (left_ms := due * self.interval_ms - self._wall_ms()) > 0:
            if left_ms > self.interval_ms:  # the clock was put back: wait for its own next interval
                due = self._wall_ms() // self.interval_ms + 1
                continue
            await self._sleep(min(left_ms / 1000, LONGEST_NAP_S))
        number = self._wall_ms() // self.interval_ms
        skipped = max(0, number - self._last - 1) if self._last else 0
        self._last = number
        return Tick(after + 1, number * self.interval_ms, skipped=skipped)


class SimulatorTick(Struct, frozen=True):
    """What the simulator answers: the next cycle, or that its data has ended."""

    cycle: int = 0
    now_ms: int = 0
    speed: float = 1.0
    done: bool = False


class SimPacer:
    """The simulator's pace: it gives the next cycle when the last one is committed and its time has come."""

    def __init__(self, url: str, client: httpx.AsyncClient, sleep: Sleep = asyncio.sleep) -> None:
        self._url, self._client, self._sleep = url, client, sleep
        self._waiting = self._done = False
        self._committed = 0
        """The last committed cycle that was named: it is not forgotten where Redis was emptied."""

    async def next(self, after: int) -> Tick:
        """Return the cycle after the last committed one; waits for the simulator to come up, and at its data's end."""
        after = self._committed = after or self._committed
        while True:
            answer = await self._ask(after)
            if answer is None:
                await self._sleep(SIMULATOR_PAUSE_S)
            elif answer.done:
                self._say_done(after)
                await self._sleep(IDLE_POLL_S)
            else:
                self._done = False
                return Tick(answer.cycle, answer.now_ms, answer.speed, stepped=True)

    async def _ask(self, after: int) -> SimulatorTick | None:
        try:
            async with asyncio.timeout(SIMULATOR_DEADLINE_S):
                reply = await self._client.get(f"{self._url}/sim/clock", params={"after": str(after)})
            answer = msgspec.json.decode(reply.raise_for_status().content, type=SimulatorTick)
        except (httpx.HTTPError, TimeoutError, msgspec.DecodeError) as e:
            if not self._waiting:
                log.warning("simulator.waiting", url=self._url, error=f"{type(e).__name__}: {e}")
            self._waiting = True
            return None
        if self._waiting:
            log.info("simulator.answers", url=self._url)
        self._waiting = False
        if not answer.done and answer.cycle <= after:  # more than one on: time went on while nobody collected
            raise Fatal(f"{self._url}/sim/clock?after={after}: expected cycle {after + 1}, found {answer.cycle}")
        return answer

    def _say_done(self, after: int) -> None:
        if not self._done:
            log.info("simulator.done", cycles=after)
        self._done = True

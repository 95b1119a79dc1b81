"""Our own network, as the whole collector knows it: who asks a source, tells here what came of it."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlsplit

import structlog

from collector import reach
from collector.blocks import Block
from collector.deadline import deadline
from collector.reach import Blame, Contact, Reach
from collector.times import iso
from common.clock import monotonic_s
from common.settings import Settings

log = structlog.get_logger()

OFFLINE = "offline"
"""The reason for which no source is asked while we are offline."""
CONNECT_S = 1.5  # to a place that answers within a tenth of it, from anywhere
POLL_S = 0.5


class Place(NamedTuple):
    """Where a connection shows that the network works."""

    host: str
    port: int


class Network:
    """Tells "we are offline" from "they are down". Without places to check it takes every failure for theirs."""

    def __init__(
        self,
        places: Sequence[Place] = (),
        tell: Callable[[int | None], None] = lambda _since_ms: None,
        clock_s: Callable[[], float] = monotonic_s,
    ) -> None:
        """`tell` hears of every change: since when (stream time) we are offline; None: we are not."""
        self._places, self._tell, self._clock_s = tuple(places), tell, clock_s
        self._reach = Reach()
        self._one_at_a_time = asyncio.Lock()

    @property
    def offline(self) -> bool:
        """Whether sources must rest because we are offline. Now and then one round is let through."""
        return reach.rests(self._reach, self._clock_s())

    @property
    def offline_since_ms(self) -> int | None:
        """Since when we are offline, in the stream's time. None: we are not."""
        return self._reach.offline_since_ms

    def blocks(self, now_ms: int) -> dict[str, Block]:
        """Return what keeps a source as a whole from being asked now: nothing, or that we are offline."""
        if not self.offline:
            return {}
        since_ms = self._reach.offline_since_ms or now_ms
        return {
            "": Block(OFFLINE, since_ms, now_ms + int(reach.CHECK_S * 1000), f"we are offline since {iso(since_ms)}")
        }

    def restore(self, offline_since_ms: int | None) -> None:
        """Begin with what an earlier life has told last."""
        if self._places:
            self._reach = Reach(offline_since_ms=offline_since_ms, tried_s=self._clock_s())
        elif offline_since_ms is not None:  # told with places to check, which are gone
            self._tell(None)

    def report(self, source: str, contact: Contact, now_ms: int) -> None:
        """Note what came of reaching for a source, by a call or a socket."""
        at_s = self._clock_s()
        if contact is Contact.OK:
            self._become(reach.answered(self._reach, at_s))
        elif self._places:
            log.debug("network.unreachable", source=source)
            self._become(reach.unreachable(self._reach, at_s, now_ms))

    async def is_to_blame(self, source: str, started_s: float, now_ms: int) -> bool:
        """Return whether our network is why a call to a source has reached nobody; this may take a check.

        started_s: when the call began, monotonic.
        """
        if not self._places:
            return False
        self.report(source, Contact.UNREACHABLE, now_ms)
        async with self._one_at_a_time:
            if reach.blame(self._reach, started_s) is Blame.UNKNOWN:
                await self._check(now_ms)
            return reach.blame(self._reach, started_s) is Blame.OURS

    async def run(self, now_ms: Callable[[], int]) -> None:
        """Check for as long as it is open how it is, until cancelled."""
        while True:
            await asyncio.sleep(POLL_S)
            if self._places and reach.check_due(self._reach, self._clock_s()):
                async with self._one_at_a_time:
                    await self._check(now_ms())

    async def _check(self, now_ms: int) -> None:
        found = await reachable(self._places, CONNECT_S)
        self._become(reach.checked(self._reach, found, self._clock_s(), now_ms))

    def _become(self, after: Reach) -> None:
        before, self._reach = self._reach, after
        if before.offline is not after.offline:
            self._tell(after.offline_since_ms)
        if before.trusted and not after.trusted:
            places = [f"{place.host}:{place.port}" for place in self._places]
            log.warning("network.check_useless", variable="NETWORK_CHECK", places=places)


async def reachable(places: Sequence[Place], deadline_s: float) -> bool:
    """Return whether a TCP connection to any of the places comes about in time."""
    attempts = [asyncio.create_task(_connects(place)) for place in places]
    try:
        async with deadline(deadline_s):
            for attempt in asyncio.as_completed(attempts):
                if await attempt:
                    return True
    except TimeoutError:
        pass
    finally:
        for task in attempts:
            task.cancel()
        await asyncio.gather(*attempts, return_exceptions=True)
    return False


def places_of(settings: Settings) -> tuple[Place, ...]:
    """Return where the settings say to look; in a simulated run the simulator is all there is."""
    if settings.network_check == ():
        return ()
    if settings.simulated:
        simulator = urlsplit(settings.simulator_url)
        return (Place(simulator.hostname or "", simulator.port or (443 if simulator.scheme == "https" else 80)),)
    return tuple(Place(*_split(place)) for place in settings.network_check)


def _split(place: str) -> tuple[str, int]:
    host, _, port = place.rpartition(":")
    return host.strip("[]"), int(port)


async def _connects(place: Place) -> bool:
    try:
        _, writer = await asyncio.open_connection(place.host, place.port)
    except (OSError, UnicodeError):  # a name that is none
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True

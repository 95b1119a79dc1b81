"""Send accepted reports on to their streams, and send all of them again whenever Redis may have lost some.

Readers tell reports by their id, so that the same one twice does no harm.
"""

import structlog

from api.journal import Report
from api.ledger import Ledger
from api.redis_pool import RedisPool
from common import keys
from common.errors import Retryable
from common.redis_link import Command, Reply

log = structlog.get_logger()

BATCH = 200  # reports in one round trip


class Publisher:
    """Knows whether everything accepted has been sent since Redis was last away."""

    def __init__(self, pool: RedisPool, ledger: Ledger, partitions: int) -> None:
        self._pool = pool
        self._ledger = ledger
        self._partitions = range(partitions)
        self._sent_at: tuple[int, tuple[Reply, ...]] | None = None  # losses and incarnations at the last full replay

    @property
    def delivered(self) -> bool:
        """Whether the journal was replayed since the start and since the last break of a connection."""
        return self._sent_at is not None and self._sent_at[0] == self._pool.losses

    async def publish(self) -> None:
        """Send what is not sent; everything, if Redis may have lost some. RedisAway leaves it for the next call."""
        losses = self._pool.losses
        incarnations = await self._incarnations()
        waiting = self._ledger.unsent[:]
        if self._sent_at == (losses, incarnations):
            await self._send(waiting)
        else:
            everything = await self._ledger.every_report()  # those that wait are among them
            await self._send(everything)
            log.info("journal.replayed", reports=len(everything))
            self._sent_at = (losses, incarnations)
        del self._ledger.unsent[: len(waiting)]

    async def _incarnations(self) -> tuple[Reply, ...]:
        return tuple(await self._pool.exchange([("GET", keys.incarnation(p)) for p in self._partitions]))

    async def _send(self, reports: list[Report]) -> None:
        for at in range(0, len(reports), BATCH):
            for reply in await self._pool.exchange([_xadd(report) for report in reports[at : at + BATCH]]):
                if isinstance(reply, Exception):
                    raise Retryable(f"{self._pool.where}: a report was refused: {reply}") from reply


def _xadd(report: Report) -> Command:
    return ("XADD", keys.BY_NAME[report.stream].key(report.partition), "*", keys.FIELD, report.message)

"""Send accepted reports on to their streams, and send all of them again whenever Redis may have lost some.

Readers tell reports by their id, so that the same one twice does no harm.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Protocol

import structlog

from api.journal import Report
from api.redis_pool import RedisPool
from common import keys
from common.errors import Retryable
from common.metrics import Metrics
from common.redis_link import Command, Reply

log = structlog.get_logger()

BATCH = 200  # reports in one round trip
STREAMS = (keys.EXECUTIONS, keys.EVENTS)


class Outbox(Protocol):
    """What was accepted, on the disk and in memory."""

    unsent: list[Report]

    async def every_report(self) -> list[Report]: ...


class Publisher:
    """Knows whether everything accepted has been sent since Redis was last away, and which streams are full."""

    def __init__(
        self, pool: RedisPool, ledger: Outbox, partitions: int, budget_entries: int, metrics: Metrics,
        streams: Sequence[keys.Stream] = STREAMS,
    ) -> None:  # fmt: skip
        self._pool = pool
        self._ledger = ledger
        self._streams = streams
        self._partitions = range(partitions)
        self._budget_entries = budget_entries
        self._metrics = metrics
        self._one_at_a_time = asyncio.Lock()
        self._replay: list[Report] = []  # what is left of the last replay
        self._replayed_at: tuple[int, tuple[Reply, ...]] | None = None  # losses and incarnations when it began
        self.held_back: tuple[str, ...] = ()
        """Streams at their budget: what is for them waits in the journal."""

    @property
    def delivered(self) -> bool:
        """Whether the journal was replayed since the start and since the last break of a connection."""
        return not self._replay and self._replayed_at is not None and self._replayed_at[0] == self._pool.losses

    @property
    def trouble(self) -> str:
        """Why reports are not sent on; empty if they are."""
        if self.held_back:
            return f"held back: {', '.join(self.held_back)} at the budget of {self._budget_entries}"
        return "" if self.delivered else "reports accepted earlier are not sent on yet"

    async def publish(self) -> None:
        """Send what is not sent; everything, if Redis may have lost some. RedisAway leaves it for the next call.

        A stream at its budget gets nothing: its reports wait for a call that finds room.
        """
        async with self._one_at_a_time:
            losses = self._pool.losses
            incarnations, room = await self._look()
            if self._replayed_at != (losses, incarnations):
                self._replay = await self._ledger.every_report()
                _remove(self._replay, self._ledger.unsent)
                self._replayed_at = (losses, incarnations)
                log.info("journal.replayed", reports=len(self._replay))
            await self._send(self._replay, room)
            await self._send(self._ledger.unsent, room)
            self._note_full(room)

    async def _look(self) -> tuple[tuple[Reply, ...], dict[str, int]]:
        """Return each partition's incarnation, and how many entries each stream may still take."""
        streams = [stream.key(p) for stream in self._streams for p in self._partitions]
        asked: list[Command] = [("GET", keys.incarnation(p)) for p in self._partitions]
        replies = await self._pool.exchange([*asked, *(("XLEN", key) for key in streams)])
        lengths = replies[len(asked) :]
        room = {
            key: self._budget_entries - (length if isinstance(length, int) else 0)
            for key, length in zip(streams, lengths, strict=True)
        }
        return tuple(replies[: len(asked)]), room

    async def _send(self, reports: list[Report], room: dict[str, int]) -> None:
        """Send those reports that there is room for, oldest first, and take them out of the list."""
        fitting, sent = _fitting(reports, room), list[Report]()
        try:
            for at in range(0, len(fitting), BATCH):
                batch = fitting[at : at + BATCH]
                for reply in await self._pool.exchange([_xadd(report) for report in batch]):
                    if isinstance(reply, Exception):
                        raise Retryable(f"{self._pool.where}: a report was refused: {reply}") from reply
                sent += batch
        finally:
            _remove(sent, reports)

    def _note_full(self, room: dict[str, int]) -> None:
        full = [s.name for s in self._streams if any(room[s.key(p)] <= 0 for p in self._partitions)]
        for stream in self._streams:
            self._metrics.gauge("md_stream_over_budget", float(stream.name in full), stream=stream.name)
        if full and not self.held_back:
            log.warning("publisher.held_back", streams=full, budget=self._budget_entries)
        self.held_back = tuple(full)


def _fitting(reports: Iterable[Report], room: dict[str, int]) -> list[Report]:
    """Return of each stream as many as there is room for, and take that room."""
    fitting = []
    for report in reports:
        if room[_key(report)] > 0:
            room[_key(report)] -= 1
            fitting.append(report)
    return fitting


def _remove(done: Iterable[Report], reports: list[Report]) -> None:
    ids = {report.id for report in done}
    reports[:] = [report for report in reports if report.id not in ids]


def _key(report: Report) -> str:
    return keys.BY_NAME[report.stream].key(report.partition)


def _xadd(report: Report) -> Command:
    return ("XADD", _key(report), "*", keys.FIELD, report.message)

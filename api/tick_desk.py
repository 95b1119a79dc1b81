"""Accept the terminal's batches of ticks: to a journal of their own first, then for their stream.

Their own journal, because ticks are many and soon worthless: they must never take the room of fills, and a replay of it
goes back only as far as Redis or the collector may have lost any.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import structlog

from api.errors import ApiError, away
from api.journal import Journal, Report
from api.tick_batches import TickBatch, batch_of, fed_by_terminal
from common import keys
from common.errors import Retryable
from common.messages import TerminalTicks, encode
from common.symbols import SymbolTable

log = structlog.get_logger()

NAME = "api-ticks.db"
KEEP_MS = 600_000  # a collector that was away for longer takes none of them into a bar
NEW_PER_MINUTE = 1_200  # twenty a second: a terminal that sends more should send more ticks in each
KEPT_BYTES = 64 * 1024 * 1024
MINUTE_MS = 60_000


@dataclass(frozen=True)
class TickReceipt:
    """What became of a batch. `duplicate`: it was known, nothing changed."""

    id: str
    duplicate: bool


class TickDesk:
    """The journal of ticks, and what of it is not sent on yet."""

    def __init__(self, folder: Path, table: SymbolTable, partitions: int) -> None:
        self._journal = Journal(folder, NAME, KEEP_MS)
        self._partitions = partitions
        self.names = fed_by_terminal(table)
        """The symbols that a terminal may feed, by each of their names."""
        self.unsent: list[Report] = []
        """Batches that are not in their stream yet, for the publisher."""
        self.arrived = asyncio.Event()
        """Set when something waits to be sent; at the start everything does."""
        self.arrived.set()
        self._minute = (0, 0)  # of real time, and new batches in it

    def read(self, body: dict[str, object], stream_ms: int) -> TickBatch:
        """Return the checked batch of a body. ApiError 422."""
        return batch_of(body, self.names, stream_ms)

    async def accept(self, batch: TickBatch, stream_ms: int, wall_ms: int) -> TickReceipt:
        """Keep a batch, once; it is on the disk when this returns. ApiError 429 or 503."""
        self._refuse_too_many(wall_ms)
        reports = [self._report(batch, p, stream_ms, wall_ms) for p in self._partitions_of(batch)]
        try:
            # Not cancelled with its request: what reached the disk must be sent on too.
            added = await asyncio.shield(asyncio.ensure_future(self._store(reports)))
        except Retryable as e:
            log.exception("journal.away")
            raise away("journal_away", "the ticks could not be kept; send them again") from e
        if added:
            minute, count = self._minute
            at = wall_ms // MINUTE_MS
            self._minute = (at, count + 1 if minute == at else 1)
        return TickReceipt(batch.identity, not added)

    async def every_report(self) -> list[Report]:
        """Return all that the journal keeps."""
        return await asyncio.to_thread(self._journal.all)

    async def forget(self, wall_ms: int) -> None:
        """Drop what no longer matters, sent or not."""
        await asyncio.to_thread(self._journal.forget, wall_ms)
        self.unsent[:] = [report for report in self.unsent if report.wall_ms >= wall_ms - KEEP_MS]

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()

    def _partitions_of(self, batch: TickBatch) -> list[int]:
        return sorted({symbol.partition(self._partitions) for symbol in batch.present})

    def _report(self, batch: TickBatch, partition: int, stream_ms: int, wall_ms: int) -> Report:
        here = [symbol.name for symbol in batch.present if symbol.partition(self._partitions) == partition]
        ticks = tuple(tick for tick in batch.ticks if tick.symbol in here)
        message = TerminalTicks(batch.identity, batch.account, stream_ms, ticks, tuple(here))
        return Report(f"{batch.identity}:{partition}", wall_ms, keys.TICKS.name, partition, encode(message), b"")

    async def _store(self, reports: list[Report]) -> bool:
        """Return whether any of them is new."""
        any_new = False
        for report in reports:
            if await asyncio.to_thread(self._journal.add, report):
                self.unsent.append(report)
                self.arrived.set()
                any_new = True
        return any_new

    def _refuse_too_many(self, wall_ms: int) -> None:
        kept, (minute, count) = self._journal.kept(keys.TICKS.name), self._minute
        if kept.bytes >= KEPT_BYTES:
            oldest_ms = wall_ms if kept.oldest_wall_ms is None else kept.oldest_wall_ms
            expected = f"at most {KEPT_BYTES} bytes of ticks in {KEEP_MS // MINUTE_MS} minutes"
            retry_in_s = max(1, -(-(oldest_ms + KEEP_MS - wall_ms) // 1000))
            raise ApiError(429, "journal_full", "the journal is full", expected, f"{kept.bytes} bytes", retry_in_s)
        if minute == wall_ms // MINUTE_MS and count >= NEW_PER_MINUTE:
            retry_in_s = -(-((minute + 1) * MINUTE_MS - wall_ms) // 1000)
            expected = f"at most {NEW_PER_MINUTE} batches a minute, with up to 500 ticks each"
            raise ApiError(429, "too_many_reports", "too many batches of ticks", expected, str(count), retry_in_s)

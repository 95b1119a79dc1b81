"""Vendors' history on request: reads the `backfill` stream, asks within breaker and budget, publishes raw bars.

It goes on beside the cycles, which go first, and does not depend on their progress. A request that no source can serve
now is answered at once, empty and with the reason: whoever asked decides when to ask again.

A long answer is committed piece by piece. The state hash's `b:<entry id>` says up to which open time; after a crash the
answer goes on from there.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import structlog

from collector.choose import SourceView
from collector.limits import Purpose
from collector.publish import STAGE, Publisher
from collector.right_of_way import RightOfWay
from collector.source import HISTORY, Means, Source
from collector.vendors.base import Ask, HistoryReading, Request, Verdict
from common import keys
from common.dead_letters import dead_letter
from common.errors import PipelineError, Rejected
from common.keys import BACKFILL, FIELD, RAW
from common.messages import TIMEFRAME_MS, BackfillRequest, RawBar, RawBars, encode
from common.reader import GroupsLost, Reader, Undecodable
from common.redis_link import Command
from common.stage import Entry
from common.symbols import TERMINAL, Listing, SymbolTable

log = structlog.get_logger()

CHUNK_BARS = 500
PAGES = 50  # of one request: a vendor that always names a next page must not keep us for ever
POLL_S = 0.1
IN_HAND = 4  # requests read at once, per partition; they are served one by one
AT_ONCE = 2  # requests served at once, of all partitions: a reply of a week of 1-minute bars is most of a megabyte


@dataclass(frozen=True)
class History:
    """What the sources had for one request."""

    bars: tuple[RawBar, ...] = ()
    listing: Listing | None = None
    detail: str = ""
    retry_ms: int | None = None
    """When a source that could not be asked, or failed, may be asked again; None: all that were asked have answered."""


class Backfill:
    """Serves the requests of all partitions of this process, one at a time in each."""

    def __init__(
        self, table: SymbolTable, sources: Mapping[str, Source], publisher: Publisher, means: Means, way: RightOfWay
    ) -> None:
        self._table, self._sources, self._publisher = table, sources, publisher
        self._means, self._way = means, way
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._readers = {
            p: Reader(means.link, fence, (BACKFILL,), p, STAGE, STAGE) for p, fence in publisher.fences.items()
        }

    def open(self) -> None:
        """Create the groups where there are none."""
        for reader in self._readers.values():
            reader.create_groups()

    async def run(self) -> None:
        """Serve requests until cancelled. What is pending of an earlier life comes first."""
        await asyncio.gather(*[self._serve_partition(p) for p in self._readers])

    async def _serve_partition(self, partition: int) -> None:
        backlog_done = False
        while True:
            try:
                count, backlog_done = await self._step(partition, backlog_done)
            except GroupsLost as e:
                log.warning("redis.groups_lost", error=str(e))
                self._readers[partition].create_groups()
                continue
            if not count:
                await asyncio.sleep(POLL_S)

    async def _step(self, partition: int, backlog_done: bool) -> tuple[int, bool]:
        reader = self._readers[partition]
        read = reader.news(IN_HAND, 0) if backlog_done else reader.backlog(IN_HAND)
        for poison in read.undecodable:
            self._bury(partition, poison, Rejected("undecodable", poison.detail))
        for stream, entry_id in read.vanished:
            self._publisher.commit(partition, [("XACK", stream.key(partition), STAGE, entry_id)])
        for entry in read.entries:
            await self._serve(partition, entry)
        count = len(read.entries) + len(read.undecodable) + len(read.vanished)
        return count, backlog_done or count == 0

    # -- one request -------------------------------------------------------------------------------

    async def _serve(self, partition: int, entry: Entry) -> None:
        request = entry.message
        if not isinstance(request, BackfillRequest):
            self._bury(partition, entry, Rejected("kind", f"expected backfill, found {type(request).__name__}"))
            return
        try:
            async with self._at_once:
                history = await self._history(self._rest_of(partition, entry.id, request))
                await self._answer(partition, entry, request, history)
        except PipelineError:
            raise
        except Exception as e:  # noqa: BLE001  # what a request brings out counts against it alone: prices go on
            self._bury(partition, entry, e)
            return
        source = history.listing.vendor if history.listing else ""
        self._means.metrics.count("md_backfills_total", source=source)
        log.info(
            "backfill.answered", id=request.id, symbol=request.symbol, timeframe=request.timeframe, source=source,
            bars=len(history.bars), detail=history.detail,
        )  # fmt: skip

    def _rest_of(self, partition: int, entry_id: str, request: BackfillRequest) -> BackfillRequest:
        """Return the request without what an earlier life has committed of its answer."""
        committed = self._means.link.call("HGET", keys.state(partition, STAGE), _mark(entry_id))
        if not isinstance(committed, bytes):
            return request
        next_ms = int(committed) + TIMEFRAME_MS[request.timeframe]
        return msgspec.structs.replace(request, from_ms=max(request.from_ms, next_ms))

    async def _answer(self, partition: int, entry: Entry, request: BackfillRequest, history: History) -> None:
        """Commit the bars piece by piece, cycles first; the last piece with the acknowledgement."""
        state, mark = keys.state(partition, STAGE), _mark(entry.id)
        pieces = [history.bars[i : i + CHUNK_BARS] for i in range(0, len(history.bars), CHUNK_BARS)] or [()]
        for n, bars in enumerate(pieces, start=1):
            await self._way.free()
            final = n == len(pieces)
            body = encode(self._message(request, history, bars, final=final))
            commands: list[Command] = [("XADD", RAW.key(partition), "*", FIELD, body)]
            if final:
                commands += [("XACK", BACKFILL.key(partition), STAGE, entry.id), ("HDEL", state, mark)]
            else:
                commands.append(("HSET", state, mark, bars[-1].open_ms))
            self._publisher.commit(partition, commands, (entry,))

    def _bury(self, partition: int, poison: Entry | Undecodable, error: Exception) -> None:
        letter = dead_letter(partition, STAGE, poison, 1, error)
        ack: Command = ("XACK", BACKFILL.key(partition), STAGE, poison.id)
        self._publisher.commit(partition, [letter, ack], (poison,))
        log.error("entry.dead", stream=BACKFILL.name, entry=poison.id, error=repr(error), exc_info=error)

    async def _history(self, request: BackfillRequest) -> History:
        """Return the bars of the first source, by preference, that has any."""
        symbol = self._table.symbols.get(request.symbol)
        if symbol is None:
            return History(detail=f"{request.symbol} is not in SYMBOLS")
        listings = [x for x in symbol.sources if x.source_class == request.source_class]
        found: list[tuple[str, History]] = []
        for listing in listings:
            history = await self._from(listing, request)
            if history.bars:
                return history
            found.append((listing.vendor, history))
        detail = "; ".join(f"{vendor}: {history.detail}" for vendor, history in found)
        retries = [history.retry_ms for _, history in found if history.retry_ms is not None]
        return History(
            detail=detail or f"no source of class {request.source_class}", retry_ms=min(retries, default=None)
        )

    async def _from(self, listing: Listing, request: BackfillRequest) -> History:
        source = self._sources.get(listing.vendor)
        if source is None:
            return History(detail="sends no history" if listing.vendor == TERMINAL else "no such source")
        ask = Ask(request.symbol, listing.symbol, listing.source_class, listing.volume)
        queue = list(source.fetcher.history_requests(ask, request.timeframe, request.from_ms, request.to_ms))
        if not queue:
            return History(detail=f"no history of {request.timeframe}")
        bars: list[RawBar] = []
        detail, retry_ms = "", None
        for _ in range(PAGES):
            reading = await self._page(source, ask, queue.pop(0), request)
            bars += [bar for bar in reading.bars if request.from_ms <= bar.open_ms < request.to_ms]
            if reading.next is not None:
                queue.insert(0, reading.next)
            if reading.verdict not in (Verdict.OK, Verdict.NO_DATA):
                detail, now_ms = f"{reading.verdict}: {reading.detail}", self._means.now_ms()
                retry_ms = _retry_ms(source.view(now_ms), ask.symbol, now_ms)
                break
            if not queue:
                detail = "" if bars else reading.detail or "no data"
                break
        else:
            detail = f"not more than {PAGES} pages"
        return History(_each_once(bars), listing, detail, retry_ms)

    async def _page(self, source: Source, ask: Ask, page: Request, request: BackfillRequest) -> HistoryReading:
        await self._way.free()
        now_ms = self._means.now_ms()
        why_not = _why_not(source.view(now_ms), source.budget.kept(now_ms), ask.symbol, now_ms)
        if why_not:
            return HistoryReading(Verdict.RATE_LIMITED, detail=why_not)
        admission = source.admit()
        if not admission.allowed:
            return HistoryReading(Verdict.OUTAGE, detail="breaker_open")
        return await source.history(ask, page, request.timeframe, admission)

    def _message(self, request: BackfillRequest, history: History, bars: tuple[RawBar, ...], *, final: bool) -> RawBars:
        listing = history.listing
        return RawBars(
            request_id=request.id,
            source=listing.vendor if listing else "",
            source_class=request.source_class,
            symbol=request.symbol,
            timeframe=request.timeframe,
            received_ms=self._means.now_ms(),
            volume_kind=listing.volume if listing else "none",
            bars=bars,
            final=final,
            detail=history.detail,
            retry_ms=history.retry_ms,
        )


def _mark(entry_id: str) -> str:
    return f"b:{entry_id}"


def _why_not(view: SourceView, kept: Mapping[str, int], symbol: str, now_ms: int) -> str:
    """Return why a source can't give a symbol's history now; empty if it can. Turns do not bind it.

    kept: window -> credits that history leaves to regular asking.
    """
    block = view.blocks.get(HISTORY + symbol)
    if block is not None:
        return block.verdict
    if view.quota.left(Purpose.BACKFILL, kept) == 0:
        return "quota_spent"
    return view.why_not(symbol, now_ms)


def _retry_ms(view: SourceView, symbol: str, now_ms: int) -> int | None:
    """Return when a source that gave no history may give some; None if only a human can mend that."""
    if not view.configured:
        return None
    blocks = [view.blocks[name].until_ms for name in (HISTORY + symbol, "", symbol) if name in view.blocks]
    waits = (view.breaker.retry_at_ms, view.quota.turn_ms if view.quota.left(Purpose.BACKFILL) == 0 else None)
    return max([now_ms, *blocks, *(at_ms for at_ms in waits if at_ms is not None)])


def _each_once(bars: Sequence[RawBar]) -> tuple[RawBar, ...]:
    """Return the bars oldest first, each open time once: pages may overlap at their ends; the later page counts."""
    by_open = {bar.open_ms: bar for bar in bars}
    return tuple(by_open[open_ms] for open_ms in sorted(by_open))

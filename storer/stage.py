"""The storer's handler: what arrives goes into SQLite in one transaction, and what is asked is answered from it."""

import time
from collections.abc import Iterator, Sequence
from typing import cast

import structlog

from common import keys
from common.history import read_bars
from common.messages import BackfillRequest, Bar, Clock, HistoryBars, HistoryRequest, decode
from common.metrics import Metrics
from common.redis_link import Command, Link, flat_pairs
from common.settings import Settings
from common.stage import Batch, Entry, Outcome, Publication, StageSpec
from common.symbols import SymbolTable
from storer.backfill import MINUTE_MS, PAUSE_MS, REACH_MS, Lane, lane_of, older_history
from storer.database import Database
from storer.faults import classifying
from storer.gaps import Watched
from storer.ledger import Ledger
from storer.rows import rows_of

log = structlog.get_logger()

STAGE = "storer"
INPUTS = (
    keys.QUOTES, keys.BARS, keys.SIGNALS, keys.REJECTS, keys.SOURCE_EVENTS, keys.EXECUTIONS, keys.EVENTS,
    keys.HISTORY_REQUESTS,
)  # fmt: skip
OUTPUTS = (keys.HISTORY, keys.BACKFILL)
BATCH_ENTRIES = 2_000
LOOK_MS = MINUTE_MS  # of the stream's time, between two looks for gaps
CHUNK_BARS = 500  # of an answer, in one entry: about 80 KB


class Storer:
    """One partition's part of the storer.

    Writing is idempotent by the rows' identities alone. The stored positions of the streams are not used to skip
    entries: what a fenced-off instance had read, or what failed and was set aside, comes later than higher ids.
    """

    def __init__(self, partition: int, database: Database, metrics: Metrics, watched: Sequence[Watched] = ()) -> None:
        """`watched`: the lanes of this partition whose gaps are to be found and filled."""
        self._partition, self._database, self._metrics = partition, database, metrics
        self._watched = {lane.lane: lane for lane in watched}
        self._looked_ms = 0
        self._incarnation = ""
        self._asked: dict[Lane, int] = {}
        self._now_ms = 0

    def restore(self, link: Link) -> Outcome:
        """Read what was asked of the vendors, the stream's time, and the word that names this Redis' contents."""
        state, incarnation, clock = link.exchange([
            ("HGETALL", keys.state(self._partition, STAGE)),
            ("GET", keys.incarnation(self._partition)),
            ("GET", keys.clock(self._partition)),
        ])  # fmt: skip
        self._asked = {_lane(name): int(at_ms) for name, at_ms in flat_pairs(state).items()}
        self._incarnation = cast(bytes, incarnation or b"").decode()
        now = decode(clock) if isinstance(clock, bytes) else None
        self._now_ms = now.now_ms if isinstance(now, Clock) else 0
        self._looked_ms = 0
        return Outcome()

    def handle(self, batch: Batch) -> Outcome:
        """Write the batch in one SQL transaction, then answer what it asks. Retryable if the disk or a lock is away."""
        self._write(batch)
        self._now_ms = max([self._now_ms, *(e.message.now_ms for e in batch if isinstance(e.message, Clock))])
        publish: list[Publication] = []
        writes: list[Command] = []
        for entry in batch:
            if isinstance(entry.message, HistoryRequest):
                self._answer(entry.message, publish, writes)
        publish += [Publication(keys.BACKFILL, wanted) for wanted in self._mind_gaps(batch)]
        return Outcome(publish, writes)

    def _write(self, batch: Sequence[Entry]) -> None:
        rows = rows_of(batch, self._partition, self._incarnation)
        started = time.perf_counter()
        written = self._database.write(rows)
        self._metrics.observe("md_write_seconds", time.perf_counter() - started)
        for table, count in written.items():
            self._metrics.count("md_rows_written_total", count, table=table)

    def _mind_gaps(self, batch: Batch) -> list[BackfillRequest]:
        """Keep the gap ledger: what answers say of it at once, what is new in it every minute of the stream's time.

        A request whose publication fails is made again at its next attempt.
        """
        histories = [e.message for e in batch if isinstance(e.message, HistoryBars)]
        look = self._now_ms - self._looked_ms >= LOOK_MS
        if not self._watched or not (histories or look):
            return []
        with self._database.transaction() as connection:
            ledger = Ledger(connection)
            for history in histories:
                if lane_of(history) in self._watched:
                    ledger.settle(self._watched[lane_of(history)], history, self._now_ms)
            return self._look(ledger) if look else []

    def _look(self, ledger: Ledger) -> list[BackfillRequest]:
        self._looked_ms = self._now_ms
        wanted = []
        missing = dict.fromkeys((lane.symbol for lane in self._watched), 0)
        for watched in self._watched.values():
            ledger.look(watched, self._now_ms)
            wanted.append(ledger.due(watched, self._now_ms))
            missing[watched.lane.symbol] += len(ledger.missing(watched.lane))
        for symbol, count in missing.items():
            self._metrics.gauge("md_gaps_open", count, symbol=symbol)
        return [request for request in wanted if request is not None]

    def _answer(self, request: HistoryRequest, publish: list[Publication], writes: list[Command]) -> None:
        stored = self._stored(request)
        asked = self._ask_vendors(request, stored)
        detail = f"asked the vendors for more: {asked.id}" if asked else ""
        publish += [Publication(keys.HISTORY, answer) for answer in answers(request, stored, detail)]
        if asked:
            publish.append(Publication(keys.BACKFILL, asked))
            field = lane_of(request).name
            writes.append(("HSET", keys.state(self._partition, STAGE), field, self._time_of(request)))
        log.info("history.answered", request=request.id, asked=request.count, found=len(stored), detail=detail)

    def _stored(self, request: HistoryRequest) -> tuple[Bar, ...]:
        connection = self._database.connection()
        with classifying(self._database.path):
            return read_bars(connection, *lane_of(request), request.before_ms, request.count)

    def _ask_vendors(self, request: HistoryRequest, stored: Sequence[Bar]) -> BackfillRequest | None:
        lane, now_ms = lane_of(request), self._time_of(request)
        if now_ms - self._asked.get(lane, 0) < PAUSE_MS:
            return None
        asked = older_history(request, stored)
        if asked:
            self._asked[lane] = now_ms
        return asked

    def _time_of(self, request: HistoryRequest) -> int:
        """Return the stream's time; before its first clock entry, the time up to which history is wanted."""
        return self._now_ms or request.before_ms


def answers(request: HistoryRequest, bars: Sequence[Bar], detail: str = "") -> Iterator[HistoryBars]:
    """Yield the answer in messages of at most CHUNK_BARS bars, oldest first; the last is final, and may be empty."""
    starts = range(0, max(len(bars), 1), CHUNK_BARS)
    for start in starts:
        final = start == starts[-1]
        yield HistoryBars(
            request.id, request.symbol, request.timeframe, request.source_class,
            tuple(bars[start : start + CHUNK_BARS]), final, detail if final else "",
        )  # fmt: skip


def _lane(name: bytes) -> Lane:
    symbol, source_class, timeframe = name.decode().split("|")
    return Lane(symbol, source_class, timeframe)  # type: ignore[arg-type]  # written by us, from a Lane


def watched_lanes(table: SymbolTable, settings: Settings, partition: int) -> tuple[Watched, ...]:
    """Return the lanes of a partition that vendors have history of: each symbol's series in each such timeframe."""
    live = settings.limits == "real"
    return tuple(
        Watched(
            Lane(symbol.name, symbol.series, timeframe),
            table.session_of(symbol.name),
            max(listing.delay_s for listing in symbol.feed()) * 1_000 if live else 0,
        )
        for symbol in table.in_partition(partition, settings.stream_partitions)
        for timeframe in settings.timeframes
        if timeframe in REACH_MS
    )


def storer_spec(database: Database, settings: Settings, metrics: Metrics, table: SymbolTable) -> StageSpec:
    """Return what the loop needs to run the storer."""
    return StageSpec(
        name=STAGE,
        inputs=INPUTS,
        outputs=OUTPUTS,
        make_handler=lambda partition: Storer(partition, database, metrics, watched_lanes(table, settings, partition)),
        batch_entries=BATCH_ENTRIES,
        linger_s=settings.batch_write_interval,
        urgent=(keys.HISTORY_REQUESTS,),
    )

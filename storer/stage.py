"""The storer's handler: what arrives goes into SQLite in one transaction, and what is asked is answered from it."""

import time
from collections.abc import Iterator, Sequence
from typing import cast

import msgspec
import structlog

from common import keys
from common.clock import wall_ms
from common.errors import Retryable
from common.history import read_bars
from common.messages import VENDORS_ASKED, Bar, Clock, HistoryBars, HistoryRequest, SeriesChange, decode
from common.metrics import Metrics
from common.redis_link import Command, Link, RedisAway, flat_pairs
from common.settings import Settings
from common.stage import Batch, Entry, Outcome, Publication, StageSpec
from common.symbols import SymbolTable
from storer.backfill import Lane, lane_of
from storer.database import Database
from storer.faults import classifying
from storer.gaps import NO_HISTORY
from storer.give_back import WAIT_MS, lost_bars
from storer.keeper import CHUNK_BARS, GapKeeper, newest_clock_ms, watched_lanes
from storer.rollback import Rollback, Standing, find, rollbacks, standing
from storer.rows import rows_of
from storer.warmup import Warmup, after_answer, again, begin, decoded, encoded, word

log = structlog.get_logger()

STAGE = "storer"
INPUTS = (
    keys.QUOTES, keys.BARS, keys.SIGNALS, keys.REJECTS, keys.SOURCE_EVENTS, keys.EXECUTIONS, keys.EVENTS,
    keys.HISTORY_REQUESTS,
)  # fmt: skip
OUTPUTS = (keys.HISTORY, keys.BACKFILL)
BATCH_ENTRIES = 2_000
_GIVEN_BACK = b"given_back"
_SERIES = b"series:"
"""Prefix of a symbol in the state hash: the class that feeds its series, where that was changed."""


class Storer:
    """One partition's part of the storer.

    Writing is idempotent by the rows' identities alone. The stored positions of the streams are not used to skip
    entries: what a fenced-off instance had read, or what failed and was set aside, comes later than higher ids.
    """

    def __init__(self, partition: int, database: Database, metrics: Metrics, gaps: GapKeeper | None = None) -> None:
        """`gaps`: the ledger of the lanes of this partition."""
        self._partition, self._database, self._metrics = partition, database, metrics
        self._gaps = gaps or GapKeeper((), 0, metrics)
        self._incarnation = ""
        self._warmups: dict[Lane, Warmup] = {}
        self._now_ms = 0
        self._standing: Standing | None = None
        """How far Redis said we had come, while that is not compared with the database yet."""
        self._rollbacks: tuple[Rollback, ...] = ()
        self._given_back = b""
        """The newest rollback after which the feature engine was given its bars back."""

    def restore(self, link: Link) -> Outcome:
        """Read what was asked of the vendors, the stream's time, and the word that names this Redis' contents."""
        state, incarnation, clock = link.exchange([
            ("HGETALL", keys.state(self._partition, STAGE)),
            ("GET", keys.incarnation(self._partition)),
            ("GET", keys.clock(self._partition)),
        ])  # fmt: skip
        fields = flat_pairs(state)
        self._warmups = {_lane(n): w for n, body in fields.items() if b"|" in n and (w := decoded(body)) is not None}
        series = {n.removeprefix(_SERIES): body for n, body in fields.items() if n.startswith(_SERIES)}
        self._incarnation = cast(bytes, incarnation or b"").decode()
        now = decode(clock) if isinstance(clock, bytes) else None
        self._now_ms = now.now_ms if isinstance(now, Clock) else 0
        active = {symbol.decode(): source_class.decode() for symbol, source_class in series.items()}
        self._gaps.restore(active, self._now_ms)
        self._given_back = fields.get(_GIVEN_BACK, b"")
        self._standing = standing(link, INPUTS, self._partition, STAGE, self._incarnation).lowest(self._standing)
        self._look_for_rollback(link)
        return Outcome()

    def _look_for_rollback(self, link: Link) -> None:
        """Compare how far Redis and the database are; without the disk that waits, and with it all writing."""
        assert self._standing is not None
        try:
            with self._database.transaction() as connection:
                found = find(connection, link, self._partition, self._standing, wall_ms())
                self._rollbacks = rollbacks(connection, self._partition)
        except RedisAway:
            raise
        except Retryable as e:
            log.warning("database.away", error=str(e))
            return
        self._standing = None
        if found is not None:
            self._metrics.count("md_rollbacks_total")

    @property
    def info(self) -> dict[str, object]:
        """What the heartbeat says: the newest rollback of Redis that was found."""
        return {f"rolled_back:{self._partition}": self._rollbacks[-1].view()} if self._rollbacks else {}

    def see(self, entries: Sequence[Entry]) -> bool:
        """Tell whether what was read calls for a look at once: a gap shows, or ends, or is to be asked for."""
        return self._gaps.see(entries) or self._next_warmup_ms() <= self._gaps.watch.now_ms

    def handle(self, batch: Batch) -> Outcome:
        """Write the batch in one SQL transaction, then answer what it asks. Retryable if the disk or a lock is away."""
        if self._standing is not None:
            raise Retryable(f"{self._database.path}: not readable when it was opened")
        self._write(batch)
        self._gaps.see(batch)
        self._now_ms = max(self._now_ms, newest_clock_ms(batch))
        publish: list[Publication] = []
        writes: list[Command] = []
        for entry in batch:
            if isinstance(entry.message, HistoryRequest):
                self._answer(entry.message, publish, writes)
        histories = [e.message for e in batch if isinstance(e.message, HistoryBars)]
        self._warm_up(histories, publish, writes)
        writes += self._follow(batch)
        self._mind_gaps(histories, publish)
        writes += self._give_back(publish)
        return Outcome(publish, writes)

    def _write(self, batch: Sequence[Entry]) -> None:
        rows = rows_of(batch, self._partition, self._incarnation)
        started = time.perf_counter()
        written = self._database.write(rows, [one for one in self._rollbacks if self._now_ms <= one.until_ms])
        self._metrics.observe("md_write_seconds", time.perf_counter() - started)
        for table, count in written.items():
            self._metrics.count("md_rows_written_total", count, table=table)

    def _give_back(self, publish: list[Publication]) -> list[Command]:
        """Give the feature engine the bars that Redis lost, when it has passed their time."""
        last = self._rollbacks[-1] if self._rollbacks else None
        if last is None or last.name.encode() == self._given_back or self._now_ms > last.until_ms:
            return []
        if self._now_ms < last.clock_ms + self._gaps.longest_late_ms + WAIT_MS:
            return []
        connection = self._database.connection()
        with classifying(self._database.path):
            found = list(lost_bars(connection, self._partition, last, self._gaps.feeds))
        publish += [Publication(keys.HISTORY, message) for message in found]
        log.info("history.given_back", partition=self._partition, bars=sum(len(message.bars) for message in found))
        self._given_back = last.name.encode()
        return [("HSET", keys.state(self._partition, STAGE), _GIVEN_BACK, self._given_back)]

    # -- gaps --------------------------------------------------------------------------------------

    def _follow(self, batch: Batch) -> list[Command]:
        changed = self._gaps.change_series(e.message for e in batch if isinstance(e.message, SeriesChange))
        if not changed:
            return []
        pairs = [part for symbol, source_class in changed.items() for part in (_SERIES + symbol.encode(), source_class)]
        return [("HSET", keys.state(self._partition, STAGE), *pairs)]

    def _mind_gaps(self, histories: Sequence[HistoryBars], publish: list[Publication]) -> None:
        if not (histories or self._gaps.wants_look()):
            return
        with self._database.transaction() as connection:
            for message in self._gaps.mind(connection, histories):
                stream = keys.HISTORY if isinstance(message, HistoryBars) else keys.BACKFILL
                publish.append(Publication(stream, message))

    # -- questions ---------------------------------------------------------------------------------

    def _answer(self, request: HistoryRequest, publish: list[Publication], writes: list[Command]) -> None:
        stored, lane = self._stored(request), lane_of(request)
        before = self._warmups.get(lane)
        asked = begin(request, stored, before, self._time_of(request)) if self._gaps.keeps_history(lane) else None
        wanted = asked.asks(lane) if asked else None
        detail, retry_ms = f"{VENDORS_ASKED}: {wanted.id}" if wanted else "", None
        if asked and wanted:
            publish.append(Publication(keys.BACKFILL, wanted))
            writes.append(self._keep(lane, asked))
        elif len(stored) < request.count and not self._gaps.keeps_history(lane):
            detail = NO_HISTORY
        elif len(stored) < request.count and before is not None:
            detail, retry_ms = before.why, before.next_ms
            writes.append(self._keep(lane, msgspec.structs.replace(before, request_id=request.id)))
        found = answers(request, stored, detail, retry_ms)
        publish[:0] = [Publication(keys.HISTORY, answer) for answer in found]
        log.info("history.answered", request=request.id, asked=request.count, found=len(stored), detail=detail)

    def _stored(self, request: HistoryRequest) -> tuple[Bar, ...]:
        connection = self._database.connection()
        with classifying(self._database.path):
            most = max(request.count, request.most)
            return read_bars(connection, *lane_of(request), request.before_ms, most)

    def _time_of(self, request: HistoryRequest) -> int:
        """Return the stream's time; before its first clock entry, the time up to which history is wanted."""
        return self._now_ms or request.before_ms

    # -- warming up --------------------------------------------------------------------------------

    def _warm_up(self, answers_: Sequence[HistoryBars], publish: list[Publication], writes: list[Command]) -> None:
        """Note what the vendors have said, tell features, and ask again what is due."""
        for answer in answers_:
            lane = lane_of(answer)
            before = self._warmups.get(lane)
            after = after_answer(before, lane, answer, self._now_ms) if before else None
            if after is not None and after is not before:
                writes.append(self._keep(lane, after))
                publish.append(Publication(keys.HISTORY, word(after, lane)))
        for lane, warmup in tuple(self._warmups.items()):
            if warmup.next_ms is not None and warmup.next_ms <= self._now_ms:
                asked = again(warmup, self._now_ms)
                wanted = asked.asks(lane)
                writes.append(self._keep(lane, asked))
                publish += [Publication(keys.BACKFILL, wanted)] if wanted else []

    def _next_warmup_ms(self) -> int:
        return min((w.next_ms for w in self._warmups.values() if w.next_ms is not None), default=2**62)

    def _keep(self, lane: Lane, warmup: Warmup) -> Command:
        self._warmups[lane] = warmup
        return ("HSET", keys.state(self._partition, STAGE), lane.name, encoded(warmup))


def answers(
    request: HistoryRequest, bars: Sequence[Bar], detail: str = "", retry_ms: int | None = None
) -> Iterator[HistoryBars]:
    """Yield the answer in messages of at most CHUNK_BARS bars, oldest first; the last is final, and may be empty."""
    starts = range(0, max(len(bars), 1), CHUNK_BARS)
    for start in starts:
        final = start == starts[-1]
        yield HistoryBars(
            request.id, request.symbol, request.timeframe, request.source_class,
            tuple(bars[start : start + CHUNK_BARS]), final, detail if final else "",
            retry_ms=retry_ms if final else None,
        )  # fmt: skip


def _lane(name: bytes) -> Lane:
    symbol, source_class, timeframe = name.decode().split("|")
    return Lane(symbol, source_class, timeframe)  # type: ignore[arg-type]  # written by us, from a Lane


def storer_spec(database: Database, settings: Settings, metrics: Metrics, table: SymbolTable) -> StageSpec:
    """Return what the loop needs to run the storer."""
    handlers: list[Storer] = []

    def make_handler(partition: int) -> Storer:
        gaps = GapKeeper(watched_lanes(table, settings, partition), round(settings.lateness * 1000), metrics)
        handlers.append(Storer(partition, database, metrics, gaps))
        return handlers[-1]

    return StageSpec(
        name=STAGE,
        inputs=INPUTS,
        outputs=OUTPUTS,
        make_handler=make_handler,
        batch_entries=BATCH_ENTRIES,
        linger_s=settings.batch_write_interval,
        urgent=(keys.HISTORY_REQUESTS,),
        info=lambda: {name: value for handler in handlers for name, value in handler.info.items()},
    )

"""Keeps one partition's gap ledger up to date with what was read: which lanes, when to look, what to publish."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence

from common.messages import BackfillRequest, Bar, Clock, HistoryBars, SeriesChange
from common.messages.quotes import REPAIR
from common.metrics import Metrics
from common.sessions import is_open
from common.settings import Settings
from common.stage import Entry
from common.symbols import TERMINAL, Listing, Symbol, SymbolTable
from storer.backfill import MINUTE_MS, REACH_MS, Lane, lane_of
from storer.gap_rows import GapRows
from storer.gaps import Watched
from storer.ledger import Ledger
from storer.watch import Feed, FeedTerms, Watch

LOOK_MS = MINUTE_MS  # of the stream's time, between two looks while nothing calls for one
CHUNK_BARS = 500  # of an answer, in one entry: about 80 KB


class GapKeeper:
    """The gaps of all lanes of a partition, of which those of the classes that feed a series are minded."""

    def __init__(self, watched: Sequence[Watched], lateness_ms: int, metrics: Metrics) -> None:
        """`watched`: for each symbol first the lanes of its own class; in each class the shortest timeframe first."""
        self._lanes = {one.lane: one for one in watched}
        self._own = {one.lane.symbol: one.lane.source_class for one in reversed(watched)}
        self._lateness_ms, self._metrics = lateness_ms, metrics
        self._active: dict[str, str] = {}
        self._tails: dict[str, int] = {}
        """Request -> open time of the last bar in the pieces of its answer so far."""
        self.restore({}, 0)

    def restore(self, active: Mapping[str, str], now_ms: int) -> None:
        """Begin anew. active: symbol -> the class that feeds its series, where that was changed.

        now_ms: about what time it is, so that the calendars are loaded here and not in the first look; 0: not known.
        """
        for session in {one.session for one in self._lanes.values()} if now_ms else ():
            is_open(session, now_ms)
        known = {(lane.symbol, lane.source_class) for lane in self._lanes}
        self._active = self._own | {s: c for s, c in active.items() if (s, c) in known}
        self._looked_ms = 0
        self._tell_again = True
        self._tails.clear()
        self.watch = Watch(self._terms(), min((lane.bar_ms for lane in self._lanes), default=MINUTE_MS))
        self.watch.follow(self._active.items())

    def _terms(self) -> dict[Feed, FeedTerms]:
        return {
            (lane.symbol, lane.source_class): FeedTerms(one.session, one.delay_ms + self._lateness_ms)
            for lane, one in self._lanes.items()
        }

    @property
    def feeds(self) -> list[tuple[str, str]]:
        """Each symbol, and the class that feeds its series."""
        return list(self._active.items())

    @property
    def longest_late_ms(self) -> int:
        """How long after the end of a bar its last quotes may come, of any class."""
        return max((terms.late_ms for terms in self._terms().values()), default=self._lateness_ms)

    def keeps_history(self, lane: Lane) -> bool:
        """Tell whether vendors may have bars of the lane; where nothing is known of it, they may."""
        watched = self._lanes.get(lane)
        return watched is None or watched.history

    def see(self, entries: Iterable[Entry]) -> bool:
        """Take in what was read; tell whether it calls for a look at once."""
        for entry in entries:
            self.watch.see(entry.message)
        return self.watch.hurry and bool(self._lanes)

    def change_series(self, changes: Iterable[SeriesChange]) -> dict[str, str]:
        """Mind another class's lanes from here on. Returns symbol -> class, where one has changed."""
        new = {c.symbol: c.source_class for c in changes if (c.symbol, c.source_class) in self._terms()}
        self._active |= new
        if new:
            self.watch.follow(self._active.items())
        return new

    def wants_look(self) -> bool:
        """Tell whether the ledger is to be brought up to date now."""
        return bool(self._lanes) and (self.watch.hurry or self.watch.now_ms - self._looked_ms >= LOOK_MS)

    def mind(
        self, connection: sqlite3.Connection, histories: Sequence[HistoryBars]
    ) -> list[BackfillRequest | HistoryBars]:
        """Bring the ledger up to date, by the newest clock entry that was read: no newer data can be judged.

        Returns what to ask the vendors, and what features must put right. A request whose publication fails is made
        again at its next attempt.
        """
        now_ms, rows = self.watch.now_ms, GapRows(connection)
        if not now_ms:
            return []
        ledger = Ledger(rows, self._lateness_ms)
        minded = [one for one in self._lanes.values() if self._active[one.lane.symbol] == one.lane.source_class]
        answers = [(self._lanes[lane_of(h)], h, self._tail(h)) for h in histories if lane_of(h) in self._lanes]
        publish: list[BackfillRequest | HistoryBars] = [*self._told_last(rows), *self._settle(ledger, answers, now_ms)]
        for watched in minded:
            if (watched.lane.symbol, watched.lane.source_class) in self.watch.returned:
                ledger.returned(watched, now_ms)
            ledger.look(watched, now_ms)
            ledger.doubt(watched, now_ms)
        # Once more: what was found just now may have its answer already, as a hole's edges have with the hole's.
        publish += self._settle(ledger, answers, now_ms)
        for watched in minded:
            publish += repairs(watched.lane, ledger.compose(watched, now_ms))
            publish += ledger.due(watched, now_ms)
        self._measure(ledger, minded)
        attempts = [at for one in minded if (at := rows.next_attempt_ms(one.lane)) is not None]
        self.watch.looked(min(attempts, default=None))
        self._looked_ms = now_ms
        return publish

    def _told_last(self, rows: GapRows) -> Iterator[HistoryBars]:
        """Yield once more, after a start or a failure, what features were told last: it may not have been sent."""
        if self._tell_again:
            self._tell_again = False
            for lane, bars in rows.newest_repairs(tuple(self._lanes)):
                yield from repairs(lane, bars)

    def _tail(self, answer: HistoryBars) -> int | None:
        """Return the open time of the last bar in the pieces of the same answer before this one; None without one."""
        tail_ms = self._tails.pop(answer.request_id, None)
        if not answer.final and answer.bars:
            self._tails[answer.request_id] = answer.bars[-1].open_ms
        return tail_ms

    def _settle(
        self, ledger: Ledger, answers: Iterable[tuple[Watched, HistoryBars, int | None]], now_ms: int
    ) -> Iterator[HistoryBars]:
        for watched, answer, after_ms in answers:
            yield from repairs(watched.lane, ledger.settle(watched, answer, after_ms, now_ms))

    def _measure(self, ledger: Ledger, minded: Iterable[Watched]) -> None:
        missing = dict.fromkeys((lane.symbol for lane in self._lanes), 0)
        for watched in minded:
            missing[watched.lane.symbol] += len(ledger.missing(watched.lane))
        for symbol, count in missing.items():
            self._metrics.gauge("md_gaps_open", count, symbol=symbol)


def repairs(lane: Lane, bars: Sequence[Bar]) -> Iterator[HistoryBars]:
    """Yield what tells features of bars that take the place of its own."""
    for start in range(0, len(bars), CHUNK_BARS):
        part = tuple(bars[start : start + CHUNK_BARS])
        name = f"{REPAIR}|{lane.name}|{part[0].open_ms}|{part[-1].open_ms + lane.bar_ms}"
        yield HistoryBars(name, lane.symbol, lane.timeframe, lane.source_class, part, instead=True)


def newest_clock_ms(batch: Iterable[Entry]) -> int:
    """Return the newest time in the batch; 0 without a clock entry."""
    return max((e.message.now_ms for e in batch if isinstance(e.message, Clock)), default=0)


def watched_lanes(table: SymbolTable, settings: Settings, partition: int) -> tuple[Watched, ...]:
    """Return the lanes of a partition that may feed a series, in each timeframe that vendors have history of."""
    return tuple(
        watched
        for symbol in table.in_partition(partition, settings.stream_partitions)
        for source_class in dict.fromkeys((symbol.series, *symbol.may_feed()))
        for watched in _of_class(table, symbol, source_class, settings)
    )


def _of_class(table: SymbolTable, symbol: Symbol, source_class: str, settings: Settings) -> Iterator[Watched]:
    timeframes = [timeframe for timeframe in REACH_MS if timeframe in settings.timeframes]
    listings = symbol.feed(source_class)
    for timeframe in timeframes:
        yield Watched(
            Lane(symbol.name, source_class, timeframe),
            table.session_of(symbol.name, source_class),
            _delay_ms(listings) if settings.limits == "real" else 0,
            timeframes[0],
            any(listing.vendor != TERMINAL for listing in listings),
        )


def _delay_ms(listings: Sequence[Listing]) -> int:
    return max(listing.delay_s for listing in listings) * 1_000

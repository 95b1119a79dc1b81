"""The features stage: the engine between its streams and Redis."""

from dataclasses import dataclass, field
from functools import partial

import structlog

from common import keys
from common.clock import monotonic_s
from common.indicators import SessionClock
from common.messages import (
    AnyMessage,
    Bars,
    Clock,
    HistoryBars,
    HistoryTaken,
    Quotes,
    SeriesChange,
    encode,
)
from common.metrics import Metrics
from common.redis_link import Command, Link
from common.sessions import after_open_time, next_open_ms
from common.settings import Settings
from common.stage import Batch, Entry, Outcome, Publication, StageSpec
from common.symbols import Symbol, SymbolTable, load_symbols
from features.closing import Tick
from features.engine import Engine
from features.restoring import restore
from features.rules import Rules, delay_ms, rules_of
from features.scanner import CONFLICT
from features.state import NO_PLACE, PLACE_FIELD, asked_field
from features.track import Feed
from features.writes import Drained, drain

log = structlog.get_logger()

PASS_S = 0.02
"""What a pass takes, about: entries, bars that are due, values of open bars and lanes to be opened anew can wait."""
CLOSING_SHARE = 0.4
"""Of it, until no more bars are closed: the values of those must be worked out, too."""
LEAST_S = 0.005
"""What values of open bars have at the least: a pass that closes many bars must not put them off for ever."""


@dataclass
class Done:
    """What a pass has done so far."""

    published: list[Publication] = field(default_factory=list)
    writes: list[Command] = field(default_factory=list)
    entries: int = 0
    """Of the batch, taken in."""
    ticked: bool = False
    """A clock entry is among these, or is being worked on."""
    begun: bool = False
    """The engine's time has moved."""


class FeaturesHandler:
    """One partition of the stage."""

    def __init__(
        self,
        partition: int,
        settings: Settings,
        table: SymbolTable,
        metrics: Metrics,
        rules: Rules | None = None,
        pass_s: float = PASS_S,
    ) -> None:
        """rules: those of the settings, where they are made already. pass_s: what a pass may take."""
        self._pass_s = pass_s
        self._partition = partition
        self._settings = settings
        self._table = table
        self._metrics = metrics
        self._rules = rules or rules_of(settings, table)
        self._sessions: dict[str, SessionClock] = {}
        self.engine = Engine(self._rules, (), self._feed_of)
        """Without symbols until it is restored."""
        self._place = NO_PLACE
        """Of the last entry of `raw` whose consequences the engine has taken in."""
        self._begun = ""
        """Id of the clock entry whose bars are being closed: it comes again until all of them are. Empty: none."""

    def restore(self, link: Link) -> Outcome:
        """Set the engine to what was committed; caches of another class, or of another layout, are dropped."""
        self.engine, self._begun = self._new_engine(), ""
        self._place, writes = restore(self.engine, self._partition, link)
        bars = sum(len(slot.lane.window) for track in self.engine.tracks.values() for slot in track.slots.values())
        log.info("features.restored", partition=self._partition, symbols=len(self.engine.tracks), bars=bars)
        return Outcome(writes=writes)

    def handle(self, batch: Batch) -> Outcome:
        """Return the bars, signals, requests and writes of the batch, or of its first entries if time is short."""
        started_s, before = monotonic_s(), self._place
        done = Done()
        if self.engine.closing:
            self._close(started_s, done)
        for entry in batch:
            if self.engine.closing or (done.entries and monotonic_s() - started_s > self._pass_s):
                break
            if not self._take(entry, started_s, done):
                break
            self._place = _raw_id(entry.message) or self._place
            done.entries += 1
        if self._place != before:
            done.writes.append(("HSET", keys.state(self._partition, "features"), PLACE_FIELD, self._place))
        until_s = max(started_s + self._pass_s, monotonic_s() + LEAST_S)
        passed = done.ticked and not self.engine.closing
        drained = drain(self.engine, self._partition, done.begun, passed, lambda: monotonic_s() < until_s)
        self._count(drained, monotonic_s() - started_s)
        return Outcome(done.published, done.writes + drained.commands, done.entries)

    @property
    def unfinished(self) -> bool:
        """Whether lanes wait for time, or bars to be closed: an empty batch goes on with them."""
        return self.engine.closing or bool(self.engine.changes.slots)

    def _take(self, entry: Entry, started_s: float, done: Done) -> bool:
        """Take an entry in; tell whether it is settled: a clock entry is so with the last bar that it ends."""
        message = entry.message
        if isinstance(message, Quotes):
            self.engine.take_quotes(message.quotes)
        elif isinstance(message, HistoryBars):
            done.published += self._take_history(message, entry)
        elif isinstance(message, SeriesChange):
            done.writes += self._change_series(message)
        elif isinstance(message, Clock):
            done.ticked = True
            if entry.id != self._begun:
                done.begun = True
                self.engine.begin(message)
                self._close(started_s, done)
            self._begun = entry.id if self.engine.closing else ""
        return not self.engine.closing

    def _take_history(self, message: HistoryBars, entry: Entry) -> list[Publication]:
        """Return what a replay must know: the storer's answers stand in no other record, a vendor's history does."""
        taken = self.engine.take_history(message)
        if taken is None or entry.stream is not keys.HISTORY:
            return []
        return [Publication(keys.BARS, HistoryTaken(entry.id, self._place, taken))]

    def _change_series(self, change: SeriesChange) -> list[Command]:
        """Begin a series anew; return what makes Redis forget the other class at once."""
        track = self.engine.change_series(change)
        if track is None:
            return []
        log.warning(
            "series.changed", symbol=change.symbol, source_class=change.source_class, before=change.before,
            why=change.why,
        )  # fmt: skip
        asked = [asked_field(slot.lane.name) for slot in track.slots.values()]
        return [
            ("HDEL", keys.newest_signals(self._partition), change.symbol),
            ("HDEL", keys.state(self._partition, "features"), *asked),
        ]

    def _close(self, started_s: float, done: Done) -> None:
        began_s = monotonic_s()
        until_s = started_s + self._pass_s * CLOSING_SHARE
        tick = self.engine.close(lambda: monotonic_s() < until_s)
        if tick.bars:
            self._metrics.observe("md_signal_seconds", monotonic_s() - began_s)
        self._tell(tick, done)

    def _tell(self, tick: Tick, done: Done) -> None:
        if tick.bars:
            done.published.append(Publication(keys.BARS, Bars(tick.bars)))
        # Before those of this tick: a new signal takes the place of one that lapses.
        done.writes.extend(("HDEL", keys.newest_signals(self._partition), symbol) for symbol in tick.lapsed)
        for signal in tick.signals:
            done.published.append(Publication(keys.SIGNALS, signal))
            done.writes.append(("HSET", keys.newest_signals(self._partition), signal.symbol, encode(signal)))
            self._metrics.count("md_signals_total", symbol=signal.symbol)
            log.info("signal.published", id=signal.id, action=signal.action, confidence=signal.confidence)
        done.published.extend(Publication(keys.HISTORY_REQUESTS, request) for request in tick.requests)
        for bar in tick.bars:
            self._metrics.count("md_bars_total", timeframe=bar.timeframe)
        for reason in tick.withheld:
            self._metrics.count("md_bars_unasked_total", reason=reason)
        for reason in tick.dropped:
            self._metrics.count("md_candidates_dropped_total", reason=reason)
        for symbol in tick.withdrawn:
            done.writes.append(("HDEL", keys.newest_signals(self._partition), symbol))
            log.info("signal.withdrawn", symbol=symbol, why=CONFLICT)

    def _count(self, drained: Drained, seconds: float) -> None:
        if drained.lanes:
            self._metrics.count("md_features_total", drained.values)
            self._metrics.observe("md_feature_seconds", seconds / drained.lanes)
        if drained.skipped:
            self._metrics.count("md_forming_skipped_total", drained.skipped)
        self._metrics.observe("md_pass_seconds", seconds)
        if self.engine.late:
            self._metrics.count("md_late_for_bars_total", self.engine.late)
            self.engine.late = 0

    def _new_engine(self) -> Engine:
        symbols = self._table.in_partition(self._partition, self._settings.stream_partitions)
        return Engine(self._rules, symbols, self._feed_of)

    def _feed_of(self, symbol: Symbol, source_class: str) -> Feed:
        name = self._table.session_of(symbol.name, source_class)
        session = self._sessions.setdefault(
            name, SessionClock(partial(next_open_ms, name), partial(after_open_time, name))
        )
        return Feed(source_class, delay_ms(symbol, source_class, self._settings), session)


def _raw_id(message: AnyMessage) -> str:
    """Return the origin of an entry of `quotes`; empty for the storer's answers, which have none."""
    match message:
        case Quotes():
            return message.quotes[0].raw_id if message.quotes else ""
        case HistoryBars() | SeriesChange() | Clock():
            return message.raw_id
        case _:
            return ""


def make_spec(settings: Settings, metrics: Metrics) -> StageSpec:
    """Return the stage."""
    table = load_symbols(settings.symbols, settings.symbols_file)
    rules = rules_of(settings, table)
    return StageSpec(
        name="features",
        inputs=(keys.QUOTES, keys.HISTORY),
        outputs=(keys.BARS, keys.SIGNALS, keys.HISTORY_REQUESTS),
        make_handler=lambda partition: FeaturesHandler(partition, settings, table, metrics, rules),
    )

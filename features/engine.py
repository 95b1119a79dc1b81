"""The engine of one partition: quotes, history and clock entries in; final bars, signals and requests out.

Pure: it does no I/O and reads no clock. What it must not lose stands in `state()` and in the lanes' stored bars.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from common.bars import bucket_open_ms
from common.messages import Clock, HistoryBars, HistoryRequest, Quote, SeriesChange
from common.symbols import Symbol
from features.builder import admit
from features.closing import Closing, Tick
from features.coverage import observe
from features.history import merge, note_answer, wanted
from features.lane import Lane, LaneSetup
from features.pairs import PairSeries
from features.rules import Rules
from features.track import Changes, Feed, FeedOf, Slot, Track, began_anew


class Engine:
    """All lanes of one partition."""

    def __init__(self, rules: Rules, symbols: Sequence[Symbol], feed_of: FeedOf) -> None:
        """`symbols`: in the table's order. Each begins with its own class."""
        self.rules = rules
        self.clock: Clock | None = None
        self.changes = Changes()
        self._feed_of = feed_of
        self.tracks = {symbol.name: self._new_track(symbol, symbol.series) for symbol in symbols}
        self._join_pairs()
        self._closing = Closing(rules, self.changes)
        self._lapsed: tuple[str, ...] = ()
        self.late = 0
        """Quotes that came after a bar of theirs had closed, once for each such bar."""
        self.ignored = 0
        """Quotes and history of symbols or classes that feed no lane here."""

    def resume(self, clock: Clock | None) -> None:
        """Take the last handled clock entry as now."""
        self.clock = clock
        for track in self.tracks.values():
            self._set_horizon(track)
        self._closing.find(self.tracks)

    def _set_horizon(self, track: Track) -> None:
        if self.clock is not None:
            track.horizon_ms = self.clock.now_ms - track.delay_ms - self.rules.lateness_ms

    # -- which class feeds a series ----------------------------------------------------------------

    def adopt(self, name: str, source_class: str) -> Track:
        """Have a class feed a symbol's series, with empty lanes: before anything is restored into them."""
        self.tracks[name] = self._new_track(self.tracks[name].symbol, source_class)
        self._join_pairs()
        return self.tracks[name]

    def change_series(self, change: SeriesChange) -> Track | None:
        """Begin a series anew with another class, from this entry on; None if that class feeds it, or may not."""
        track = self.tracks.get(change.symbol)
        if track is None or change.source_class == track.source_class:
            return None
        if change.source_class not in track.symbol.may_feed():
            self.ignored += 1
            return None
        feed = self._feed_of(track.symbol, change.source_class)
        self.changes.forget(track)
        found = began_anew(track, change, feed, _lanes(self.rules, track.symbol, feed))
        self._set_horizon(found)
        self.tracks[change.symbol] = found
        self._join_pairs()
        self.changes.change(found)
        for slot in found.slots.values():
            self.changes.touch(found, slot)
        self._follow_pairs()
        return found

    def _join_pairs(self) -> None:
        """Let the indicators over two symbols look at the lanes that feed them now."""
        for track in self.tracks.values():
            for timeframe, slot in track.slots.items():
                program, pairs = slot.lane.setup.program, []
                for one in program.pairs:
                    other = self.tracks.get(one.other or "")
                    if other is not None:
                        pairs.append(PairSeries(one, slot.lane.window, other.slots[timeframe].lane.window))
                slot.pairs = tuple(pairs)

    def _new_track(self, symbol: Symbol, source_class: str) -> Track:
        feed = self._feed_of(symbol, source_class)
        return Track(symbol, feed, {name: Slot(lane) for name, lane in _lanes(self.rules, symbol, feed).items()})

    # -- quotes and history ------------------------------------------------------------------------

    def take_quotes(self, quotes: Iterable[Quote]) -> None:
        """Put each quote into the open bars that its market time falls into."""
        for quote in quotes:
            track = self.tracks.get(quote.symbol)
            if track is None or quote.check or quote.source_class != track.source_class:
                self.ignored += 1
                continue
            self.changes.change(track)
            if track.newest_ms is None or quote.market_ms >= track.newest_ms:
                track.newest_ms, track.newest_score = quote.market_ms, quote.score
            for slot in track.slots.values():
                self._admit(track, slot, quote)

    def _admit(self, track: Track, slot: Slot, quote: Quote) -> None:
        length_ms = slot.lane.setup.timeframe_ms
        open_ms = bucket_open_ms(quote.market_ms, length_ms)
        last_ms = slot.lane.window.last_open_ms
        if open_ms + length_ms <= track.horizon_ms or (last_ms is not None and open_ms <= last_ms):
            self.late += 1
            return
        slot.forming = admit(slot.forming, quote, length_ms)
        slot.quotes += 1
        self.changes.touch(track, slot)

    def take_history(self, message: HistoryBars) -> HistoryBars | None:
        """Merge closed bars into a lane; one that changes by it is not ready until it was opened anew.

        Returns the message with the bars alone that changed the lane; None if none did.
        """
        track = self.tracks.get(message.symbol)
        slot = track.slots.get(message.timeframe) if track else None
        if track is None or slot is None or message.source_class != track.source_class:
            self.ignored += 1
            return None
        if note_answer(slot, message):
            self.changes.touch(track, slot)
        taken = merge(track, slot, message)
        if taken is not None:
            self.changes.touch(track, slot)
            self.changes.change(track)
            self._follow_pairs()  # what looks at this lane from another one is wrong from now on, too
        return taken

    # -- the clock ---------------------------------------------------------------------------------

    def tick(self, clock: Clock) -> Tick:
        """Close what is due by this clock entry, and ask the strategies about it."""
        self.begin(clock)
        return self.close(lambda: True)

    def begin(self, clock: Clock) -> None:
        """Take a clock entry as now: what is due by it waits to be closed."""
        last_ms = self.clock.now_ms if self.clock is not None else None
        self.resume(clock)
        for track in self.tracks.values():
            self._refresh(track, last_ms, clock.now_ms)
        self._lapsed = tuple(
            name for name, track in self.tracks.items() if track.live and track.live.lapses(last_ms, clock.now_ms)
        )

    @property
    def closing(self) -> bool:
        """Whether bars that are due wait to be closed: until then neither quotes nor history may come, nor a clock."""
        return self._closing.waiting

    def close(self, has_time: Callable[[], bool]) -> Tick:
        """Close what is due, one symbol after the other while there is time: `closing` tells whether some wait."""
        assert self.clock is not None
        tick = replace(self._closing.close(self.clock, has_time), lapsed=self._lapsed)
        self._lapsed = ()
        self._follow_pairs()
        return tick if self.closing else replace(tick, requests=tuple(self._requests(self.clock.now_ms)))

    def _refresh(self, track: Track, last_ms: int | None, now_ms: int) -> None:
        coverage = observe(track.coverage, last_ms, now_ms, self.rules.break_ms)
        if coverage is not track.coverage:
            track.coverage = coverage
            self.changes.change(track)

    def _follow_pairs(self) -> None:
        """Take in what both symbols of a pair have closed."""
        for track in self.tracks.values():
            for slot in track.slots.values():
                if slot.pairs and slot.follow_pairs():
                    self.changes.touch(track, slot)

    def _requests(self, now_ms: int) -> Iterator[HistoryRequest]:
        for track in self.tracks.values():
            for slot in track.slots.values():
                request = wanted(track, slot, self.rules.needed_bars, self.rules.max_bars, now_ms)
                if request is not None:
                    self.changes.slots[slot.lane.name] = (track, slot)
                    yield request


def _lanes(rules: Rules, symbol: Symbol, feed: Feed) -> dict[str, Lane]:
    return {
        timeframe: Lane(
            LaneSetup(
                symbol.name, timeframe, length_ms, rules.max_bars, rules.anchor_bars,
                rules.plan.program(symbol.name, timeframe),
            ),
            feed.session,
        )
        for timeframe, length_ms in rules.timeframes
    }  # fmt: skip

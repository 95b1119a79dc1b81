"""The engine of one partition: quotes, history and clock entries in; final bars, signals and requests out.

Pure: it does no I/O and reads no clock. What it must not lose stands in `state()` and in the lanes' stored bars.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from common.bars import bucket_open_ms
from common.messages import Bar, Clock, HistoryBars, HistoryRequest, Quote, SeriesChange, Signal
from common.symbols import Symbol
from features.builder import Forming, admit, finish, split
from features.coverage import covers, observe
from features.history import merge, note_answer, wanted
from features.lane import Lane, LaneSetup
from features.pairs import PairSeries
from features.rules import Rules
from features.scanner import CONFLICT, resolve, sift
from features.signals import Closed, Proposal, has_needs, propose, publish, withheld
from features.state import Live
from features.track import Changes, Feed, FeedOf, Slot, Track, began_anew, warming


@dataclass(frozen=True)
class Tick:
    """What one clock entry led to."""

    bars: tuple[Bar, ...]
    signals: tuple[Signal, ...]
    requests: tuple[HistoryRequest, ...]
    withheld: tuple[str, ...]
    """Why no strategy was asked, for each closed bar where that was so."""
    dropped: tuple[str, ...] = ()
    """Why candidates were not published, for each one and for each conflict."""
    withdrawn: tuple[str, ...] = ()
    """Symbols whose last signal is to be served no longer."""
    lapsed: tuple[str, ...] = ()
    """Symbols whose last signal expired long ago: nobody needs to be told of it any more."""


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
        self.late = 0
        """Quotes that came after a bar of theirs had closed, once for each such bar."""
        self.ignored = 0
        """Quotes and history of symbols or classes that feed no lane here."""

    def resume(self, clock: Clock | None) -> None:
        """Take the last handled clock entry as now."""
        self.clock = clock
        for track in self.tracks.values():
            self._set_horizon(track)

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
            if track.newest_ms is None or quote.market_ms > track.newest_ms:
                track.newest_ms = quote.market_ms
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
        last_ms = self.clock.now_ms if self.clock is not None else None
        self.resume(clock)
        for track in self.tracks.values():
            self._refresh(track, last_ms, clock.now_ms)
        lapsed = tuple(n for n, t in self.tracks.items() if t.live is not None and t.live.lapses(last_ms, clock.now_ms))
        bars: list[Bar] = []
        proposals: dict[str, list[Proposal]] = {}
        refused: list[str] = []
        lost: list[str] = []
        for track, slot, forming in self._due():
            bar = self._close(track, slot, forming)
            bars.append(bar)
            if self.asks(bar.timeframe):
                found = self._ask(track, slot, forming, bar)
                if isinstance(found, str):
                    refused.append(found)
                else:
                    sound = sift(found, slot.lane.longest_hole_bars, lost)
                    if sound:
                        proposals.setdefault(bar.symbol, []).extend(sound)
        self._follow_pairs()
        signals, withdrawn = self._scan(proposals, lost)
        requests = tuple(self._requests(clock.now_ms))
        return Tick(tuple(bars), signals, requests, tuple(refused), tuple(lost), withdrawn, lapsed)

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

    def _due(self) -> list[tuple[Track, Slot, Forming]]:
        """Return the bars to close: by their end, then by timeframe, then by the symbol table's order."""
        due: list[tuple[int, int, int, Track, Slot, Forming]] = []
        for place, track in enumerate(self.tracks.values()):
            for rank, slot in enumerate(track.slots.values()):
                length_ms = slot.lane.setup.timeframe_ms
                if not slot.forming or slot.forming[0].open_ms + length_ms > track.horizon_ms:
                    continue
                closing, slot.forming = split(slot.forming, length_ms, track.horizon_ms)
                due += [(bar.open_ms + length_ms, rank, place, track, slot, bar) for bar in closing]
        due.sort(key=lambda entry: entry[:3])
        return [(track, slot, bar) for _, _, _, track, slot, bar in due]

    def _close(self, track: Track, slot: Slot, forming: Forming) -> Bar:
        setup = slot.lane.setup
        complete = covers(track.coverage, forming.open_ms, forming.open_ms + setup.timeframe_ms, track.delay_ms)
        bar = finish(forming, setup.symbol, setup.timeframe, track.source_class, complete)
        slot.appended.append(slot.lane.append(bar))
        self.changes.touch(track, slot)
        self.changes.change(track)
        return bar

    def _ask(self, track: Track, slot: Slot, forming: Forming, bar: Bar) -> list[Proposal] | str:
        """Return the strategies' candidates on this bar; or why none was asked."""
        assert self.clock is not None
        lane = slot.lane
        length_ms = lane.setup.timeframe_ms
        closed = Closed(
            bar=bar,
            score=forming.score,
            age_ms=self.clock.now_ms - forming.last_ms,
            hole_bars=lane.hole_ms // length_ms,
            delay_ms=track.delay_ms,
            values=lane.ready_values(),
            previous=lane.previous_values(),
            spread=forming.spread,
            changed=bool(warming(track, self.asks)),
        )
        why = withheld(closed)
        if why is not None:
            return why
        asked = [strategy for strategy in self.rules.strategies if bar.timeframe in strategy.timeframes]
        if not any(has_needs(strategy, closed) for strategy in asked):
            return "not_ready"
        found = [
            propose(strategy, closed, length_ms, track.signalled.get(f"{bar.timeframe}|{strategy.name}"))
            for strategy in asked
        ]
        return [proposal for proposal in found if proposal is not None]

    def asks(self, timeframe: str) -> bool:
        """Tell whether strategies look at bars of a timeframe."""
        return any(timeframe in strategy.timeframes for strategy in self.rules.strategies)

    def _scan(
        self, proposals: dict[str, list[Proposal]], lost: list[str]
    ) -> tuple[tuple[Signal, ...], tuple[str, ...]]:
        """Return at most one signal for each symbol, and the symbols whose last one is withdrawn."""
        assert self.clock is not None
        signals, withdrawn = [], []
        for name, found in proposals.items():
            track = self.tracks[name]
            chosen, withdraw = resolve(found, track.live, self.clock.now_ms)
            if withdraw:
                withdrawn.append(name)
            if chosen is None:
                lost.append(CONFLICT)
                continue
            signal = publish(chosen, track.symbol, self.clock.now_ms, self.rules.expiry_ms)
            if signal is not None:
                self._remember(track, signal)
                signals.append(signal)
        return tuple(signals), tuple(withdrawn)

    def _remember(self, track: Track, signal: Signal) -> None:
        """Keep what a signal forbids: its repetition for a while, and its opposite until it expires."""
        track.signalled = {**track.signalled, f"{signal.timeframe}|{signal.strategy}": signal.bar_open_ms}
        track.live = Live(signal.action, signal.quality, signal.expires_ms)
        self.changes.change(track)

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

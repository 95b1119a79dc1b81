"""The bars that a clock entry ends: closed symbol by symbol, each with what the strategies make of it.

A symbol's bars are closed at once, since at most one signal comes of them. Where there is no time for all symbols the
others wait: their bars are still open in the state, and whoever restores it finds them due again.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from common.messages import Bar, Clock, HistoryRequest, Signal
from features.builder import Forming, finish, split
from features.coverage import covers
from features.rules import Rules
from features.scanner import CONFLICT, resolve, sift
from features.signals import Closed, Proposal, has_needs, propose, publish, withheld
from features.state import Live
from features.track import Changes, Slot, Track, warming


@dataclass(frozen=True)
class Tick:
    """What one clock entry led to, or the part of it that there was time for."""

    bars: tuple[Bar, ...]
    signals: tuple[Signal, ...]
    requests: tuple[HistoryRequest, ...] = ()
    withheld: tuple[str, ...] = ()
    """Why no strategy was asked, for each closed bar where that was so."""
    dropped: tuple[str, ...] = ()
    """Why candidates were not published, for each one and for each conflict."""
    withdrawn: tuple[str, ...] = ()
    """Symbols whose last signal is to be served no longer."""
    lapsed: tuple[str, ...] = ()
    """Symbols whose last signal expired long ago: nobody needs to be told of it any more."""


@dataclass
class Found:
    """A tick in the making."""

    bars: list[Bar] = field(default_factory=list)
    signals: list[Signal] = field(default_factory=list)
    withheld: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)

    def tick(self) -> Tick:
        """Return it, without requests."""
        return Tick(
            tuple(self.bars), tuple(self.signals), (), tuple(self.withheld), tuple(self.dropped), tuple(self.withdrawn)
        )


class Closing:
    """The symbols whose bars are due."""

    def __init__(self, rules: Rules, changes: Changes) -> None:
        self._rules, self._changes = rules, changes
        self._tracks: deque[Track] = deque()

    @property
    def waiting(self) -> bool:
        """Whether there are any."""
        return bool(self._tracks)

    def find(self, tracks: Mapping[str, Track]) -> None:
        """Look for them, by each symbol's horizon."""
        self._tracks = deque(track for track in tracks.values() if _is_due(track))

    def close(self, clock: Clock, has_time: Callable[[], bool]) -> Tick:
        """Close the bars of one symbol after the other, of one at least, while there is time."""
        found = Found()
        while self._tracks and (not found.bars or has_time()):
            self._close_symbol(self._tracks.popleft(), clock, found)
        return found.tick()

    def _close_symbol(self, track: Track, clock: Clock, found: Found) -> None:
        proposals: list[Proposal] = []
        for slot, forming in _due(track):
            bar = self._close_bar(track, slot, forming)
            found.bars.append(bar)
            if self._rules.asks(bar.timeframe):
                asked = self._ask(track, slot, forming, bar, clock)
                if isinstance(asked, str):
                    found.withheld.append(asked)
                else:
                    proposals += sift(asked, slot.lane.longest_hole_bars, found.dropped)
        if proposals:
            self._choose(track, proposals, clock, found)

    def _close_bar(self, track: Track, slot: Slot, forming: Forming) -> Bar:
        setup = slot.lane.setup
        complete = covers(track.coverage, forming.open_ms, forming.open_ms + setup.timeframe_ms, track.delay_ms)
        bar = finish(forming, setup.symbol, setup.timeframe, track.source_class, complete)
        slot.appended.append(slot.lane.append(bar))
        self._changes.touch(track, slot)
        self._changes.change(track)
        return bar

    def _ask(self, track: Track, slot: Slot, forming: Forming, bar: Bar, clock: Clock) -> list[Proposal] | str:
        """Return the strategies' candidates on this bar; or why none was asked."""
        lane = slot.lane
        length_ms = lane.setup.timeframe_ms
        closed = Closed(
            bar=bar,
            score=forming.score,
            age_ms=clock.now_ms - forming.last_ms,
            hole_bars=lane.hole_ms // length_ms,
            delay_ms=track.delay_ms,
            values=lane.ready_values(),
            previous=lane.previous_values(),
            spread=forming.spread,
            changed=bool(warming(track, self._rules.asks)),
        )
        why = withheld(closed)
        if why is not None:
            return why
        asked = [strategy for strategy in self._rules.strategies if bar.timeframe in strategy.timeframes]
        if not any(has_needs(strategy, closed) for strategy in asked):
            return "not_ready"
        found = [
            propose(strategy, closed, length_ms, track.signalled.get(f"{bar.timeframe}|{strategy.name}"))
            for strategy in asked
        ]
        return [proposal for proposal in found if proposal is not None]

    def _choose(self, track: Track, proposals: list[Proposal], clock: Clock, found: Found) -> None:
        """Publish one signal at most; or withdraw the last one."""
        chosen, withdraw = resolve(proposals, track.live, clock.now_ms)
        if withdraw:
            found.withdrawn.append(track.symbol.name)
        if chosen is None:
            found.dropped.append(CONFLICT)
            return
        signal = publish(chosen, track.symbol, clock.now_ms, self._rules.expiry_ms)
        if signal is not None:
            self._remember(track, signal)
            found.signals.append(signal)

    def _remember(self, track: Track, signal: Signal) -> None:
        """Keep what a signal forbids: its repetition for a while, and its opposite until it expires."""
        track.signalled = {**track.signalled, f"{signal.timeframe}|{signal.strategy}": signal.bar_open_ms}
        track.live = Live(signal.action, signal.quality, signal.expires_ms)
        self._changes.change(track)


def _is_due(track: Track) -> bool:
    return any(
        slot.forming and slot.forming[0].open_ms + slot.lane.setup.timeframe_ms <= track.horizon_ms
        for slot in track.slots.values()
    )


def _due(track: Track) -> list[tuple[Slot, Forming]]:
    """Return a symbol's bars to close: by their end, then by timeframe. They are open no longer."""
    due: list[tuple[int, int, Slot, Forming]] = []
    for rank, slot in enumerate(track.slots.values()):
        length_ms = slot.lane.setup.timeframe_ms
        closing, slot.forming = split(slot.forming, length_ms, track.horizon_ms)
        due += [(bar.open_ms + length_ms, rank, slot, bar) for bar in closing]
    due.sort(key=lambda entry: entry[:2])
    return [(slot, bar) for _, _, slot, bar in due]

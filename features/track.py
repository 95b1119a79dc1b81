"""One symbol in the engine: the class that feeds its series now, and its lanes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from common.heads import warming_text
from common.indicators import SessionClock
from common.messages import SeriesChange
from common.symbols import Symbol
from features.builder import OpenBars
from features.coverage import NOT_COVERED, Coverage
from features.lane import Lane
from features.pairs import PairSeries
from features.state import Asked, Live, SymbolState


@dataclass(frozen=True)
class Feed:
    """What the engine must know of the class that feeds a series."""

    source_class: str
    delay_ms: int
    """How late it is by contract."""
    session: SessionClock


class FeedOf(Protocol):
    """Finds the feed of a symbol's class; KeyError if no source quotes the symbol as that class."""

    def __call__(self, symbol: Symbol, source_class: str) -> Feed: ...


@dataclass
class Slot:
    """One lane in the engine, with what changed in it since the last commit."""

    lane: Lane
    forming: OpenBars = ()
    asked: Asked | None = None
    appended: list[bytes] = field(default_factory=list)
    rewritten: bool = False
    touched: bool = False
    asked_now: bool = False
    filled: bool = False
    """It holds as many bars as its indicators need: no more history is asked for."""
    quotes: int = 0
    """Quotes taken into its open bars since their values were last worked out."""
    pairs: tuple[PairSeries, ...] = ()
    """Its indicators that look at another symbol."""
    pairs_moved: bool = False
    """They have changed since the lane's values were last written."""
    encoded: tuple[int, msgspec.Raw] | None = None
    """The lane's values as JSON, and after how many of its closed bars."""

    def follow_pairs(self) -> bool:
        """Take in what both symbols of each pair have closed; tell whether a value changed."""
        followed = [pair.follow() for pair in self.pairs]
        if not any(followed):
            return False
        values = [value for pair in self.pairs for value in pair.values]
        self.lane.show_pairs(values, tuple(pair.bars for pair in self.pairs))
        self.pairs_moved = True
        return True

    @property
    def pressing(self) -> bool:
        """Whether what is shown of its closed bars is wrong until its values are written."""
        return bool(self.appended) or self.rewritten or (self.pairs_moved and not self.lane.stale)


@dataclass
class Track:
    """One symbol in the engine."""

    symbol: Symbol
    feed: Feed
    slots: dict[str, Slot]
    """By timeframe, shortest first."""
    coverage: Coverage = NOT_COVERED
    signalled: dict[str, int] = field(default_factory=dict)
    live: Live | None = None
    """Its last signal; None: none yet."""
    newest_ms: int | None = None
    """Market time of its newest quote; None before the first."""
    newest_score: float | None = None
    """Quality of that quote."""
    horizon_ms: int = 0
    """Bars that end at or before it are closed."""
    anew_ms: int | None = None
    """Stream time at which another class began to feed the series; None: never yet."""

    @property
    def source_class(self) -> str:
        """The class that feeds the series."""
        return self.feed.source_class

    @property
    def delay_ms(self) -> int:
        """How late that class is by contract."""
        return self.feed.delay_ms

    def state(self) -> SymbolState:
        """Return what must be committed."""
        forming = {timeframe: slot.forming for timeframe, slot in self.slots.items()}
        last = {timeframe: slot.lane.window.last_open_ms for timeframe, slot in self.slots.items()}
        newest_bars = {timeframe: open_ms for timeframe, open_ms in last.items() if open_ms is not None}
        return SymbolState(
            self.source_class, self.coverage, forming, self.signalled, self.newest_ms, self.symbol.series,
            self.anew_ms, newest_bars, self.live, self.newest_score,
        )  # fmt: skip


def began_anew(track: Track, change: SeriesChange, feed: Feed, lanes: Mapping[str, Lane]) -> Track:
    """Return the track as it begins with another class: of the old one only what its signals forbid is left."""
    slots = {name: Slot(lane, rewritten=True, touched=True) for name, lane in lanes.items()}
    return Track(track.symbol, feed, slots, signalled=track.signalled, live=track.live, anew_ms=change.at_ms)


def warming(track: Track, asked_of: Callable[[str], bool]) -> str:
    """Return why a series that began anew gives no signals yet; empty if it may.

    asked_of: whether strategies look at bars of a timeframe.
    """
    if track.anew_ms is None:
        return ""
    ready = all(slot.lane.ready for timeframe, slot in track.slots.items() if asked_of(timeframe))
    return "" if ready else warming_text(track.source_class)


@dataclass
class Changes:
    """What is to be committed: what changed since the last commit, and what is still to be worked out."""

    tracks: dict[str, Track] = field(default_factory=dict)
    """By symbol."""
    slots: dict[str, tuple[Track, Slot]] = field(default_factory=dict)
    """By lane."""

    def touch(self, track: Track, slot: Slot) -> None:
        """Have a lane's values written."""
        slot.touched = True
        self.slots[slot.lane.name] = (track, slot)

    def change(self, track: Track) -> None:
        """Have a symbol's state committed."""
        self.tracks[track.symbol.name] = track

    def forget(self, track: Track) -> None:
        """Drop what stands of a symbol that begins anew."""
        self.tracks.pop(track.symbol.name, None)
        for slot in track.slots.values():
            self.slots.pop(slot.lane.name, None)

"""One symbol in the engine: the class that feeds its series now, and its lanes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from common.indicators import SessionClock
from common.messages import SeriesChange
from common.symbols import Symbol
from features.builder import OpenBars
from features.coverage import NOT_COVERED, Coverage
from features.lane import Lane
from features.state import Asked, SymbolState


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


@dataclass
class Track:
    """One symbol in the engine."""

    symbol: Symbol
    feed: Feed
    slots: dict[str, Slot]
    """By timeframe, shortest first."""
    coverage: Coverage = NOT_COVERED
    signalled: dict[str, int] = field(default_factory=dict)
    newest_ms: int | None = None
    horizon_ms: int = 0
    """Bars that end at or before it are closed."""
    anew_ms: int | None = None
    """Stream time at which another class began to feed the series; None: never yet."""
    changed: bool = False

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
            self.anew_ms, newest_bars,
        )  # fmt: skip


def began_anew(track: Track, change: SeriesChange, feed: Feed, lanes: Mapping[str, Lane]) -> Track:
    """Return the track as it begins with another class: of the old one only what its signals forbid is left."""
    for lane in lanes.values():
        lane.reopen()  # over nothing: every value is there by name, and says that it warms up
    slots = {name: Slot(lane, rewritten=True, touched=True) for name, lane in lanes.items()}
    return Track(track.symbol, feed, slots, signalled=track.signalled, anew_ms=change.at_ms, changed=True)


def warming(track: Track, asked_of: Callable[[str], bool]) -> str:
    """Return why a series that began anew gives no signals yet; empty if it may.

    asked_of: whether strategies look at bars of a timeframe.
    """
    if track.anew_ms is None:
        return ""
    ready = all(slot.lane.ready for timeframe, slot in track.slots.items() if asked_of(timeframe))
    return "" if ready else f"series changed to {track.source_class}; warming"

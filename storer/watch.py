"""What the storer sees of gaps as it reads, before anything is written: when to write and look at once.

Kept in memory only, and no more than a reason to hurry: what is missing is told by what is stored. So it may cry wolf,
after a restart for instance, but it misses nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from common.messages import AnyMessage, Bars, Clock, HistoryBars, Quote, Quotes, SeriesChange
from common.sessions import expected_opens

Feed = tuple[str, str]
"""Symbol and source class."""


@dataclass(frozen=True)
class FeedTerms:
    """What is agreed of a feed."""

    session: str
    late_ms: int
    """How long after the end of a bar its last quotes may come."""


@dataclass
class _Seen:
    """What was read of one feed."""

    terms: FeedTerms
    checked_ms: int | None = None
    """Bars that open before it have been looked at; None before the first clock entry."""
    quoted: set[int] = field(default_factory=set)
    """Bars that quotes came in time for, from checked_ms on."""
    silent: bool = False
    """Nothing came for the last bar that ended, and nothing since."""


class Watch:
    """All feeds of a partition."""

    def __init__(self, feeds: Mapping[Feed, FeedTerms], bar_ms: int) -> None:
        """bar_ms: the length of the shortest bars that are accounted for."""
        self.now_ms = 0
        self.hurry = False
        """There is a reason to write and look at once."""
        self.returned: set[Feed] = set()
        """Feeds that quotes come of again."""
        self.next_ms: int | None = None
        """Stream time at which something is to be asked for; None: nothing is."""
        self._seen = {feed: _Seen(terms) for feed, terms in feeds.items()}
        self._active: set[Feed] = set()
        self._bar_ms = bar_ms
        self._due_ms = 0

    def follow(self, active: Iterable[Feed]) -> None:
        """Look after these feeds only: those that feed a series now."""
        self._active = set(active) & self._seen.keys()

    def looked(self, next_ms: int | None) -> None:
        """Note that the ledger was brought up to date, and when something is to be asked for next."""
        self.hurry, self.next_ms = False, next_ms
        self.returned.clear()

    def see(self, message: AnyMessage) -> None:
        """Take a message in, in the order of its stream; the same one twice does no harm."""
        match message:
            case Quotes():
                for quote in message.quotes:
                    self._quote(quote)
            case Clock():
                self._clock(message.now_ms)
            case Bars():
                self.hurry |= any(
                    not bar.complete and (bar.symbol, bar.source_class) in self._active for bar in message.bars
                )
            case HistoryBars():
                self.hurry |= message.final and (message.symbol, message.source_class) in self._seen
            case SeriesChange():
                self.hurry = True
            case _:
                pass

    def _quote(self, quote: Quote) -> None:
        seen = self._seen.get((quote.symbol, quote.source_class))
        if seen is None or quote.check:
            return
        open_ms = quote.market_ms - quote.market_ms % self._bar_ms
        if open_ms + self._bar_ms <= self.now_ms - seen.terms.late_ms:
            return
        seen.quoted.add(open_ms)
        if seen.silent:
            self._return((quote.symbol, quote.source_class), seen)

    def _return(self, feed: Feed, seen: _Seen) -> None:
        seen.silent = False
        if feed in self._active:
            self.returned.add(feed)
            self.hurry = True

    def _clock(self, now_ms: int) -> None:
        self.now_ms = max(self.now_ms, now_ms)
        if self.next_ms is not None and self.now_ms >= self.next_ms:
            self.hurry = True
        if self.now_ms < self._due_ms:
            return
        for feed, seen in self._seen.items():
            self._look(feed, seen)
        ends = [seen.checked_ms + self._bar_ms + seen.terms.late_ms for seen in self._seen.values() if seen.checked_ms]
        self._due_ms = min(ends, default=self.now_ms + self._bar_ms)

    def _look(self, feed: Feed, seen: _Seen) -> None:
        closed_ms = (self.now_ms - seen.terms.late_ms) // self._bar_ms * self._bar_ms
        if seen.checked_ms is None:
            seen.checked_ms = closed_ms
            self.hurry = True
            return
        was_silent = seen.silent
        empty = False
        for open_ms in expected_opens(seen.terms.session, self._bar_ms, seen.checked_ms, closed_ms):
            seen.silent = open_ms not in seen.quoted
            empty |= seen.silent
        seen.checked_ms = max(seen.checked_ms, closed_ms)
        seen.quoted = {open_ms for open_ms in seen.quoted if open_ms >= closed_ms}
        if empty and not was_silent and feed in self._active:
            self.hurry = True
        if (seen.silent and seen.quoted) or (empty and not seen.silent):
            self._return(feed, seen)

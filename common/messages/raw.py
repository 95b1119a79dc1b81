"""raw: collector -> validator."""

from msgspec import Struct

from common.messages.base import Message, Number, Timeframe, VolumeKind


class RawQuote(Struct, frozen=True, omit_defaults=True):
    """One quote, untouched: what a vendor said about one symbol."""

    symbol: str
    source_class: str
    market_ms: int | None = None
    """None: the vendor gives no time that can be trusted as the market's."""
    last: Number = None
    bid: Number = None
    ask: Number = None
    day_volume: Number = None
    """Cumulative volume of the session, where the vendor gives one."""
    tick: int | None = None
    """The simulator's number of this tick; None from live vendors."""


class RawQuotes(Message, frozen=True, tag="raw_quotes"):
    """All that one reply or frame brought for one partition, in the vendor's order."""

    source: str
    received_ms: int
    quotes: tuple[RawQuote, ...]
    check: bool = False
    """Asked for to check the source that feeds the series: in no bar."""


class RawBar(Struct, frozen=True, omit_defaults=True):
    """One closed bar of a vendor's history."""

    open_ms: int
    open: Number
    high: Number
    low: Number
    close: Number
    volume: Number = None


class RawBars(Message, frozen=True, tag="raw_bars"):
    """A vendor's history for one symbol and timeframe, oldest first: the answer to a BackfillRequest.

    Empty `bars` with `final` say that no vendor of the class could supply any; `detail` says why.
    """

    request_id: str
    source: str
    source_class: str
    symbol: str
    timeframe: Timeframe
    received_ms: int
    volume_kind: VolumeKind
    bars: tuple[RawBar, ...]
    final: bool = True
    detail: str = ""
    retry_ms: int | None = None
    """Stream time from which a source that failed, or could not be asked, may be asked again; None: all answered."""


class SeriesChange(Message, frozen=True, tag="series_change"):
    """From this entry on another class feeds the symbol's series, which starts anew: the collector's decision."""

    symbol: str
    source_class: str
    before: str
    """The class that fed it up to here."""
    at_ms: int
    """Stream time."""
    why: str
    """Slug: "terminal_came", "terminal_gone", "class_down", "class_back"."""
    raw_id: str = ""
    """Entry id in `raw`; filled in by the validator."""


class Clock(Message, frozen=True, tag="clock"):
    """The stream's time: all that the cycle collected stands before this entry."""

    cycle: int
    now_ms: int
    wall_ms: int
    """Real time of publishing, for the api's judgement of liveness."""
    speed: float = 1.0
    """Stream seconds per real second: 1 live."""
    raw_id: str = ""
    """Entry id in `raw`; filled in by the validator."""

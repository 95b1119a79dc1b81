"""quotes and rejects: validator -> features, storer."""

from typing import Literal

from msgspec import Struct

from common.messages.base import Message, Timeframe, VolumeKind
from common.messages.raw import RawBar, RawQuote

REPAIR = "gap"
"""How the id of a request of the gap ledger begins."""
SUSPECT_BELOW = 0.7
"""Quality of quotes, in [0, 1], below which no advice rests on them."""


class Quote(Struct, frozen=True, omit_defaults=True):
    """One quote that can be trusted, with what was judged and why."""

    symbol: str
    source: str
    source_class: str
    market_ms: int
    """The market's time; equals received_ms where market_time is False."""
    received_ms: int
    price: float
    """`last` where the vendor gave one, else the middle of bid and ask."""
    raw_id: str
    """Origin: the entry id in `raw`, and ..."""
    raw_index: int
    """... the place inside that entry."""
    last: float | None = None
    bid: float | None = None
    ask: float | None = None
    day_volume: float | None = None
    volume: float = 0.0
    """Traded since the previous quote of the same source."""
    volume_kind: VolumeKind = "none"
    score: float = 1.0
    """Quality in [0, 1]."""
    reasons: tuple[str, ...] = ()
    """Why the score is below 1, as slugs; "late" marks a quote that comes after its 1 s bar closed."""
    market_time: bool = True
    tick: int | None = None
    check: bool = False
    """Collected to check another source: it is stored and compared, but feeds no bar."""
    detail: str = ""
    """What `reasons` can't say: which sources disagree, and by how much."""


class Quotes(Message, frozen=True, tag="quotes"):
    """The accepted quotes of one raw entry, in its order."""

    quotes: tuple[Quote, ...]


class Bar(Struct, frozen=True, omit_defaults=True):
    """One bar: built from quotes (`origin` "built") or taken from a vendor's history ("vendor")."""

    symbol: str
    timeframe: Timeframe
    open_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    volume_kind: VolumeKind
    ticks: int
    """Number of quotes in it; 0 for a vendor's bar."""
    source: str
    """Of the last quote in it."""
    source_class: str
    origin: Literal["built", "vendor"] = "built"
    complete: bool = True
    """False where collecting began inside this bar."""
    final: bool = True
    repaired: bool = False
    """Put by the gap ledger in the place of one that was missing, or built from part of its quotes."""

    @property
    def id(self) -> str:
        """The identity of the bar, equal however often and wherever it is made."""
        return f"{self.symbol}|{self.source_class}|{self.timeframe}|{self.open_ms}"


AHEAD_MS = 5_000
"""How far vendors' clocks are ahead of ours, by network and rounding: a market time beyond that can't be."""

VENDORS_ASKED = "asked the vendors for more"
"""Begins the detail of an answer to which more may come."""


class HistoryBars(Message, frozen=True, tag="history_bars"):
    """A vendor's history after validation, oldest first; or the storer's answer to a HistoryRequest."""

    request_id: str
    symbol: str
    timeframe: Timeframe
    source_class: str
    bars: tuple[Bar, ...]
    final: bool = True
    """The last message of this answer."""
    detail: str = ""
    raw_id: str = ""
    """Origin of a vendor's history: the entry id in `raw`, from the validator. Empty in the storer's answers."""
    source: str = ""
    """The vendor, as in the raw entry: also known where there are no bars."""
    received_ms: int = 0
    """As in the raw entry; 0 in the storer's answers."""
    retry_ms: int | None = None
    """Stream time from which asking again may bring more, or at which the storer will; None: nobody has more."""
    instead: bool = False
    """From the storer: these take the place of the engine's own, which were built from part of their quotes."""

    @property
    def repair(self) -> bool:
        """Tell whether the gap ledger asked for it."""
        return self.request_id.startswith(REPAIR)


class Reject(Struct, frozen=True, omit_defaults=True):
    """A quote or vendor bar in quarantine: never in a bar, never deleted."""

    symbol: str
    source: str
    source_class: str
    received_ms: int
    reason: str
    detail: str
    score: float
    raw_id: str
    raw_index: int
    raw: RawQuote | None = None
    raw_bar: RawBar | None = None
    timeframe: Timeframe | None = None
    check: bool = False
    """Of a quote that was collected to check another source."""


class Rejects(Message, frozen=True, tag="rejects"):
    """The rejects of one raw entry, in its order."""

    rejects: tuple[Reject, ...]

"""Requests for history: features -> storer -> collector; and the terminal's ticks: api -> collector."""

from msgspec import Struct

from common.messages.base import Message, Timeframe


class HistoryRequest(Message, frozen=True, tag="history_request"):
    """features asks the storer for the newest bars that open before `before_ms`."""

    id: str
    symbol: str
    timeframe: Timeframe
    source_class: str
    count: int
    """Where fewer are stored, the vendors are asked."""
    before_ms: int
    most: int = 0
    """So many are wanted if they are stored: a bar cache that was lost is filled as it was. At least `count` are."""


class BackfillRequest(Message, frozen=True, tag="backfill"):
    """The storer asks the collector for a vendor's history over [from_ms, to_ms)."""

    id: str
    symbol: str
    timeframe: Timeframe
    source_class: str
    from_ms: int
    to_ms: int


class TerminalTick(Struct, frozen=True, omit_defaults=True):
    """One tick of a client's own terminal."""

    symbol: str
    """Generic."""
    market_ms: int
    """UTC: the broker's clock less its offset."""
    bid: float
    ask: float
    last: float | None = None
    volume: float | None = None


class TerminalTicks(Message, frozen=True, tag="terminal_ticks"):
    """What one POST of the terminal brought for one partition, in its order."""

    id: str
    """Identity of the batch: the same batch sent again carries the same id."""
    account: str
    received_ms: int
    ticks: tuple[TerminalTick, ...]
    present: tuple[str, ...] = ()
    """Generic symbols that the terminal watches, with or without a tick in this batch."""

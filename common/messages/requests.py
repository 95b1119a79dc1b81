"""Requests for history: features -> storer -> collector."""

from common.messages.base import Message, Timeframe


class HistoryRequest(Message, frozen=True, tag="history_request"):
    """features asks the storer for the newest `count` bars that open before `before_ms`."""

    id: str
    symbol: str
    timeframe: Timeframe
    source_class: str
    count: int
    before_ms: int


class BackfillRequest(Message, frozen=True, tag="backfill"):
    """The storer asks the collector for a vendor's history over [from_ms, to_ms)."""

    id: str
    symbol: str
    timeframe: Timeframe
    source_class: str
    from_ms: int
    to_ms: int

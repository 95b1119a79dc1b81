"""What the collector says of its sources and symbols, for whoever reads it from Redis (the api, operators)."""

from typing import Literal

import msgspec
from msgspec import Struct

NO_SOURCE = "no source, withheld"
"""The detail of every symbol for which no source of its series' class can serve now."""


class QuotaWindow(Struct, frozen=True):
    """One window of a source's quota."""

    limit: int
    used: int
    remaining: int
    resets_at_ms: int | None = None
    """When credits come back next. None: none is used."""


class Blocked(Struct, frozen=True):
    """Why a source (or one symbol at it) is left alone, and until when."""

    reason: str
    """A verdict: rate_limited, bad_key, not_entitled, unknown_symbol."""
    until_ms: int
    detail: str = ""


class SymbolReport(Struct, frozen=True):
    """One symbol at one source. None: never seen."""

    source_class: str
    quality: float | None = None
    """In [0, 1]: two fifths freshness, two fifths success of the newest calls, one fifth completeness of the fields."""
    last_market_ms: int | None = None
    last_received_ms: int | None = None
    asked: int = 0
    served: int = 0
    published: int = 0
    """Quotes that differed from the one before and went into the stream."""
    blocked: Blocked | None = None


class SourceReport(Struct, frozen=True):
    """One source, as the collector saw it at `wall_ms`. Figures count since the collector's start."""

    name: str
    wall_ms: int
    now_ms: int
    """The stream's time, which the deadlines here are in."""
    configured: bool
    """False: it needs a key and has none."""
    total_calls: int = 0
    success_calls: int = 0
    """Answered with data, or with the word that there is none."""
    failed_calls: int = 0
    success_rate: float | None = None
    latency_p95_ms: float | None = None
    """Over the newest calls that were answered, whatever the answer."""
    latency_mean_ms: float | None = None
    is_healthy: bool | None = None
    """None: not known (never called, or the breaker is finding out)."""
    blocked: Blocked | None = None
    last_error: str = ""
    """What the newest call that failed said; empty after a success."""
    plan: str = ""
    quota: dict[str, QuotaWindow] = {}
    """Window name -> figures; empty where nothing limits the source."""
    symbols: dict[str, SymbolReport] = {}


class SymbolStatus(Struct, frozen=True):
    """The collector's word on one symbol."""

    status: Literal["ok", "withheld", "closed"]
    source: str
    """Who serves it; empty if nobody does."""
    source_class: str
    """Of the symbol's series."""
    detail: str
    at_ms: int
    """Stream time."""


_encoder = msgspec.json.Encoder()
_report_decoder = msgspec.json.Decoder(SourceReport)
_status_decoder = msgspec.json.Decoder(SymbolStatus)


def encode_report(report: SourceReport | SymbolStatus) -> bytes:
    """Return the report as one line of JSON."""
    return _encoder.encode(report)


def decode_report(body: bytes) -> SourceReport:
    """Return the report in a value of keys.source_report."""
    return _report_decoder.decode(body)


def decode_status(body: bytes) -> SymbolStatus:
    """Return the status in a value of the hash keys.symbol_status."""
    return _status_decoder.decode(body)

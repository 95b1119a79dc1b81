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
    """What is left in all, the reserve included."""
    resets_at_ms: int | None = None
    """When credits come back next. None: none is used."""
    reserve: int = 0
    """What regular asking leaves: for standing in for a source that fails, and for history."""
    runs_out_at_ms: int | None = None
    """When the regular share is used up, if it goes on as planned and as in the newest hour. None: it lasts."""
    back_at_ms: int | None = None
    """When regular asking goes on after that. None: it does not run out."""


class Blocked(Struct, frozen=True):
    """Why a source (or one symbol at it) is left alone, and until when."""

    reason: str
    """A verdict: rate_limited, bad_key, not_entitled, unknown_symbol; or offline: our own network."""
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
    present: bool | None = None
    """The client's terminal gives a sign of life for it; None at a vendor."""


class PushReport(Struct, frozen=True):
    """How it is with a source's push connections. Figures count since the collector's start."""

    state: Literal["connecting", "live", "silent", "down", "refused", "off"] = "off"
    """Of several connections the best. "off": switched off, no key, or nothing to subscribe to."""
    since_ms: int | None = None
    """Stream time of the state's beginning. None: off, or before the stream's time began."""
    last_price_age_ms: int | None = None
    """In stream time. None: none has come yet."""
    connections: int = 0
    """Open now."""
    reconnects: int = 0
    pushed: tuple[str, ...] = ()
    """Symbols that come freshly, so that they need no poll."""
    refused: dict[str, str] = {}
    """Symbol -> the vendor's verdict: not pushed on this plan."""
    detail: str = ""
    """Why the last connection ended; empty after a price."""


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
    next_turn_ms: int | None = None
    """When the plan allows the next regular call. None: nothing limits the source, or its counter is lost."""
    round_ms: int | None = None
    """From one regular call to the next for the same symbol, by plan. None: nothing limits it."""
    symbols: dict[str, SymbolReport] = {}
    push: PushReport = PushReport()
    account: str = ""
    """Of the client's terminal; empty at a vendor."""


class SymbolStatus(Struct, frozen=True, gc=False):
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

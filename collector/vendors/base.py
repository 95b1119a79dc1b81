"""What a vendor's adapter is: pure functions from values to values. The fetcher does the I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from common.messages import RawBar, RawQuote, Timeframe, VolumeKind


class Verdict(StrEnum):
    """What a reply was, told by its body whatever its status says."""

    OK = "ok"
    UNCHANGED = "unchanged"
    """An answer that says word for word what the one before said. No adapter knows that: the collector tells it."""
    RATE_LIMITED = "rate_limited"
    """Too many calls: `retry_after_s` says for how long to leave the vendor alone. Not an outage."""
    BAD_KEY = "bad_key"
    NOT_ENTITLED = "not_entitled"
    UNKNOWN_SYMBOL = "unknown_symbol"
    NO_DATA = "no_data"
    BAD_SESSION = "bad_session"
    """The session token (Yahoo's crumb) is no longer good: get a new one, once."""
    BAD_REQUEST = "bad_request"
    """We asked wrongly: our bug, not the vendor's health."""
    OUTAGE = "outage"
    """Anything that is not an answer: 5xx, HTML, garbage, a truncated body, a redirect."""


@dataclass(frozen=True)
class Ask:
    """One symbol at this vendor. The asks of one request never share a generic symbol."""

    symbol: str
    """Generic."""
    vendor_symbol: str
    source_class: str
    volume_kind: VolumeKind = "none"


@dataclass(frozen=True)
class Request:
    """One GET. `params` and `headers` may hold secrets and are never logged.

    `path` begins with a slash and is percent-encoded already; `params` are not encoded yet.
    """

    path: str
    asks: tuple[Ask, ...]
    params: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    credits: int = 1
    """What it costs of the vendor's quota."""
    host: str = ""
    """Another base URL's name in Vendor.hosts; empty is the main one.

    Where one URL stands in for all of the vendor's hosts, this name follows it as a path segment (".../cookie/").
    """
    span: tuple[int, int] | None = None
    """Of a history request: only bars that open in [from_ms, to_ms) are read from its reply."""


@dataclass(frozen=True)
class Reply:
    """One complete HTTP reply. Header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    received_ms: int
    """The collector's clock when the last byte had come."""


@dataclass(frozen=True)
class Reading:
    """What a reply to a latest-price request held.

    OK: at least one quote. UNKNOWN_SYMBOL, NOT_ENTITLED and NO_DATA speak of the symbols asked for, and `refused` then
    names every one of them: act on it symbol by symbol. Every other verdict speaks of the vendor; `refused` is empty.
    """

    verdict: Verdict
    quotes: tuple[RawQuote, ...] = ()
    """In the order of the request's asks."""
    refused: Mapping[str, Verdict] = field(default_factory=dict)
    """Generic symbol -> why this symbol is not among the quotes: complete, with or without quotes beside it."""
    detail: str = ""
    """What was found, for humans: never holds a key."""
    retry_after_s: float | None = None
    credits_left: int | None = None
    """What the vendor itself says is left of the current window."""
    took_s: float = 0.0
    """Real time of the exchange, as the fetcher measured it."""


@dataclass(frozen=True)
class HistoryReading:
    """What a reply to a history request held: closed bars only, oldest first, each open time once."""

    verdict: Verdict
    bars: tuple[RawBar, ...] = ()
    detail: str = ""
    retry_after_s: float | None = None
    credits_left: int | None = None
    next: Request | None = None
    """The rest of the same history, to be fetched like any other request (and paid for); None at the end.

    It may stand beside NO_DATA: an empty page with more behind it.
    """


@dataclass(frozen=True)
class Credentials:
    """What a vendor may need to ask: its key, and a session token where it has one."""

    key: str = ""
    token: str = ""


class Vendor(Protocol):
    """One vendor's adapter."""

    name: str
    hosts: Mapping[str, str]
    """Name -> base URL; "" is the main one. Settings may override each."""
    needs_key: bool
    batch: int
    """Symbols that one latest-price call can carry."""
    headers: tuple[tuple[str, str], ...]
    """Sent with every request (a User-Agent where the vendor demands one)."""

    def latest(self, asks: Sequence[Ask], credentials: Credentials) -> Request:
        """Return the request for the latest price of at most `batch` symbols."""
        ...

    def latest_without_token(self, asks: Sequence[Ask]) -> Request | None:
        """Return a request for the latest prices that needs no session token, where `latest` does.

        It serves while no token can be had. None: there is no such request.
        """
        ...

    def read_latest(self, request: Request, reply: Reply) -> Reading:
        """Return what the reply to `latest` or `latest_without_token` says. Never raises, whatever the body."""
        ...

    def history(
        self, ask: Ask, timeframe: Timeframe, from_ms: int, to_ms: int, credentials: Credentials
    ) -> tuple[Request, ...]:
        """Return the requests for closed bars that open in [from_ms, to_ms), oldest first; none if it has none such."""
        ...

    def read_history(self, request: Request, timeframe: Timeframe, reply: Reply) -> HistoryReading:
        """Return the closed bars in the reply. Never raises, whatever the body."""
        ...

    def token_requests(self) -> tuple[Request, ...]:
        """Return the requests that lead to a session token, in order; empty if the vendor needs none.

        The fetcher keeps the cookies that their replies set and sends them with every request. Only the last reply is
        read; the status of the others says nothing (the cookie page answers 404).
        """
        ...

    def read_token(self, reply: Reply) -> str | None:
        """Return the session token in the reply to the last token request; None if there is none in it.

        Where there is none, `read_latest(request, reply)` of the same reply says why.
        """
        ...

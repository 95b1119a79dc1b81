"""What a vendor's push side is: a conversation over one WebSocket, without I/O. collector/push/ holds the socket."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from collector.vendors.base import Ask, Credentials, Reply, Verdict
from common.messages import RawBar, RawQuote


@dataclass(frozen=True)
class Endpoint:
    """One connection and what it carries. `params` and `headers` may hold secrets and are never logged."""

    asks: tuple[Ask, ...]
    host: str = ""
    """Name in StreamVendor.stream_hosts."""
    path: str = "/"
    params: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class PushedBar:
    """An aggregate that a vendor pushes to whoever subscribes to it. No price of its own: it sums up quotes."""

    symbol: str
    """Generic."""
    source_class: str
    end_ms: int
    bar: RawBar


@dataclass(frozen=True)
class FrameReading:
    """What one frame held. Any verdict but OK speaks of the connection: it is closed, and `detail` says why."""

    verdict: Verdict = Verdict.OK
    quotes: tuple[RawQuote, ...] = ()
    """In the frame's order; market times are the vendor's."""
    bars: tuple[PushedBar, ...] = ()
    """None from the subscriptions that a Conversation makes."""
    send: tuple[str, ...] = ()
    """Frames to send now."""
    subscribed: tuple[str, ...] = ()
    """Generic symbols that the vendor confirms."""
    refused: Mapping[str, Verdict] = field(default_factory=dict)
    """Generic symbol -> why the vendor does not push it on this plan. A later `subscribed` or quote takes it back."""
    detail: str = ""
    """For humans: never holds a key."""
    retry_after_s: float | None = None


class Conversation(Protocol):
    """One connection, from its opening to its end. Not thread safe, no I/O, never raises for what a frame holds."""

    def opened(self) -> tuple[str, ...]:
        """Return the frames to send as soon as the socket is open."""
        ...

    def read(self, frame: str | bytes, received_ms: int) -> FrameReading:
        """Return what a frame says. What can't be understood is OUTAGE; a kind nobody needs is OK and empty."""
        ...

    def periodic(self) -> tuple[str, ...]:
        """Return the frames to send every `StreamVendor.period_s` (a heartbeat, the subscription again)."""
        ...

    def closed(self, code: int, reason: str) -> FrameReading:
        """Return what the vendor's closing frame says; `code` is 1006 where none came. Never OK."""
        ...


class StreamVendor(Protocol):
    """A vendor that pushes prices."""

    name: str
    """As the Vendor's that is polled: one source, whichever way its prices come."""
    stream_hosts: Mapping[str, str]
    """Name -> base URL (wss://...); "" is the main one. In a simulated run {simulator}/{vendor}/stream stands in for
    the main one, and a host's name follows it as a path segment."""
    needs_key: bool
    confirms: bool
    """Whether it names in `FrameReading.subscribed` what it has subscribed; else the first price is the first sign."""
    period_s: float
    """How often `periodic` is due, real time."""
    silence_s: float
    """In an open market, without a price of any of its symbols for so long: the socket is silent, whatever it says."""

    def endpoints(self, asks: Sequence[Ask], credentials: Credentials) -> tuple[Endpoint, ...]:
        """Return the connections that carry these symbols; those that the vendor never pushes are left out."""
        ...

    def converse(self, endpoint: Endpoint, credentials: Credentials) -> Conversation:
        """Return the conversation of a new connection."""
        ...

    def read_refusal(self, endpoint: Endpoint, credentials: Credentials, reply: Reply) -> FrameReading:
        """Return what the HTTP reply says that came in place of an open socket. Never OK."""
        ...

"""Opening one WebSocket: a deadline on all of it, small frames, no proxy, no redirect, nothing logged."""

import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from collector.vendors.base import Reply
from collector.vendors.stream import Endpoint

FRAME_LIMIT_BYTES = 262_144  # some thousand prices
FRAMES_WAITING = 16
KEEPALIVE_S = 20.0  # a peer that is gone without a word
CLOSE_S = 0.5  # for the vendor's closing frame; then the connection is cut

BROKEN = (OSError, EOFError, TimeoutError, WebSocketException)
"""Everything that a socket may raise: none of it is our bug."""

_silent = logging.getLogger("websockets.push")
_silent.disabled = True  # its debug lines hold whole URLs, keys included


class NotOpened(Exception):
    """The vendor answered over HTTP instead of opening the socket."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"status {reply.status}")
        self.reply = reply


@dataclass(frozen=True)
class Place:
    """Where a connection leads. The URL may hold a key and is never logged."""

    base_url: str
    endpoint: Endpoint
    deadline_s: float
    tls: ssl.SSLContext | None = None

    @property
    def url(self) -> str:
        """The whole URL."""
        query = f"?{urlencode(self.endpoint.params)}" if self.endpoint.params else ""
        return f"{self.base_url}{self.endpoint.path}{query}"


def base_url(simulator_url: str, vendor: str, hosts: Mapping[str, str], host: str) -> str:
    """Return the base URL of one of a vendor's hosts: its own, or the simulator's in its place."""
    if not simulator_url:
        return hosts[host]
    main = f"ws{simulator_url.removeprefix('http')}/{vendor}/stream"
    return f"{main}/{host}" if host else main


class _Connect(connect):
    """Connects to the place that it was told, and to no other."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """See connect: what is returned is raised."""
        return exc


async def open_socket(place: Place, received_ms: int) -> ClientConnection:
    """Return an open socket. NotOpened if the vendor says no in HTTP, else one of BROKEN."""
    tls = place.tls if place.base_url.startswith("wss://") else None
    try:
        return await _Connect(
            place.url, additional_headers=list(place.endpoint.headers), user_agent_header=None, compression=None,
            proxy=None, open_timeout=place.deadline_s, ping_interval=KEEPALIVE_S, ping_timeout=KEEPALIVE_S,
            close_timeout=CLOSE_S, max_size=FRAME_LIMIT_BYTES, max_queue=FRAMES_WAITING, logger=_silent, ssl=tls,
        )  # fmt: skip
    except InvalidStatus as e:
        headers = {name.lower(): value for name, value in e.response.headers.raw_items()}
        reply = Reply(e.response.status_code, headers, bytes(e.response.body or b""), received_ms)
        raise NotOpened(reply) from None


def closing_of(error: ConnectionClosed) -> tuple[int, str]:
    """Return the code and the reason of the vendor's closing frame; 1006 and why where none came."""
    if error.rcvd is not None:
        return int(error.rcvd.code), error.rcvd.reason
    ours = f"we closed with {int(error.sent.code)} {error.sent.reason}" if error.sent is not None else "connection lost"
    return 1006, ours

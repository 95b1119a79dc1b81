"""What a vendor's stream is: a dialogue over one WebSocket, without I/O. streams.py holds the sockets."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from simulator.market import View
from simulator.ticks import Snapshot
from simulator.wire import Answer


@dataclass(frozen=True)
class Opening:
    """A client that wants a WebSocket."""

    path: str
    """Below the vendor's stream, percent-decoded."""
    params: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in lower case."""


@dataclass(frozen=True)
class Frame:
    """One frame of prices."""

    text: str
    ticks: tuple[tuple[str, int], ...] = ()
    """Vendor symbol as in REST, and the number of the tick that this frame tells."""


@dataclass(frozen=True)
class News:
    """What one cycle brought, of the symbols of one dialogue."""

    view: View
    before: View
    """The market in the cycle before."""
    fresh: Mapping[str, Snapshot]
    """Vendor symbol as in REST -> its newest tick, which is another one than in the cycle before."""


@dataclass(frozen=True)
class Says:
    """What the vendor sends at once, and the close code if it then ends the connection."""

    frames: tuple[str, ...] = ()
    close: int | None = None
    elsewhere: tuple[tuple["Dialogue", "Says"], ...] = ()
    """What other connections are told because of it."""


NOTHING = Says()


class Dialogue(Protocol):
    """The vendor's side of one connection."""

    def opened(self) -> Says:
        """Return what a new connection is told."""
        ...

    def read(self, text: str) -> Says:
        """Return what is said to one frame of the client."""
        ...

    def wanted(self) -> Collection[str]:
        """Return the vendor symbols, as in REST, whose prices are pushed; in the order of the frames."""
        ...

    def push(self, news: News) -> tuple[Frame, ...]:
        """Return the frames of one cycle."""
        ...

    def closed(self) -> None:
        """The connection is gone."""
        ...


class StreamVendor(Protocol):
    """A vendor that pushes prices."""

    def welcome(self, opening: Opening) -> Dialogue | Answer:
        """Return the dialogue with a new client, or the HTTP reply that refuses it."""
        ...

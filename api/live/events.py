"""What live clients are told, as JSON: the same over both transports."""

from msgspec import Struct

from api.errors import ascii_json
from api.signals_v1 import SignalView

HEARTBEAT_S = 10.0  # proxies cut what is silent for a minute, some sooner


class Hello(Struct, frozen=True, tag="hello"):
    """The first word: what this client will be told. `event_id`: where it begins, to be given back as `since`."""

    event_id: str
    resumed: bool
    """It said where it had been before."""
    complete: bool
    """All that was published since then could be looked at; false: some of it is gone from the stream."""
    equity: float
    currency: str
    symbols: list[str]
    """Empty: all."""
    heartbeat_s: float
    timestamp: str
    simulated: bool


class SignalEvent(Struct, frozen=True, tag="signal"):
    """A signal that may be acted on now, sized for `equity`."""

    event_id: str
    signal: SignalView
    equity: float
    currency: str
    timestamp: str
    simulated: bool


class Heartbeat(Struct, frozen=True, tag="heartbeat"):
    """The connection is alive, and everything up to `event_id` was looked at."""

    event_id: str
    timestamp: str


class Closing(Struct, frozen=True, tag="closing"):
    """The last word. `code` is a fixed slug."""

    code: str
    message: str


Event = Hello | SignalEvent | Heartbeat | Closing


def json_text(event: Event) -> str:
    """Return the event as one line of JSON in ASCII; its `type` says what it is."""
    return ascii_json(event).decode("ascii")


def server_sent(event: Event) -> bytes:
    """Return the event as one of a text/event-stream; what has an id is where a browser goes on later."""
    kind = str(type(event).__struct_config__.tag)
    place = "" if isinstance(event, Closing) else f"id: {event.event_id}\n"
    return f"{place}event: {kind}\ndata: {json_text(event)}\n\n".encode("ascii")

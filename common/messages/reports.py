"""Reports: of sources, of clients, and of what could not be handled."""

from msgspec import field

from common.messages.base import Message


class SourceEvent(Message, frozen=True, tag="source_event"):
    """A change in a source's state: breaker transitions, limits, bad keys, usage."""

    source: str
    event: str
    """Dotted slug, such as "breaker.opened"."""
    at_ms: int
    id: str
    """Derived from source, event and a counter: unique."""
    detail: str = ""
    fields: dict[str, str | int | float] = field(default_factory=dict)


class Execution(Message, frozen=True, tag="execution"):
    """A fill, or a close, as a client reported it: `body` is its JSON object as received."""

    id: str
    """"open:<trade_id>" or "close:<trade_id>"."""
    trade_id: str
    symbol: str
    received_ms: int
    body: dict[str, object]


class ClientEvent(Message, frozen=True, tag="client_event"):
    """Another report of a client (start, stop, heartbeat)."""

    id: str
    event: str
    received_ms: int
    body: dict[str, object]


class DeadLetter(Message, frozen=True, tag="dead_letter"):
    """An entry that could not be handled, kept whole."""

    stage: str
    stream: str
    entry_id: str
    reason: str
    detail: str
    failures: int
    body: str

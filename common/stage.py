"""What a stage is: a function from a batch of entries to an outcome, over state that it can restore."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from common import keys
from common.keys import Stream
from common.messages import AnyMessage, Message
from common.redis_link import Command, Link


@dataclass(frozen=True)
class Entry:
    """One decoded entry of a stream."""

    stream: Stream
    id: str
    """As Redis gave it: "milliseconds-sequence"."""
    message: AnyMessage

    @property
    def name(self) -> str:
        """The entry's identity within its partition."""
        return f"{self.stream.name} {self.id}"


Batch = tuple[Entry, ...]
"""Entries in hand: per stream in order, streams in the order of StageSpec.inputs."""


@dataclass(frozen=True)
class Publication:
    """One message for one stream of the stage's partition."""

    stream: Stream
    message: Message


@dataclass(frozen=True)
class Outcome:
    """What a batch leads to. All of it, and the acknowledgement, is one transaction."""

    publish: Sequence[Publication] = ()
    writes: Sequence[Command] = ()
    """Redis commands on keys of the same partition, as tuples: ("HSET", key, field, value, ...)."""
    entries: int | None = None
    """How many of the batch, from its beginning, were handled: the others come again. None: all."""


class Handler(Protocol):
    """One partition's part of a stage."""

    def restore(self, link: Link) -> Outcome:
        """Set the state to what was committed last, reading Redis through `link` (`link.call("HGETALL", key)`).

        Called before the first batch, and again whenever a batch was handled but not committed. The returned
        outcome (usually empty) is committed first.
        """
        ...

    def handle(self, batch: Batch) -> Outcome:
        """Return what the batch leads to.

        Rejected and any other exception count against the entries; Retryable does not.
        """
        ...


@runtime_checkable
class Watchful(Protocol):
    """A handler that lingers, and may have a reason not to."""

    def see(self, entries: Sequence[Entry]) -> bool:
        """Look at entries as they are read; True ends the lingering. They are handled later, or read again.

        Nothing may depend on it but the moment of handling: after a crash or a failure it is not called again.
        """
        ...


@runtime_checkable
class Unfinished(Protocol):
    """A handler that puts work off: it is given an empty batch whenever nothing new is there, until all is done."""

    @property
    def unfinished(self) -> bool:
        """Whether anything is left to do."""
        ...


@dataclass(frozen=True)
class StageSpec:
    """What the loop needs to know of a stage."""

    name: str
    inputs: tuple[Stream, ...]
    outputs: tuple[Stream, ...]
    make_handler: Callable[[int], Handler]
    """From the partition to its handler."""
    batch_entries: int = 500
    """Entries in hand, at most."""
    linger_s: float = 0.0
    """How long to go on reading before a batch is handled (0: handle at once). A full batch doesn't wait."""
    urgent: tuple[Stream, ...] = ()
    """An entry of these ends the lingering."""
    info: Callable[[], Mapping[str, object]] = dict
    """What the heartbeat says of the stage besides its metrics, in JSON's types."""

    def key_types(self, partition: int) -> dict[str, bytes]:
        """Return the keys of a partition that every stage's transactions write, and their types."""
        return {
            **{stream.key(partition): b"stream" for stream in (*self.inputs, *self.outputs)},
            keys.dead(partition, self.name): b"stream",
            keys.state(partition, self.name): b"hash",
            keys.failures(partition, self.name): b"hash",
        }

"""The validator and the feature engine over the scratch Redis, run by the stages' own loop: one partition, no more."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from common import keys
from common.errors import Fatal
from common.keys import FIELD, Stream
from common.messages import HistoryBars, Message, decode, encode
from common.metrics import Metrics
from common.partition_loop import PartitionLoop
from common.redis_link import Command, Link
from common.settings import Settings
from common.stage import Entry, StageSpec
from common.symbols import load_symbols
from features.stage import make_spec
from storer.rebuild import RawMessage
from validator.stage import validator_spec

PARTITION = 0
"""Whichever partition is replayed: of the scratch Redis it is the only one, with all symbols."""
BATCH_ENTRIES = 2_000
_READ_BACK = (keys.QUOTES, keys.REJECTS, keys.BARS, keys.SIGNALS)
_TRIMMED = (keys.RAW, keys.HISTORY, keys.HISTORY_REQUESTS, *_READ_BACK)


@dataclass(frozen=True)
class Produced:
    """What the stages published, per stream in its order."""

    quotes: tuple[Entry, ...]
    rejects: tuple[Entry, ...]
    bars: tuple[Entry, ...]
    signals: tuple[Entry, ...]


class Line:
    """Both stages over one scratch Redis."""

    def __init__(self, link: Link, settings: Settings, folder: Path) -> None:
        """`folder`: for what a transaction that failed half would leave."""
        self._link, self._folder = link, folder
        self.settings = settings.model_copy(update={"stream_partitions": 1, "partitions": (PARTITION,)})
        self.table = load_symbols(settings.symbols, settings.symbols_file)

    def begin(self, seed: Sequence[Command] = ()) -> None:
        """Forget everything, and begin with what `seed` writes: nothing, usually."""
        self._link.exchange([("FLUSHDB",), *seed])
        metrics = Metrics("replay")
        self._validator = self._loop(validator_spec(self.table, self.settings, metrics), metrics)
        self._features = self._loop(make_spec(self.settings, metrics), metrics)

    def _loop(self, spec: StageSpec, metrics: Metrics) -> PartitionLoop:
        larger = replace(spec, batch_entries=BATCH_ENTRIES)
        loop = PartitionLoop(larger, PARTITION, self._link, spec.name, metrics, self._folder)
        loop.open()
        return loop

    def feed(self, entries: Sequence[tuple[str, RawMessage]]) -> Produced:
        """Have both stages handle entries of `raw`, under their own ids, and return what they published."""
        self._add(keys.RAW, entries)
        self._drain(self._validator, len(entries))
        self._drain(self._features, cast(int, self._link.call("XLEN", keys.QUOTES.key(PARTITION))))
        produced = Produced(*(self._read(stream) for stream in _READ_BACK))
        self._link.exchange([("XTRIM", stream.key(PARTITION), "MAXLEN", 0) for stream in _TRIMMED])
        return produced

    def give(self, history: HistoryBars) -> None:
        """Hand the engine what the storer gave it."""
        self._add(keys.HISTORY, [("*", history)])
        self._drain(self._features, 1)

    def _add(self, stream: Stream, entries: Iterable[tuple[str, Message]]) -> None:
        key = stream.key(PARTITION)
        commands: list[Command] = [("XADD", key, entry_id, FIELD, encode(message)) for entry_id, message in entries]
        for reply in self._link.exchange(commands) if commands else ():
            if not isinstance(reply, bytes):
                raise Fatal(f"{key}: the scratch Redis refuses an entry: {reply!r}")

    def _drain(self, loop: PartitionLoop, count: int) -> None:
        """Have a stage handle so many entries. Fatal if it sets one aside: live, that would be a dead letter."""
        while count > 0 or loop.unfinished:
            count -= loop.step(0)
        if loop.in_hand or self._link.call("EXISTS", keys.dead(PARTITION, loop.spec.name)):
            raise Fatal(f"{loop.spec.name} could not handle an entry of this period: see the log above")

    def _read(self, stream: Stream) -> tuple[Entry, ...]:
        found = cast(list[list[bytes | list[bytes]]], self._link.call("XRANGE", stream.key(PARTITION), "-", "+"))
        bodies = ((cast(bytes, entry_id), cast(list[bytes], fields)[1]) for entry_id, fields in found)
        return tuple(Entry(stream, entry_id.decode(), decode(body)) for entry_id, body in bodies)

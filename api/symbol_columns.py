"""The symbols of a partition as Redis has them: in columns for those who look over all, one by one for others."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

import msgspec
import numpy as np
import structlog
from msgspec import Struct

from common.heads import HEAD, Heads, LaneHead, decode_head, encode_head, heads_of
from common.messages import Signal
from common.redis_link import Reply
from common.sources import SymbolStatus
from common.symbols import Symbol

log = structlog.get_logger()

NO_HEAD = encode_head(LaneHead())
"""Of a symbol that was never quoted."""


class SymbolState(Struct, frozen=True, gc=False):
    """One symbol as Redis has it. None: never written."""

    symbol: Symbol
    partition: int
    lane: LaneHead | None
    signal: Signal | None
    status: SymbolStatus | None

    @property
    def source_class(self) -> str:
        """The class that feeds the series, by the collector's word; its own before the first."""
        status, own = self.status, self.symbol.series
        if status is None or status.source_class == own:
            return own
        return status.source_class if status.source_class in self.symbol.may_feed() else own


class Members:
    """The symbols of one partition, in the table's order: the same for as long as the process lives."""

    def __init__(self, partition: int, symbols: Sequence[Symbol]) -> None:
        self.partition = partition
        self.symbols = tuple(symbols)
        self.names = [symbol.name for symbol in symbols]
        self.series = [symbol.series for symbol in symbols]
        self.place = {name: at for at, name in enumerate(self.names)}
        self.kinds = sorted(set(self.series))
        self.kind_of = np.array([self.kinds.index(series) for series in self.series], np.intp)
        """Of each symbol, the place of its series among the kinds."""
        self.series_bytes = np.array([series.encode() for series in self.series], HEAD["source_class"])
        self.rates = [symbol for symbol in symbols if symbol.base_currency]
        """Those whose price is an exchange rate."""


class HeadColumn:
    """The heads of the symbols of one partition: `rows` for those who look over all of them, one by one for others."""

    def __init__(self, records: Sequence[Reply]) -> None:
        """records: of each symbol. None: never written; one that this release can't read counts as such."""
        known = cast(list[bytes | None], records)
        if None in records or set(map(len, cast(list[bytes], records))) - {HEAD.itemsize}:
            known = [r if isinstance(r, bytes) and len(r) == HEAD.itemsize else None for r in records]
        self._records = known
        self.rows: Heads = heads_of([NO_HEAD if record is None else record for record in known])

    def __getitem__(self, at: int) -> LaneHead | None:
        """Return that of one symbol."""
        record = self._records[at]
        return None if record is None else decode_head(record)


@dataclass(frozen=True)
class Columns:
    """What Redis has of the symbols of one partition, each column in their order. None: never written."""

    members: Members
    signals: Sequence[Signal | None]
    heads: HeadColumn
    statuses: Sequence[SymbolStatus | None]

    def state(self, at: int) -> SymbolState:
        """Return the symbol at one place."""
        members = self.members
        return SymbolState(members.symbols[at], members.partition, self.heads[at], self.signals[at], self.statuses[at])


class States(Mapping[str, SymbolState]):
    """All symbols by name. Most are looked at in their columns alone, so each is put together where it is asked for."""

    def __init__(self, columns: Sequence[Columns]) -> None:
        self.columns = columns

    def __getitem__(self, name: str) -> SymbolState:
        for columns in self.columns:
            at = columns.members.place.get(name)
            if at is not None:
                return columns.state(at)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (name for columns in self.columns for name in columns.members.names)

    def __len__(self) -> int:
        return sum(len(columns.members.names) for columns in self.columns)


Decoded = TypeVar("Decoded")


class Decoder:
    """Decodes what changes seldom once: the same bytes give the same value again."""

    def __init__(self) -> None:
        self._seen: dict[type[object], dict[str, tuple[bytes, object]]] = {}

    def decode(self, kind: type[Decoded], key: str, body: object) -> Decoded | None:
        """Return the value under a key; None if there is none, or none that this release can read."""
        if not isinstance(body, bytes):
            return None
        of_kind = self._seen.get(kind)
        if of_kind is None:
            of_kind = self._seen[kind] = {}
        seen = of_kind.get(key)
        if seen is None or seen[0] != body:
            seen = of_kind[key] = (body, _decoded(kind, key, body))
        return cast(Decoded | None, seen[1])


def _decoded(kind: type[Decoded], key: str, body: bytes) -> Decoded | None:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        log.warning("state.unreadable", key=key, error=str(e))
        return None


class Column(Generic[Decoded]):
    """One kind of value of each symbol of a partition. What came again is not decoded again."""

    def __init__(self, kind: type[Decoded], names: Sequence[str]) -> None:
        self._kind, self._names = kind, names
        self._all = msgspec.json.Decoder(list[kind | None])  # type: ignore[valid-type]  # a type that is a value
        self._one = Decoder()
        self._bodies: list[Reply] = []
        self._values: list[Decoded | None] = []

    def decode(self, bodies: list[Reply]) -> list[Decoded | None]:
        """Return the values; None where there is none, or none that this release can read. No bodies: none at all."""
        bodies = bodies or [None] * len(self._names)
        if bodies != self._bodies:
            self._values = self._together(bodies) or self._each(bodies)
            self._bodies = bodies
        return self._values

    def _together(self, bodies: Sequence[Reply]) -> list[Decoded | None] | None:
        """Return them decoded at one go, a third of the time; None where one of them can't be read."""
        joined = b",".join(body if isinstance(body, bytes) else b"null" for body in bodies)
        try:
            values = self._all.decode(b"[" + joined + b"]")
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        return values if len(values) == len(bodies) else None

    def _each(self, bodies: Sequence[Reply]) -> list[Decoded | None]:
        pairs = zip(self._names, bodies, strict=True)
        return [self._one.decode(self._kind, name, body) for name, body in pairs]


class Order:
    """Puts a hash's values into the order of the symbols: to ask for each by its name takes nearly twice as long."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = [name.encode() for name in names]
        self._fields: list[Reply] = []
        self._places: list[int] = []

    def values(self, flat: list[Reply]) -> list[Reply]:
        """Return the values in a reply to HGETALL; None where there is none. Nothing: none at all."""
        if not flat:
            return []
        fields = flat[::2]
        if fields != self._fields:
            place = {field: number * 2 + 1 for number, field in enumerate(cast(list[bytes], fields))}
            self._fields, self._places = fields, [place.get(name, -1) for name in self._names]
        flat.append(None)
        return [flat[at] for at in self._places]

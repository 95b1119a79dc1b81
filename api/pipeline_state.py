"""What Redis holds of the present, for every symbol, in one round trip."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

import msgspec
import structlog
from msgspec import Struct

from api.redis_pool import Packed, RedisPool
from api.times import Now, clock_limit_ms
from common import keys
from common.features import LaneHead
from common.messages import Clock, Signal
from common.redis_link import Command, Reply, flat_pairs
from common.settings import Settings
from common.sources import SymbolStatus
from common.symbols import Symbol, SymbolTable

log = structlog.get_logger()


@dataclass(frozen=True)
class EnginePass:
    """The engine's last pass that a clock entry confirmed."""

    clock_ms: int
    wall_ms: int


@dataclass(frozen=True)
class PartitionState:
    """What is common to the symbols of one partition. None: never written."""

    clock: Clock | None
    engine: EnginePass | None


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
        self.rates = [symbol for symbol in symbols if symbol.base_currency]
        """Those whose price is an exchange rate."""


@dataclass(frozen=True)
class Columns:
    """What Redis has of the symbols of one partition, each column in their order. None: never written."""

    members: Members
    lanes: Sequence[LaneHead | None]
    signals: Sequence[Signal | None]
    statuses: Sequence[SymbolStatus | None]

    def state(self, at: int) -> SymbolState:
        """Return the symbol at one place."""
        members = self.members
        return SymbolState(members.symbols[at], members.partition, self.lanes[at], self.signals[at], self.statuses[at])


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


@dataclass(frozen=True)
class Pipeline:
    """All partitions and symbols at one moment."""

    partitions: dict[int, PartitionState]
    symbols: States
    clock_limit_ms: int

    def now(self, wall_ms: int, partition: int | None = None) -> Now:
        """Return the time of one partition; without one, of the partition whose clock is furthest behind.

        A missing clock is the furthest behind of all.
        """
        if partition is not None:
            return Now(wall_ms, self.partitions[partition].clock, self.clock_limit_ms)
        clocks = [state.clock for state in self.partitions.values()]
        slowest = None if None in clocks else min((c for c in clocks if c is not None), key=lambda c: c.wall_ms)
        return Now(wall_ms, slowest, self.clock_limit_ms)


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


class StateReader:
    """Reads the present state; one instance per process."""

    def __init__(self, pool: RedisPool, settings: Settings, table: SymbolTable) -> None:
        self._pool = pool
        self._limit_ms = clock_limit_ms(settings.collection_interval)
        count = settings.stream_partitions
        members = [Members(partition, table.in_partition(partition, count)) for partition in range(count)]
        self._plans = [_Plan(of_one) for of_one in members if of_one.symbols]
        self._everything = Packed([command for plan in self._plans for command in plan.commands])
        self._clocks = Packed([plan.commands[0] for plan in self._plans])

    async def read(self) -> Pipeline:
        """Return the state of all symbols. RedisAway if Redis can't say."""
        return _pipeline(self._plans, await self._pool.exchange(self._everything), self._limit_ms)

    async def some(self, names: Iterable[str]) -> Pipeline:
        """Return the state of some symbols, and all clocks and passes; names that the table lacks are left out."""
        wanted = set(names)
        members = [p.members for p in self._plans]
        plans = [_Plan(Members(m.partition, [s for s in m.symbols if s.name in wanted])) for m in members]
        return _pipeline(plans, await self._pool.exchange([c for p in plans for c in p.commands]), self._limit_ms)

    async def now(self, wall_ms: int) -> Now:
        """Return the time alone: of the partition whose clock is furthest behind. RedisAway if Redis can't say."""
        replies = await self._pool.exchange(self._clocks)
        clocks = {
            plan.members.partition: PartitionState(plan.clock.decode(Clock, plan.clock_key, reply), None)
            for plan, reply in zip(self._plans, replies, strict=True)
        }
        return Pipeline(clocks, States(()), self._limit_ms).now(wall_ms)


def _pipeline(plans: Sequence["_Plan"], replies: Sequence[Reply], limit_ms: int) -> Pipeline:
    found = iter(replies)
    partitions: dict[int, PartitionState] = {}
    symbols: list[Columns] = []
    for plan in plans:
        clock = plan.clock.decode(Clock, plan.clock_key, next(found))
        partitions[plan.members.partition] = PartitionState(clock, _engine_pass(_items(next(found))))
        if not plan.members.symbols:
            continue
        signals = plan.signals.decode(_items(next(found)))
        lanes = plan.lanes.decode(_items(next(found)))
        statuses = plan.statuses.decode(_items(next(found)))
        symbols.append(Columns(plan.members, lanes, signals, statuses))
    return Pipeline(partitions, States(symbols), limit_ms)


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


class _Plan:
    """The commands that read one partition: its clock, its pass, and of its symbols three columns."""

    def __init__(self, members: Members) -> None:
        self.members = members
        partition, names = members.partition, members.names
        self.clock, self.clock_key = Decoder(), keys.clock(partition)
        self.signals, self.lanes, self.statuses = (
            Column(Signal, names), Column(LaneHead, names), Column(SymbolStatus, names),
        )  # fmt: skip
        self.commands: list[Command] = [
            ("GET", self.clock_key),
            ("HGETALL", keys.feature_pass(partition)),
        ]
        if names:
            self.commands += [
                ("MGET", *(keys.signal(partition, name) for name in names)),
                ("HMGET", keys.lane_heads(partition), *names),
                ("HMGET", keys.symbol_status(partition), *names),
            ]


def _items(reply: Reply) -> list[Reply]:
    """Return a list reply; an error (a key of the wrong type) reads as nothing there."""
    return reply if isinstance(reply, list) else []


def _engine_pass(flat: list[Reply]) -> EnginePass | None:
    fields = flat_pairs(flat)
    try:
        return EnginePass(int(fields[b"clock_ms"]), int(fields[b"wall_ms"]))
    except (KeyError, ValueError):
        return None

"""What Redis holds of the present, for every symbol, in one round trip."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

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


@dataclass(frozen=True)
class Pipeline:
    """All partitions and symbols at one moment."""

    partitions: dict[int, PartitionState]
    symbols: dict[str, SymbolState]
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
        self._decoder = Decoder()
        self._limit_ms = clock_limit_ms(settings.collection_interval)
        count = settings.stream_partitions
        self._plans = [_Plan(p, table.in_partition(p, count)) for p in range(count) if table.in_partition(p, count)]
        self._everything = Packed([command for plan in self._plans for command in plan.commands])
        self._clocks = Packed([plan.commands[0] for plan in self._plans])

    async def read(self) -> Pipeline:
        """Return the state of all symbols. RedisAway if Redis can't say."""
        replies = iter(await self._pool.exchange(self._everything))
        partitions: dict[int, PartitionState] = {}
        symbols: dict[str, SymbolState] = {}
        for plan in self._plans:
            clock = self._decoder.decode(Clock, plan.clock_key, next(replies))
            partitions[plan.partition] = PartitionState(clock, _engine_pass(_items(next(replies))))
            columns = [_items(next(replies)) or plan.nothing for _ in range(3)]
            for symbol, signal, lane, status in zip(plan.symbols, *columns, strict=True):
                symbols[symbol.name] = self._symbol(plan.partition, symbol, signal, lane, status)
        return Pipeline(partitions, symbols, self._limit_ms)

    async def now(self, wall_ms: int) -> Now:
        """Return the time alone: of the partition whose clock is furthest behind. RedisAway if Redis can't say."""
        replies = await self._pool.exchange(self._clocks)
        clocks = {
            plan.partition: PartitionState(self._decoder.decode(Clock, plan.clock_key, reply), None)
            for plan, reply in zip(self._plans, replies, strict=True)
        }
        return Pipeline(clocks, {}, self._limit_ms).now(wall_ms)

    def _symbol(self, partition: int, symbol: Symbol, signal: Reply, lane: Reply, status: Reply) -> SymbolState:
        name, decode = symbol.name, self._decoder.decode
        # A head changes with each price: to look for it among the known ones would take longer than to decode it.
        head = _decoded(LaneHead, name, lane) if isinstance(lane, bytes) else None
        return SymbolState(
            symbol, partition, head, decode(Signal, name, signal), decode(SymbolStatus, name, status)
        )  # fmt: skip


class _Plan:
    """The five commands that read one partition."""

    def __init__(self, partition: int, symbols: Sequence[Symbol]) -> None:
        self.partition = partition
        self.symbols = symbols
        self.nothing: list[Reply] = [None] * len(symbols)
        self.clock_key = keys.clock(partition)
        names = [symbol.name for symbol in symbols]
        self.commands: list[Command] = [
            ("GET", self.clock_key),
            ("HGETALL", keys.feature_pass(partition)),
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

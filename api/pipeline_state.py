"""What Redis holds of the present, for every symbol, in one round trip."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

import msgspec
import structlog
from msgspec import Struct

from api.redis_pool import RedisPool
from api.times import Now, clock_limit_ms
from common import keys
from common.messages import TIMEFRAME_MS, Clock, Signal
from common.redis_link import Command, Reply, flat_pairs
from common.settings import Settings
from common.sources import SymbolStatus
from common.symbols import Symbol, SymbolTable

log = structlog.get_logger()


class FormingHead(Struct, frozen=True):
    """The prices of a bar that is still open."""

    open_ms: int
    high: float
    low: float
    close: float


class LaneHead(Struct, frozen=True):
    """How fresh one lane is: the part of its stored values that is needed on every request."""

    market_ms: int | None = None
    source: str = ""
    source_class: str = ""
    delay_ms: int = 0
    """How late the class is by contract."""
    warming: str = ""
    """Why the symbol gives no signals since another class feeds its series."""
    forming: FormingHead | None = None


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


@dataclass(frozen=True)
class SymbolState:
    """One symbol as Redis has it. None: never written."""

    symbol: Symbol
    partition: int
    lane: LaneHead | None
    signal: Signal | None
    status: SymbolStatus | None

    @property
    def source_class(self) -> str:
        """The class that feeds the series, by the collector's word; its own before the first."""
        said = self.status.source_class if self.status is not None else ""
        return said if said in self.symbol.may_feed() else self.symbol.series


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
        self._seen: dict[tuple[type[object], str], tuple[bytes, object]] = {}

    def decode(self, kind: type[Decoded], key: str, body: object) -> Decoded | None:
        """Return the value under a key; None if there is none, or none that this release can read."""
        if not isinstance(body, bytes):
            return None
        seen = self._seen.get((kind, key))
        if seen is None or seen[0] != body:
            seen = self._seen[kind, key] = (body, _decoded(kind, key, body))
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
        fastest = min(settings.timeframes, key=TIMEFRAME_MS.__getitem__)
        self._plans = [
            _Plan(p, table.in_partition(p, count), fastest) for p in range(count) if table.in_partition(p, count)
        ]
        self._commands = [command for plan in self._plans for command in plan.commands]

    async def read(self) -> Pipeline:
        """Return the state of all symbols. RedisAway if Redis can't say."""
        replies = await self._pool.exchange(self._commands)
        partitions: dict[int, PartitionState] = {}
        symbols: dict[str, SymbolState] = {}
        for number, plan in enumerate(self._plans):
            values, engine, statuses = (_items(reply) for reply in replies[number * 3 : number * 3 + 3])
            clock = self._decoder.decode(Clock, plan.clock_key, values[0] if values else None)
            partitions[plan.partition] = PartitionState(clock, _engine_pass(engine))
            for at, symbol in enumerate(plan.symbols):
                symbols[symbol.name] = self._symbol(plan, at, values, statuses)
        return Pipeline(partitions, symbols, self._limit_ms)

    def _symbol(self, plan: "_Plan", at: int, values: list[Reply], statuses: list[Reply]) -> SymbolState:
        symbol = plan.symbols[at]
        signal, lane = values[1 + 2 * at : 3 + 2 * at] or (None, None)
        return SymbolState(
            symbol,
            plan.partition,
            self._decoder.decode(LaneHead, symbol.name, lane),
            self._decoder.decode(Signal, symbol.name, signal),
            self._decoder.decode(SymbolStatus, symbol.name, statuses[at] if statuses else None),
        )


class _Plan:
    """The three commands that read one partition."""

    def __init__(self, partition: int, symbols: Sequence[Symbol], timeframe: str) -> None:
        self.partition = partition
        self.symbols = symbols
        self.clock_key = keys.clock(partition)
        wanted = [self.clock_key]
        for symbol in symbols:
            wanted += [keys.signal(partition, symbol.name), keys.feature_values(partition, symbol.name, timeframe)]
        self.commands: list[Command] = [
            ("MGET", *wanted),
            ("HGETALL", keys.feature_pass(partition)),
            ("HMGET", keys.symbol_status(partition), *(symbol.name for symbol in symbols)),
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

"""What Redis holds of the present, for every symbol, in one round trip."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from api.redis_pool import Packed, RedisPool
from api.symbol_columns import Column, Columns, Decoder, HeadColumn, Members, Order, States
from api.times import Now, clock_limit_ms
from common import keys
from common.messages import Clock, Signal
from common.redis_link import Command, Reply, flat_pairs
from common.settings import Settings
from common.sources import SymbolStatus
from common.symbols import SymbolTable


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


class StateReader:
    """Reads the present state; one instance per process."""

    def __init__(self, pool: RedisPool, settings: Settings, table: SymbolTable) -> None:
        self._pool = pool
        self._limit_ms = clock_limit_ms(settings.collection_interval)
        count = settings.stream_partitions
        members = [Members(partition, table.in_partition(partition, count)) for partition in range(count)]
        self._plans = [_Plan(of_one, whole=True) for of_one in members if of_one.symbols]
        self._everything = Packed([command for plan in self._plans for command in plan.commands])
        self._clocks = Packed([plan.commands[0] for plan in self._plans])

    async def read(self) -> Pipeline:
        """Return the state of all symbols. RedisAway if Redis can't say."""
        return _pipeline(self._plans, await self._pool.exchange(self._everything), self._limit_ms)

    async def some(self, names: Iterable[str]) -> Pipeline:
        """Return the state of some symbols, and all clocks and passes; names that the table lacks are left out."""
        wanted = set(names)
        members = [p.members for p in self._plans]
        plans = [_Plan(Members(m.partition, [s for s in m.symbols if s.name in wanted]), whole=False) for m in members]
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
        if plan.members.symbols:
            symbols.append(plan.columns(found))
    return Pipeline(partitions, States(symbols), limit_ms)


class _Plan:
    """The commands that read one partition: its clock, its pass, and of its symbols three columns."""

    def __init__(self, members: Members, *, whole: bool) -> None:
        """whole: these are all symbols of the partition."""
        self.members = members
        partition, names = members.partition, members.names
        self.clock, self.clock_key = Decoder(), keys.clock(partition)
        self._orders = [Order(names) if whole else None for _ in range(3)]
        self._signals, self._heads, self._statuses = Column(Signal, names), HeadColumn(()), Column(SymbolStatus, names)
        self._records: list[Reply] = []
        self.commands: list[Command] = [
            ("GET", self.clock_key),
            ("HGETALL", keys.feature_pass(partition)),
        ]
        if names:
            hashes = (keys.newest_signals(partition), keys.lane_heads(partition), keys.symbol_status(partition))
            self.commands += [("HGETALL", key) if whole else ("HMGET", key, *names) for key in hashes]

    def columns(self, replies: Iterator[Reply]) -> Columns:
        """Return what the next three replies say of the symbols."""
        signals, records, statuses = (
            _items(next(replies)) if order is None else order.values(_items(next(replies))) for order in self._orders
        )
        records = records or [None] * len(self.members.names)
        if records != self._records:
            self._heads = HeadColumn(records)
            self._records = records
        return Columns(self.members, self._signals.decode(signals), self._heads, self._statuses.decode(statuses))


def _items(reply: Reply) -> list[Reply]:
    """Return a list reply; an error (a key of the wrong type) reads as nothing there."""
    return reply if isinstance(reply, list) else []


def _engine_pass(flat: list[Reply]) -> EnginePass | None:
    fields = flat_pairs(flat)
    try:
        return EnginePass(int(fields[b"clock_ms"]), int(fields[b"wall_ms"]))
    except (KeyError, ValueError):
        return None

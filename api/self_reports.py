"""What the processes and sources last said of themselves, read from Redis."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import msgspec
import structlog

from api.redis_pool import RedisPool
from common import keys
from common.breaker import BreakerView, view_of
from common.clock import monotonic_s
from common.heartbeat import Pulse, read_pulses
from common.redis_link import Command, Reply, flat_pairs
from common.sources import SourceReport, decode_report
from common.symbols import TERMINAL, SymbolTable

log = structlog.get_logger()

LOOK_AROUND_S = 2.0  # how often new processes are looked for
SCAN_COUNT = 1_000


@dataclass(frozen=True)
class SelfReports:
    """Heartbeats, source reports and breakers."""

    pool: RedisPool
    table: SymbolTable
    look_around_s: float = LOOK_AROUND_S
    _found: dict[str, float] = field(default_factory=dict)
    """Heartbeat key -> monotonic time of the search that found it."""

    @property
    def vendors(self) -> tuple[str, ...]:
        """The vendors that quote any of the symbols, in order of preference."""
        return tuple(dict.fromkeys(s.vendor for symbol in self.table.symbols.values() for s in symbol.sources))

    async def pulses(self) -> list[Pulse]:
        """Return the last heartbeat of every process that ever ran here."""
        at_s = monotonic_s()
        if at_s - max(self._found.values(), default=float("-inf")) >= self.look_around_s:
            found = await self._search()
            self._found.clear()
            self._found.update(dict.fromkeys(found, at_s))
        if not self._found:
            return []
        # One by one and not in an MGET: the keys of processes lie in different slots of a cluster.
        replies = await self.pool.exchange([("GET", key) for key in self._found])
        return read_pulses(reply if isinstance(reply, bytes) else None for reply in replies)

    async def reports(self) -> dict[str, SourceReport | None]:
        """Return each vendor's report; None if it never reported."""
        replies = await self.pool.exchange([("GET", keys.source_report(name)) for name in self.vendors])
        return {name: _report(reply) for name, reply in zip(self.vendors, replies, strict=True)}

    async def breakers(self) -> dict[str, BreakerView]:
        """Return each vendor's breaker; the client's own terminal has none."""
        names = [name for name in self.vendors if name != TERMINAL]
        replies = await self.pool.exchange([("HGETALL", keys.breaker(name)) for name in names])
        return {name: view_of(_fields(reply)) for name, reply in zip(names, replies, strict=True)}

    async def _search(self) -> list[str]:
        found: set[str] = set()
        cursor = b"0"
        while True:
            command: Command = ("SCAN", cursor, "MATCH", keys.HEARTBEATS, "COUNT", SCAN_COUNT)
            reply = (await self.pool.exchange([command]))[0]
            cursor, batch = cast(tuple[bytes, list[bytes]], reply)
            found |= {key.decode() for key in batch}
            if cursor == b"0":
                return sorted(found)


def _report(reply: Reply) -> SourceReport | None:
    if not isinstance(reply, bytes):
        return None
    try:
        return decode_report(reply)
    except msgspec.DecodeError as e:
        log.warning("source_report.unreadable", error=str(e))
        return None


def _fields(reply: Reply) -> Mapping[bytes, bytes]:
    return flat_pairs(reply) if isinstance(reply, list) else {}

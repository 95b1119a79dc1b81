"""Everything that the reports on the pipeline's condition rest on, read once, with what could not be read as None."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

from api.context import Context
from api.freshness import data_age_ms
from api.pipeline_state import Pipeline
from api.redis_pool import RedisAway
from api.self_reports import SelfReports
from api.sources import source_view
from api.times import Now
from common.breaker import BreakerView
from common.clock import monotonic_s
from common.errors import Retryable
from common.gap_history import LaneRecord
from common.heartbeat import Pulse
from common.sources import SourceReport
from common.symbols import TERMINAL

DATABASE_WITHIN_S = 1.0


@dataclass(frozen=True)
class Database:
    """What SQLite says. error: empty if it is readable."""

    written_ms: int | None
    error: str
    lanes: tuple[LaneRecord, ...] = ()
    """Of the gap ledger."""


@dataclass(frozen=True)
class Survey:
    """One look at everything."""

    wall_ms: int
    redis_error: str
    """Empty if Redis answers."""
    redis_latency_ms: float | None
    pipeline: Pipeline | None
    pulses: tuple[Pulse, ...] | None
    reports: dict[str, SourceReport | None]
    breakers: dict[str, BreakerView]
    database: Database

    @property
    def now(self) -> Now:
        """The time of the slowest partition; without a clock if Redis is away."""
        return Now(self.wall_ms, None) if self.pipeline is None else self.pipeline.now(self.wall_ms)

    def freshness_s(self) -> dict[str, float | None]:
        """Return each symbol's age of data in stream seconds; None for what never came."""
        if self.pipeline is None:
            return {}
        ages = {
            name: data_age_ms(state, self.pipeline.now(self.wall_ms, state.partition))
            for name, state in self.pipeline.symbols.items()
        }
        return {name: None if age is None else age / 1000 for name, age in ages.items()}

    def data_sources(self) -> dict[str, dict[str, object]]:
        """Return `.data_sources` of the health report."""
        now_ms = self.now.stream_ms or self.wall_ms
        breakers = {name: None if name == TERMINAL else self.breakers.get(name, BreakerView()) for name in self.reports}
        return {
            name: source_view(report, breakers[name], self.wall_ms, now_ms) for name, report in self.reports.items()
        }


async def survey(context: Context) -> Survey:
    """Return one look at everything; what is away is neither raised nor waited for longer than a second or so."""
    database, (error, latency_ms, pipeline) = await asyncio.gather(_database(context), _pipeline(context))
    pulses, reports, breakers = None, dict.fromkeys(context.self_reports.vendors), dict[str, BreakerView]()
    if not error:
        pulses, reports, breakers, error = await _said(context.self_reports)
    return Survey(
        context.wall_ms(), error, latency_ms, pipeline, None if pulses is None else tuple(pulses), reports, breakers,
        database,
    )  # fmt: skip


async def _pipeline(context: Context) -> tuple[str, float | None, Pipeline | None]:
    started_s = monotonic_s()
    try:
        pipeline = await context.state.read()
    except RedisAway as e:
        return str(e), None, None
    return "", round((monotonic_s() - started_s) * 1000, 3), pipeline


async def _said(
    vendors: SelfReports,
) -> tuple[list[Pulse] | None, dict[str, SourceReport | None], dict[str, BreakerView], str]:
    try:
        return await vendors.pulses(), await vendors.reports(), await vendors.breakers(), ""
    except RedisAway as e:
        return None, dict.fromkeys(vendors.vendors), {}, str(e)


async def _database(context: Context) -> Database:
    try:
        written_ms = await _within(DATABASE_WITHIN_S, asyncio.to_thread(context.history.written_ms))
        lanes = await _within(DATABASE_WITHIN_S, asyncio.to_thread(context.history.lanes))
    except (Retryable, TimeoutError) as e:
        return Database(None, str(e) or f"no answer within {DATABASE_WITHIN_S} s")
    return Database(written_ms, "", tuple(lanes))


Result = TypeVar("Result")


async def _within(seconds: float, work: Awaitable[Result]) -> Result:
    async with asyncio.timeout(seconds):
        return await work

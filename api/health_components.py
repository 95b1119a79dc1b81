"""The state of each part of the pipeline: pure judgements over one survey. What is unknown is not healthy."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from api.freshness import engine_current, engine_lag_ms, silent
from api.health_survey import Survey
from api.sources import REPORT_LIMIT_MS
from api.times import iso
from common.heartbeat import RETIRED, Pulse
from common.sessions import is_open
from common.settings import Settings
from common.symbols import SymbolTable

HEALTHY, DEGRADED, UNHEALTHY = "healthy", "degraded", "unhealthy"
_WORST_FIRST = (UNHEALTHY, DEGRADED, HEALTHY)
HEARTBEAT_LIMIT_MS = REPORT_LIMIT_MS
WRITTEN_LIMIT_INTERVALS = 3  # of writing, or of collecting if that is longer: a database further behind is late
STAGES = ("collector", "validator", "storer", "features")
PULSE_STATUS = {"ok": HEALTHY, "healthy": HEALTHY, "degraded": DEGRADED}


@dataclass(frozen=True)
class Component:
    """One entry of `.components`."""

    status: str
    message: str
    more: dict[str, object] = field(default_factory=dict)

    def view(self) -> dict[str, object]:
        """Return it as it is shown."""
        return {"status": self.status, "message": self.message, **self.more}


def worst(statuses: Iterable[str]) -> str:
    """Return the worst of several; healthy where there are none."""
    found = set(statuses)
    return next((status for status in _WORST_FIRST if status in found), HEALTHY)


def redis_component(survey: Survey) -> Component:
    """Return whether Redis answers."""
    if survey.redis_error:
        return Component(UNHEALTHY, survey.redis_error, {"latency_ms": None})
    return Component(HEALTHY, "answers", {"latency_ms": survey.redis_latency_ms})


def database_component(survey: Survey, settings: Settings) -> Component:
    """Return whether SQLite can be read, and how old its newest entry is."""
    database, now = survey.database, survey.now
    behind_ms = None if database.written_ms is None or now.stream_ms is None else now.stream_ms - database.written_ms
    more: dict[str, object] = {
        "newest_write": None if database.written_ms is None else iso(database.written_ms),
        "behind_seconds": None if behind_ms is None else max(0, behind_ms) / 1000,
    }
    if database.error:
        return Component(UNHEALTHY, database.error, more)
    limit_s = WRITTEN_LIMIT_INTERVALS * max(settings.batch_write_interval, settings.collection_interval)
    if behind_ms is None:
        return Component(DEGRADED, "readable; nothing was written yet, or the stream's time is not known", more)
    if behind_ms / now.speed > limit_s * 1000:
        return Component(DEGRADED, f"its newest entry is {behind_ms} ms old, expected at most {limit_s:.0f} s", more)
    return Component(HEALTHY, "readable and current", more)


def stage_component(stage: str, pulses: Sequence[Pulse] | None, wall_ms: int) -> Component:
    """Return the worst of a stage's processes."""
    if pulses is None:
        return Component(UNHEALTHY, "not known: Redis is away", {"instances": []})
    own = [pulse for pulse in pulses if pulse.stage == stage]
    if not own:
        return Component(UNHEALTHY, "never seen: no heartbeat", {"instances": []})
    judged = [_process(pulse, wall_ms) for pulse in own]
    status = worst(one for one, _ in judged)
    message = "; ".join(text for one, text in judged if one == status and text) or "works"
    return Component(status, message, {"instances": [_instance(pulse, wall_ms) for pulse in own]})


def pipeline_component(survey: Survey, settings: Settings, table: SymbolTable, hit_rate: float | None) -> Component:
    """Return whether current data comes through."""
    freshness = survey.freshness_s()
    trading = _trading(survey, table)
    known = [freshness[name] for name in trading]
    newest = [age for age in known if age is not None]
    ages: dict[str, object] = dict(freshness or dict.fromkeys(table.symbols))
    ages["max"] = max(newest) if newest and len(newest) == len(known) else None
    quiet = _silent(survey, table, trading)
    more: dict[str, object] = {
        "data_freshness_seconds": ages,
        "cache_hit_rate": hit_rate,
        "active_symbols": [name for name in trading if name not in quiet],
        "open_symbols": trading,
        "silent_symbols": quiet,
        "clock_age_seconds": None if survey.now.clock_age_ms is None else survey.now.clock_age_ms / 1000,
    }
    status, message = _pipeline_status(survey, settings, trading, quiet)
    return Component(status, message, more)


def mt5_component(last_wall_ms: int | None, equity: float | None, positions: int | None, wall_ms: int) -> Component:
    """Return whether a client was heard of lately; it has no part in the whole's health. positions: by its own word."""
    if last_wall_ms is None:
        return Component("not_configured", "no client ever polled with its equity or reported anything")
    more: dict[str, object] = {"last_seen": iso(last_wall_ms), "equity": equity, "positions": positions}
    age_s = max(0, wall_ms - last_wall_ms) // 1000
    if age_s > CLIENT_SILENT_AFTER_S:
        return Component("silent", f"silent since {iso(last_wall_ms)}", more)
    return Component("connected", "heard of lately", more)


CLIENT_SILENT_AFTER_S = 60  # it polls once a second


def _process(pulse: Pulse, wall_ms: int) -> tuple[str, str]:
    age_ms = wall_ms - pulse.wall_ms
    if pulse.status == RETIRED:
        return UNHEALTHY, f"{pulse.instance}: {pulse.message}"
    if abs(age_ms) > HEARTBEAT_LIMIT_MS:
        return UNHEALTHY, f"{pulse.instance}: last heartbeat {age_ms} ms ago, expected within {HEARTBEAT_LIMIT_MS} ms"
    status = PULSE_STATUS.get(pulse.status, UNHEALTHY)
    return status, f"{pulse.instance}: {pulse.message}" if pulse.message else ""


def _instance(pulse: Pulse, wall_ms: int) -> dict[str, object]:
    return {
        "instance": pulse.instance,
        "pid": pulse.pid,
        "status": pulse.status,
        "message": pulse.message,
        "heartbeat_age_seconds": max(0, wall_ms - pulse.wall_ms) / 1000,
        "uptime_seconds": max(0, pulse.wall_ms - pulse.started_wall_ms) / 1000,
        "info": pulse.info,
    }


def _trading(survey: Survey, table: SymbolTable) -> list[str]:
    """Return the symbols whose session is open now; none if the time is not known."""
    stream_ms = survey.now.stream_ms
    if survey.pipeline is None or stream_ms is None:
        return []
    states = survey.pipeline.symbols.items()
    return [name for name, state in states if is_open(table.session_of(name, state.source_class), stream_ms)]


def _silent(survey: Survey, table: SymbolTable, trading: Sequence[str]) -> list[str]:
    pipeline = survey.pipeline
    if pipeline is None:
        return []
    quiet = []
    for name in trading:
        state = pipeline.symbols[name]
        now = pipeline.now(survey.wall_ms, state.partition)
        if silent(state, now, table.session_of(name, state.source_class)):
            quiet.append(name)
    return quiet


def _pipeline_status(survey: Survey, settings: Settings, trading: list[str], quiet: list[str]) -> tuple[str, str]:
    if survey.pipeline is None:
        return UNHEALTHY, "not known: Redis is away"
    if survey.now.clock_age_ms is None:
        return UNHEALTHY, "never collected: there is no clock entry"
    if not survey.now.alive:
        return UNHEALTHY, f"the collector's clock stands: its last entry is {survey.now.clock_age_ms} ms old"
    late = late_engines(survey, settings)
    if late:
        return DEGRADED, late
    if trading and len(quiet) == len(trading):
        return UNHEALTHY, f"sessions are open, but every symbol is silent: {', '.join(quiet)}"
    if quiet:
        return DEGRADED, f"open and silent: {', '.join(quiet)}"
    if all(age is None for age in survey.freshness_s().values()):
        return UNHEALTHY, "never collected: no symbol has had a price yet, and every session is closed"
    return HEALTHY, "current" if trading else "every session is closed"


def late_engines(survey: Survey, settings: Settings) -> str:
    """Return which partitions' indicators are not current; empty if all are."""
    pipeline = survey.pipeline
    if pipeline is None:
        return "not known: Redis is away"
    found = []
    for number, partition in pipeline.partitions.items():
        now = pipeline.now(survey.wall_ms, number)
        if not engine_current(partition.engine, now, settings.feature_cache_ttl):
            found.append(f"partition {number}: {engine_lag_ms(partition.engine, now)} ms")
    return f"the engine's last pass is too old: {', '.join(found)}" if found else ""

"""GET /health, /livez, /readyz, /metrics, /metrics/json: how it is, for operators, scripts and machines."""

from importlib.metadata import PackageNotFoundError, version

from starlette.requests import Request
from starlette.responses import Response

from api import health_components as parts
from api.context import STAGE, Context, context_of
from api.errors import json_response
from api.health_components import Component
from api.health_gaps import gaps_component
from api.health_survey import Survey, survey
from api.operator_metrics import cache_hit_rate, metrics_json, performance
from api.prometheus import CONTENT_TYPE, exposition
from api.times import iso
from common.heartbeat import Pulse

NAME = "market-data-pipeline"


def service() -> dict[str, str]:
    """Return who answers."""
    try:
        return {"name": NAME, "version": version(NAME)}
    except PackageNotFoundError:  # run from a source tree
        return {"name": NAME, "version": "0+source"}


async def get_health(request: Request) -> Response:
    """Answer 200 with the full report as long as this process can answer."""
    context = context_of(request)
    return json_response(report(context, await survey(context)))


async def get_livez(request: Request) -> Response:
    """Answer 200: the process answers. Nothing else is looked at."""
    return json_response({"status": "alive", "uptime_seconds": context_of(request).uptime_s})


async def get_readyz(request: Request) -> Response:
    """Answer 200 only if a client may trust the data, else 503 with the reasons."""
    context = context_of(request)
    reasons = not_ready(context, await survey(context))
    body = {"status": "not_ready" if reasons else "ready", "reasons": reasons, "timestamp": iso(context.wall_ms())}
    return json_response(body | {"simulated": context.settings.simulated}, 503 if reasons else 200)


async def get_metrics(request: Request) -> Response:
    """Answer with Prometheus' text format."""
    context = context_of(request)
    seen = await survey(context)
    text = exposition(_with_own(context, seen), seen.freshness_s(), seen.wall_ms)
    return Response(text, media_type=CONTENT_TYPE)


async def get_metrics_json(request: Request) -> Response:
    """Answer with the figures as JSON."""
    context = context_of(request)
    seen = await survey(context)
    freshness = seen.freshness_s() or dict.fromkeys(context.table.symbols)
    head = {"timestamp": iso(seen.wall_ms), "uptime_seconds": context.uptime_s, "simulated": context.settings.simulated}
    return json_response(head | metrics_json(_with_own(context, seen), seen.reports, freshness))


def report(context: Context, seen: Survey) -> dict[str, object]:
    """Return the health report."""
    pulses = _with_own(context, seen)
    found = _components(context, seen, cache_hit_rate([pulse.metrics for pulse in pulses]))
    sources = seen.data_sources()
    status = parts.worst(component.status for name, component in found.items() if name != "mt5")
    if status == parts.HEALTHY and any(source["is_healthy"] is False for source in sources.values()):
        status = parts.DEGRADED
    return {
        "status": status,
        "timestamp": iso(seen.wall_ms),
        "uptime_seconds": context.uptime_s,
        "service": service(),
        "simulated": context.settings.simulated,
        "components": {name: component.view() for name, component in found.items()},
        "performance": performance(pulses, context.rate.per_second(seen.wall_ms)),
        "data_sources": sources,
    }


def not_ready(context: Context, seen: Survey) -> list[str]:
    """Return why a client may not trust the data; empty if it may."""
    found = _components(context, seen, None)
    needed = ("redis", "data_pipeline", "validator", "features")
    reasons = [f"{name}: {found[name].message}" for name in needed if found[name].status == parts.UNHEALTHY]
    late = parts.late_engines(seen, context.settings) if seen.pipeline is not None else ""
    if late:
        reasons.append(f"features: {late}")
    if not context.publisher.delivered:
        reasons.append("api: reports accepted earlier are not sent on yet")
    return reasons


def _components(context: Context, seen: Survey, hit_rate: float | None) -> dict[str, Component]:
    sightings = context.sightings
    return {
        "redis": parts.redis_component(seen),
        "database": parts.database_component(seen, context.settings),
        "gaps": gaps_component(seen),
        "mt5": parts.mt5_component(sightings.last_wall_ms, sightings.equity, sightings.positions, seen.wall_ms),
        "data_pipeline": parts.pipeline_component(seen, context.settings, context.table, hit_rate),
        **{stage: parts.stage_component(stage, seen.pulses, seen.wall_ms) for stage in parts.STAGES},
        "api": _own(context),
    }


def _own(context: Context) -> Component:
    more: dict[str, object] = {"open_positions": len(context.ledger.positions.opened())}
    if context.trouble:
        return Component(parts.DEGRADED, context.trouble, more)
    return Component(parts.HEALTHY, "answers", more)


def _with_own(context: Context, seen: Survey) -> list[Pulse]:
    """Return the pulses with this process's own figures as they are now, not as they were at its last heartbeat."""
    own = Pulse(STAGE, context.instance, 0, seen.wall_ms, seen.wall_ms, "ok", "", {}, context.metrics.snapshot())
    others = [p for p in seen.pulses or () if (p.stage, p.instance) != (own.stage, own.instance)]
    return [*others, own]

"""GET /api/sources: every vendor's report, breaker and quota, and who serves each symbol. Unknown is null."""

from msgspec import to_builtins
from starlette.requests import Request
from starlette.responses import Response

from api.comparisons import comparisons
from api.context import context_of
from api.errors import json_response
from api.pipeline_state import Pipeline
from api.self_reports import SelfReports
from api.symbols import status_view
from api.times import iso
from common.breaker import BreakerView, Force
from common.sources import Blocked, PushReport, QuotaWindow, SourceReport

REPORT_LIMIT_MS = 5_000  # a report older than this, in real time, says nothing of the source's health


async def get_sources(request: Request) -> Response:
    """Answer with every source's figures, and each symbol's status at the collector."""
    context = context_of(request)
    wall_ms = context.wall_ms()
    pipeline = await context.state.read()
    views = await source_views(context.self_reports, pipeline, wall_ms)
    statuses = {name: status_view(state) for name, state in pipeline.symbols.items()}
    content = {
        "timestamp": iso(wall_ms), "simulated": context.settings.simulated, "sources": views, "symbols": statuses,
        "comparisons": comparisons(await context.self_reports.pulses()),
    }  # fmt: skip
    return json_response(content)


async def source_views(vendors: SelfReports, pipeline: Pipeline, wall_ms: int) -> dict[str, dict[str, object]]:
    """Return each source as it is shown in /api/sources and /health."""
    reports, breakers = await vendors.reports(), await vendors.breakers()
    now_ms = pipeline.now(wall_ms).stream_ms
    return {
        name: source_view(reports[name], breakers.get(name), wall_ms, now_ms or wall_ms) for name in vendors.vendors
    }


def source_view(
    report: SourceReport | None, breaker: BreakerView | None, wall_ms: int, now_ms: int
) -> dict[str, object]:
    """Return one entry of `data_sources`. now_ms: the clock that the source's deadlines are in (the stream's).

    breaker: None for the client's own terminal, which sends of itself.
    """
    view: dict[str, object] = {"breaker": None if breaker is None else breaker_view(breaker, now_ms)}
    if report is None:
        return _UNKNOWN | view
    fresh = wall_ms - report.wall_ms <= REPORT_LIMIT_MS
    return view | {
        "configured": report.configured,
        "total_calls": report.total_calls,
        "success_calls": report.success_calls,
        "failed_calls": report.failed_calls,
        "success_rate": report.success_rate,
        "latency_p95_ms": report.latency_p95_ms,
        "latency_mean_ms": report.latency_mean_ms,
        "is_healthy": report.is_healthy if fresh else None,
        "last_error": report.last_error,
        "plan": report.plan,
        "blocked": _blocked(report.blocked),
        "quota": {name: _quota(window) for name, window in report.quota.items()},
        "next_turn_at": _moment(report.next_turn_ms),
        "round_seconds": None if report.round_ms is None else report.round_ms / 1000,
        "symbols": to_builtins(report.symbols),
        "push": _push(report.push),
        "account": report.account or None,
        "report_age_ms": max(0, wall_ms - report.wall_ms),
    }


def breaker_view(breaker: BreakerView, now_ms: int) -> dict[str, object]:
    """Return a breaker's state; a deadline that has passed is 0 seconds away. forced: what an operator decided."""
    retry_ms = breaker.retry_at_ms
    by_hand = {
        "state": str(breaker.force),
        "by": breaker.forced_by,
        "at": iso(breaker.forced_at_ms),
        "why": breaker.forced_why,
    }
    return {
        "state": str(breaker.state),
        "failures": breaker.failures,
        "opened_at": None if breaker.opened_at_ms is None else iso(breaker.opened_at_ms),
        "retry_in_seconds": None if retry_ms is None else max(0, retry_ms - now_ms) / 1000,
        "last_error": breaker.last_error,
        "reason": None if breaker.reason is None else str(breaker.reason),
        "changed_at": None if breaker.reason is None else iso(breaker.changed_at_ms),
        "openings": breaker.openings,
        "forced": None if breaker.force is Force.AUTO else by_hand,
    }


_UNKNOWN: dict[str, object] = {
    "configured": None,
    "total_calls": None,
    "success_calls": None,
    "failed_calls": None,
    "success_rate": None,
    "latency_p95_ms": None,
    "latency_mean_ms": None,
    "is_healthy": None,
    "last_error": "",
    "plan": "",
    "blocked": None,
    "quota": {},
    "next_turn_at": None,
    "round_seconds": None,
    "symbols": {},
    "push": None,
    "account": None,
    "report_age_ms": None,
}


def _push(push: PushReport) -> dict[str, object]:
    return {
        "state": push.state,
        "since": None if push.since_ms is None else iso(push.since_ms),
        "last_price_age_ms": push.last_price_age_ms,
        "connections": push.connections,
        "reconnects": push.reconnects,
        "pushed": list(push.pushed),
        "refused": push.refused,
        "detail": push.detail,
    }


def _quota(window: QuotaWindow) -> dict[str, object]:
    return {
        "limit": window.limit,
        "used": window.used,
        "remaining": window.remaining,
        "reserve": window.reserve,
        "resets_at": _moment(window.resets_at_ms),
        "runs_out_at": _moment(window.runs_out_at_ms),
        "back_at": _moment(window.back_at_ms),
    }


def _moment(at_ms: int | None) -> str | None:
    return None if at_ms is None else iso(at_ms)


def _blocked(blocked: Blocked | None) -> dict[str, object] | None:
    if blocked is None:
        return None
    return {"reason": blocked.reason, "until": iso(blocked.until_ms), "detail": blocked.detail}

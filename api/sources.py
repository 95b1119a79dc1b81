"""GET /api/sources: every vendor's report, breaker and quota, and who serves each symbol. Unknown is null."""

from msgspec import to_builtins
from starlette.requests import Request
from starlette.responses import Response

from api.context import context_of
from api.errors import json_response
from api.pipeline_state import Pipeline
from api.self_reports import SelfReports
from api.symbols import status_view
from api.times import iso
from common.breaker_model import BreakerView
from common.sources import Blocked, QuotaWindow, SourceReport

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
    }  # fmt: skip
    return json_response(content)


async def source_views(vendors: SelfReports, pipeline: Pipeline, wall_ms: int) -> dict[str, dict[str, object]]:
    """Return each source as it is shown in /api/sources and /health."""
    reports, breakers = await vendors.reports(), await vendors.breakers()
    now_ms = pipeline.now(wall_ms).stream_ms
    return {name: source_view(reports[name], breakers[name], wall_ms, now_ms or wall_ms) for name in vendors.vendors}


def source_view(report: SourceReport | None, breaker: BreakerView, wall_ms: int, now_ms: int) -> dict[str, object]:
    """Return one entry of `data_sources`. now_ms: the clock that the source's deadlines are in (the stream's)."""
    view: dict[str, object] = {"breaker": breaker_view(breaker, now_ms)}
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
        "symbols": to_builtins(report.symbols),
        "report_age_ms": max(0, wall_ms - report.wall_ms),
    }


def breaker_view(breaker: BreakerView, now_ms: int) -> dict[str, object]:
    """Return a breaker's state; a deadline that has passed is 0 seconds away."""
    retry_ms = breaker.retry_at_ms
    return {
        "state": str(breaker.state),
        "failures": breaker.failures,
        "opened_at": None if breaker.opened_at_ms is None else iso(breaker.opened_at_ms),
        "retry_in_seconds": None if retry_ms is None else max(0, retry_ms - now_ms) / 1000,
        "last_error": breaker.last_error,
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
    "symbols": {},
    "report_age_ms": None,
}


def _quota(window: QuotaWindow) -> dict[str, object]:
    resets_ms = window.resets_at_ms
    return {
        "limit": window.limit,
        "used": window.used,
        "remaining": window.remaining,
        "resets_at": None if resets_ms is None else iso(resets_ms),
    }


def _blocked(blocked: Blocked | None) -> dict[str, object] | None:
    if blocked is None:
        return None
    return {"reason": blocked.reason, "until": iso(blocked.until_ms), "detail": blocked.detail}

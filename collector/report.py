"""What the collector tells of each source every second: figures, breaker, budget, quality per symbol."""

import math
from collections.abc import Mapping

import msgspec

from collector.choose import SourceView
from collector.pace import forecast
from collector.quota_model import Usage
from collector.source import HISTORY, Source
from collector.stats import FRESH_MS, SymbolStats
from common.breaker import Force, State
from common.metrics import Metrics
from common.sources import Blocked, QuotaWindow, SourceReport, SymbolReport

BREAKER_GAUGE = {State.CLOSED: 0.0, State.HALF_OPEN: 1.0, State.OPEN: 2.0}
FORCED_GAUGE = {Force.AUTO: 0.0, Force.CLOSED: 1.0, Force.OPEN: 2.0}


def report_of(
    source: Source, view: SourceView, published: Mapping[tuple[str, str], int], now_ms: int, wall_ms: int
) -> SourceReport:
    """Return one source's report. published: (source, symbol) -> quotes that went into the stream."""
    stats = source.stats
    p95_ms, mean_ms = stats.latency_ms()
    block = view.blocks.get("")
    return SourceReport(
        name=source.name,
        wall_ms=wall_ms,
        now_ms=now_ms,
        configured=source.configured,
        total_calls=stats.total,
        success_calls=stats.success,
        failed_calls=stats.failed,
        success_rate=round(stats.success / stats.total, 6) if stats.total else None,
        latency_p95_ms=p95_ms,
        latency_mean_ms=mean_ms,
        is_healthy=is_healthy(source, view),
        blocked=block.report() if block else None,
        last_error=stats.last_error,
        plan=source.quota.plan.name,
        quota=windows_of(view, now_ms),
        next_turn_ms=_next_turn_ms(view, now_ms),
        round_ms=view.pace.round_ms if view.quota.usages else None,
        symbols=_symbols(source, view, published, now_ms),
    )


def is_healthy(source: Source, view: SourceView) -> bool | None:
    """Return whether the source works; None where that is not known: not configured, never called, finding out."""
    if not source.configured:
        return None
    if view.blocks.get("") is not None or view.breaker.state is State.OPEN:
        return False
    if source.stats.total == 0 or view.breaker.state is State.HALF_OPEN:
        return None
    return not source.stats.last_error


def windows_of(view: SourceView, now_ms: int) -> dict[str, QuotaWindow]:
    """Return the figures of each window of a source's budget, and how long it lasts."""
    return {usage.window.name: _window(usage, view, now_ms) for usage in view.quota.usages}


def _window(usage: Usage, view: SourceView, now_ms: int) -> QuotaWindow:
    ahead = forecast(usage, view.course, now_ms)
    return QuotaWindow(
        limit=usage.window.credits,
        used=usage.used,
        remaining=max(0, usage.window.credits - usage.used),
        resets_at_ms=None if view.quota.lost else usage.resets_at_ms(),
        reserve=0 if view.quota.lost else usage.reserve_left,
        runs_out_at_ms=ahead.runs_out_at_ms,
        back_at_ms=None if view.quota.lost else ahead.back_at_ms,
    )


def _next_turn_ms(view: SourceView, now_ms: int) -> int | None:
    turn_ms = view.quota.turn_ms if view.quota.usages else None
    return None if turn_ms is None else max(turn_ms, now_ms)


def _seconds_to(at_ms: int | None, now_ms: int) -> float:
    """Return the seconds until then; NaN, which removes the gauge, where there is no such moment."""
    return math.nan if at_ms is None else max(0, at_ms - now_ms) / 1000


def note_metrics(metrics: Metrics, view: SourceView, now_ms: int) -> None:
    """Set the gauges that speak of a source."""
    metrics.gauge("md_breaker_state", BREAKER_GAUGE[view.breaker.state], source=view.name)
    metrics.gauge("md_breaker_forced", FORCED_GAUGE[view.breaker.force], source=view.name)
    for name, window in windows_of(view, now_ms).items():
        labels = {"source": view.name, "window": name}
        metrics.gauge("md_quota_remaining", window.remaining, **labels)
        metrics.gauge("md_quota_reserve", window.reserve, **labels)
        metrics.gauge("md_quota_runs_out_seconds", _seconds_to(window.runs_out_at_ms, now_ms), **labels)
        metrics.gauge("md_quota_back_seconds", _seconds_to(window.back_at_ms, now_ms), **labels)


def _symbols(
    source: Source, view: SourceView, published: Mapping[tuple[str, str], int], now_ms: int
) -> dict[str, SymbolReport]:
    reports = {symbol: SymbolReport(listed.source_class) for symbol, listed in source.listed.items()}
    reports |= {
        symbol: _symbol(source, view, symbol, figures, now_ms) for symbol, figures in source.stats.symbols.items()
    }
    return {
        symbol: msgspec.structs.replace(
            report, published=published.get((source.name, symbol), 0), blocked=_blocked(view, symbol)
        )
        for symbol, report in reports.items()
    }


def _symbol(source: Source, view: SourceView, symbol: str, figures: SymbolStats, now_ms: int) -> SymbolReport:
    late_ms = source.listed[symbol].delay_s * 1000 if symbol in source.listed else 0
    allowed_age_ms = max(FRESH_MS, 2 * view.pace.round_ms) + late_ms
    return SymbolReport(
        source_class=figures.source_class,
        quality=figures.quality(now_ms, allowed_age_ms),
        last_market_ms=figures.last_market_ms,
        last_received_ms=figures.last_received_ms,
        asked=figures.asked,
        served=figures.served,
    )


def _blocked(view: SourceView, symbol: str) -> Blocked | None:
    block = view.blocks.get(symbol) or view.blocks.get(HISTORY + symbol)
    return block.report() if block else None

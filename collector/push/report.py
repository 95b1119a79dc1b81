"""How it is with a source's connections, as its report shows it. Pure."""

from collections.abc import Sequence

import msgspec

from collector.push.line import Line
from collector.push.policy import State, shown
from common.sources import PushReport, SourceReport


def push_report(lines: Sequence[Line], last_price_ms: int | None, now_ms: int, fresh: tuple[str, ...]) -> PushReport:
    """Return the report on all connections of one source. fresh: the symbols that need no poll."""
    standing = shown(tuple(line.standing for line in lines))
    return PushReport(
        state=standing.state.value,
        since_ms=standing.since_ms or None,
        last_price_age_ms=None if last_price_ms is None else max(0, now_ms - last_price_ms),
        connections=sum(line.is_up for line in lines),
        reconnects=sum(line.reconnects for line in lines),
        pushed=fresh,
        refused=_refused(lines),
        detail=next((line.standing.detail for line in lines if line.standing.detail), ""),
    )


def with_push(report: SourceReport, push: PushReport) -> SourceReport:
    """Return a source's report with that. A source that pushes works, though it may never have been asked."""
    works = True if push.pushed and report.is_healthy is None else report.is_healthy
    return msgspec.structs.replace(report, push=push, is_healthy=works)


def _refused(lines: Sequence[Line]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines:
        if line.standing.state is State.REFUSED:
            found |= {ask.symbol: line.standing.verdict.value for ask in line.asks}
        found |= {symbol: verdict.value for symbol, verdict in line.refused_symbols.items()}
    return found

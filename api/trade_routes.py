"""GET /api/executions: what was reported, newest first. GET /api/performance: what it came to."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import Response

from api.context import Context, context_of
from api.errors import json_response
from api.params import symbol_of, text_of, whole
from api.times import iso
from api.trades import read_reports, trades_of
from common.messages import ClientEvent, Execution
from common.performance import Trade, performance_of

DEFAULT_LIMIT, LARGEST_LIMIT = 100, 1_000


async def get_executions(request: Request) -> Response:
    """Answer with reported fills and closes, newest first."""
    context = context_of(request)
    limit = whole(request.query_params, "limit", DEFAULT_LIMIT, LARGEST_LIMIT)
    wanted = text_of(request.query_params, "symbol")
    name = symbol_of(wanted, context.table).name if wanted else ""
    found, has_history = await _reports(context)
    of_symbol = [m for m in found if isinstance(m, Execution) and name in ("", m.symbol)]
    shown = [_execution(message) for message in reversed(of_symbol[-limit:])]
    return json_response({**_head(context, has_history), "count": len(shown), "executions": shown})


async def get_performance(request: Request) -> Response:
    """Answer with the figures of all reported trades: in total, by strategy, by symbol and by both."""
    context = context_of(request)
    found, has_history = await _reports(context)
    table = {name: context.ledger.broker.held(symbol) for name, symbol in context.table.symbols.items()}
    trades = trades_of(found, table, context.settings.account_currency)
    content = {
        "currency": context.settings.account_currency,
        "since": iso(min(t.opened_ms for t in trades)) if trades else None,
        "total": asdict(performance_of(trades)),
        "by": [
            {"strategy": strategy, "instrument": symbol, **asdict(performance_of(some))}
            for (strategy, symbol), some in _grouped(trades)
        ],
    }
    return json_response({**_head(context, has_history), **content})


def _grouped(trades: Iterable[Trade]) -> list[tuple[tuple[str | None, str | None], list[Trade]]]:
    """Return trades by (strategy, symbol), by (strategy, any) and by (any, symbol); None is any."""
    groups: dict[tuple[str | None, str | None], list[Trade]] = defaultdict(list)
    for trade in trades:
        for key in ((trade.strategy, trade.symbol), (trade.strategy, None), (None, trade.symbol)):
            groups[key].append(trade)
    return sorted(groups.items(), key=lambda group: (group[0][0] or "", group[0][1] or ""))


async def _reports(context: Context) -> tuple[list[Execution | ClientEvent], bool]:
    async with context.computing:
        return await asyncio.to_thread(read_reports, context)


def _head(context: Context, has_history: bool) -> dict[str, object]:
    return {
        "timestamp": iso(context.wall_ms()),
        "simulated": context.settings.simulated,
        "has_history": has_history,
    }


def _execution(message: Execution) -> dict[str, object]:
    return {
        "id": message.id,
        "kind": message.id.partition(":")[0],
        "trade_id": message.trade_id,
        "instrument": message.symbol or None,
        "received": iso(message.received_ms),
        "report": message.body,
    }

"""GET /api/symbols: the symbol table, and the state of each symbol's session and data."""

from starlette.requests import Request
from starlette.responses import Response

from api.context import Context, context_of
from api.errors import json_response
from api.freshness import data_age_ms, silent
from api.pipeline_state import Pipeline
from api.symbol_columns import SymbolState
from api.times import iso
from common.sessions import is_open, next_close_ms, next_open_ms


async def get_symbols(request: Request) -> Response:
    """Answer with the symbol table and the state of each session."""
    context = context_of(request)
    wall_ms = context.wall_ms()
    pipeline = await context.state.read()
    symbols = [_symbol(context, pipeline, state, wall_ms) for state in pipeline.symbols.values()]
    head = {"timestamp": iso(wall_ms), "simulated": context.settings.simulated}
    return json_response({**head, "count": len(symbols), "symbols": symbols})


def _symbol(context: Context, pipeline: Pipeline, state: SymbolState, wall_ms: int) -> dict[str, object]:
    symbol, now = state.symbol, pipeline.now(wall_ms, state.partition)
    session = context.table.session_of(symbol.name, state.source_class)
    stream_ms = now.stream_ms
    is_trading = None if stream_ms is None else is_open(session, stream_ms)
    age_ms = data_age_ms(state, now)
    return {
        "symbol": symbol.name,
        "title": symbol.title,
        "broker": symbol.broker,
        "source_class": state.source_class,
        "series": symbol.series,
        "may_feed": symbol.may_feed(),
        "quote_currency": symbol.quote_currency,
        "digits": symbol.digits,
        "tick_size": symbol.tick_size,
        "contract_size": symbol.contract_size,
        "lot_min": symbol.lot_min,
        "lot_step": symbol.lot_step,
        "lot_max": symbol.lot_max,
        "session": session,
        "session_open": is_trading,
        "next_open": None if stream_ms is None else iso(next_open_ms(session, stream_ms)),
        "next_close": None if stream_ms is None else iso(next_close_ms(session, stream_ms)),
        "delay_ms": None if state.lane is None else state.lane.delay_ms,
        "data_age_ms": age_ms,
        "stale": None if is_trading is None or not is_trading else silent(state, now, session),
        "status": status_view(state),
        "sources": [
            {"vendor": s.vendor, "name": s.symbol, "source_class": s.source_class, "delay_s": s.delay_s}
            for s in symbol.sources
        ],
    }


def status_view(state: SymbolState) -> dict[str, object] | None:
    """Return the collector's word on a symbol as it is shown."""
    status = state.status
    if status is None:
        return None
    return {
        "status": status.status,
        "source": status.source or None,
        "source_class": status.source_class,
        "detail": status.detail,
        "at": iso(status.at_ms),
    }

"""GET /api/symbols, /api/sources and /api/positions: what is configured, who serves it, what was reported."""

from starlette.requests import Request
from starlette.responses import Response

from api.board import Board
from api.context import Context, context_of
from api.errors import json_response
from api.judgement import data_age_ms, silent
from api.positions import Position
from api.source_view import source_view
from api.state import Pipeline, SymbolState
from api.times import iso
from common.sessions import is_open, next_close_ms, next_open_ms


async def get_symbols(request: Request) -> Response:
    """Answer with the symbol table and the state of each session."""
    context = context_of(request)
    wall_ms = context.wall_ms()
    pipeline = await context.state.read()
    symbols = [_symbol(context, pipeline, state, wall_ms) for state in pipeline.symbols.values()]
    return json_response({**_head(context, wall_ms), "count": len(symbols), "symbols": symbols})


async def get_sources(request: Request) -> Response:
    """Answer with every source's figures, and each symbol's status at the collector."""
    context = context_of(request)
    wall_ms = context.wall_ms()
    pipeline = await context.state.read()
    views = await source_views(context.board, pipeline, wall_ms)
    statuses = {name: _status(state) for name, state in pipeline.symbols.items()}
    return json_response({**_head(context, wall_ms), "sources": views, "symbols": statuses})


async def source_views(board: Board, pipeline: Pipeline, wall_ms: int) -> dict[str, dict[str, object]]:
    """Return each source as it is shown in /api/sources and /health."""
    reports, breakers = await board.reports(), await board.breakers()
    now_ms = pipeline.now(wall_ms).stream_ms
    return {name: source_view(reports[name], breakers[name], wall_ms, now_ms or wall_ms) for name in board.vendors}


async def get_positions(request: Request) -> Response:
    """Answer with what was reported as executed, newest first; presumed ends are marked."""
    context = context_of(request)
    positions = [position_view(position) for position in reversed(tuple(context.ledger.positions.every()))]
    return json_response({**_head(context, context.wall_ms()), "count": len(positions), "positions": positions})


def position_view(position: Position) -> dict[str, object]:
    """Return a position as it is shown."""
    closing = position.closing
    return {
        "trade_id": position.trade_id,
        "instrument": position.symbol,
        "alpha_id": position.alpha_id,
        "action": position.action,
        "lots": position.lots,
        "entry_price": position.entry,
        "stop_loss": position.stop,
        "take_profit": position.target,
        "signal_id": position.signal_id,
        "opened": iso(position.opened_ms),
        "status": "open" if closing is None else "closed",
        "presumed": closing is not None and closing.presumed,
        "closed": None if closing is None else iso(closing.at_ms),
        "outcome": None if closing is None else closing.outcome,
        "exit_reason": None if closing is None else closing.reason,
        "exit_price": None if closing is None else closing.price,
        "counts_as_loss": None if closing is None or not closing.presumed else closing.counts_as_loss,
    }


def _head(context: Context, wall_ms: int) -> dict[str, object]:
    return {"timestamp": iso(wall_ms), "simulated": context.settings.simulated}


def _symbol(context: Context, pipeline: Pipeline, state: SymbolState, wall_ms: int) -> dict[str, object]:
    symbol, now = state.symbol, pipeline.now(wall_ms, state.partition)
    session = context.table.session_of(symbol.name)
    stream_ms = now.stream_ms
    is_trading = None if stream_ms is None else is_open(session, stream_ms)
    age_ms = data_age_ms(state, now)
    return {
        "symbol": symbol.name,
        "title": symbol.title,
        "broker": symbol.broker,
        "source_class": symbol.series,
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
        "stale": None if is_trading is None or not is_trading else silent(state, now),
        "status": _status(state),
        "sources": [
            {"vendor": s.vendor, "name": s.symbol, "source_class": s.source_class, "delay_s": s.delay_s}
            for s in symbol.sources
        ],
    }


def _status(state: SymbolState) -> dict[str, object] | None:
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

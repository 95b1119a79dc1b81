"""Version 1 of the api: the one place that says what stands under /api/v1, and under which names.

/api/signals and its neighbours have the names that their first client knows. Here the same handlers answer with one
name for one thing; where a reply lacks a shape below, it is the same under both paths.
"""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api import (
    account_routes,
    bars,
    breakers,
    broker,
    features,
    gaps,
    heartbeat,
    indicators,
    report_routes,
    signals_v1,
    sources,
    symbols,
    tick_routes,
    trade_routes,
)
from api.errors import ascii_response
from api.live.routes import get_stream
from api.paths import V1
from api.reshape import Shape, reshaped, within

Handler = Callable[[Request], Awaitable[Response]]

SYMBOL: Shape = {"broker": "broker_symbol"}
BARS: Shape = {
    **SYMBOL,
    "bars": ("bars", within({"time": "open_ms"})),
    "forming": ("forming", within({"time": "open_ms"})),
}
SYMBOLS: Shape = {
    "symbols": (
        "symbols",
        within({**SYMBOL, "next_open": "next_open_at", "next_close": "next_close_at"}),
    )
}
BROKER_SYMBOLS: Shape = {"symbols": ("symbols", within(SYMBOL))}
POSITIONS: Shape = {
    "positions": (
        "positions",
        within(
            {
                "instrument": "symbol",
                "alpha_id": "strategy",
                "action": ("side", bytes.lower),
                "entry_price": "entry",
                "take_profit": "target",
                "opened": "opened_at",
                "closed": "closed_at",
            }
        ),
    )
}
EXECUTIONS: Shape = {"executions": ("executions", within({"instrument": "symbol", "received": "received_at"}))}
PERFORMANCE: Shape = {"by": ("by", within({"instrument": "symbol"}))}
ACCOUNT: Shape = {"state": ("state", within({"seen": "seen_at", "reset": "resets_at"}))}


def routes() -> list[Route]:
    """Return every route of version 1."""
    return [
        _get("/signals", signals_v1.get_signals),
        _get("/stream", get_stream),
        _get("/bars/{symbol}", bars.get_bars, BARS),
        _get("/features/{symbol}", features.get_features, SYMBOL),
        _get("/indicators/{symbol}", indicators.get_indicators, SYMBOL),
        _get("/gaps", gaps.get_gaps),
        _get("/sources", sources.get_sources),
        _get("/symbols", symbols.get_symbols, SYMBOLS),
        _get("/positions", report_routes.get_positions, POSITIONS),
        _get("/executions", trade_routes.get_executions, EXECUTIONS),
        _get("/performance", trade_routes.get_performance, PERFORMANCE),
        _get("/account", account_routes.get_account, ACCOUNT),
        _get("/broker/symbols", broker.get_broker_symbols, BROKER_SYMBOLS),
        _post("/executions", report_routes.post_execution),
        _post("/executions/close", report_routes.post_close),
        _post("/heartbeat", heartbeat.post_heartbeat),
        _post("/events", report_routes.post_event),
        _post("/ticks", tick_routes.post_ticks),
        _post("/broker/symbols", broker.post_broker_symbols),
        _post("/sources/{name}/breaker", breakers.post_breaker),
    ]


def _get(path: str, handler: Handler, shape: Shape | None = None) -> Route:
    return Route(V1 + path, handler if shape is None else _named(handler, shape), methods=["GET"])


def _post(path: str, handler: Handler) -> Route:
    return Route(V1 + path, handler, methods=["POST"])


def _named(handler: Handler, shape: Shape) -> Handler:
    """Return the handler with its replies' fields named anew. What it refuses it raises: that has one shape."""

    async def answer(request: Request) -> Response:
        return ascii_response(reshaped(bytes((await handler(request)).body), shape))

    return answer

"""The app: its routes, its errors and what runs beside it."""

import asyncio
import gc
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute

from api import (
    account_routes,
    background,
    bars,
    breakers,
    broker,
    dashboard,
    features,
    gaps,
    health,
    heartbeat,
    indicators,
    report_routes,
    signals,
    sources,
    symbols,
    tick_routes,
    trade_routes,
    v1,
)
from api.context import Context
from api.errors import ApiError, ascii_response, json_response
from api.guard import Guard
from api.live.routes import get_socket, live_socket
from api.past import take_up_past
from api.paths import SOCKET
from api.redis_pool import RedisAway
from api.rehearsal import rehearse
from common.errors import Retryable

log = structlog.get_logger()

OPENAPI = Path(__file__).with_name("openapi.json")


def routes() -> list[Route]:
    """Return every route; api/openapi.json describes the same ones, and a test compares them."""
    return [
        Route("/", get_index, methods=["GET"]),
        Route("/health", health.get_health, methods=["GET"]),
        Route("/livez", health.get_livez, methods=["GET"]),
        Route("/readyz", health.get_readyz, methods=["GET"]),
        Route("/metrics", health.get_metrics, methods=["GET"]),
        Route("/metrics/json", health.get_metrics_json, methods=["GET"]),
        Route("/openapi.json", get_openapi, methods=["GET"]),
        Route("/api/signals", signals.get_signals, methods=["GET"]),
        Route("/api/bars/{symbol}", bars.get_bars, methods=["GET"]),
        Route("/api/features/{symbol}", features.get_features, methods=["GET"]),
        Route("/api/indicators/{symbol}", indicators.get_indicators, methods=["GET"]),
        Route("/api/gaps", gaps.get_gaps, methods=["GET"]),
        Route("/api/sources", sources.get_sources, methods=["GET"]),
        Route("/api/sources/{name}/breaker", breakers.post_breaker, methods=["POST"]),
        Route("/api/symbols", symbols.get_symbols, methods=["GET"]),
        Route("/api/positions", report_routes.get_positions, methods=["GET"]),
        Route("/api/executions", trade_routes.get_executions, methods=["GET"]),
        Route("/api/performance", trade_routes.get_performance, methods=["GET"]),
        Route("/api/account", account_routes.get_account, methods=["GET"]),
        Route("/api/heartbeat", heartbeat.post_heartbeat, methods=["POST"]),
        Route("/api/executions", report_routes.post_execution, methods=["POST"]),
        Route("/api/executions/close", report_routes.post_close, methods=["POST"]),
        Route("/api/broker/symbols", broker.get_broker_symbols, methods=["GET"]),
        Route("/api/broker/symbols", broker.post_broker_symbols, methods=["POST"]),
        Route("/api/events", report_routes.post_event, methods=["POST"]),
        Route("/api/ticks", tick_routes.post_ticks, methods=["POST"]),
        *v1.routes(),
        Route(SOCKET, get_socket, methods=["GET"]),
    ]


def create_app(context: Context) -> Starlette:
    """Return the app over these parts. Its lifespan runs what the api does beside answering."""
    known = routes()
    app = Starlette(
        routes=[*known, WebSocketRoute(SOCKET, live_socket)],
        exception_handlers={
            ApiError: _refused, RedisAway: _redis_away, HTTPException: _http_error, Exception: _our_bug,
        },
        lifespan=_lifespan,
    )  # fmt: skip
    app.router.redirect_slashes = False  # a redirect is not 200, and clients here take nothing else
    app.state.context = context
    app.state.broken = False
    app.add_middleware(Guard, context=context, routes=frozenset(route.path for route in known))
    return app


async def get_index(request: Request) -> Response:
    """Answer with who this is and what may be asked; a browser gets the operator's page."""
    if dashboard.wanted(request):
        return dashboard.page()
    paths = [f"{'/'.join(sorted((route.methods or set()) - {'HEAD'}))} {route.path}" for route in routes()]
    response = json_response({"service": health.service(), "routes": paths})
    response.headers["vary"] = "accept"
    return response


async def get_openapi(_request: Request) -> Response:
    """Answer with the description of this api."""
    return ascii_response(_document())


def _document() -> bytes:
    return OPENAPI.read_bytes()


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    context: Context = app.state.context
    try:
        await background.prepare_sessions(context)
        await _look_back(context)
        await _join_streams(context)
        await _rehearse(app, context)
        gc.collect()
        gc.freeze()  # the imports' objects are never garbage: not looking at them again takes the pauses out
        async with _background(app, context):
            yield
    finally:
        await context.live.close()
        await context.pool.close()
        context.memory.keep_at_the_end()
        context.journal.close()
        context.ticks.close()


async def _rehearse(app: Starlette, context: Context) -> None:
    """Rehearse. What fails then will fail for clients, each by itself; it is no reason not to start."""
    (error,) = await asyncio.gather(rehearse(app.router, context), return_exceptions=True)
    if isinstance(error, Retryable):
        log.info("rehearsal.skipped", why=str(error))
    elif error is not None:
        log.error("rehearsal.failed", exc_info=error)


async def _look_back(context: Context) -> None:
    """Find out what was before this process. What can't be told yet is asked for each second; no advice until then."""
    await context.memory.recall()
    try:
        await take_up_past(context)
        await context.publisher.publish()
    except Retryable as e:
        log.warning("past.unknown", why=str(e))


async def _join_streams(context: Context) -> None:
    """Find the place in the streams of signals; while Redis is away the reader of them goes on trying."""
    try:
        await context.live.start()
    except Retryable as e:
        log.warning("live.waiting", why=str(e))


@asynccontextmanager
async def _background(app: Starlette, context: Context) -> AsyncIterator[None]:
    """Have the background work run. However this ends, only work that breaks by itself ends the process."""
    task = asyncio.create_task(background.run(context))
    stop = partial(_stop_process, app)
    task.add_done_callback(stop)
    try:
        yield
    finally:
        task.remove_done_callback(stop)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _stop_process(app: Starlette, task: "asyncio.Task[None]") -> None:
    """End the process when its background work has broken: a supervisor starts it again."""
    error = asyncio.CancelledError() if task.cancelled() else task.exception()
    log.critical("background.broken", exc_info=error)
    app.state.broken = True
    os.kill(os.getpid(), signal.SIGTERM)


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error.response()


async def _redis_away(_request: Request, error: Exception) -> Response:
    return ApiError(503, "redis_away", "the current state can't be read", "Redis answers", str(error)).response()


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    codes = {404: "unknown_path", 405: "method_not_allowed"}
    allowed = (error.headers or {}).get("Allow", "")
    expected = "one of the paths that / lists" if error.status_code == 404 else allowed
    code = codes.get(error.status_code, "http_error")
    found = f"{request.method} {request.url.path}"
    response = ApiError(error.status_code, code, error.detail, expected, found).response()
    response.headers.update(error.headers or {})
    return response


async def _our_bug(request: Request, error: Exception) -> Response:
    log.error("request.failed", path=request.url.path, exc_info=error)
    return ApiError(500, "internal_error", "an error of this server; it is in its log").response()

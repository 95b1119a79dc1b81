"""The outermost layer of the app: token, metrics, length of the URL; and a clean end where headers lie."""

import hmac
from urllib.parse import parse_qs

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.body import BODY_READ
from api.context import Context
from api.errors import ApiError
from api.paths import LIVE
from common.clock import monotonic_s

log = structlog.get_logger()

LONGEST_URL = 2_000
OPEN_PATHS = frozenset({"/livez"})  # a supervisor's probe; it tells nothing but that the process answers
SWITCHED = 101
_BEGINNINGS = frozenset({"http.response.start", "websocket.http.response.start", "websocket.accept"})
_UNBODIED = frozenset({"GET", "HEAD"})


class Guard:
    """Wraps the app. Holds no state."""

    def __init__(self, app: ASGIApp, context: Context, routes: frozenset[str]) -> None:
        self._app = app
        self._context = context
        self._token = context.settings.api_token.get_secret_value().encode()
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or one WebSocket."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        started_s = monotonic_s()
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] in _BEGINNINGS:
                status = message.get("status", SWITCHED)
                if scope["type"] == "http" and _body_left(scope):
                    # What a client announced with a GET, or sends after its JSON, must not be read as the next request.
                    message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        try:
            refusal = self._refusal(scope)
            await (self._app if refusal is None else refusal.response())(scope, receive, watched)
        finally:
            route = self._route(scope["path"])
            self._context.metrics.count("md_http_requests_total", route=route, status=str(status))
            if route not in LIVE:  # how long a client stays says nothing of how soon it is answered
                self._context.metrics.observe("md_http_request_seconds", monotonic_s() - started_s, route=route)

    def _refusal(self, scope: Scope) -> ApiError | None:
        length = len(scope["path"]) + len(scope["query_string"])
        if length > LONGEST_URL:
            return ApiError(414, "url_too_long", "URL is too long", f"at most {LONGEST_URL} bytes", f"{length} bytes")
        if not self._token or scope["path"] in OPEN_PATHS or self._allowed(scope):
            return None
        return ApiError(401, "unauthorized", "a token is needed", "Authorization: Bearer <token>, or ?token=<token>")

    def _allowed(self, scope: Scope) -> bool:
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        tokens = [value[7:] for value in given if value[:7].lower() == b"bearer "]
        # latin-1 never fails; a token that is not ASCII compares by the bytes that were sent.
        query = parse_qs(scope["query_string"].decode("latin-1"), errors="replace")
        tokens += [value.encode(errors="replace") for value in query.get("token", [])]
        return any(hmac.compare_digest(token, self._token) for token in tokens)

    def _route(self, path: str) -> str:
        if path in self._routes:
            return path
        parts = path.split("/")
        return next((route for route in self._routes if _fits(route, parts)), "other")


def _fits(route: str, parts: list[str]) -> bool:
    """Tell whether a path, cut at its slashes, is one of a route with a parameter."""
    names = route.split("/")
    return len(names) == len(parts) and all(
        name == part or name.startswith("{") for name, part in zip(names, parts, strict=True)
    )


def _body_left(scope: Scope) -> bool:
    """Tell whether the request's body may be unread when the reply begins."""
    if scope["method"] in _UNBODIED:
        return any(
            (name == b"content-length" and value.strip() != b"0") or name == b"transfer-encoding"
            for name, value in scope["headers"]
        )
    return not scope.get("state", {}).get(BODY_READ, False)

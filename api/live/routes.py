"""The two ways to be told: GET /api/v1/stream (Server-Sent Events), and the WebSocket /ws/live."""

from functools import partial

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from api.context import Context, context_of
from api.errors import ApiError, invalid
from api.live.client import End, Wanted
from api.live.conversation import Means, converse
from api.live.cursor import parse_cursor
from api.live.events import Closing, Event, json_text, server_sent
from api.live.line import line_of
from api.params import equity_of, names_of, symbol_of, text_of

RETRY_MS = 1_000  # after that a browser whose connection broke opens it again
STREAM_HEADERS = {
    "cache-control": "no-store",
    "connection": "close",
    "x-accel-buffering": "no",  # nginx would hold events back
}


async def get_stream(request: Request) -> Response:
    """Answer with signals as they arise, until the client goes."""
    if request.method == "HEAD":
        return Response(headers=STREAM_HEADERS, media_type="text/event-stream")
    context = context_of(request)
    return _Stream(context, wanted_of(request, context))


async def get_socket(_request: Request) -> Response:
    """Refuse a request that isn't a WebSocket's."""
    response = ApiError(426, "upgrade_required", "this path speaks WebSocket", "upgrade: websocket").response()
    response.headers["upgrade"] = "websocket"
    return response


async def live_socket(socket: WebSocket) -> None:
    """Send signals as they arise. What the client sends is not looked at."""
    context: Context = socket.app.state.context
    _refuse_foreign_page(socket, context)
    with context.live.joined(wanted_of(socket, context), "websocket") as client:
        await socket.accept()
        speak = partial(_send, socket), partial(_close, socket), partial(_until_closed, socket)
        await converse(context, client, Means(line_of(socket.scope), *speak))


def _refuse_foreign_page(socket: WebSocket, context: Context) -> None:
    """ApiError 403 for a page from elsewhere: browsers keep no WebSocket from it, as they do replies. A token would."""
    origin, host = socket.headers.get("origin"), socket.headers.get("host", "")
    if origin is None or context.settings.api_token.get_secret_value():
        return
    if origin.partition("://")[2].lower() != host.lower():
        raise ApiError(403, "foreign_origin", "a page from elsewhere may not listen without a token", host, origin)


def wanted_of(connection: HTTPConnection, context: Context) -> Wanted:
    """Return what a client asks for. ApiError 404 or 422 says what is wrong with it."""
    query = connection.query_params
    names = names_of(query, "symbols")
    if names == ():
        raise invalid("symbols is empty", "names, comma separated; without the parameter all", "")
    # A browser that connects again repeats the URL, and says in a header where it has been since.
    place = connection.headers.get("last-event-id", "") or text_of(query, "since")
    return Wanted(
        equity_of(query, context.settings.default_equity),
        frozenset(symbol_of(name, context.table).name for name in names or ()),
        parse_cursor(place, context.live.partitions) if place else None,
    )


class _Stream(Response):
    """A reply without an end."""

    def __init__(self, context: Context, wanted: Wanted) -> None:
        super().__init__(headers=STREAM_HEADERS, media_type="text/event-stream")
        del self.headers["content-length"]
        self._context = context
        self._wanted = wanted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the client goes, or is sent away. ApiError 503 where there is no room for it."""
        line = line_of(scope)
        with self._context.live.joined(self._wanted, "sse") as client:
            line.hold()
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await _body(send, b"retry: %d\n\n" % RETRY_MS, more=True)
            speak = partial(_send_event, send), partial(_end_stream, send), partial(_until_disconnected, receive)
            await converse(self._context, client, Means(line, *speak))


async def _body(send: Send, part: bytes, more: bool) -> None:
    await send({"type": "http.response.body", "body": part, "more_body": more})


async def _send_event(send: Send, event: Event) -> None:
    await _body(send, server_sent(event), more=True)


async def _end_stream(send: Send, why: End) -> None:
    await _body(send, server_sent(Closing(why.code, why.message)), more=False)


async def _until_disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(socket: WebSocket, event: Event) -> None:
    try:
        await socket.send_text(json_text(event))
    except (WebSocketDisconnect, RuntimeError) as e:  # RuntimeError: the client's close is on its way to us
        raise ConnectionResetError("the client has gone") from e


async def _close(socket: WebSocket, why: End) -> None:
    try:
        await socket.close(why.socket_code, f"{why.code}: {why.message}")
    except (WebSocketDisconnect, RuntimeError) as e:
        raise ConnectionResetError("the client has gone") from e


async def _until_closed(socket: WebSocket) -> None:
    while socket.client_state is not WebSocketState.DISCONNECTED:
        await socket.receive()

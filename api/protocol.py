"""uvicorn's HTTP protocol with limits that it lacks: on heads, on slow clients, on the number of connections.

A client that is slow or silent costs its own connection and nobody else's: uvicorn's own limit_concurrency would answer
503 to everybody while such connections are open.
"""

import asyncio
import json
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from api.live.line import LINE, narrow
from api.paths import SOCKET

HEAD_BYTES = 16 * 1024  # request line and headers together
HEAD_WITHIN_S = 3.0  # from the first byte (or the connection) to the end of the headers
REQUEST_WITHIN_S = 30.0  # from the headers to the last byte that the client has taken
CONNECTIONS = 1_000


class GuardedProtocol(HttpToolsProtocol):
    """One connection."""

    waiting: ClassVar[dict["GuardedProtocol", None]] = {}
    """Connections that are idle or without a complete head, the oldest first: these make room for others."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the base class
        """Start the clock of the first head, and make room where there are too many connections."""
        super().connection_made(transport)
        self._timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._in_head = True
        self._wait_for_head()
        if len(self.connections) > CONNECTIONS:
            next(iter(self.waiting)).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self.waiting.pop(self, None)
        self._set_timer(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take up bytes; a head that is too long is refused."""
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
            self._refuse(431, "head_too_large", f"request line and headers: at most {HEAD_BYTES} bytes")

    def on_message_begin(self) -> None:
        """Start the clock of a head."""
        super().on_message_begin()
        self.scope["extensions"] = {LINE: self}  # type: ignore[dict-item]  # one of our own
        self._wait_for_head()

    def on_headers_complete(self) -> None:
        """Start the clock of the whole request."""
        self._in_head = False
        self._head_bytes = 0
        self.waiting.pop(self, None)
        self._set_timer(REQUEST_WITHIN_S)
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Stop the clock where the client has taken everything."""
        if not self.transport.get_write_buffer_size():
            self._set_timer(None)
        self.waiting[self] = None
        super().on_response_complete()

    def hold(self) -> None:
        """Let the reply go on for as long as it likes."""
        self._set_timer(None)
        narrow(self.transport)

    async def drain(self) -> None:
        """Wait until the kernel has taken everything that was sent."""
        await self.flow.drain()

    def cut(self) -> None:
        """End the connection at once."""
        self.transport.abort()

    def handle_websocket_upgrade(self) -> None:
        """Give the connection over to the WebSocket protocol."""
        self._set_timer(None)
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP in the shape of every other error."""
        self._refuse(400, "bad_request", msg)

    def _should_upgrade(self) -> bool:
        # Elsewhere a client that asks for it, perhaps with headers that it was once sent, gets the plain answer.
        return self.url.partition(b"?")[0] == SOCKET.encode() and super()._should_upgrade()

    def _refuse(self, status: int, code: str, message: str) -> None:
        error = {"code": code, "message": message, "expected": "an HTTP/1.1 request", "found": ""}
        body = json.dumps({"error": error}, separators=(",", ":")).encode("ascii")
        head = f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        self.transport.write(STATUS_LINE[status] + head.encode("ascii") + body)
        self.transport.close()

    def _wait_for_head(self) -> None:
        self._in_head = True
        self.waiting.pop(self, None)  # to the end of the row
        self.waiting[self] = None
        self._set_timer(HEAD_WITHIN_S)

    def _set_timer(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self.transport.abort)

"""Send answers over ASGI: whole, or broken in the ways that networks and vendors break them."""

import asyncio
import random
import socket
import struct
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import replace
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from simulator.wire import HTML_TYPE, Answer

Scope = MutableMapping[str, object]
Message = MutableMapping[str, object]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

TRANSPORT = "simulator.transport"
_SWITCHING = 101
_MOST_UNREAD = 1 << 24
"""Bytes; far beyond where a client that does not read is cut off."""
_SETTLE_S = 0.01
"""For the event loop to notice that a connection is gone."""
_RESET = struct.pack("ii", 1, 0)
_PAGE = b"<!DOCTYPE html>\n<html><body><h1>We are sorry</h1><p>Will be right back...</p></body></html>\n"


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, with the transport in the scope so that a fault can break the connection."""

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        cast(Scope, self.scope)["extensions"] = {TRANSPORT: self.transport}


class StreamProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol, likewise; sending never waits for a client to read."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin a connection."""
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=_MOST_UNREAD)

    def handle_connect(self, event: Request) -> None:
        """Begin a handshake."""
        super().handle_connect(event)
        if self.response.status_code == _SWITCHING:
            cast(dict[str, object], cast(Scope, self.scope)["extensions"])[TRANSPORT] = self.transport


def transport_of(scope: Scope) -> asyncio.Transport:
    """Return the connection of a request."""
    extensions = cast(dict[str, object], scope.get("extensions") or {})
    transport = extensions.get(TRANSPORT)
    if transport is None:
        raise ConnectionResetError("the fault breaks the connection")  # there is none: called without a server
    return cast(asyncio.Transport, transport)


def _headers(answer: Answer) -> list[tuple[bytes, bytes]]:
    headers = [("content-type", answer.content_type), *answer.headers]
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def _start(answer: Answer, length: int) -> Message:
    headers = [*_headers(answer), (b"content-length", str(length).encode())]
    return {"type": "http.response.start", "status": answer.status, "headers": headers}


async def send_whole(send: Send, answer: Answer) -> None:
    """Send a complete reply."""
    await send(_start(answer, len(answer.body)))
    await send({"type": "http.response.body", "body": answer.body})


async def refuse(send: Send, answer: Answer) -> None:
    """Answer a WebSocket's handshake with a complete HTTP reply."""
    await send({"type": "websocket.http.response.start", "status": answer.status, "headers": _headers(answer)})
    await send({"type": "websocket.http.response.body", "body": answer.body})
    await asyncio.sleep(_SETTLE_S)


async def read_body(receive: Receive) -> bytes:
    """Return the body of a request."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(cast(bytes, message.get("body", b"")))
        if not message.get("more_body"):
            return b"".join(parts)


async def _gone(receive: Receive, within_s: float | None) -> bool:
    """Wait until the client has gone; False if it is still there after the time."""
    try:
        async with asyncio.timeout(within_s):
            while (await receive())["type"] not in ("http.disconnect", "websocket.disconnect"):
                pass
    except TimeoutError:
        return False
    return True


async def hang(receive: Receive) -> None:
    """Say nothing until the client gives up."""
    await _gone(receive, None)


async def reset(scope: Scope) -> None:
    """Break the connection with a TCP reset."""
    transport = transport_of(scope)
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()
    await asyncio.sleep(_SETTLE_S)


async def truncate(scope: Scope, send: Send, answer: Answer) -> None:
    """Send the headers and half of the body, then close the connection."""
    transport = transport_of(scope)
    await send(_start(answer, len(answer.body)))
    await send({"type": "http.response.body", "body": answer.body[: len(answer.body) // 2], "more_body": True})
    transport.close()
    await asyncio.sleep(_SETTLE_S)


async def slow_drip(receive: Receive, send: Send, answer: Answer, pause_s: float) -> None:
    """Send the body byte by byte, with a pause before each, until the client gives up."""
    await send(_start(answer, len(answer.body)))
    for place in range(len(answer.body)):
        if await _gone(receive, pause_s):
            return
        more = place + 1 < len(answer.body)
        await send({"type": "http.response.body", "body": answer.body[place : place + 1], "more_body": more})


def spoiled(answer: Answer, kind: str, seed: int) -> Answer:
    """Return a complete reply that is not what was asked for: garbage, html, redirect or wrong_content_type."""
    if kind == "garbage":
        noise = random.Random(seed).randbytes(max(64, len(answer.body) // 2))
        return replace(answer, status=200, body=noise)
    if kind == "html":
        return replace(answer, status=200, body=_PAGE, content_type=HTML_TYPE)
    if kind == "redirect":
        location = ("location", "http://127.0.0.1:9/elsewhere")
        return replace(answer, status=302, body=b"", content_type=HTML_TYPE, headers=(*answer.headers, location))
    return replace(answer, content_type=HTML_TYPE)

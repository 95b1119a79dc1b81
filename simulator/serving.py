"""The HTTP and WebSocket server around the application."""

import uvicorn

from simulator.app import App
from simulator.asgi import Protocol, StreamProtocol

_IDLE_S = 600
"""Connections of a slowly stepped collector must outlive its pauses."""


def server_of(app: App, *, host: str, port: int) -> uvicorn.Server:
    """Return the server, not yet started. It sends no pings of its own and compresses nothing."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=host, port=port, loop="uvloop", http=Protocol, ws=StreamProtocol, access_log=False,
            log_level="warning", server_header=False, date_header=False, timeout_keep_alive=_IDLE_S,
            timeout_graceful_shutdown=2, ws_ping_interval=None, ws_per_message_deflate=False,
        )
    )  # fmt: skip

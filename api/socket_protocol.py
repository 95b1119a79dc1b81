"""uvicorn's WebSocket protocol, as a connection that is watched for clients that don't read."""

import asyncio
import logging

from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from api.live.line import LINE, narrow

_log = logging.getLogger("uvicorn.websockets")
_log.setLevel(logging.WARNING)  # below, it has a line for each URL, and with it the token


class LiveProtocol(WebSocketsSansIOProtocol):
    """One connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, object],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.logger = _log

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin a connection."""
        super().connection_made(transport)
        narrow(self.transport)

    async def run_asgi(self) -> None:
        """Serve the connection."""
        self.scope["extensions"][LINE] = self  # type: ignore[assignment]  # one of our own
        await super().run_asgi()

    def hold(self) -> None:
        """Do nothing: it goes on until somebody ends it."""

    async def drain(self) -> None:
        """Wait until the kernel has taken everything that was sent."""
        await self.writable.wait()

    def cut(self) -> None:
        """End the connection at once."""
        self.transport.abort()

"""Run the api: python -m api."""

import signal
import socket
from types import FrameType

import structlog
import uvicorn
from starlette.applications import Starlette

from api.app import create_app
from api.context import STAGE, make_context
from api.live.feed import Feed
from api.protocol import GuardedProtocol
from api.socket_protocol import LiveProtocol
from common.errors import Fatal
from common.logs import configure_logging
from common.settings import Settings, load_settings

log = structlog.get_logger()

KEEP_ALIVE_S = 15  # above a client's polling interval, so that it keeps its connection
SHUTDOWN_WITHIN_S = 3


HEARD_BYTES = 4_096  # a live client has nothing to say


class Server(uvicorn.Server):
    """uvicorn's server, which sends live clients away before it waits for all connections to end."""

    def __init__(self, config: uvicorn.Config, live: Feed) -> None:
        super().__init__(config)
        self._live = live

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop."""
        await self._live.close()
        await super().shutdown(sockets)


def server(app: Starlette, settings: Settings) -> uvicorn.Server:
    """Return the server for this app. Headers that say nothing are left out: some clients send them back to us."""
    return Server(
        uvicorn.Config(
            app,
            host=settings.api_host,
            port=settings.api_port,
            http=GuardedProtocol,
            loop="uvloop",
            ws=LiveProtocol,
            ws_max_size=HEARD_BYTES,
            ws_ping_interval=None,  # there is a heartbeat that clients see, too
            ws_per_message_deflate=False,
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=SHUTDOWN_WITHIN_S,
        ),
        app.state.context.live,
    )


def main() -> None:
    """Serve until SIGTERM."""
    try:
        settings = load_settings(STAGE)
        configure_logging(STAGE, settings)
        context = make_context(settings)
    except Fatal as e:
        log.critical("api.fatal", error=str(e))
        raise SystemExit(1) from e
    log.info("api.starting", host=settings.api_host, port=settings.api_port, simulated=settings.simulated)
    app = create_app(context)
    # uvicorn has its own handler while it serves, and raises the signal again when it has finished.
    signal.signal(signal.SIGTERM, _end)
    try:
        server(app, settings).run()
    finally:
        if app.state.broken:
            raise SystemExit(1)


def _end(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    main()

"""The connection beneath a reply that goes on: what the server's protocols offer to it."""

import asyncio
import socket
from collections.abc import MutableMapping
from typing import Any, Protocol, cast

LINE = "api.line"
"""The extension of a request's scope that holds it."""
UNSENT_BYTES = 64 * 1024  # what lies in the kernel's buffer grows old unnoticed: by default that may be megabytes
UNHEARD_MS = 30_000  # after that a peer that confirms nothing has gone


class Line(Protocol):
    """One connection."""

    def hold(self) -> None:
        """Let the reply go on for as long as it likes."""

    async def drain(self) -> None:
        """Wait until the kernel has taken everything that was sent."""

    def cut(self) -> None:
        """End the connection at once, whatever was not sent."""


def line_of(scope: MutableMapping[str, Any]) -> Line:  # Any: as ASGI has it
    """Return the connection of a request that this server received."""
    return cast(Line, scope["extensions"][LINE])


def narrow(transport: asyncio.Transport) -> None:
    """Have a connection notice soon that its client doesn't read, or has gone."""
    transport.set_write_buffer_limits(high=0)
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNSENT_BYTES)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNHEARD_MS)

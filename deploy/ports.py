"""Whether a port that we are about to use is free."""

import errno
import socket

from common.errors import Fatal
from deploy.layout import Address


def require_free(address: Address) -> None:
    """Return if a server may listen there. Fatal names the address, and the variable that moves it."""
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except OSError as e:
        if e.errno == errno.EADDRINUSE:
            raise Fatal(
                f"port {address.port} on {address.host} is taken by another program; "
                f"end that, or set {address.port_variable} to a free port"
            ) from e
        raise Fatal(f"can't listen on {address.where} ({address.variables}): {e}") from e

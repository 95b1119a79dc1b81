"""A client that polls over one socket, as cheap as Python allows: what is measured is the server."""

import socket
import time

WITHIN_S = 10.0


class Poller:
    """One connection that is kept open."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=WITHIN_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, path: str) -> tuple[float, bytes]:
        """Return the ms until the whole reply was there, and its body. RuntimeError if it isn't a 200."""
        request = f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode()
        began_s = time.perf_counter()
        self._socket.sendall(request)
        received = self._socket.recv(1 << 17)
        while (missing := _missing(received)) != 0:
            more = self._socket.recv(max(missing, 1 << 12))
            if not more:
                raise RuntimeError(f"the server closed the connection after {received[:200]!r}")
            received += more
        took_ms = (time.perf_counter() - began_s) * 1000
        head, _, body = received.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"expected 200, found {received[:300]!r}")
        return took_ms, body

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def _missing(received: bytes) -> int:
    """Return how many bytes of the reply are still to come; -1 where that isn't known yet."""
    head, found, body = received.partition(b"\r\n\r\n")
    if not found:
        return -1
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return max(0, int(lengths[0]) - len(body))

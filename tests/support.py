"""What several tests need: waiting on a condition, a free port, an embedded Valkey."""

import socket
import time
from collections.abc import Callable


def wait_until(predicate: Callable[[], bool], deadline_s: float = 10.0, what: str = "") -> None:
    """Return as soon as the predicate holds; AssertionError names what was waited for when the deadline has passed."""
    end = time.monotonic() + deadline_s
    while not predicate():
        assert time.monotonic() < end, f"not within {deadline_s} s: {what or predicate}"
        time.sleep(0.005)


def free_port() -> int:
    """Return a TCP port of the loopback that nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port

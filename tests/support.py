"""What several tests need: waiting on a condition, a free port, an embedded Valkey."""

import socket
import time
from collections.abc import Callable

_LONGEST_PAUSE_S = 0.02  # each look costs processor time that those lack who are waited for


def wait_until(predicate: Callable[[], bool], deadline_s: float = 10.0, what: str = "") -> None:
    """Return as soon as the predicate holds; AssertionError names what was waited for when the deadline has passed."""
    began = time.monotonic()
    while not predicate():
        waited_s = time.monotonic() - began
        assert waited_s < deadline_s, f"not within {deadline_s} s: {what or predicate}"
        time.sleep(min(0.002 + waited_s / 50, _LONGEST_PAUSE_S))


def free_port() -> int:
    """Return a TCP port of the loopback that nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port

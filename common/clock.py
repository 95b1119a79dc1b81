"""The only reader of the machine's clocks. Everything else is handed a time."""

import time


def wall_ms() -> int:
    """Return real time, UTC epoch milliseconds. It may jump: never measure a duration with it."""
    return time.time_ns() // 1_000_000


def monotonic_s() -> float:
    """Return seconds since an arbitrary moment, never going back: for durations and socket deadlines."""
    return time.monotonic()

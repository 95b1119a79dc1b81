"""Which bars a session lets expect, and how its open time goes by."""

from collections.abc import Iterator
from functools import lru_cache

from common.sessions.hours import is_open, next_close_ms, next_open_ms


def expected_opens(session: str, bar_ms: int, from_ms: int, to_ms: int) -> Iterator[int]:
    """Yield the open times of all bars in [from_ms, to_ms) during which the session trades, for a moment at least."""
    open_ms = -(-from_ms // bar_ms) * bar_ms
    while open_ms < to_ms:
        if is_open(session, open_ms):
            end_ms = min(next_close_ms(session, open_ms), to_ms)
            yield from range(open_ms, end_ms, bar_ms)
            open_ms = -(-end_ms // bar_ms) * bar_ms
            continue
        open_ms = max(open_ms, next_open_ms(session, open_ms) // bar_ms * bar_ms)
        if open_ms < to_ms:
            yield open_ms
            open_ms += bar_ms


def trades_within(session: str, from_ms: int, to_ms: int) -> bool:
    """Return whether the session trades in [from_ms, to_ms), for a moment at least."""
    return is_open(session, from_ms) or next_open_ms(session, from_ms) < to_ms


@lru_cache(maxsize=1_024)  # a lane without bars asks the same for each of its values, once a cycle
def after_open_time(session: str, from_ms: int, needed_ms: int) -> int:
    """Return when `needed_ms` of the session's open time have gone by since `from_ms`."""
    at_ms, left_ms = from_ms, needed_ms
    while True:
        if not is_open(session, at_ms):
            at_ms = next_open_ms(session, at_ms)
        close_ms = next_close_ms(session, at_ms)
        if at_ms + left_ms <= close_ms:
            return at_ms + left_ms
        left_ms -= close_ms - at_ms
        at_ms = close_ms

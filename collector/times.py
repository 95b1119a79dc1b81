"""The stream's time, as the collector makes it: real time that never goes back, or the simulator's."""

from collections.abc import Callable
from datetime import UTC, datetime

import structlog

log = structlog.get_logger()

TELL_MS = 1_000  # small corrections of the clock are everyday


class StreamTime:
    """The stream's "now". It never goes back: bars that are closed stay closed."""

    def __init__(self, wall_ms: Callable[[], int], *, stepped: bool) -> None:
        """stepped: time is what `advance` says, and stands still between two cycles."""
        self._wall_ms, self._stepped = wall_ms, stepped
        self._newest_ms = 0
        self._held_back = False

    def now_ms(self) -> int:
        """Return the stream's time."""
        if self._stepped:
            return self._newest_ms
        wall_ms = self._wall_ms()
        if wall_ms < self._newest_ms - TELL_MS and not self._held_back:
            log.warning("clock.set_back", by_ms=self._newest_ms - wall_ms, note="the stream's time waits for it")
        self._held_back = wall_ms < self._newest_ms
        self._newest_ms = max(self._newest_ms, wall_ms)
        return self._newest_ms

    def advance(self, to_ms: int) -> None:
        """Note that the stream has come to this time; in steps it goes back, too, with a Redis that was rolled back."""
        self._newest_ms = to_ms if self._stepped and to_ms else max(self._newest_ms, to_ms)


def iso(at_ms: int) -> str:
    """Return a moment for humans."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

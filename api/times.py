"""The api's own judgement of time: what the stream's time is now, and whether the collector is alive."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache

from common.messages import Clock

CLOCK_LIMIT_MS = 3_000  # a clock entry older than this, in real time, means that the collector is not working


@dataclass(frozen=True)
class Now:
    """One moment, in real time and in the stream's."""

    wall_ms: int
    clock: Clock | None
    """The newest entry of the collector's clock; None if there is none."""
    limit_ms: int = CLOCK_LIMIT_MS

    @property
    def clock_age_ms(self) -> int | None:
        """Real time since the collector's last cycle; None if it never ran."""
        return None if self.clock is None else self.wall_ms - self.clock.wall_ms

    @cached_property
    def alive(self) -> bool:
        """Tell whether the collector's clock goes. One from the future (a wall clock was set back) doesn't count."""
        age_ms = self.clock_age_ms
        return age_ms is not None and -self.limit_ms <= age_ms <= self.limit_ms

    @cached_property
    def stream_ms(self) -> int | None:
        """The stream's time now, run on from the last entry at its speed; None if it is not known."""
        if self.clock is None:
            return None
        return self.clock.now_ms + int(max(0, self.wall_ms - self.clock.wall_ms) * self.clock.speed)

    @property
    def speed(self) -> float:
        """Stream seconds per real second; never below 1, for limits that are given in real time."""
        return 1.0 if self.clock is None else max(1.0, self.clock.speed)


def clock_limit_ms(collection_interval_s: float) -> int:
    """Return the oldest a clock entry may be: 3 s, or twice the collection interval where that is more."""
    return max(CLOCK_LIMIT_MS, int(2_000 * collection_interval_s))


def iso(at_ms: int) -> str:
    """Return UTC with milliseconds and Z."""
    seconds, ms = divmod(at_ms, 1000)
    return f"{_second(seconds)}.{ms:03d}Z"


@lru_cache(maxsize=1024)
def _second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"

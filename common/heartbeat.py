"""A process's sign of life, with its metrics: written by its own loop, so that a wedged loop goes stale."""

import os
from collections.abc import Callable, Iterable, Mapping

import msgspec
import structlog
from msgspec import Struct

from common import keys
from common.metrics import Metrics, Snapshot

INTERVAL_MS = 1_000
RETIRED = "retired"
"""The status of a process whose stage was given up: written for it by who did so."""

log = structlog.get_logger()


class Pulse(Struct, frozen=True):
    """What one process last said of itself."""

    stage: str
    instance: str
    pid: int
    started_wall_ms: int
    """When its first heartbeat was written."""
    wall_ms: int
    status: str
    message: str
    info: dict[str, object]
    metrics: Snapshot


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Pulse)


class Heartbeat:
    """Writes one process's pulse through `store(key, value)`, on whatever connection the loop has."""

    def __init__(self, store: Callable[[str, bytes], None], stage: str, instance: str, metrics: Metrics) -> None:
        self._store = store
        self._stage = stage
        self._instance = instance
        self._metrics = metrics
        self._started_wall_ms: int | None = None
        self._last: tuple[int, str] | None = None

    def beat(self, wall_ms: int, status: str, message: str = "", info: Mapping[str, object] | None = None) -> bool:
        """Write a pulse if a second has passed or the status is another; return whether it was written.

        What `store` raises comes out, and the next call tries again.
        """
        if not self._due(wall_ms, status):
            return False
        started = self._started_wall_ms if self._started_wall_ms is not None else wall_ms
        pulse = Pulse(
            self._stage, self._instance, os.getpid(), started, wall_ms, status, message, dict(info or {}),
            self._metrics.snapshot(),
        )  # fmt: skip
        self._store(keys.heartbeat(self._stage, self._instance), _encoder.encode(pulse))
        self._started_wall_ms = started
        self._last = (wall_ms, status)
        return True

    def _due(self, wall_ms: int, status: str) -> bool:
        if self._last is None:
            return True
        last_ms, last_status = self._last
        # The wall clock may be set back: then a pulse is due as well.
        return status != last_status or not 0 <= wall_ms - last_ms < INTERVAL_MS


def decode_pulse(body: bytes) -> Pulse:
    """Return the pulse in `body`. msgspec.DecodeError or ValidationError says what is wrong and where."""
    return _decoder.decode(body)


def read_pulses(bodies: Iterable[bytes | None]) -> list[Pulse]:
    """Return the pulses in the values of keys.HEARTBEATS, without those that are gone (None) or unreadable."""
    pulses: list[Pulse] = []
    for body in bodies:
        try:
            if body is not None:
                pulses.append(decode_pulse(body))
        except msgspec.DecodeError as e:  # another release may write another shape
            log.warning("heartbeat.unreadable", error=str(e), body=body[:200] if body else b"")
    return pulses

"""A process's sign of life."""

import os

import msgspec
import pytest

from common import keys
from common.errors import Retryable
from common.heartbeat import Heartbeat, decode_pulse, read_pulses
from common.metrics import Metrics, Snapshot


class Store:
    """Keeps what is written, or is away."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.writes = 0
        self.away = False

    def __call__(self, key: str, value: bytes) -> None:
        if self.away:
            raise Retryable("away")
        self.writes += 1
        self.values[key] = value


def test_pulse_comes_back_as_it_was_written() -> None:
    store, metrics = Store(), Metrics("validator")
    metrics.count("md_batches_total")
    assert Heartbeat(store, "validator", "validator_0", metrics).beat(1_000, "ok", "fine", {"lag_s": 0.5, "n": [1]})
    pulse = decode_pulse(store.values[keys.heartbeat("validator", "validator_0")])
    assert (pulse.stage, pulse.instance, pulse.pid) == ("validator", "validator_0", os.getpid())
    assert (pulse.started_wall_ms, pulse.wall_ms, pulse.status, pulse.message) == (1_000, 1_000, "ok", "fine")
    assert pulse.info == {"lag_s": 0.5, "n": [1]}
    assert pulse.metrics == metrics.snapshot()


def test_pulse_is_written_at_most_once_a_second_and_at_once_when_the_status_changes() -> None:
    store = Store()
    heart = Heartbeat(store, "s", "i", Metrics("s"))
    written = [heart.beat(at, status) for at, status in [(0, "a"), (999, "a"), (1000, "a"), (1001, "b"), (1500, "b")]]
    assert written == [True, False, True, True, False]
    assert store.writes == 3
    assert decode_pulse(store.values[keys.heartbeat("s", "i")]).started_wall_ms == 0


def test_clock_set_back_does_not_silence_the_heart() -> None:
    heart = Heartbeat(Store(), "s", "i", Metrics("s"))
    assert heart.beat(10_000, "a")
    assert heart.beat(4_000, "a")


def test_failed_write_is_tried_again_at_the_next_beat() -> None:
    store = Store()
    heart = Heartbeat(store, "s", "i", Metrics("s"))
    store.away = True
    with pytest.raises(Retryable):
        heart.beat(0, "a")
    store.away = False
    assert heart.beat(1, "a")


def test_reading_leaves_out_what_is_gone_or_foreign() -> None:
    store = Store()
    Heartbeat(store, "s", "i", Metrics("s")).beat(0, "a")
    body = store.values[keys.heartbeat("s", "i")]
    pulses = read_pulses([None, body, b"{", b"{}"])
    assert [p.stage for p in pulses] == ["s"]
    assert pulses[0].metrics == Snapshot()
    with pytest.raises(msgspec.DecodeError):
        decode_pulse(b"{")

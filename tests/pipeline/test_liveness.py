"""A stopped collector ends the stream's time: the api notices by its own clock."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from common import keys
from common.messages import Signal, encode
from tests.pipeline.harness import Pipeline
from tests.support import wait_until


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    """A running pipeline on made prices, as fast as life, healthy."""
    with Pipeline(tmp_path, ("EURUSD",), BATCH_WRITE_INTERVAL="0.5") as running:
        running.start_simulator("--speed", "1", "--seed", "3")
        running.start()
        wait_until(lambda: running.health() == "healthy", 60, "a healthy pipeline")
        yield running


def put_signal(pipeline: Pipeline, lives_ms: int) -> None:
    """Put a signal where the engine puts it, as if published now."""
    clock = pipeline.clock()
    assert clock is not None
    advice = Signal(
        id="EURUSD|1m|t|0", symbol="EURUSD", timeframe="1m", strategy="trend", bar_open_ms=0, action="BUY", entry=1.085,
        stop_loss=1.080, take_profit_1=1.090, take_profit_2=1.095, confidence=0.8, quality=7.0, regime="trend",
        reasons=(), published_ms=clock.now_ms, expires_ms=clock.now_ms + lives_ms, data_age_ms=0, atr=0.001,
        source="yahoo", source_class="fx_spot",
    )  # fmt: skip
    pipeline.client().hset(keys.newest_signals(0), "EURUSD", encode(advice))


def count(pipeline: Pipeline) -> object:
    """Return how many signals the bot is served for an equity that gives a size."""
    return pipeline.get("/api/signals?equity=100000")["count"]


def test_with_the_collector_stopped_nothing_is_served_and_health_says_so(pipeline: Pipeline) -> None:
    put_signal(pipeline, lives_ms=60_000)
    assert count(pipeline) == 1
    pipeline.processes["collector"].send_signal(signal.SIGSTOP)
    wait_until(lambda: pipeline.health() != "healthy", 5, "/health to notice")
    wait_until(lambda: count(pipeline) == 0, 5, "the signal to be withheld")
    assert "reasons" in pipeline.get("/readyz")
    pipeline.processes["collector"].send_signal(signal.SIGCONT)
    wait_until(lambda: pipeline.health() == "healthy", 20, "/health to recover")


def test_no_signal_is_served_after_its_expiry(pipeline: Pipeline) -> None:
    put_signal(pipeline, lives_ms=2_000)
    assert count(pipeline) == 1
    wait_until(lambda: count(pipeline) == 0, 3.5, "the signal to expire")


def test_a_stage_stopped_and_started_loses_nothing(pipeline: Pipeline) -> None:
    cycle = pipeline.cycle()
    pipeline.kill("validator", signal.SIGTERM)
    wait_until(lambda: pipeline.cycle() >= cycle + 4, 20, "cycles without a validator")
    pipeline.start("validator")
    wait_until(pipeline.settled, 20, "the validator to catch up")
    stored = [row[0] for row in pipeline.rows("SELECT cycle FROM clocks ORDER BY cycle")]
    assert stored == list(range(1, len(stored) + 1))

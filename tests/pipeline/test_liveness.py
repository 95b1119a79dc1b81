"""A stopped collector ends the stream's time: the api notices by its own clock."""

import signal
from collections.abc import Iterator

import pytest

from common import keys
from common.messages import Signal, encode
from tests.pipeline.forked import ForkedPipeline
from tests.pipeline.harness import Pipeline
from tests.support import wait_until


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A pipeline on made prices, as fast as life."""
    with ForkedPipeline(tmp_path_factory.mktemp("pipeline"), ("EURUSD",), BATCH_WRITE_INTERVAL="0.5") as running:
        running.start_simulator("--speed", "1", "--seed", "3")
        running.start()
        yield running


@pytest.fixture
def pipeline(started: Pipeline) -> Pipeline:
    """The module's pipeline, healthy."""
    wait_until(lambda: started.health() == "healthy", 60, "a healthy pipeline")
    return started


def now_ms(pipeline: Pipeline) -> int:
    """Return the stream's time."""
    clock = pipeline.clock()
    assert clock is not None
    return clock.now_ms


def put_signal(pipeline: Pipeline, lives_ms: int) -> int:
    """Put a signal where the engine puts it, as if published now; return when it expires."""
    now = now_ms(pipeline)
    advice = Signal(
        id="EURUSD|1m|t|0", symbol="EURUSD", timeframe="1m", strategy="trend", bar_open_ms=0, action="BUY", entry=1.085,
        stop_loss=1.080, take_profit_1=1.090, take_profit_2=1.095, confidence=0.8, quality=7.0, regime="trend",
        reasons=(), published_ms=now, expires_ms=now + lives_ms, data_age_ms=0, atr=0.001,
        source="yahoo", source_class="fx_spot",
    )  # fmt: skip
    pipeline.client().hset(keys.newest_signals(0), "EURUSD", encode(advice))
    return advice.expires_ms


def count(pipeline: Pipeline) -> object:
    """Return how many signals the bot is served for an equity that gives a size."""
    return pipeline.get("/api/signals?equity=100000")["count"]


def test_with_the_collector_stopped_nothing_is_served_and_health_says_so(pipeline: Pipeline) -> None:
    put_signal(pipeline, lives_ms=60_000)
    assert count(pipeline) == 1
    pipeline.processes["collector"].send_signal(signal.SIGSTOP)
    wait_until(lambda: pipeline.health() != "healthy", 10, "/health to notice")
    wait_until(lambda: count(pipeline) == 0, 10, "the signal to be withheld")
    assert "reasons" in pipeline.get("/readyz")
    pipeline.processes["collector"].send_signal(signal.SIGCONT)
    wait_until(lambda: pipeline.health() == "healthy", 20, "/health to recover")


def test_no_signal_is_served_after_its_expiry(pipeline: Pipeline) -> None:
    expires_ms = put_signal(pipeline, lives_ms=3_000)
    assert count(pipeline) == 1
    wait_until(lambda: now_ms(pipeline) >= expires_ms, 20, "the moment of its expiry")
    assert count(pipeline) == 0


def test_a_stage_stopped_and_started_loses_nothing(pipeline: Pipeline) -> None:
    cycle = pipeline.cycle()
    pipeline.kill("validator", signal.SIGTERM)
    wait_until(lambda: pipeline.cycle() >= cycle + 4, 20, "cycles without a validator")
    pipeline.start("validator")
    wait_until(pipeline.settled, 20, "the validator to catch up")
    stored = [row[0] for row in pipeline.rows("SELECT cycle FROM clocks ORDER BY cycle")]
    assert stored == list(range(1, len(stored) + 1))

"""A vendor goes down and comes back: the next source of the same class at once, never another instrument."""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from common import keys
from tests.pipeline.forked import ForkedPipeline
from tests.pipeline.harness import Pipeline
from tests.support import wait_until

SYMBOLS = ("EURUSD", "XAUUSD")
OPEN_S = 20  # stream time


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    """A running pipeline on made prices, twenty times as fast as life."""
    with ForkedPipeline(tmp_path, SYMBOLS, BATCH_WRITE_INTERVAL="0.2", BREAKER_OPEN_TIME=str(OPEN_S)) as running:
        running.start_simulator("--speed", "20", "--seed", "3")
        running.start()
        wait_until(lambda: running.health() == "healthy" and running.cycle() >= 5, 60, "a healthy pipeline")
        yield running


def status(pipeline: Pipeline, symbol: str) -> dict[str, object]:
    """Return the collector's word on a symbol."""
    raw = pipeline.client().hget(keys.symbol_status(0), symbol)
    found: dict[str, object] = json.loads(raw) if isinstance(raw, bytes) else {}
    return found


def breaker_state(pipeline: Pipeline) -> object:
    """Return what /health says of Yahoo's breaker."""
    sources = pipeline.get("/health")["data_sources"]
    return sources["yahoo"]["breaker"]["state"]  # type: ignore[index]  # JSON


def test_failover_withholding_and_recovery(pipeline: Pipeline) -> None:
    client = pipeline.client()
    wait_until(lambda: breaker_state(pipeline) == "CLOSED", 20, "Yahoo's breaker to be closed")
    pipeline.simulator("/sim/faults", {"vendor": "yahoo", "fault": "500"})

    wait_until(lambda: status(pipeline, "EURUSD").get("source") == "alphavantage", 10, "EURUSD from the next source")
    wait_until(lambda: status(pipeline, "XAUUSD").get("detail") == "no source, withheld", 10, "XAUUSD withheld")
    wait_until(lambda: breaker_state(pipeline) == "OPEN", 20, "Yahoo's breaker to open")
    health = pipeline.get("/health")
    assert health["data_sources"]["yahoo"]["breaker"]["failures"] >= 5  # type: ignore[index]

    calls_while_open = len(yahoo_calls(pipeline))
    wait_until(lambda: len(yahoo_calls(pipeline)) > calls_while_open, 20, "the first probe")
    opened_again = client.hget(keys.breaker("yahoo"), "state")
    assert opened_again in (b"OPEN", b"HALF_OPEN")
    pipeline.simulator("/sim/faults", method="DELETE")
    wait_until(lambda: breaker_state(pipeline) == "CLOSED", 30, "Yahoo's breaker to close")
    wait_until(lambda: status(pipeline, "XAUUSD").get("status") == "ok", 10, "XAUUSD to be served again")
    wait_until(lambda: status(pipeline, "EURUSD").get("source") == "yahoo", 10, "EURUSD from its first source again")
    check_probes(pipeline)
    wait_until(lambda: ("yahoo",) in pipeline.rows("SELECT DISTINCT source FROM market_data WHERE symbol='XAUUSD'"), 10)
    assert pipeline.rows("SELECT DISTINCT source, source_class FROM market_data WHERE symbol='XAUUSD'") == [
        ("yahoo", "comex_gold_future")
    ]
    check_failover_in_the_same_cycle(pipeline)


def yahoo_calls(pipeline: Pipeline) -> list[dict[str, object]]:
    """Return the simulator's ledger of quote calls to Yahoo."""
    return [call for call in pipeline.ledger("yahoo") if "/v7/finance/quote" in str(call["path"])]


def check_failover_in_the_same_cycle(pipeline: Pipeline) -> None:
    """In the cycle of the first failed call, the next source was asked too."""
    failed = next(call["cycle"] for call in yahoo_calls(pipeline) if str(call["verdict"]).startswith("fault"))
    assert failed in {call["cycle"] for call in pipeline.ledger("alphavantage")}


def check_probes(pipeline: Pipeline) -> None:
    """After the breaker opened, at most one call a probe: its open time apart while it failed, one that closed it."""
    calls = yahoo_calls(pipeline)
    failures = [call for call in calls if str(call["verdict"]).startswith("fault")]
    opened = "SELECT min(at_ms) FROM source_events WHERE source = 'yahoo' AND event = 'breaker.opened'"
    opened_ms = int(str(pipeline.rows(opened)[0][0]))
    probes = [at_ms for call in failures if (at_ms := int(str(call["now_ms"]))) > opened_ms]
    assert all(later - earlier >= OPEN_S * 1000 for earlier, later in pairwise(probes)), probes
    first_good = calls[calls.index(failures[-1]) + 1]
    same_cycle = [call for call in calls if call["cycle"] == first_good["cycle"]]
    assert len(same_cycle) == 1, same_cycle

"""What is refused for good is said once; what gives nothing again and again is asked less and less."""

import pytest
import structlog

from collector.blocks import EMPTY_LONGEST_MS, EMPTY_PATIENCE, Block, block_for_empty
from collector.events import Events
from collector.vendors.base import Verdict
from common.metrics import Metrics

T0 = 1_780_000_000_000


def block(verdict: Verdict, at_ms: int = T0) -> Block:
    return Block(verdict, at_ms, at_ms + 3_600_000, "why")


def told(events: Events, *refusals: tuple[str, str, Verdict]) -> list[tuple[str, str, str]]:
    """Return (event, source, symbol) of what the log says at levels that somebody reads."""
    with structlog.testing.capture_logs() as lines:
        for source, symbol, verdict in refusals:
            events.refusal(source, symbol, block(verdict))
    return [(line["event"], line["source"], line["symbol"]) for line in lines if line["log_level"] != "debug"]


@pytest.mark.parametrize("verdict", [Verdict.BAD_KEY, Verdict.UNKNOWN_SYMBOL, Verdict.NOT_ENTITLED, Verdict.NO_DATA])
def test_the_same_refusal_is_said_once_and_kept_each_time(verdict: Verdict) -> None:
    events = Events(Metrics("collector"))
    assert told(events, *[("a", "EURUSD", verdict)] * 3) == [(f"source.{verdict}", "a", "EURUSD")]
    assert len(events.pending) == 3


def test_another_symbol_another_source_and_another_reason_are_news() -> None:
    events = Events(Metrics("collector"))
    refusals = [
        ("a", "EURUSD", Verdict.UNKNOWN_SYMBOL), ("a", "GBPUSD", Verdict.UNKNOWN_SYMBOL),
        ("b", "EURUSD", Verdict.UNKNOWN_SYMBOL), ("a", "EURUSD", Verdict.NOT_ENTITLED),
    ]  # fmt: skip
    assert len(told(events, *refusals)) == 4


def test_after_a_price_a_refusal_is_news_again() -> None:
    events = Events(Metrics("collector"))
    told(events, ("a", "", Verdict.BAD_KEY), ("a", "GBPUSD", Verdict.UNKNOWN_SYMBOL))
    events.served("a", ["EURUSD"])
    assert told(events, ("a", "", Verdict.BAD_KEY), ("a", "GBPUSD", Verdict.UNKNOWN_SYMBOL)) == [
        ("source.bad_key", "a", "")
    ]


def test_limits_are_said_each_time() -> None:
    assert len(told(Events(Metrics("collector")), *[("a", "", Verdict.RATE_LIMITED)] * 2)) == 2


def test_a_symbol_without_data_is_asked_less_and_less_up_to_a_limit() -> None:
    waits = [block_for_empty(times, T0, "") for times in range(EMPTY_PATIENCE + 8)]
    assert waits[:EMPTY_PATIENCE] == [None] * EMPTY_PATIENCE
    lasts = [found.until_ms - T0 for found in waits[EMPTY_PATIENCE:] if found is not None]
    assert lasts == [15_000, 30_000, 60_000, 120_000, 240_000, EMPTY_LONGEST_MS, EMPTY_LONGEST_MS, EMPTY_LONGEST_MS]

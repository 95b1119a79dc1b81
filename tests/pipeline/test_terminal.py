"""The client's own terminal comes and goes beside the vendors, through the real processes, with kills in between."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from tests.pipeline.harness import Pipeline
from tests.pipeline.terminal import Terminal
from tests.support import wait_until

GOLD = 9_000.0  # the simulator's lies near 2,700
OWN, TERMINAL = "comex_gold_future", "terminal_metals"


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    """Gold on made prices, ten times as fast as life."""
    with Pipeline(tmp_path, ("XAUUSD",), BATCH_WRITE_INTERVAL="0.2", TIMEFRAMES="1s,1m") as running:
        running.start_simulator("--speed", "10", "--seed", "3")
        running.start()
        wait_until(lambda: running.health() == "healthy" and running.cycle() >= 5, 60, "a healthy pipeline")
        yield running


def gold(pipeline: Pipeline, path: str) -> dict[str, object]:
    """Return gold's part of a reply."""
    found = pipeline.get(path)
    if path == "/api/symbols":
        return cast(list[dict[str, object]], found["symbols"])[0]
    return found


def bars(pipeline: Pipeline) -> tuple[object, set[object], list[float]]:
    """Return the class, the sources and the closes of the newest 1 s bars."""
    reply = pipeline.get("/api/bars/XAUUSD?timeframe=1s&limit=20")
    rows = cast(list[dict[str, object]], reply["bars"])
    return reply["source_class"], {row["source"] for row in rows}, [float(str(row["close"])) for row in rows]


def tick_until(terminal: Terminal, done: Callable[[], bool], what: str, deadline_s: float = 30.0) -> None:
    """Let the terminal send, about ten ticks a second, until something holds."""
    end_s = time.monotonic() + deadline_s
    while not done():
        assert time.monotonic() < end_s, f"not within {deadline_s} s: {what}"
        terminal.tick()
        time.sleep(0.06)  # the pace of its ticks: the api takes no more than twenty batches a second


def fed_by(pipeline: Pipeline, source_class: str) -> bool:
    """True if the class feeds the series, and the engine has closed bars of it."""
    symbol = gold(pipeline, "/api/symbols")
    return symbol["source_class"] == source_class and len(bars(pipeline)[2]) > 3 and bars(pipeline)[0] == source_class


@pytest.mark.long
def test_the_terminal_comes_and_goes_and_nothing_is_lost_doubled_or_mixed(pipeline: Pipeline) -> None:
    wait_until(lambda: fed_by(pipeline, OWN), 30, "bars of the future")
    terminal = Terminal(pipeline, "XAUUSD", GOLD)

    tick_until(terminal, lambda: fed_by(pipeline, TERMINAL), "bars of the terminal")
    assert bars(pipeline)[1] == {"mt5"}
    assert min(bars(pipeline)[2]) > GOLD
    tick_until(terminal, lambda: of_terminal(pipeline)["account"] is not None, "its report, written each second")
    check_source(of_terminal(pipeline))
    withheld = cast(list[dict[str, str]], pipeline.get("/api/signals?equity=1000")["withheld"])
    assert (withheld[0]["reason"], withheld[0]["detail"]) == (
        "series_changed", "series changed to terminal_metals; warming",
    )  # fmt: skip

    for stage in ("api", "collector"):
        count = len(terminal.sent)
        pipeline.restart(stage)
        tick_until(terminal, lambda count=count: len(terminal.sent) > count + 5, f"ticks after a kill of {stage}")  # type: ignore[misc]
    tick_until(terminal, lambda: pipeline.health() is not None and fed_by(pipeline, TERMINAL), "the terminal's bars")
    wait_until(lambda: terminal.tick() or not terminal._waiting, 10, "the last answer")

    wait_until(lambda: fed_by(pipeline, OWN), 30, "the future's bars after the terminal went")
    assert max(bars(pipeline)[2]) < GOLD
    pipeline.kill("collector")
    wait_until(lambda: pipeline.settled(without="collector"), 30, "every other stage to settle")
    check_history(pipeline, terminal)


def of_terminal(pipeline: Pipeline) -> dict[str, object]:
    """Return how the terminal is shown among the sources."""
    return cast(dict[str, dict[str, object]], pipeline.get("/api/sources")["sources"])["mt5"]


def check_source(mt5: dict[str, object]) -> None:
    """It has its account, and neither breaker nor quota."""
    assert (mt5["account"], mt5["is_healthy"], mt5["breaker"], mt5["quota"]) == ("5012345", True, None, {})
    assert cast(dict[str, dict[str, object]], mt5["symbols"])["XAUUSD"]["present"] is True


def check_history(pipeline: Pipeline, terminal: Terminal) -> None:
    """Each tick is one row, in a bar of its own class; no bar mixes the two instruments."""
    rejected = pipeline.rows("SELECT reason, detail FROM rejects WHERE source = 'mt5'")
    assert rejected == []
    stored = pipeline.rows("SELECT market_ms, bid FROM market_data WHERE source = 'mt5' ORDER BY bid")
    assert stored == terminal.sent
    assert pipeline.rows("SELECT DISTINCT source_class FROM market_data WHERE source = 'mt5'") == [(TERMINAL,)]
    for source_class, wrong in ((TERMINAL, f"low < {GOLD}"), (OWN, f"high > {GOLD}")):
        of_class = f"FROM bars WHERE source_class = '{source_class}'"
        assert pipeline.rows(f"SELECT COUNT(*) > 5 {of_class}") == [(1,)]
        assert pipeline.rows(f"SELECT * {of_class} AND {wrong}") == []

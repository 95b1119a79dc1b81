"""A simulated day over real sockets, with vendors that enforce their real limits: with and without keys, and push."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest

from collector.pace import MINUTE_MS
from common.sessions import is_open
from common.symbols import load_symbols
from common.symbols.table import BUILTIN
from tests.collector.bound import Staleness, ratio, table
from tests.collector.played import FREE, SYMBOLS, Scenario
from tests.collector.week import Week
from tests.pipeline.harness import Pipeline
from tests.support import wait_until

BEGIN_MS = int(datetime(2026, 6, 10, tzinfo=UTC).timestamp() * 1000)
"""A Wednesday: the daily break of gold and futures, and the change of day at the vendors."""
DAY_MS = 24 * 60 * MINUTE_MS
INTERVAL_S = float(os.environ.get("DAY_INTERVAL", "5"))
HOURS = float(os.environ.get("DAY_HOURS", "24"))
DEADLINE_S = 1_500
OUTAGE_CYCLE = int(HOURS * 1_800 / INTERVAL_S)
"""In the middle of it the first vendor is gone for half an hour, polls and socket alike."""
OUTAGE_CYCLES = int(1_800 / INTERVAL_S)
KEYED = ("alphavantage", "twelvedata", "polygon")
"""Vendors that need a key. Against the simulator each gets one, so without keys they are not in the symbol table."""
LARGEST_STEP = 0.01
"""Between two closes of a series; its classes lie further apart than this, or are told apart by the class itself."""


@pytest.fixture
def day(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Pipeline]:
    """A pipeline at the end of the day; its parameter says whether there are keys, and push."""
    keys, push = cast(tuple[bool, bool], request.param)
    settings = {} if keys else {"SYMBOLS_FILE": str(_without_keys(tmp_path / "symbols.toml"))}
    with Pipeline(
        tmp_path, SYMBOLS, LIMITS="real", PUSH="on" if push else "off", COLLECTION_INTERVAL=str(INTERVAL_S), **settings
    ) as pipeline:
        start = datetime.fromtimestamp(BEGIN_MS / 1000, UTC).isoformat()
        pipeline.start_simulator(
            "--limits", "real", "--speed", "0", "--interval", str(INTERVAL_S), "--start", start, "--seed", "7"
        )
        outage = {"vendor": "yahoo", "fault": "outage", "from_cycle": OUTAGE_CYCLE, "cycles": OUTAGE_CYCLES}
        pipeline.simulator("/sim/faults", outage)
        pipeline.start("collector", "validator", "features", "storer")
        last = int(HOURS * 3600 / INTERVAL_S)
        wait_until(lambda: pipeline.cycle() >= last, DEADLINE_S, f"cycle {last}")
        pipeline.kill("collector", 15)
        wait_until(lambda: pipeline.settled(without="collector"), 60, "every other stage to settle")
        yield pipeline


def _without_keys(path: Path) -> Path:
    """Write the symbol table without the vendors that need a key."""
    lines = BUILTIN.read_text().splitlines()
    path.write_text("\n".join(line for line in lines if not any(f'vendor = "{name}"' in line for name in KEYED)))
    return path


def staleness(pipeline: Pipeline) -> dict[str, Staleness]:
    """Return how old each symbol's price was, by the quotes that were stored, in open hours."""
    found = {symbol: Staleness() for symbol in SYMBOLS}
    symbols = load_symbols(SYMBOLS)
    end_ms = BEGIN_MS + int(HOURS * 3_600_000)
    for symbol, seen in found.items():
        session = symbols.session_of(symbol)
        query = f"SELECT DISTINCT received_ms FROM market_data WHERE symbol = '{symbol}' ORDER BY 1"
        events = [(cast(int, at), True) for (at,) in pipeline.rows(query)]
        events += [(at, False) for at in range(BEGIN_MS, end_ms, MINUTE_MS)]
        for at_ms, is_price in sorted(events):
            opened = is_open(session, at_ms)
            seen.at(at_ms, opened=opened)
            if is_price and opened:
                seen.served(at_ms)
    return found


def refusals(pipeline: Pipeline) -> dict[str, int]:
    """Return how many calls each vendor refused because of its limits."""
    calls = cast(dict[str, dict[str, int]], pipeline.simulator("/sim/stats")["calls"])
    return {vendor: n for vendor, own in calls.items() for verdict, n in own.items() if "limit" in verdict and n}


@pytest.mark.long
@pytest.mark.timeout(DEADLINE_S + 300)
@pytest.mark.parametrize(
    "day",
    [(False, False), (True, False), (False, True), (True, True)],
    ids=["no keys", "keys", "no keys, push", "keys and push"],
    indirect=True,
)
def test_a_day_stays_within_every_budget(day: Pipeline, request: pytest.FixtureRequest) -> None:
    keys, push = request.node.callspec.params["day"]
    began = BEGIN_MS + int(OUTAGE_CYCLE * INTERVAL_S * 1000)
    down = {"yahoo": ((began, began + int(OUTAGE_CYCLES * INTERVAL_S * 1000)),)}
    scenario = Scenario(
        BEGIN_MS, BEGIN_MS + int(HOURS * 3_600_000), FREE if keys else ("yahoo",), push=push, down=down,
        silent=down["yahoo"],
    )  # fmt: skip
    least = Week(scenario)
    seen = staleness(day)
    print(f"\n{request.node.name}, a cycle every {INTERVAL_S:g} s")
    print(table({symbol: (seen[symbol], *least.bounds(symbol)) for symbol in SYMBOLS}))
    print("calls:", day.simulator("/sim/stats")["calls"])

    assert refusals(day) == {}
    if not push:
        assert max(ratio(seen[s], least.bounds(s)[0]) for s in SYMBOLS) < 1.35
    check_series(day)
    if keys:
        check_failover(day)


def check_series(pipeline: Pipeline) -> None:
    """Each series is of one class, and never jumps."""
    symbols = load_symbols(SYMBOLS)
    fed = {(symbol, symbols.symbols[symbol].series) for symbol in SYMBOLS}
    assert set(pipeline.rows("SELECT DISTINCT symbol, source_class FROM bars WHERE origin = 'built'")) == fed
    assert pipeline.rows("SELECT * FROM series_changes") == []
    for symbol in SYMBOLS:
        query = f"SELECT close FROM bars WHERE symbol = '{symbol}' AND timeframe = '1m' ORDER BY open_ms"
        closes = [cast(float, close) for (close,) in pipeline.rows(query)]
        steps = [abs(b / a - 1) for a, b in pairwise(closes)]
        assert len(closes) > 60, symbol
        assert max(steps) < LARGEST_STEP, symbol


def check_failover(pipeline: Pipeline) -> None:
    """In the cycle in which the first vendor failed for the first time, another one was asked."""
    failed = next(entry for entry in pipeline.ledger("yahoo") if entry["verdict"] == "fault:outage")
    others = [entry for vendor in ("alphavantage", "twelvedata") for entry in pipeline.ledger(vendor)]
    assert any(entry["cycle"] == failed["cycle"] and entry["verdict"] == "ok" for entry in others)

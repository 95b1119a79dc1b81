"""A bad key, and a symbol that a vendor does not know: seldom asked for, named in /health, and in the log once."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.symbols.table import BUILTIN
from tests.pipeline.harness import Pipeline
from tests.support import wait_until

VENDORS = {
    # Each feeds a symbol alone, so that nobody hides its trouble: vendor -> symbol, its name there, class.
    "yahoo": ("US30", "YM=F", "cbot_ym_future"),
    "alphavantage": ("EURUSD", "EUR/USD", "fx_spot"),
    "twelvedata": ("GBPUSD", "GBP/USD", "fx_spot"),
    "polygon": ("XAUUSD", "C:XAUUSD", "gold_spot"),
}
KEYED = ("alphavantage", "twelvedata", "polygon")
NOBODY_KNOWS = {"yahoo": "NOSUCH=F", "alphavantage": "EUR/NOS", "twelvedata": "NOS/USD", "polygon": "C:NOSUCH"}
CYCLES = 400
"""Of 30 s: three hours and twenty minutes, so that each refusal is tried again three times."""
ATTEMPTS = 4


def table_with(names: dict[str, str]) -> str:
    """Return a symbol table in which each vendor alone feeds one symbol, under these names at the vendors."""
    text = BUILTIN.read_text()
    for vendor, (symbol, usual, source_class) in VENDORS.items():
        name = names.get(vendor, usual)
        line = f'vendor = "{vendor}", symbol = "{name}", class = "{source_class}", volume = "none", delay_s = 0'
        head, table, tail = text.partition(f"[symbol.{symbol}]")
        tail = re.sub(r"sources = \[.*?\n\]", f"sources = [{{ {line} }}]", tail, count=1, flags=re.DOTALL)
        tail = re.sub(r'series = "\w+"', f'series = "{source_class}"', tail, count=1)
        text = head + table + tail
    return text


def running(folder: Path, names: dict[str, str], **settings: str) -> Pipeline:
    """Return a collector and an api on vendors that know the usual names only."""
    file = folder / "symbols.toml"
    file.write_text(table_with(names))
    symbols = [symbol for symbol, _, _ in VENDORS.values()]
    return Pipeline(folder, symbols, SYMBOLS_FILE=str(file), COLLECTION_INTERVAL="30", **settings)


@pytest.fixture
def with_bad_keys(tmp_path: Path) -> Iterator[Pipeline]:
    """Keys that no vendor accepts."""
    bad = {f"{vendor.upper()}_API_KEY": f"bad-{vendor}" for vendor in KEYED}
    with running(tmp_path, {}, **bad) as pipeline:
        play(pipeline)
        yield pipeline


@pytest.fixture
def with_unknown_symbols(tmp_path: Path) -> Iterator[Pipeline]:
    """Names that no vendor knows."""
    with running(tmp_path, NOBODY_KNOWS) as pipeline:
        play(pipeline)
        yield pipeline


def play(pipeline: Pipeline) -> None:
    pipeline.start_simulator(
        "--speed", "0", "--interval", "30", "--symbols", ",".join(s for s, _, _ in VENDORS.values())
    )
    pipeline.start("collector", "api")
    wait_until(lambda: pipeline.cycle() >= CYCLES, 60, "the cycles")


def sources(pipeline: Pipeline) -> dict[str, dict[str, object]]:
    """Return what /health says of the sources."""
    found: dict[str, dict[str, object]] = pipeline.get("/health")["data_sources"]  # type: ignore[assignment]  # JSON
    return found


def warned(pipeline: Pipeline, event: str) -> list[dict[str, object]]:
    """Return the collector's log lines of one event, at the levels that somebody reads."""
    lines = [json.loads(line) for line in pipeline.log("collector").splitlines()]
    return [line for line in lines if line["event"] == event and line["level"] in ("INFO", "WARNING", "ERROR")]


def calls(pipeline: Pipeline, vendor: str) -> list[dict[str, object]]:
    """Return the vendor's calls that cost something: not those for a session."""
    return [
        call
        for call in pipeline.ledger(vendor)
        if "crumb" not in str(call["path"]) and "cookie" not in str(call["path"])
    ]


@pytest.mark.long
def test_a_bad_key_is_tried_once_an_hour_and_named_once(with_bad_keys: Pipeline) -> None:
    pipeline = with_bad_keys
    for vendor in KEYED:
        assert {call["verdict"] for call in calls(pipeline, vendor)} == {"bad_key"}
        assert len(calls(pipeline, vendor)) <= ATTEMPTS, vendor
    wait_until(lambda: all(_blocked(pipeline, vendor) == "bad_key" for vendor in KEYED), 10, "/health to name them")
    assert sources(pipeline)["yahoo"]["blocked"] is None
    named = sorted(str(line["source"]) for line in warned(pipeline, "source.bad_key"))
    assert named == sorted(KEYED)


@pytest.mark.long
def test_an_unknown_symbol_is_tried_seldom_and_named_once(with_unknown_symbols: Pipeline) -> None:
    pipeline = with_unknown_symbols
    # A name that Polygon's snapshot of currencies lacks may just have no quote: it is asked for every five minutes.
    refusals = dict.fromkeys(VENDORS, "unknown_symbol") | {"polygon": "no_data"}
    limits = dict.fromkeys(VENDORS, 2 * ATTEMPTS) | {"polygon": 20 + CYCLES * 30 // 300}
    for vendor, (symbol, _, _) in VENDORS.items():
        assert 0 < len(calls(pipeline, vendor)) <= limits[vendor], vendor
        wait_until(lambda v=vendor, s=symbol: _symbol_blocked(pipeline, v, s) == refusals[v], 10, vendor)  # type: ignore[misc]
        assert sources(pipeline)[vendor]["blocked"] is None, "the vendor itself is not to blame"
        named = [line["symbol"] for line in warned(pipeline, f"source.{refusals[vendor]}") if line["source"] == vendor]
        assert named == [symbol]


def _blocked(pipeline: Pipeline, vendor: str) -> object:
    block = sources(pipeline)[vendor]["blocked"]
    return block["reason"] if isinstance(block, dict) else None


def _symbol_blocked(pipeline: Pipeline, vendor: str, symbol: str) -> object:
    of_symbols = sources(pipeline)[vendor]["symbols"]
    block = of_symbols[symbol]["blocked"] if isinstance(of_symbols, dict) else None
    return block["reason"] if isinstance(block, dict) else None

"""A vendor class fails for long: the class that the user allows feeds the series anew, and then the own one again."""

from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import talib

from common.symbols.table import BUILTIN
from tests.pipeline.harness import Pipeline
from tests.support import wait_until

OWN, OTHER = "comex_gold_future", "gold_spot"


def allowed(folder: Path) -> Path:
    """Write a symbol table in which the spot price may stand in for the future."""
    line = f'series = "{OWN}"\n'
    text = BUILTIN.read_text()
    assert text.count(line) == 1
    file = folder / "symbols.toml"
    file.write_text(text.replace(line, line + f'failover = ["{OTHER}"]\n'))
    return file


def feeds(pipeline: Pipeline) -> object:
    return cast(list[dict[str, object]], pipeline.get("/api/symbols")["symbols"])[0]["source_class"]


def closes(pipeline: Pipeline) -> list[float]:
    rows = cast(list[dict[str, float]], pipeline.get("/api/bars/XAUUSD?timeframe=1s&limit=400")["bars"])
    return [row["close"] for row in rows]


@pytest.mark.long
@pytest.mark.timeout(240)
def test_the_allowed_class_takes_over_anew_and_gives_way_again(tmp_path: Path) -> None:
    settings = {"SYMBOLS_FILE": str(allowed(tmp_path)), "TIMEFRAMES": "1s,1m", "BATCH_WRITE_INTERVAL": "0.2"}
    with Pipeline(tmp_path, ("XAUUSD",), **settings) as pipeline:
        pipeline.start_simulator("--speed", "10", "--seed", "3")
        pipeline.start()
        wait_until(lambda: pipeline.health() == "healthy" and pipeline.cycle() >= 20, 60, "a healthy pipeline")
        future = closes(pipeline)[-1]
        pipeline.simulator("/sim/faults", {"vendor": "yahoo", "fault": "500"})
        wait_until(lambda: feeds(pipeline) == OTHER, 30, "the spot price to feed the series")
        wait_until(lambda: len(closes(pipeline)) > 60, 30, "a minute of its bars")
        check_values(pipeline)
        spot = closes(pipeline)
        assert max(abs(b - a) for a, b in pairwise(spot)) < abs(spot[0] - future) / 2

        pipeline.simulator("/sim/faults", method="DELETE")
        wait_until(lambda: feeds(pipeline) == OWN, 90, "the future to come back")
        wait_until(lambda: abs(closes(pipeline)[-1] - future) < abs(spot[0] - future) / 2, 30, "its bars")
        pipeline.kill("collector")
        wait_until(lambda: pipeline.settled(without="collector"), 30, "every other stage to settle")
        check_history(pipeline)


def check_values(pipeline: Pipeline) -> None:
    """The engine's values rest on the new class's bars alone: TA-Lib on those gives the same."""
    pipeline.kill("collector")
    wait_until(lambda: pipeline.settled(without="collector"), 30, "every other stage to settle")
    reply = pipeline.get("/api/bars/XAUUSD?timeframe=1s&limit=400")
    assert reply["source_class"] == OTHER
    values = pipeline.get("/api/features/XAUUSD?timeframe=1s")
    assert values["source_class"] == OTHER
    series = np.array(closes(pipeline))
    found = cast(dict[str, float | None], values["values"])
    expected = {"rsi_14": talib.RSI(series, 14)[-1], "ema_9": talib.EMA(series, 9)[-1]}
    assert {name: found[name] for name, value in expected.items() if found[name] is not None} == {
        name: value for name, value in expected.items() if found[name] is not None
    }
    assert any(found[name] is not None for name in expected)
    pipeline.start("collector")


def check_history(pipeline: Pipeline) -> None:
    """Both classes stand side by side, each row under its own name."""
    classes = pipeline.rows("SELECT DISTINCT source_class FROM bars ORDER BY 1")
    assert classes == [(OWN,), (OTHER,)]
    changes = pipeline.rows("SELECT source_class, before FROM series_changes ORDER BY at_ms")
    assert changes == [(OTHER, OWN), (OWN, OTHER)]
    rows = pipeline.rows("SELECT DISTINCT source_class FROM market_data WHERE source = 'yahoo'")
    assert rows == [(OWN,)], "each quote says its class"

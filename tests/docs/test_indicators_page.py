"""docs/indicators.md says what the code does; `make indicators-page` writes it anew."""

from pathlib import Path

import numpy as np
import pytest
import talib

from bench import every_function, indicators_page
from common.indicators import catalogue, parse_plan
from deploy.layout import ROOT
from tests.features.support import random_walk


def test_the_page_is_what_the_code_says_but_for_what_was_measured() -> None:
    assert indicators_page.PAGE.read_text() == indicators_page.render(indicators_page.on_page())


def test_every_function_of_talib_equals_its_batch_on_recorded_bars() -> None:
    off = {name: measured.off for name, measured in indicators_page.on_page().items()}
    theirs = [name for name, function in catalogue().items() if function.source == "TA-Lib"]

    assert len(theirs) == 201  # as many as TA-Lib 0.8 says it has
    assert {name: off[name] for name in theirs} == dict.fromkeys(theirs, "0")


def test_every_function_was_measured() -> None:
    measured = indicators_page.on_page()

    assert list(measured) == list(catalogue())
    assert all(float(one.update_us) > 0 and float(one.peek_us) > 0 for one in measured.values())


def test_the_oracles_are_those_of_our_own_functions_tests() -> None:
    ours = [name for name, function in catalogue().items() if function.source != "TA-Lib"]

    assert list(indicators_page.ORACLES) == ours
    for name, oracle in indicators_page.ORACLES.items():
        text = (ROOT / indicators_page.TESTS / oracle.test).read_text()
        assert [word for word in oracle.names if word not in text] == [], name


def test_a_difference_in_the_last_bit_is_not_0() -> None:
    close = np.array(random_walk(1, 200))
    columns = {"close": close, "session": np.zeros(200), "time": np.zeros(200)}
    plan = parse_plan('[indicators]\nrsi = { function = "RSI" }\n', "a plan")
    equal = talib.RSI(close)
    other = equal.copy()
    other[150] = np.nextafter(other[150], 0.0)

    def off(values: np.ndarray) -> float:
        played = every_function.Played(columns, [0] * 200, values.reshape(-1, 1))
        return every_function.differences(plan, played)["RSI"]

    assert off(equal) == 0.0
    assert 0.0 < off(other) < 1e-15
    assert off(np.where(np.arange(200) == 150, np.nan, equal)) == np.inf


def test_without_recorded_bars_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(indicators_page, "MARKET", tmp_path)
    monkeypatch.setattr(indicators_page, "PAGE", tmp_path / "page.md")

    assert indicators_page.main() == 1

    assert not (tmp_path / "page.md").exists()
    said = capsys.readouterr().err
    assert said.startswith("the page was not written: expected the recorded bars ")
    assert all(f"{name}.csv.gz" in said for name in every_function.FILES)

"""What `make bench` compares a lane's opening and its values' encoding with."""

import numpy as np
import pytest
import talib

from bench import lane_costs
from bench.contenders.batch import outputs
from bench.contenders.market import made
from common.indicators import load_plan


def test_a_chained_indicator_is_computed_on_the_values_that_there_are() -> None:
    (series,) = made(1)
    columns = series.columns
    plan = [one for one in load_plan(None).indicators if one.name in ("atr_14", "atr_14_sma_50")]

    (ranges,), (averages,) = outputs(plan, columns)

    expected = talib.ATR(columns["high"], columns["low"], columns["close"], timeperiod=14)
    assert np.array_equal(ranges, expected, equal_nan=True)
    assert np.isnan(averages[:63]).all()
    assert np.array_equal(averages[14:], talib.SMA(expected[14:], timeperiod=50), equal_nan=True)


def test_every_row_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane_costs, "ROUNDS", 1)
    (series,) = made(1)

    rows = [*lane_costs.opening_rows(series), *lane_costs.encoding_rows(series)]

    assert len(rows) == 4
    assert all(len(row.ours) == len(row.peer) == 1 for row in rows)

"""Pivots against pandas-ta-classic, which cuts the days itself, and wickra, of one whole day's candle."""

import numpy as np
import pytest
import wickra

from common.indicators.own import OWN
from tests.common.own_indicators import oracles
from tests.common.own_indicators.follow import outputs, sessions_of
from tests.common.own_indicators.histories import F64

INPUTS = ("high", "low", "close", "session")
KINDS = ("classic", "fibonacci", "camarilla")
BY_WICKRA = {
    "classic": "ClassicPivots",
    "fibonacci": "FibonacciPivots",
    "camarilla": "Camarilla",
}


def levels(bars: dict[str, F64], kind: str) -> dict[str, F64]:
    return outputs(f"PIVOT_{kind.upper()}", [bars[name] for name in INPUTS])


@pytest.mark.parametrize("kind", KINDS)
def test_every_bar_has_the_levels_of_pandas_ta(kind: str, market_bars: dict[str, F64]) -> None:
    ours, theirs = levels(market_bars, kind), oracles.pivots(market_bars, kind)
    for name, column in ours.items():
        np.testing.assert_allclose(column, theirs[name], rtol=1e-14, err_msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_equals_wickra_on_the_session_before(kind: str, market_bars: dict[str, F64]) -> None:
    before = sessions_of(market_bars)[-2]
    opened, closed = float(before["open"][0]), float(before["close"][-1])
    candle = (opened, float(before["high"].max()), float(before["low"].min()), closed, 1.0, 0)
    theirs = getattr(wickra, BY_WICKRA[kind])().update(candle)
    running = OWN[f"PIVOT_{kind.upper()}"].open(*(market_bars[name] for name in INPUTS))
    assert running.value == pytest.approx(theirs, rel=1e-14)


def test_no_levels_until_a_whole_session_was_seen(market_bars: dict[str, F64]) -> None:
    for kind in KINDS:
        for column in levels(market_bars, kind).values():
            assert np.isnan(column[:288]).all()
            assert np.isfinite(column[288:]).all()


def test_peek_into_a_new_session_shows_its_levels_and_keeps_the_running_ones() -> None:
    """Levels of 110, 95, 105 as in the formula: P = 310 / 3."""
    running = OWN["PIVOT_CLASSIC"].open(
        np.array([108.0, 110.0]), np.array([100.0, 95.0]), np.array([101.0, 105.0]), np.array([0.0, 0.0])
    )
    expected = (310 / 3, 335 / 3, 355 / 3, 380 / 3, 290 / 3, 265 / 3, 245 / 3)
    assert running.peek(120.0, 119.0, 119.5, 1.0) == pytest.approx(expected)
    assert np.isnan(np.array(running.update(109.0, 96.0, 105.0, 0.0))).all()
    assert running.update(120.0, 119.0, 119.5, 1.0) == pytest.approx(expected)

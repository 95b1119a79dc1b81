"""The Hurst exponent against nolds, on walks whose exponent is 0.5, and on exact fractional Brownian motion."""

from collections.abc import Iterable
from math import isnan, sqrt

import numpy as np
import pytest

from common.indicators.own import OWN
from common.indicators.own.hurst import LAGS, WEIGHTS
from tests.common.own_indicators import oracles
from tests.common.own_indicators.follow import outputs
from tests.common.own_indicators.histories import F64

WINDOW = 256
BIAS = {0.3: -0.0040, 0.5: -0.0068, 0.7: -0.0126}
DEVIATION = {0.3: 0.043, 0.5: 0.051, 0.7: 0.058}
"""Of one estimate over 256 closes, as documented: from 40,000 paths each, standard error 0.0003."""


def hurst(log_close: F64) -> float:
    value = OWN["HURST"].open(np.exp(log_close), timeperiod=len(log_close)).value
    assert isinstance(value, float)
    return value


def fractional_brownian_paths(exponent: float, count: int, seed: int) -> Iterable[F64]:
    """Return exact paths over 256 steps, deviation 1e-3 a step: the Cholesky factor of the covariance times noise.

    The covariance is (s^2H + t^2H - |s - t|^2H) / 2, by Mandelbrot, van Ness (SIAM Review 10, 1968).
    """
    time, twice = np.arange(1.0, WINDOW + 1), 2 * exponent
    covariance = (time[:, None] ** twice + time**twice - np.abs(time[:, None] - time) ** twice) / 2
    noise = np.random.default_rng(seed).normal(0.0, 1e-3, (WINDOW, count))
    return (np.linalg.cholesky(covariance) @ noise).T


@pytest.mark.parametrize("step", [1e-12, 1e-7, 1e-3, 1.0])
def test_equals_nolds_whatever_the_size_of_the_steps(step: float) -> None:
    for seed in range(5):
        close = np.exp(np.random.default_rng(seed).normal(0.0, step, WINDOW).cumsum())
        theirs = oracles.hurst(np.log(close), LAGS)
        assert OWN["HURST"].open(close).value == pytest.approx(theirs, rel=1e-10)


def test_equals_nolds_at_every_bar_of_a_market(market_bars: dict[str, F64]) -> None:
    close = market_bars["close"][:400]
    ours = outputs("HURST", [close], timeperiod=100)["hurst"]
    for last in range(99, 400, 25):
        theirs = oracles.hurst(np.log(close[last - 99 : last + 1]), LAGS)
        assert ours[last] == pytest.approx(theirs, rel=1e-11)


def test_weights_are_half_the_slope_of_numpys_line() -> None:
    heights = np.random.default_rng(1).normal(size=len(LAGS))
    slope = np.polyfit(np.log(LAGS), heights, 1)[0]
    assert np.dot(WEIGHTS, heights) == pytest.approx(slope / 2, rel=1e-12)


def test_is_one_half_on_random_walks_but_for_the_documented_bias() -> None:
    walks = np.random.default_rng(17).normal(0.0, 1e-3, (1_000, WINDOW)).cumsum(axis=1)
    found = np.array([hurst(walk) for walk in walks])
    error = DEVIATION[0.5] / sqrt(len(found))
    assert found.mean() == pytest.approx(0.5 + BIAS[0.5], abs=4 * error)
    assert found.std() == pytest.approx(DEVIATION[0.5], rel=0.1)


@pytest.mark.parametrize("exponent", [0.3, 0.5, 0.7])
def test_recovers_the_exponent_of_fractional_brownian_motion(exponent: float) -> None:
    found = np.array([hurst(path) for path in fractional_brownian_paths(exponent, 500, seed=23)])
    error = DEVIATION[exponent] / sqrt(len(found))
    assert found.mean() == pytest.approx(exponent + BIAS[exponent], abs=4 * error)
    assert found.std() == pytest.approx(DEVIATION[exponent], rel=0.15)


def test_bias_falls_as_the_window_grows() -> None:
    walks = np.random.default_rng(29).normal(0.0, 1e-3, (100, 4_096)).cumsum(axis=1)
    found = np.array([hurst(walk) for walk in walks])
    assert found.mean() == pytest.approx(0.5, abs=4 * DEVIATION[0.5] / 4 / sqrt(len(found)))


def test_is_one_on_a_straight_line() -> None:
    assert hurst(np.linspace(0.0, 1.0, WINDOW)) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("price", [1.0, 0.1, 1e300, 1e-300])
def test_a_flat_window_has_none(price: float) -> None:
    running = OWN["HURST"].open(np.full(WINDOW, price))
    assert isnan(running.value)  # type: ignore[arg-type]  # one output: a float
    assert isnan(running.update(price))  # type: ignore[arg-type]  # as above


def test_is_there_again_as_soon_as_a_price_without_a_logarithm_has_left(market_bars: dict[str, F64]) -> None:
    close = market_bars["close"][:300].copy()
    close[[5, 10, 150, 155]] = (0.0, np.nan, -1.0, np.inf)
    ours = outputs("HURST", [close], timeperiod=64)["hurst"]
    assert np.flatnonzero(np.isfinite(ours)).tolist() == [*range(10 + 64, 150), *range(155 + 64, 300)]
    assert ours[155 + 64] == pytest.approx(oracles.hurst(np.log(close[156 : 155 + 65]), LAGS), rel=1e-11)


def test_its_sums_do_not_drift() -> None:
    """A move of 30 per cent passes through a window of ticks: what a float's running sum would never forget."""
    steps = np.random.default_rng(31).normal(0.0, 1e-7, 1_000)
    steps[300] = 0.3
    close = np.exp(steps.cumsum())
    running = OWN["HURST"].open(close[:64], timeperiod=64)
    for price in close[64:]:
        running.update(float(price))
    assert running.value == OWN["HURST"].open(close[-64:], timeperiod=64).value

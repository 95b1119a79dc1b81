"""Bars to compute on: a market as it trades, and everything else that a bar could hold."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from common.indicators.function import Params
from common.indicators.own import OWN

F64 = NDArray[np.float64]
Kind = Literal["walk", "ticks", "flat", "wild", "broken"]
NAN, INF = float("nan"), float("inf")
MINUTE_MS = 60_000.0
DAY_MS = 86_400_000.0
FIRST_DAY_MS = 1_704_067_200_000.0  # 2024-01-01 00:00 UTC, a Monday
SPECIAL = (0.0, -0.0, -1.0, 5e-324, 1e-300, 1e300, 1.7e308, NAN, INF, -INF)
SMALL: Mapping[str, Params] = {
    "ICHIMOKU": {"conversion": 2, "base": 3, "span": 5, "displacement": 3},
    "HURST": {"timeperiod": 64},
    "VWAP_BANDS": {"nbdev": 1.5},
    "SESSION_RANGE": {"minutes": 4},
    **{name: {"timeperiod": 5} for name, function in OWN.items() if name.startswith("VOLATILITY") or name == "ZSCORE"},
}
"""Parameters under which short histories suffice; functions that are missing have none."""


def market(seed: int, days: int, minutes: int = 5) -> dict[str, F64]:
    """Return bars of whole UTC days, each day a session: prices near 100, with gaps between bars and calm hours."""
    rng = np.random.default_rng(seed)
    count = days * 1440 // minutes
    calm = np.abs(np.sin(np.arange(count) * 2 * np.pi / (1440 / minutes))) + 0.1
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 4e-4, count) * calm))
    open_ = np.concatenate(([100.0], close[:-1])) * np.exp(rng.normal(0.0, 5e-5, count))
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0.0, 2e-4, count)))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0.0, 2e-4, count)))
    prices = {"open": open_, "high": high, "low": low, "close": close}
    time = FIRST_DAY_MS + np.arange(count) * minutes * MINUTE_MS
    return {
        **{name: np.round(column, 5) for name, column in prices.items()},
        "volume": np.round(rng.gamma(2.0, 50.0, count) * calm),
        "time": time,
        "session": time - time % DAY_MS,
    }


@st.composite
def histories(draw: st.DrawFn, least: int, most: int) -> dict[str, F64]:
    """Draw bars of some kind, with sessions of a few bars each."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind: Kind = draw(st.sampled_from(("walk", "ticks", "flat", "wild", "broken")))
    count = draw(st.integers(least, most))
    prices = _prices(rng, kind, count)
    per_session = draw(st.integers(1, 9))
    time = FIRST_DAY_MS + np.arange(count) * MINUTE_MS
    return {
        **dict(zip(("open", "high", "low", "close"), prices, strict=True)),
        "volume": _volume(rng, kind, count),
        "time": time,
        "session": time - np.arange(count) % per_session * MINUTE_MS,
    }


def one_session(bars: Mapping[str, F64]) -> dict[str, F64]:
    """Return the bars as those of one session."""
    return {**bars, "session": np.full_like(bars["session"], bars["session"][0])}


def columns_of(name: str, bars: Mapping[str, F64]) -> list[F64]:
    """Return the function's inputs out of the bars, by names; one session for those that are opened at its start."""
    function = OWN[name]
    bars = one_session(bars) if function.memory == "session" else bars
    return [bars[column] for column in function.inputs]


def bits(value: float | tuple[float, ...]) -> bytes:
    """Return what two values must share to be equal bit for bit; every NaN is one."""
    numbers = np.atleast_1d(np.asarray(value, dtype=np.float64))
    return np.where(np.isnan(numbers), np.nan, numbers).tobytes()


def _prices(rng: np.random.Generator, kind: Kind, count: int) -> F64:
    """Return open, high, low and close."""
    if kind == "walk":
        steps = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 1e-3, (count, 4)).ravel()).reshape(count, 4))
    elif kind == "ticks":
        steps = 1.0 + 1e-5 * np.cumsum(rng.integers(-1, 2, count * 4).astype(np.float64)).reshape(count, 4)
    elif kind == "flat":
        steps = np.full((count, 4), rng.choice([0.1, 1.1, 1e-300, 1e300, 12345.678]))
    else:
        steps = np.exp(rng.uniform(-690.0, 690.0, (count, 4)))
    found = np.stack([steps[:, 0], steps.max(axis=1), steps.min(axis=1), steps[:, 3]])
    if kind == "broken":
        holes = rng.random(found.shape) < 0.1
        found[holes] = rng.choice(SPECIAL, int(holes.sum()))
    return np.ascontiguousarray(found)


def _volume(rng: np.random.Generator, kind: Kind, count: int) -> F64:
    volume = np.where(rng.random(count) < 0.3, 0.0, rng.integers(1, 1000, count).astype(np.float64))
    if kind in ("wild", "broken"):
        holes = rng.random(count) < 0.2
        volume[holes] = rng.choice(SPECIAL if kind == "broken" else (1e300, 1e-300), int(holes.sum()))
    return volume

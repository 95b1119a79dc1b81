"""What each function of TA-Lib remembers, measured: the same bar, worked out over few bars and over thousands."""

import csv
import gzip
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import talib
from talib import MA_Type  # type: ignore[attr-defined]  # not in its stubs

from common.indicators import Indicator, catalogue, indicator, load_plan, parse_plan
from common.indicators.function import Params
from tests.features.support import random_walk
from tests.features.talib_values import F64, GIVEN, batch, column_names, described

BARS, LONG = 9_000, 4_000
ENDS, MANY_ENDS = range(5_000, BARS, 499), range(5_000, BARS, 67)
"""Where the values are compared: after so many bars, a prime number apart."""
PLAN = load_plan(None).unchained()
PLANNED = {one.name for one in PLAN.indicators}
NOISE = 1e-7
"""Means that are moved on by adding and subtracting differ by up to 5e-9 of the usual size of their differences; what
remembers more differs by 4e-6 at the least."""
RECORDED = ["XAUUSD_M1_2020-05_08", "EURUSD_M1_2020-04_06", "NAS100_M1_2022-01", "XAUUSD_M3_2026-01_07"]
Columns = Mapping[str, F64]

STILL_FADING = {
    **dict.fromkeys(("CMO", "DX", "PLUS_DM", "MINUS_DM"), 0.001),
    **dict.fromkeys(("MINUS_DI", "PLUS_DI"), 0.000_3),
}
"""How far a value may be off when it has settled, in its usual sizes; 1e-4 where nothing is said. After ten periods an
average of Wilder's has forgotten all but exp(-10), or 5e-5, of where it started, any other one after five."""


def columns(rows: F64) -> Columns:
    names = ("open", "high", "low", "close", "volume")
    return {name: np.ascontiguousarray(rows[:, place]) for place, name in enumerate(names)}


@cache
def made() -> Columns:
    """A walk whose pace changes, with volume."""
    rng = np.random.default_rng(3)
    closes = np.array(random_walk(3, BARS, 100.0, 0.0004))
    opens = np.concatenate(([100.0], closes[:-1]))
    spread = np.abs(rng.normal(0.0, 0.03, (2, BARS))) * (1.0 + np.sin(np.arange(BARS) / 300.0) ** 2)
    highs, lows = np.maximum(opens, closes) + spread[0], np.minimum(opens, closes) - spread[1]
    return columns(np.column_stack((opens, highs, lows, closes, rng.integers(1, 900, BARS))))


@cache
def recorded(path: Path) -> Columns:
    with gzip.open(path, "rt") as lines:
        rows = list(islice(csv.reader(lines), 1, BARS + 1))
    assert len(rows) == BARS
    numbers = np.array([[float(cell) if cell else 0.0 for cell in row[1:6]] for row in rows])
    if not numbers[:, 4].any():
        numbers[:, 4] = np.random.default_rng(1).integers(1, 500, BARS)  # this source has no volume
    return columns(numbers)


@pytest.fixture(scope="module", params=["made", *RECORDED])
def bars(request: pytest.FixtureRequest) -> Columns:
    """Minutes of made bars, and recorded ones."""
    if request.param == "made":
        return made()
    shared: Path = request.getfixturevalue("shared")
    return recorded(shared / "market" / f"{request.param}.csv.gz")


def variants() -> Iterator[tuple[str, Params]]:
    """Every function with its defaults, and with each type of moving average that it takes."""
    types = sorted(int(getattr(MA_Type, name)) for name in dir(MA_Type) if name.isupper())
    for name in talib.get_functions():  # type: ignore[no-untyped-call]  # as its stubs have it
        defaults = described(name).parameters
        yield name, {}
        for key in defaults:
            if key.endswith("matype"):
                yield from ((name, {key: kind}) for kind in types)


VARIANTS = tuple(variants())


def made_of(name: str, params: Params) -> Indicator:
    return indicator(name, catalogue()[name], params=params, inputs=GIVEN.get(name, ()))


def errors(one: Indicator, bars: Columns, count: int, ends: Sequence[int] = ENDS) -> F64:
    """How far its outputs are off over `count` bars: in their own size, or in the usual one where they are small.

    One number for each end.
    """
    return np.array([max(_errors_at(one, bars, count, end)) for end in ends])


def _errors_at(one: Indicator, bars: Columns, count: int, end: int) -> Iterator[float]:
    arrays = _arrays(one, bars)
    parts = batch(one.function.name, *(array[end - count : end] for array in arrays), **one.params)
    for part, (long, usual) in zip(parts, _long(one, bars), strict=True):
        yield _error(float(part[-1]), float(long[end - 1]), usual)


def _long(one: Indicator, bars: Columns) -> list[tuple[F64, float]]:
    """Each output over all bars, and its usual size."""
    key = (id(bars), one.function.name, tuple(one.params.items()))
    if key not in _KNOWN:
        outputs = batch(one.function.name, *_arrays(one, bars), **one.params)
        _KNOWN[key] = [(long, _usual(long)) for long in outputs]
    return _KNOWN[key]


def _usual(values: F64) -> float:
    given = np.abs(values[~np.isnan(values)])
    return float(np.median(given)) if len(given) else 0.0  # ACOS has no value of any price


_KNOWN: dict[tuple[object, ...], list[tuple[F64, float]]] = {}


def _arrays(one: Indicator, bars: Columns) -> list[F64]:
    refs = iter(one.inputs) if one.name in PLANNED else iter(column_names(one.function.name))
    return [bars[ref] for ref in refs]


def _error(short: float, long: float, usual: float) -> float:
    if short == long or (np.isnan(short) and np.isnan(long)):
        return 0.0
    return abs(short - long) / max(abs(short), abs(long), usual)


def is_still(one: Indicator, bars: Columns) -> bool:
    """Whether it has but one value: TA-Lib's MAMA ignores the period, so that two of them never differ."""
    (values, _), *_ = _long(one, bars)
    return len(np.unique(values[np.isfinite(values)])) <= 1


def measured(one: Indicator, bars: Columns) -> str:
    if (errors(one, bars, one.own_lookback + 1) < NOISE).all():
        return "window"
    return "recursive" if (errors(one, bars, LONG) < NOISE).all() else "session"


def test_what_a_function_remembers_is_what_was_measured(bars: Columns) -> None:
    kinds = [(made_of(name, params), name, params) for name, params in VARIANTS]

    wrong = [
        (name, params, one.memory, found)
        for one, name, params in kinds
        if (found := measured(one, bars)) != one.memory and not is_still(one, bars)
    ]

    assert wrong == []


def test_what_talib_flags_as_resting_on_all_bars_is_not_said_to_rest_on_a_few() -> None:
    by_flag: dict[str, set[str]] = {}
    for name in talib.get_functions():  # type: ignore[no-untyped-call]  # as above
        one = catalogue()[name]
        for flag in described(name).info["function_flags"]:
            by_flag.setdefault(flag, set()).add(one.memory_of(one.params))

    assert by_flag["Output is path-dependent"] == {"session", "recursive"}
    assert by_flag["Function has an unstable period"] == {"recursive"}
    assert by_flag["Output is a candlestick"] == {"window"}


def test_a_value_that_has_settled_is_near_what_thousands_of_bars_give(bars: Columns) -> None:
    settled = [made_of(name, params) for name, params in VARIANTS if not params]
    settled += PLAN.indicators

    off = {}
    for one in settled:
        name = one.function.name
        if one.memory == "recursive" and one.function.source == "TA-Lib":
            error = errors(one, bars, one.settle_bars, MANY_ENDS).max()
            if error > STILL_FADING.get(name, 1e-4):
                off[one.name] = error
    assert off == {}


def test_what_turns_with_the_market_has_settled_in_the_right_direction(bars: Columns) -> None:
    """SAR and SUPERTREND are on one side of the price or on the other: an error is no small one."""
    for name in ("SAR", "SAREXT", "SUPERTREND"):
        one = made_of(name, {})
        assert errors(one, bars, one.settle_bars, MANY_ENDS).max() < 1e-6, name


@pytest.mark.parametrize("multiplier", [1.0, 5.0, 8.0])
def test_wider_bands_are_crossed_later(bars: Columns, multiplier: float) -> None:
    one = made_of("SUPERTREND", {"multiplier": multiplier})
    assert errors(one, bars, one.settle_bars, MANY_ENDS).max() < 1e-6


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("SAR", {"acceleration": 0.001}),
        ("SAR", {"acceleration": 0.001, "maximum": 0.02}),
        ("SAR", {"maximum": 0.02}),
        ("SAREXT", {"accelerationinitlong": 0.001, "accelerationlong": 0.001}),
        ("SAREXT", {"accelerationshort": 0.0}),
        ("SUPERTREND", {"timeperiod": 100}),
        ("SUPERTREND", {"timeperiod": 200}),
    ],
)
def test_what_follows_the_market_more_slowly_turns_later(bars: Columns, name: str, params: Params) -> None:
    one = made_of(name, params)
    assert errors(one, bars, one.settle_bars, MANY_ENDS).max() < 1e-6


def test_an_acceleration_that_begins_at_nothing_is_no_slower() -> None:
    assert made_of("SAREXT", {"accelerationinitlong": 0.0}).settle_bars == made_of("SAREXT", {}).settle_bars == 200


def test_what_hardly_follows_the_market_asks_for_bars_that_nobody_keeps() -> None:
    for slowest in (0.0, 1e-30):
        assert 100_000 < made_of("SAR", {"acceleration": slowest}).settle_bars < 10_000_000


@pytest.mark.parametrize("name", ["KAMA", "RMA"])
def test_an_average_by_its_type_settles_no_sooner_than_by_its_name(name: str) -> None:
    by_type = made_of("MA", {"timeperiod": 10, "matype": int(getattr(MA_Type, name))})
    assert by_type.settle_bars >= made_of(name, {"timeperiod": 10}).settle_bars


@pytest.mark.parametrize("name", ["MACDEXT", "STOCH", "STOCHF"])
@pytest.mark.parametrize("kind", ["KAMA", "RMA"])
def test_what_is_made_of_slow_averages_settles_with_them(bars: Columns, name: str, kind: str) -> None:
    for key in described(name).parameters:
        if key.endswith("matype"):
            one = made_of(name, {key: int(getattr(MA_Type, kind))})
            assert errors(one, bars, one.settle_bars, MANY_ENDS).max() < 0.003, key


def test_what_rests_on_an_indicator_settles_no_sooner() -> None:
    plan = parse_plan(
        """
        [indicators]
        sar = { function = "SAR" }
        sar_sma = { function = "SMA", timeperiod = 3, input = "sar" }
        sar_sma_ema = { function = "EMA", timeperiod = 4, input = "sar_sma" }
        rsi = { function = "RSI", timeperiod = 14 }
        rsi_ema = { function = "EMA", timeperiod = 9, input = "rsi" }
        obv = { function = "OBV" }
        obv_ema = { function = "EMA", timeperiod = 9, input = "obv" }
        """,
        "chains",
    )
    found = {one.name: (one.memory, one.settle_bars) for one in plan.indicators}

    assert found == {
        "sar": ("recursive", 200),
        "sar_sma": ("recursive", 202),
        "sar_sma_ema": ("recursive", 205),
        "rsi": ("recursive", 140),
        "rsi_ema": ("recursive", 148),
        "obv": ("session", 1),
        "obv_ema": ("session", 9),
    }
    assert plan.needed_bars == 205

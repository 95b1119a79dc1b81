"""Every function on a lane that plays real bars: how far its values are from TA-Lib's batch, and what a call costs."""

import csv
import gzip
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice
from pathlib import Path

import numpy as np
import talib

from common.indicators import F64, Indicator, Plan, SessionClock, catalogue, parse_plan
from common.messages import Bar
from common.sessions import after_open_time, next_open_ms
from deploy.indicators import example
from features.lane import Lane, LaneSetup

MARKET = Path(__file__).resolve().parents[2] / "shared" / "market"
FILES = {"XAUUSD_M1_2020-05_08": "metals", "EURUSD_M1_2022-01_02": "fx", "NAS100_M1_2022-01": "cme"}
"""Gold, a currency and an index future, with their sessions."""
BARS = 8_000
"""Of each file."""
MAX_BARS, ANCHOR_BARS = 1_500, 1_000
"""So that some anchors fall into them, and the window moves on."""
MINUTE_MS = 60_000
NUMBERS = ("open", "high", "low", "close", "volume")
OPENED_OVER, CALLS, ROUNDS = 1_000, 200, 7
"""Bars before the calls that are timed, calls of a round, and rounds."""


@dataclass(frozen=True)
class Figures:
    """What was measured of a function."""

    off: float
    """The largest relative difference from TA-Lib's batch; infinite where one has a value and the other has none."""
    update_us: float
    peek_us: float


@dataclass(frozen=True)
class Played:
    """Bars that a lane has lived through."""

    columns: Mapping[str, F64]
    """Of all bars."""
    starts: Sequence[int]
    """Where the lane's window began, after each bar."""
    values: F64
    """After each bar, one row each."""

    @property
    def windows(self) -> Iterator[tuple[int, int, int]]:
        """Yield where a window begins, from which bar on it is the lane's, and before which it ends."""
        for start, members in groupby(range(len(self.starts)), key=self.starts.__getitem__):
            places = list(members)
            yield start, places[0], places[-1] + 1


def plan_of_all() -> Plan:
    """Return a plan with every function once, by its small name; and what some of them rest on."""
    lines = [line for function in catalogue().values() for line in example(function).splitlines()]
    return parse_plan("\n".join(dict.fromkeys(lines)), "all functions")


def figures(folder: Path) -> dict[str, Figures]:
    """Return the figures of every function, by its name; a difference of our own functions is none, and 0."""
    plan = plan_of_all()
    lives = [_play(folder / f"{name}.csv.gz", session, plan) for name, session in FILES.items()]
    off = [differences(plan, life) for life in lives]
    costs = dict(_costs(plan, lives[0]))
    return {name: Figures(max(found[name] for found in off), *costs[name]) for name in catalogue()}


# -- the lane --------------------------------------------------------------------------------------


def _play(file: Path, session: str, plan: Plan) -> Played:
    clock, bars = _clock(session), list(_bars(file))
    lane = Lane(LaneSetup("X", "1m", MINUTE_MS, MAX_BARS, ANCHOR_BARS, plan.program("X", "1m")), clock)
    starts, values = [], []
    for place, bar in enumerate(bars):
        lane.append(bar)
        starts.append(place + 1 - lane.window.bars_seen)
        values.append(list(lane.values))
    columns = {name: np.array([getattr(bar, name) for bar in bars]) for name in NUMBERS}
    columns["time"] = np.array([float(bar.open_ms) for bar in bars])
    columns["session"] = np.array([float(clock.start_ms(bar.open_ms + MINUTE_MS - 1)) for bar in bars])
    return Played(columns, starts, np.array(values))


def _clock(session: str) -> SessionClock:
    return SessionClock(partial(next_open_ms, session), partial(after_open_time, session))


def _bars(file: Path) -> Iterator[Bar]:
    with gzip.open(file, "rt") as lines:
        for row in islice(csv.DictReader(lines), BARS):
            opened, high, low, close, volume = (float(row[name]) for name in NUMBERS)
            open_ms = int(row["timestamp"]) * 1000
            yield Bar("X", "1m", open_ms, opened, high, low, close, volume, "traded", 1, "file", "file")


# -- the difference --------------------------------------------------------------------------------


def differences(plan: Plan, life: Played) -> dict[str, float]:
    """Return by function the largest relative difference of the lane's values from TA-Lib's batch."""
    found, place = dict.fromkeys(catalogue(), 0.0), 0
    reference = _reference(plan, life)
    for one in plan.indicators:
        for name in one.names:
            if one.function.source == "TA-Lib":
                off = _off(life.values[:, place], reference[name])
                found[one.function.name] = max(found[one.function.name], off)
            place += 1
    return found


def _off(ours: F64, theirs: F64) -> float:
    """Return the largest relative difference; infinite numbers equal each other, and so does what is no number."""
    if not np.array_equal(np.isnan(ours), np.isnan(theirs)):
        return np.inf
    differs = (ours != theirs) & ~np.isnan(ours)
    return float(np.max(np.abs(ours[differs] - theirs[differs]) / np.abs(theirs[differs]), initial=0.0))


def _reference(plan: Plan, life: Played) -> dict[str, F64]:
    """Return by name TA-Lib's batch over each window, for the bars after which it was the lane's."""
    bars = len(life.starts)
    found = {name: np.full(bars, np.nan) for one in plan.indicators for name in one.names}
    for start, first, end in life.windows:
        series = {name: column[start:end] for name, column in life.columns.items()}
        for one in plan.indicators:
            if one.function.source == "TA-Lib":
                series |= _over_window(one, series, life, start)
        for name, output in found.items():
            if name in series:  # all but our own functions'
                output[first:end] = series[name][first - start :]
    return found


def _over_window(one: Indicator, series: Mapping[str, F64], life: Played, start: int) -> dict[str, F64]:
    """Return the outputs over a window, or over each of its sessions where it starts with them."""
    arrays = [series[ref] for ref in one.inputs]
    bars = len(arrays[0])
    found = [np.full(bars, np.nan) for _ in one.names]
    for begin, end in _sessions(life, start, bars) if one.memory == "session" else [(0, bars)]:
        blank = np.isnan([array[begin:end] for array in arrays]).any(axis=0)
        given = begin + int(np.argmin(blank))  # an input that is an indicator itself begins later
        if end - given > one.own_lookback and not blank.all():
            for output, values in zip(found, batch(one, [array[given:end] for array in arrays]), strict=True):
                output[given:end] = values
    return dict(zip(one.names, found, strict=True))


def _sessions(life: Played, start: int, bars: int) -> Iterator[tuple[int, int]]:
    """Yield where sessions begin and end in a window: of the first one its first bar may be missing."""
    begins, opens = life.columns["session"][start : start + bars], life.columns["time"][start : start + bars]
    for began, members in groupby(range(bars), key=begins.__getitem__):
        places = list(members)
        if places[0] > 0 or opens[0] <= began:
            yield places[0], places[-1] + 1


def batch(one: Indicator, arrays: Sequence[F64]) -> list[F64]:
    """Return TA-Lib's batch, NaN where it has no value: its whole numbers are 0 there."""
    found = getattr(talib, one.function.name)(*arrays, **one.params)
    outputs = []
    for output in found if isinstance(found, tuple) else (found,):
        floats = output.astype(np.float64)
        if output.dtype.kind == "i":
            floats[: one.own_lookback] = np.nan
        outputs.append(floats)
    return outputs


# -- the cost --------------------------------------------------------------------------------------


def _costs(plan: Plan, life: Played) -> Iterator[tuple[str, tuple[float, float]]]:
    """Yield each function's name, and the microseconds of an update and of a peek."""
    first = int(np.flatnonzero(np.diff(life.columns["session"]))[0]) + 1  # some begin with a session
    series = {name: column[first:] for name, column in life.columns.items()}
    for one in plan.indicators:
        arrays = [series[ref] for ref in one.inputs]
        if any(ref in one.names for later in plan.indicators for ref in later.inputs):
            series |= dict(zip(one.names, batch(one, arrays), strict=True))
        yield one.function.name, _cost(one, arrays)


def _cost(one: Indicator, arrays: Sequence[F64]) -> tuple[float, float]:
    begin = int(np.argmin(np.isnan(arrays).any(axis=0)))
    running = one.function.start([array[begin:OPENED_OVER] for array in arrays], one.params)
    columns = [array[OPENED_OVER : OPENED_OVER + CALLS * ROUNDS].tolist() for array in arrays]
    rows = list(zip(*columns, strict=True))
    updates, peeks = [], []
    for number in range(ROUNDS):
        some = rows[number * CALLS : (number + 1) * CALLS]
        peeks.append(_each_us(running.peek, some))
        updates.append(_each_us(running.update, some))
    return statistics.median(updates), statistics.median(peeks)


def _each_us(call: Callable[..., object], rows: Sequence[tuple[float, ...]]) -> float:
    began_s = time.process_time()
    for row in rows:
        call(*row)
    return (time.process_time() - began_s) * 1e6 / len(rows)

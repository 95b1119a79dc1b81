"""Every function of TA-Lib on a lane: bit for bit what its batch function gives over the anchored window."""

import csv
import gzip
import random
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import talib
from hypothesis import given
from hypothesis import strategies as st

from common.indicators import Indicator, Plan, catalogue, load_plan, parse_plan
from common.messages import Bar
from features.lane import Lane
from tests.features.made_lanes import HOUR, MINUTE, NO_SHRINKING, forming, made, new_lane
from tests.features.support import MONDAY_MS, bar, random_walk
from tests.features.talib_values import (
    F64,
    GIVEN,
    Life,
    Stretch,
    Values,
    batch,
    expected,
    life_of,
    runs,
    same,
)
from tests.support_examples import examples

NAMES: tuple[str, ...] = tuple(talib.get_functions())  # type: ignore[no-untyped-call]  # as its stubs have it
RECORDED = ["XAUUSD_M1_2020-05_08", "EURUSD_M1_2022-01_02", "NAS100_M1_2022-01"]


def plan_of_all() -> Plan:
    """One indicator of each function, called by its small name."""
    lines = ["[indicators]"]
    for name in NAMES:
        inputs = f", inputs = {list(GIVEN[name])}" if name in GIVEN else ""
        lines.append(f'{name.lower()} = {{ function = "{name}"{inputs} }}')
    return parse_plan("\n".join(lines), "all")


ALL = plan_of_all()
DEFAULT = load_plan(None)


def played(lane: Lane, bars: Sequence[Bar], restarts: Collection[int]) -> Values:
    """The lane's values after each bar, and just before it from the bar while it was open."""
    closed, peeked = [], []
    for place, closing in enumerate(bars):
        if place in restarts:
            cache, lane = lane.window.stored(), Lane(lane.setup, lane._session)
            lane.load(b"".join(cache))
            lane.reopen()
        peeked.append(lane.peek([forming(closing)]))
        lane.append(closing)
        closed.append(list(lane.values))  # a lane may change its list in place
    return Values(np.array(closed), np.array(peeked))


def differences(
    bars: Sequence[Bar], max_bars: int, anchor_bars: int, session_ms: int, restarts: Collection[int] = ()
) -> list[object]:
    """Each function whose values are not TA-Lib's: at how many bars, the first of them, ours and TA-Lib's there."""
    found = played(new_lane(ALL, max_bars, anchor_bars, session_ms), bars, restarts)
    life = life_of(bars, "EURUSD|1m", MINUTE, max_bars, anchor_bars, session_ms)
    wrong: list[object] = []
    place = 0
    for one in ALL.indicators:
        columns = slice(place, place + len(one.names))
        place += len(one.names)
        for what, ours, theirs in zip(Values._fields, found, expected(one.function.name, life), strict=True):
            places = np.flatnonzero(~same(ours[:, columns], theirs).all(axis=1))
            if len(places):
                at = int(places[0])
                wrong.append((one.name, what, len(places), at, ours[at, columns].tolist(), theirs[at].tolist()))
    return wrong


def recorded(path: Path, first: int, count: int) -> list[Bar]:
    with gzip.open(path, "rt") as lines:
        rows = list(islice(csv.DictReader(lines), first, first + count))
    assert len(rows) == count
    return [
        bar(
            int(row["timestamp"]) * 1000, float(row["close"]), open=float(row["open"]), high=float(row["high"]),
            low=float(row["low"]), volume=float(row["volume"]), volume_kind="traded",
        )
        for row in rows
    ]  # fmt: skip


def test_the_catalogue_has_every_function_of_talib() -> None:
    assert len(NAMES) == 201  # its release notes of 0.8
    assert set(NAMES) <= catalogue().keys()
    assert [one.function.name for one in ALL.program("EURUSD", "1m").indicators] == list(NAMES)


@pytest.mark.parametrize("file", RECORDED)
def test_recorded_bars_give_talibs_values_closed_and_forming_over_restarts(shared: Path, file: str) -> None:
    bars = recorded(shared / "market" / f"{file}.csv.gz", 900, 1_000)

    assert differences(bars, 500, 200, 6 * HOUR, restarts={1, 333, 600, 601}) == []


def test_made_bars_give_talibs_values_closed_and_forming_over_restarts() -> None:
    assert differences(made(7, 700), 300, 90, 6 * HOUR, restarts={1, 200, 400, 401}) == []


SHARES = st.sampled_from([0.0, 0.5, 1.0])
ODD = st.builds(
    made,
    seed=st.integers(0, 100_000),
    count=st.integers(1, 200),
    shape=st.sampled_from(["flat", "rising", "falling", "grid", "jumps", "walk"]),
    scale=st.sampled_from([1e-9, 1.0, 1e12]),
    flat=SHARES,
    quiet=SHARES,
)


@examples(8, phases=NO_SHRINKING)
@given(ODD, st.integers(1, 150), st.integers(1, 90), st.sampled_from([20 * MINUTE, HOUR, 3 * HOUR]), st.data())
def test_no_series_is_too_odd(
    bars: list[Bar], max_bars: int, anchor_bars: int, session_ms: int, data: st.DataObject
) -> None:
    restarts = data.draw(st.sets(st.integers(0, len(bars) - 1), max_size=4))

    assert differences(bars, max_bars, anchor_bars, session_ms, restarts) == []


def test_several_open_bars_give_talibs_values_as_if_all_had_closed() -> None:
    """The market's clock may be minutes behind its quotes: bars close one by one while newer ones are open."""
    bars = made(5, 260)
    life = life_of(bars, "EURUSD|1m", MINUTE, 1_000, 1_000_000, 2 * HOUR)
    assert len(life.stretches) == 1  # no anchor moves the window here
    theirs = np.column_stack([expected(name, life).closed for name in NAMES])
    lane, rng = new_lane(ALL, 1_000, 1_000_000, 2 * HOUR), random.Random(5)
    for place, closing in enumerate(bars):
        for count in rng.sample(range(1, 5), 2):
            still_open = bars[place : place + count]
            peeked = lane.peek([forming(b) for b in still_open])
            assert same(np.array(peeked), theirs[place + len(still_open) - 1]).all(), (place, count)
        lane.append(closing)
        assert same(np.array(lane.values), theirs[place]).all(), place


def test_what_begins_with_the_session_has_no_value_in_a_session_whose_beginning_was_not_seen() -> None:
    bars = [bar(MONDAY_MS + 2 * HOUR + n * MINUTE, price) for n, price in enumerate(random_walk(1, 240))]
    lane = new_lane(ALL, 500, 500, 4 * HOUR)
    found = played(lane, bars, ())

    names = list(lane.names)
    for output in ("obv", "cumsum", "vwap"):
        column = names.index(output)
        assert np.isnan(found.closed[:120, column]).all(), output
        assert np.isnan(found.peeked[:120, column]).all(), output
    # From 04:00 on, the first bar of the session, the sum of its closes.
    closes = np.array([b.close for b in bars[120:]])
    assert found.closed[120:, names.index("cumsum")].tolist() == np.cumsum(closes).tolist()


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("file", RECORDED)
def test_weeks_of_recorded_bars_give_talibs_values(shared: Path, file: str) -> None:
    bars = recorded(shared / "market" / f"{file}.csv.gz", 0, 13_000)

    assert differences(bars, 5_000, 1_000, 6 * HOUR, restarts={5_555, 9_999}) == []


def a_million() -> Iterator[Bar]:
    """Bars of a year on a tick grid, with holes."""
    rng = np.random.default_rng(11)
    steps = np.round(rng.normal(0.0, 6.0, (1_000_000, 4))) * 0.25
    closes = 15_000.0 + np.cumsum(steps[:, 0]) * 0.05 // 0.25 * 0.25
    minutes = np.cumsum(rng.choice([1, 1, 1, 1, 1, 1, 1, 1, 1, 30], 1_000_000))
    volumes = rng.integers(0, 900, 1_000_000)
    for n in range(1_000_000):
        opened, close = float(closes[n - 1]) if n else 15_000.0, float(closes[n])
        prices = {"high": max(opened, close) + abs(steps[n, 1]), "low": min(opened, close) - abs(steps[n, 2])}
        open_ms = MONDAY_MS + int(minutes[n]) * MINUTE
        yield bar(open_ms, close, open=opened, **prices, volume=float(volumes[n]), volume_kind="traded")


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_after_a_million_bars_the_default_plan_still_gives_talibs_values() -> None:
    max_bars, anchor_bars = 5_000, 1_000
    lane = new_lane(DEFAULT, max_bars, anchor_bars, 6 * HOUR)
    bars, rows = [], []
    checked, until_ms = 0, 0
    for closing in a_million():
        bars.append(closing)
        lane.append(closing)
        rows.append(list(lane.values))
        if len(bars) == 10_000:
            life = life_of(bars, "EURUSD|1m", MINUTE, max_bars, anchor_bars, 6 * HOUR)
            # The first stretches reach back to bars that are no longer at hand, the last one is not over.
            for part in (p for p in life.stretches[:-1] if p.start > 0 and life.opens[p.anchor] > until_ms):
                check_stretch(life, part, np.array(rows[part.anchor : part.end]))
                checked, until_ms = checked + part.end - part.anchor, life.opens[part.anchor]
            del bars[:4_000], rows[:4_000]
    assert checked > 990_000


def check_stretch(life: Life, part: Stretch, rows: F64) -> None:
    place = 0
    for one in DEFAULT.indicators:
        ours = rows[:, place : place + len(one.names)]
        place += len(one.names)
        if one.function.source == "TA-Lib":
            assert same(ours, default_values(one, life, part)).all(), (one.name, life.opens[part.anchor])


def default_values(one: Indicator, life: Life, part: Stretch) -> F64:
    """TA-Lib's values over a stretch, with the inputs and parameters that the plan's file gives."""
    found = np.full((part.end - part.anchor, len(one.names)), np.nan)
    for begin, first, end in runs(one.function.name, life, part):
        values = np.column_stack(default_batch(one, life, begin, end))[first - begin :]
        inside = min(end, part.end) - first
        found[first - part.anchor : first - part.anchor + inside] = values[:inside]
    return found


def default_batch(one: Indicator, life: Life, begin: int, end: int) -> tuple[F64, ...]:
    """TA-Lib's batch over some bars; an input that is no column of theirs is another indicator's over the same."""
    inputs = [
        life.columns[i][begin:end] if i in life.columns else default_input(i, life, begin, end) for i in one.inputs
    ]
    return batch(one.function.name, *inputs, **one.params)


def default_input(name: str, life: Life, begin: int, end: int) -> F64:
    """The values of one of the plan's indicators, by the name of the output."""
    inner = next(i for i in DEFAULT.indicators if name in i.names)
    return default_batch(inner, life, begin, end)[inner.names.index(name)]

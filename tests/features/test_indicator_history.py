"""The history of indicators, worked out from the stored bars alone: the engine's own values, bar for bar."""

import random
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
import talib
from hypothesis import given
from hypothesis import strategies as st

from common.bars import Records, pack, unpack
from common.indicators import F64, Plan, catalogue, parse_plan
from common.indicators.history import LaneBars, history
from common.messages import Bar
from features.bar_window import BarWindow
from features.lane import Lane, LaneSetup
from features.pairs import PairSeries
from features.readiness import Unready
from tests.features.support import bar, random_walk
from tests.features.test_lane import MINUTE, SMALL_PLAN, lives, session
from tests.support_examples import examples

CHAINS = """
rsi_of_obv = { function = "RSI", timeperiod = 3, input = "obv" }
running_rsi = { function = "CUMSUM", input = "rsi" }
ema_of_pivot = { function = "EMA", timeperiod = 3, input = "pivots_pivot" }
bands_of_doji = { function = "BBANDS", timeperiod = 4, input = "doji" }
average_of_volume = { function = "EMA", timeperiod = 3, input = "volume_sma" }
"""
VOLUME_REASONS = ("no volume", "volume of two kinds")
After = tuple[dict[str, float], dict[str, Unready]]
"""A lane's values after a bar, and why some can't be relied on."""


def plan_of_all() -> Plan:
    """Every function with its defaults, by its small name, and chains of some."""
    lines = ["[indicators]"]
    for name in catalogue():
        inputs = ', inputs = ["close", "volume"]' if name == "MAVP" else ""
        lines.append(f'{name.lower()}_ = {{ function = "{name}"{inputs} }}')
    small = ["rsi = { function = 'RSI', timeperiod = 3 }", "obv = { function = 'OBV' }"]
    more = ["pivots = { function = 'PIVOT_CLASSIC' }", "doji = { function = 'CDLDOJI' }"]
    volume = ["volume_sma = { function = 'SMA', timeperiod = 3, input = 'volume' }"]
    return parse_plan("\n".join([*lines, *small, *more, *volume]) + CHAINS, "all")


ALL = plan_of_all()


def lived(plan: Plan, life: Sequence[Bar], max_bars: int, anchor_bars: int) -> tuple[Lane, list[After]]:
    """A lane after a life, and what it said after each bar since the last anchor."""
    setup = LaneSetup("EURUSD", "1m", MINUTE, max_bars, anchor_bars, plan.program("EURUSD", "1m"))
    lane, said = Lane(setup, session()), list[After]()
    for closed in life:
        lane.append(closed)
        said.append((dict(zip(lane.names, lane.values, strict=True)), lane.unready))
    return lane, said[len(life) - lane.window.bars_seen + lane.window.anchor_place :]


def worked_out(lane: Lane, others: Mapping[str, Records] | None = None) -> tuple[LaneBars, dict[str, F64]]:
    setup = lane.setup
    bars = LaneBars(
        setup.name, unpack(lane.window.stored()), MINUTE, setup.max_bars, setup.anchor_bars, session()
    )  # fmt: skip
    wanted = [*setup.program.indicators, *setup.program.pairs]
    return bars, history(bars, setup.program, wanted, others or {})


def same(one: float, other: float) -> bool:
    """To the bit; any NaN alike."""
    return (np.isnan(one) and np.isnan(other)) or np.float64(one).tobytes() == np.float64(other).tobytes()


def differences(plan: Plan, life: Sequence[Bar], max_bars: int, anchor_bars: int) -> list[object]:
    """Each value since the last anchor that is not the engine's, to the bit."""
    lane, said = lived(plan, life, max_bars, anchor_bars)
    bars, found = worked_out(lane)
    assert (len(bars.bars), bars.anchor) == (lane.window.bars_seen, lane.window.anchor_place)
    needing = {name for one in lane.setup.program.indicators if one.needs_volume for name in one.names}
    wrong: list[object] = []
    for place, (values, unready) in enumerate(said, bars.anchor):
        for name, value in values.items():
            ours, why = float(found[name][place]), unready[name].reason if name in unready else ""
            theirs = np.nan if why.startswith(VOLUME_REASONS) else value
            if why.startswith("warming up") and name in needing and np.isnan(ours):
                continue  # the engine has no second reason; here the volume's kinds count from the first bar on
            if not same(ours, theirs):
                wrong.append((name, place, ours, theirs, why))
    return wrong


@examples(40)
@given(lives(), st.integers(1, 60), st.integers(1, 60))
def test_a_history_is_what_the_engine_had_after_each_bar(life: list[Bar], max_bars: int, anchor_bars: int) -> None:
    assert differences(ALL, life, max_bars, anchor_bars) == []


def long_life(seed: int, count: int) -> list[Bar]:
    """Bars with holes, all with volume of one kind."""
    rng, prices = random.Random(seed), random_walk(seed, 4 * count, 100.0, 0.002)
    bars, open_ms = [], 27_000_000 * MINUTE
    for n in range(count):
        open_ms += rng.choice([1] * 20 + [2, 3, 45]) * MINUTE
        four = prices[4 * n : 4 * n + 4]
        bars.append(
            bar(open_ms, four[3], open=four[0], high=max(four), low=min(four), volume=float(rng.randint(0, 99)),
                volume_kind="traded")
        )  # fmt: skip
    return bars


@pytest.mark.parametrize("seed", [1, 2])
def test_so_it_is_for_all_functions_after_some_anchors(seed: int) -> None:
    assert differences(ALL, long_life(seed, 900), 500, 130) == []


def test_candlesticks_begin_near_the_anchor_and_are_shown_before_it_too() -> None:
    rng, life = random.Random(4), list[Bar]()
    for n in range(900):
        # Sums of such prices leave something behind for ever, which decides between bodies that are all alike.
        size = 1e9 if 300 <= n < 340 else 1.0
        opened, closed = (round(1.1 + rng.randint(-2, 2) * 0.01, 2) * size for _ in range(2))
        high, low = max(opened, closed) * 1.01, min(opened, closed) * 0.99
        life.append(bar(27_000_000 * MINUTE + n * MINUTE, closed, open=opened, high=high, low=low))
    lane, _ = lived(ALL, life, 800, 100)
    bars, found = worked_out(lane)
    columns = [np.ascontiguousarray(bars.bars[name]) for name in ("open", "high", "low", "close")]
    whole = talib.CDLSHORTLINE(*columns)
    near = talib.CDLSHORTLINE(*(column[bars.anchor - 99 :] for column in columns))  # the anchor is the 100th bar
    lookback = 10  # TA-Lib's for this pattern

    assert differences(ALL, life, 800, 100) == []
    first = bars.anchor - 99 + lookback
    expected = [*whole[lookback:first], *near[lookback:]]
    assert expected != whole[lookback:].tolist()
    assert found["cdlshortline_"][lookback:].tolist() == expected


def test_only_what_is_wanted_and_what_it_rests_on_is_worked_out() -> None:
    lane, _ = lived(SMALL_PLAN, long_life(3, 60), 50, 10)
    (wanted,) = [one for one in lane.setup.program.indicators if one.name == "rsi_ema"]
    bars, all_of_them = worked_out(lane)

    found = history(bars, lane.setup.program, [wanted], {})

    assert list(found) == ["rsi_ema"]
    assert found["rsi_ema"].tobytes() == all_of_them["rsi_ema"].tobytes()


PAIRED = parse_plan(
    """
    [indicators]
    correlation = { function = "CORREL", timeperiod = 4, inputs = ["close", "US500:close"], symbols = ["EURUSD"] }
    beta = { function = "BETA", timeperiod = 3, inputs = ["high", "US500:low"], symbols = ["EURUSD"] }
    """,
    "paired",
)


@examples(100)
@given(st.integers(0, 10_000), st.integers(1, 120), st.integers(2, 30), st.integers(1, 20), st.floats(0.2, 1.0))
def test_over_two_symbols_it_ends_with_the_engines_value(
    seed: int, count: int, max_bars: int, anchor_bars: int, share: float
) -> None:
    rng = random.Random(seed)
    life = long_life(seed, count)
    lane = Lane(LaneSetup("EURUSD", "1m", MINUTE, max_bars, anchor_bars, PAIRED.program("EURUSD", "1m")), session())
    other = BarWindow("US500|1m", MINUTE, max_bars, anchor_bars)
    pairs = [PairSeries(one, lane.window, other) for one in PAIRED.indicators]
    for mine in life:
        lane.append(mine)
        if rng.random() < share:
            theirs = bar(mine.open_ms, mine.close * rng.uniform(0.9, 1.1), low=rng.uniform(0.5, 0.9))
            other.append(pack(theirs), theirs.open_ms)
        for pair in pairs:
            pair.follow()

    bars, found = worked_out(lane, {"US500": other.records()})

    for pair, one in zip(pairs, PAIRED.indicators, strict=True):
        ((name,), (value,)) = one.names, pair.values
        given_at = np.flatnonzero(~np.isnan(found[name]))
        last = found[name][given_at[-1:]]
        assert last.tobytes() == np.array([value][: len(last)]).tobytes()
        assert len(last) or np.isnan(value)
        assert set(bars.bars["open_ms"][given_at]) <= set(other.records()["open_ms"])

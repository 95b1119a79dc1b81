"""A lane's values: TA-Lib's own over the anchored window, and the same after any restart."""

import math
import random
import struct
import zlib
from collections.abc import Sequence

import numpy as np
import pytest
import talib
from hypothesis import given
from hypothesis import strategies as st

from common.bars import pack
from common.indicators import Plan, SessionClock, load_plan, parse_plan
from common.messages import Bar
from features.builder import Forming
from features.lane import Lane, LaneSetup
from tests.features.support import MONDAY_MS, bar, random_walk
from tests.support_examples import examples

MINUTE = 60_000
SESSION_MS = 40 * MINUTE
SMALL_PLAN = parse_plan(
    """
    [indicators]
    rsi = { function = "RSI", timeperiod = 3 }
    ema = { function = "EMA", timeperiod = 4 }
    bands = { function = "BBANDS", timeperiod = 5, outputs = ["upper", "middle", "lower"] }
    atr = { function = "ATR", timeperiod = 3 }
    volume_sma = { function = "SMA", timeperiod = 3, input = "volume" }
    vwap = { function = "VWAP_BANDS", outputs = ["vwap", "vwap_upper", "vwap_lower"] }
    obv = { function = "OBV" }
    rsi_ema = { function = "EMA", timeperiod = 3, input = "rsi" }
    doji = { function = "CDLDOJI" }
    pivots = { function = "PIVOT_CLASSIC" }
    """,
    "small",
)
PLAN = load_plan(None)


def session() -> SessionClock:
    """Sessions of 40 minutes."""
    return SessionClock(lambda at_ms: at_ms // SESSION_MS * SESSION_MS + SESSION_MS)


def lane(max_bars: int, anchor_bars: int, plan: Plan = SMALL_PLAN) -> Lane:
    return Lane(LaneSetup("EURUSD", "1m", MINUTE, max_bars, anchor_bars, plan.program("EURUSD", "1m")), session())


def bits(values: Sequence[float]) -> bytes:
    """The values' bits, any NaN alike."""
    return b"".join(struct.pack("<d", v) if math.isfinite(v) else b"--------" for v in values)


def seen(of: Lane) -> tuple[object, ...]:
    """All that a lane says of itself."""
    return (
        bits(of.values), bits(of.previous), of.unready, of.ready, of.window.bars_seen, of.volume_kind, of.hole_ms,
        of.source, of.window.stored(),
    )  # fmt: skip


@st.composite
def lives(draw: st.DrawFn) -> list[Bar]:
    """Bars with gaps in time, of mixed volume kinds."""
    seed, count = draw(st.integers(0, 100_000)), draw(st.integers(1, 160))
    gaps = random.Random(seed)
    steps = [gaps.choice([1, 1, 1, 1, 1, 1, 2, 3, 17, 60]) for _ in range(count)]
    prices = random_walk(seed, 3 * len(steps), step=0.01)
    kinds = draw(st.sampled_from([("traded",), ("none",), ("traded", "traded", "traded", "none"), ("traded", "ticks")]))
    bars, open_ms = [], MONDAY_MS
    for n, step in enumerate(steps):
        open_ms += step * MINUTE
        a, b, c = prices[3 * n : 3 * n + 3]
        kind = kinds[(seed + n) // 7 % len(kinds)]
        volume = 0.0 if kind == "none" else float((seed + n) % 50)
        changes = {"open": a, "high": max(a, b, c), "low": min(a, b, c), "volume": volume, "volume_kind": kind}
        bars.append(bar(open_ms, c, **changes))
    return bars


@examples(60)
@given(lives(), st.integers(1, 30), st.integers(1, 30), st.data())
def test_a_restarted_lane_equals_one_that_lived_on_bit_for_bit(
    life: list[Bar], max_bars: int, anchor_bars: int, data: st.DataObject
) -> None:
    undisturbed = lane(max_bars, anchor_bars)
    restarted = lane(max_bars, anchor_bars)
    kills = data.draw(st.sets(st.integers(0, len(life) - 1), max_size=8))
    cache: list[bytes] = []  # the bar cache's list, as RPUSH and LTRIM keep it

    for n, closed in enumerate(life):
        if n in kills:
            restarted = lane(max_bars, anchor_bars)
            restarted.load(b"".join(cache))
            if data.draw(st.booleans()):  # it may have been opened meanwhile, or not
                restarted.reopen()
        undisturbed.append(closed)
        cache = [*cache, restarted.append(closed)][-(max_bars + anchor_bars) :]
        assert seen(restarted) == seen(undisturbed)
        assert cache == undisturbed.window.stored()

    again = lane(max_bars, anchor_bars)
    again.load(b"".join(cache))
    again.reopen()
    assert seen(again) == seen(undisturbed)


def window_start(opens: Sequence[int], max_bars: int, anchor_bars: int) -> int:
    """The window's first bar by the rule in words: max_bars before and including the last anchor."""
    offset = zlib.crc32(b"EURUSD|1m") % anchor_bars
    multiples = [(at // MINUTE + offset) // anchor_bars for at in opens]
    anchors = [n for n in range(1, len(opens)) if multiples[n] != multiples[n - 1]]
    return max(0, anchors[-1] - max_bars + 1) if anchors else 0


@examples(40)
@given(lives(), st.integers(5, 30), st.integers(1, 30))
def test_values_equal_talibs_batch_over_the_anchored_window(life: list[Bar], max_bars: int, anchor_bars: int) -> None:
    tested = lane(max_bars, anchor_bars)
    for n, closed in enumerate(life):
        tested.append(closed)
        first = window_start([b.open_ms for b in life[: n + 1]], max_bars, anchor_bars)
        high, low, close, volume = (
            np.array([getattr(b, name) for b in life[first : n + 1]]) for name in ("high", "low", "close", "volume")
        )
        bands = talib.BBANDS(close, 5)
        expected = [
            talib.RSI(close, 3)[-1], talib.EMA(close, 4)[-1], *(band[-1] for band in bands),
            talib.ATR(high, low, close, 3)[-1], talib.SMA(volume, 3)[-1],
        ]  # fmt: skip
        assert bits(tested.values[:7]) == bits(expected)


@examples(40)
@given(lives())
def test_cumulative_values_start_at_the_sessions_first_bar(life: list[Bar]) -> None:
    tested = lane(200, 200)
    for n, closed in enumerate(life):
        tested.append(closed)
        # A bar belongs to the session that its last millisecond falls into.
        numbers = [(b.open_ms + MINUTE - 1) // SESSION_MS for b in life[: n + 1]]
        first = next(i for i, number in enumerate(numbers) if number == numbers[-1])
        values = dict(zip(tested.names, tested.values, strict=True))
        if first == 0 and life[0].open_ms % SESSION_MS != 0:
            assert tested.unready["vwap"].reason in ("the session's first bar is not among the kept bars", "no volume")
            assert math.isnan(values["vwap"])
            continue
        members = life[first : n + 1]
        volume = sum(b.volume for b in members)
        paid = sum((b.high + b.low + b.close) / 3.0 * b.volume for b in members)
        assert values["vwap"] == pytest.approx(paid / volume if volume else math.nan, rel=1e-12, nan_ok=True)
        obv = talib.OBV(np.array([b.close for b in members]), np.array([b.volume for b in members]))[-1]
        assert bits([values["obv"]]) == bits([obv])


@examples(40)
@given(lives(), st.integers(1, 4), st.integers(5, 40))
def test_a_peek_gives_what_closing_the_open_bars_would(life: list[Bar], open_count: int, anchor_bars: int) -> None:
    closed, still_open = life[:-open_count], life[-open_count:]
    if not closed:
        return
    tested, later = lane(500, anchor_bars), lane(500, anchor_bars)
    for b in closed:
        tested.append(b)
        later.append(b)
    before = seen(tested)

    peeked = tested.peek([forming(b) for b in still_open])

    for b in still_open:
        later.append(b)
    expected = [v if math.isfinite(tested.values[n]) else None for n, v in enumerate(later.values)]
    for name, value, closed_value in zip(tested.names, peeked, expected, strict=True):
        if closed_value is not None:  # one without a value before can't be peeked at
            assert bits([value]) == bits([closed_value]), name
    assert seen(tested) == before


def forming(b: Bar) -> Forming:
    return Forming(
        b.open_ms, b.open, b.high, b.low, b.close, b.volume, b.volume_kind, 1, b.open_ms, b.open_ms, b.source, 1.0
    )


def test_names_that_clients_know_stay_in_the_plan() -> None:
    assert set(PLAN.program("EURUSD", "1m").names) >= {
        "rsi_14", "ema_9", "ema_20", "ema_50", "ema_200", "bollinger_upper", "bollinger_middle", "bollinger_lower",
        "atr_14", "macd", "macd_signal", "macd_hist", "vwap", "volume_sma_20", "momentum", "roc_10",
    }  # fmt: skip


def test_a_lane_says_how_far_it_has_warmed_up_and_until_when() -> None:
    tested = lane(2000, 1000, PLAN)
    for n, price in enumerate(random_walk(1, 300)):
        tested.append(bar(MONDAY_MS + n * MINUTE, price, volume=1.0, volume_kind="traded"))

    assert not tested.ready
    # 199 is TA-Lib's lookback of EMA(200), times 5; the bar of 16:34 is the 995th.
    assert tested.unready["ema_200"].reason == "warming up: 300 of 995 bars, not before 2022-01-17T16:35:00Z"
    assert "bollinger_upper" not in tested.unready
    assert "rsi_14" not in tested.unready


def test_a_lane_is_ready_as_soon_as_the_slowest_value_has_converged() -> None:
    tested = lane(2000, 1000, PLAN)
    ready = []
    for n, price in enumerate(random_walk(1, 996)):
        tested.append(bar(MONDAY_MS + n * MINUTE, price, volume=1.0, volume_kind="traded"))
        ready.append(tested.ready)

    assert ready == [False] * 994 + [True, True]


def test_without_volume_a_lane_is_ready_but_for_what_needs_it() -> None:
    tested = lane(2000, 1000, PLAN)
    for n, price in enumerate(random_walk(1, 1000)):
        tested.append(bar(MONDAY_MS + n * MINUTE, price))

    assert tested.ready
    assert {name: why.reason for name, why in tested.unready.items()} == dict.fromkeys(
        ("vwap", "vwap_upper", "vwap_lower", "mfi_14", "obv", "volume_sma_20", "relative_volume_20"), "no volume"
    )


def test_volume_of_another_kind_is_not_averaged_with_what_was_before() -> None:
    tested = lane(2000, 1000, PLAN)
    for n, price in enumerate(random_walk(1, 40)):
        kind = "traded" if n < 30 else "ticks"
        tested.append(bar(MONDAY_MS + n * MINUTE, price, volume=1.0, volume_kind=kind))

    assert tested.unready["volume_sma_20"].reason == "volume of two kinds: 10 of 20 bars have the last one's"


def test_the_session_clock_rolls_at_the_opening_and_at_five_in_new_york() -> None:
    opening_ms = MONDAY_MS + 14 * 3_600_000 + 1_800_000  # 14:30 UTC
    clock = SessionClock(lambda at_ms: opening_ms + (at_ms - opening_ms) // 86_400_000 * 86_400_000 + 86_400_000)
    five_pm_ms = MONDAY_MS + 22 * 3_600_000  # 17:00 in New York is 22:00 UTC in winter

    assert clock.start_ms(opening_ms) == opening_ms
    assert clock.start_ms(five_pm_ms - 1) == opening_ms
    assert clock.start_ms(five_pm_ms) == five_pm_ms
    assert clock.start_ms(opening_ms - 1) == five_pm_ms - 86_400_000
    assert clock.start_ms(opening_ms + 86_400_000) == opening_ms + 86_400_000


def test_the_record_of_a_bar_is_what_the_cache_gets() -> None:
    tested = lane(10, 10)
    closed = bar(MONDAY_MS, 1.5)

    assert tested.append(closed) == pack(closed)
    assert tested.window.stored() == [pack(closed)]

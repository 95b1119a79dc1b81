"""Fills, stops, targets and figures, worked out by hand."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from backtest.figures import (
    buy_and_hold,
    drawdown,
    figures,
    profit_factor,
    random_gains,
    resampled_means,
    split_means,
    verdict,
)
from backtest.history import FileBar, History
from backtest.trades import Costs, Market, Trade, trades_of
from common.messages import Signal
from tests.features.support import MONDAY_MS

MINUTE = 60_000
COSTS = Costs(spread=0.2, slippage=0.05)


def market(*bars: tuple[float, float, float, float], at: Sequence[int] | None = None) -> Market:
    """Minutes as (open, high, low, close)."""
    places = at or range(len(bars))
    rows = tuple(FileBar(MONDAY_MS + n * MINUTE, *bar) for n, bar in zip(places, bars, strict=True))
    return Market(History("x", "X", MINUTE, rows))


def signal(side: int, bar: int = 0) -> Signal:
    """At 100 with a stop 2 away and targets at 2 and 4."""
    return Signal(
        id=f"s{bar}", symbol="X", timeframe="1m", strategy="s", bar_open_ms=MONDAY_MS + bar * MINUTE,
        action="BUY" if side > 0 else "SELL", entry=100.0, stop_loss=100.0 - 2 * side, take_profit_1=100.0 + 2 * side,
        take_profit_2=100.0 + 4 * side, confidence=0.7, quality=5.0, regime="range", reasons=(), published_ms=0,
        expires_ms=0, data_age_ms=0, atr=1.0, source="f", source_class="c",
    )  # fmt: skip


SIGNALLED = (100.0, 100.0, 100.0, 100.0)
QUIET = (100.0, 101.0, 99.0, 100.0)


def only(found: Sequence[Trade]) -> Trade:
    (one,) = found
    return one


def test_a_buy_is_filled_at_the_next_open_at_the_ask_and_slipped() -> None:
    # Ask 100.1, slipped 0.05. Then the bid (high 104.1 less 0.1) reaches the target of 104: no slippage on a limit.
    trade = only(trades_of([signal(1)], market(SIGNALLED, QUIET, (100.0, 104.1, 100.0, 104.0)), COSTS))

    assert (trade.first, trade.last, trade.why) == (1, 2, "target")
    assert (trade.entry, trade.exit) == pytest.approx((100.15, 104.0))
    assert trade.r == pytest.approx(3.85 / 2)
    assert trade.gain == pytest.approx(3.85 / 100.15)


def test_the_target_is_not_reached_by_the_middle_price_alone() -> None:
    trade = only(trades_of([signal(1)], market(SIGNALLED, QUIET, (100.0, 104.05, 100.0, 104.0)), COSTS))

    assert trade.why == "time"  # the file ends: closed at 104 less 0.15
    assert trade.exit == pytest.approx(103.85)


@pytest.mark.parametrize(("side", "hit"), [(1, (100.0, 104.5, 98.05, 100.0)), (-1, (100.0, 101.95, 95.5, 100.0))])
def test_where_one_bar_crosses_both_the_stop_counts(side: int, hit: tuple[float, float, float, float]) -> None:
    # The bid touches 97.95 (the ask 102.05): the stop, slipped 0.05 more.
    trade = only(trades_of([signal(side)], market(SIGNALLED, QUIET, hit), COSTS))

    assert trade.why == "stop"
    assert trade.exit == pytest.approx(100 - side * 2.05)
    assert trade.r == pytest.approx(-(2.05 + 0.15) / 2)


def test_a_market_that_opens_beyond_the_stop_fills_there() -> None:
    trade = only(trades_of([signal(1)], market(SIGNALLED, QUIET, (95.0, 96.0, 94.0, 95.0)), COSTS))

    assert trade.exit == pytest.approx(95.0 - 0.1 - 0.05)


def test_a_position_ends_after_a_day() -> None:
    bars = [SIGNALLED, *[QUIET] * 1_500]

    assert only(trades_of([signal(1)], market(*bars), COSTS)).last == 1_440


@pytest.mark.parametrize("opened", [102.0, 97.8])
def test_a_fill_beyond_the_first_target_or_the_stop_is_none(opened: float) -> None:
    assert trades_of([signal(1)], market(SIGNALLED, (opened, opened, opened, opened), QUIET), COSTS) == []


def test_a_signal_before_a_hole_or_at_the_files_end_is_passed_by() -> None:
    assert trades_of([signal(1)], market(SIGNALLED, QUIET, at=[0, 2]), COSTS) == []
    assert trades_of([signal(1, bar=1)], market(SIGNALLED, QUIET), COSTS) == []


def test_one_position_at_a_time() -> None:
    ended = (100.0, 100.0, 97.0, 98.0)
    bars = market(SIGNALLED, QUIET, ended, QUIET, QUIET)

    assert [t.first for t in trades_of([signal(1), signal(1, 1), signal(1, 2)], bars, COSTS)] == [1, 3]


# -- figures --------------------------------------------------------------------------------------


def trade(r: float, first: int, bars: int = 1) -> Trade:
    return Trade("t", 1, first, first + bars - 1, 100.0, 100.0 + r, 1.0, MONDAY_MS, "stop")


FLAT = market(*[(100.0, 100.0, 100.0, 100.0)] * 100)


def test_profit_factor_and_drawdown() -> None:
    r = np.array([1.0, -0.5, -1.0, 2.0, -1.0])

    assert profit_factor(r) == pytest.approx(3.0 / 2.5)
    assert profit_factor(np.array([1.0])) == float("inf")
    # 0, 1, 0.5, -0.5, 1.5, 0.5: from 1 down to -0.5.
    assert drawdown(r) == pytest.approx(1.5)
    assert drawdown(np.array([-1.0, -1.0])) == pytest.approx(2.0)


def test_the_bootstraps_interval_is_the_textbooks_for_a_large_sample() -> None:
    r = np.random.default_rng(1).normal(0.2, 1.0, 2_000)
    half = 1.96 * float(np.std(r, ddof=1)) / 2_000**0.5

    low, high = np.quantile(resampled_means(r), (0.025, 0.975))

    assert (low, high) == pytest.approx((float(np.mean(r)) - half, float(np.mean(r)) + half), abs=0.1 * half)


def test_random_entries_in_a_flat_market_cost_what_they_cost() -> None:
    # Two fills at 0.15 each, of 100, for each of three trades.
    found = random_gains([trade(1.0, n) for n in range(3)], FLAT, COSTS)

    assert found == pytest.approx(np.full(len(found), -3 * 0.30 / 100))


def test_buy_and_hold_pays_its_costs_once() -> None:
    rising = market((100.0, 110.0, 100.0, 110.0), (110.0, 120.0, 110.0, 120.0))

    assert buy_and_hold(rising, COSTS) == pytest.approx((20.0 - 0.3) / 100)


def test_each_stretch_has_its_own_expectancy() -> None:
    trades = [trade(1.0, 0), trade(0.0, 24), trade(-1.0, 25), trade(2.0, 99)]

    assert split_means(trades, FLAT, 4) == (0.5, -1.0, None, 2.0)


def test_the_figures_of_four_trades() -> None:
    found = figures([trade(1.0, 0, 2), trade(-1.0, 10, 3), trade(2.0, 30), trade(-1.0, 60, 4)], FLAT, COSTS, 2, 1)

    assert (found.trades, found.hit_rate, found.expectancy_r, found.exposure) == (4, 0.5, 0.25, 0.1)
    assert (found.profit_factor, found.drawdown_r) == (1.5, 1.0)
    assert [one for one in found.splits_r if one is not None] == pytest.approx([2 / 3, -1.0])
    assert found.verdict == "too few trades to tell (fewer than 30)"
    assert figures([], FLAT, COSTS, 2, 1).verdict == "no trades"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((29, 1.0, 0.0, (1.0, 1.0)), "too few trades to tell (fewer than 30)"),
        ((30, 0.0, 0.0, (1.0, 1.0)), "NO EDGE on this data: the expectancy may well be 0 or less"),
        ((30, 0.1, 0.05, (1.0, 1.0)), "NO EDGE on this data: random entries do as well"),
        ((30, 0.1, 0.01, (1.0, -1.0)), "NO EDGE on this data: the gain is from one stretch of it"),
        ((30, 0.1, 0.01, (1.0, 1.0, None)), "an edge on this data, which is no promise for other data"),
    ],
)
def test_the_verdict_is_plain(given: tuple[int, float, float, tuple[float | None, ...]], said: str) -> None:
    assert verdict(*given) == said


def test_costs_of_a_fill() -> None:
    assert COSTS.side == pytest.approx(0.15)
    assert replace(COSTS, slippage=0.0).side == pytest.approx(0.1)

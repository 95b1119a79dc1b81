"""Trend following on values set by hand."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.strategies import View
from tests.common.made_strategies import QUIET, SHIPPED, mirrored

TREND_FOLLOWING = SHIPPED["trend_following"]

BEFORE = {
    "ema_9": 99.0,
    "ema_20": 99.5,
    "ema_50": 98.0,
    "ema_200": 97.0,
    "macd_hist": 0.1,
    "rsi_14": 52.0,
    "atr_14": 2.0,
} | QUIET
RISING = BEFORE | {"ema_9": 100.0, "ema_20": 99.6, "macd_hist": 0.25, "rsi_14": 57.5}


def view(now: dict[str, float] = RISING, before: dict[str, float] = BEFORE, close: float = 100.0) -> View:
    return View("1m", close, close, close, close, now, before)


def test_a_cross_with_both_confirmations_is_a_buy() -> None:
    found = TREND_FOLLOWING.evaluate(view())

    assert found is not None
    # ATR 2: stop 1.5 ATR = 3 below, targets 1 and 2 times that above.
    assert (found.action, found.entry, found.stop_loss) == ("BUY", 100.0, 97.0)
    assert (found.take_profit_1, found.take_profit_2) == (103.0, 106.0)
    # Strength: 0.25 / 2 ATR = 0.125 of 0.25, so 0.5. Room: RSI 57.5 is in the middle of 45..70, so 0.5.
    assert found.confidence == pytest.approx(0.5 + 0.15 + 0.075 + 0.075)
    assert found.quality == pytest.approx(10 * (0.3 + 0.2 + 0.15))
    assert found.regime == "range"
    assert found.reasons == (
        "ema_9 100 crossed above ema_20 99.6",
        "ema_50 98 is above ema_200 97",
        "macd_hist 0.25 is above 0",
        "rsi_14 57.5 leaves room",
        "regime range: ADX 20.0, averages +0.80 ATR apart, ATR 1.00 times its average",
        "stop 1.5 x ATR 2",
    )


def test_the_market_upside_down_is_a_sell_of_the_same_worth() -> None:
    buy, sell = TREND_FOLLOWING.evaluate(view()), TREND_FOLLOWING.evaluate(view(mirrored(RISING), mirrored(BEFORE)))

    assert buy is not None
    assert sell is not None
    turned = {
        "action": "SELL",
        "stop_loss": 103.0,
        "take_profit_1": 97.0,
        "take_profit_2": 94.0,
        "reasons": sell.reasons,
    }
    assert sell == replace(buy, **turned)  # type: ignore[arg-type]  # a dict of several types
    assert sell.reasons[0] == "ema_9 100 crossed below ema_20 100.4"


def test_the_setup_fires_once_when_it_is_complete() -> None:
    assert TREND_FOLLOWING.evaluate(view(before=RISING)) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"ema_50": 96.0, "macd_hist": -0.1},  # nothing confirms
        {"rsi_14": 70.1},  # overbought
        {"rsi_14": 44.9},  # no momentum
        {"ema_9": 99.6},  # no cross
        {"atr_14": 0.0},  # the market stands still
    ],
)
def test_without_any_part_of_the_setup_there_is_no_signal(changed: dict[str, float]) -> None:
    assert TREND_FOLLOWING.evaluate(view(RISING | changed)) is None


def test_one_confirmation_of_two_is_worth_a_third() -> None:
    found = TREND_FOLLOWING.evaluate(view(RISING | {"ema_200": 99.0}))  # the long trend is down, the MACD up

    assert found is not None
    assert found.quality == pytest.approx(10 * (0.3 / 3 + 0.2 + 0.15))
    assert found.confidence == pytest.approx(0.5 + 0.05 + 0.075 + 0.075)


def test_in_a_trend_only_its_own_direction_is_traded() -> None:
    # EMA 20 is 2 ATR below EMA 50 (trend down with this ADX), while EMA 9 crosses EMA 20 upward.
    falling = {"ema_20": 99.6, "ema_50": 103.6, "adx_14": 30.0}

    assert TREND_FOLLOWING.evaluate(view(RISING | falling)) is None
    assert TREND_FOLLOWING.evaluate(view(RISING | falling | {"adx_14": 24.9})) is not None  # a drift, no trend


values = st.fixed_dictionaries(
    {name: st.floats(1, 1000) for name in ("ema_9", "ema_20", "ema_50", "ema_200")}
    | {"macd_hist": st.floats(-50, 50), "rsi_14": st.floats(0, 100), "atr_14": st.floats(0, 100)}
    | {"adx_14": st.floats(0, 100), "atr_14_sma_50": st.floats(0, 100)}
)


@given(values, values, st.floats(200, 1000))
def test_prices_are_on_the_right_sides_and_scores_in_their_ranges(
    now: dict[str, float], before: dict[str, float], close: float
) -> None:
    found = TREND_FOLLOWING.evaluate(view(now, before, close))
    if found is None:
        return
    rising = (found.stop_loss, found.entry, found.take_profit_1, found.take_profit_2)
    ordered = rising if found.action == "BUY" else rising[::-1]
    assert ordered == tuple(sorted(ordered))
    assert ordered[0] < ordered[-1]
    assert 0.5 <= found.confidence <= 0.95
    assert 0.0 <= found.quality <= 10.0
    assert all(reason.isascii() for reason in found.reasons)

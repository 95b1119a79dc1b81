"""The five other rules on values set by hand: what each number is worth is worked out beside it.

All have an ATR of 2 and the shipped file's parameters: a stop 1.5 ATR (3) away.
"""

from dataclasses import replace
from typing import NamedTuple

import pytest

from common.strategies import Candidate, View
from tests.common.made_strategies import QUIET, SHIPPED, mirrored

FLAT = {"ema_20": 100.0, "ema_50": 100.0, "atr_14": 2.0, "rsi_14": 60.0, "macd_hist": 0.2} | QUIET
TREND = FLAT | {"ema_20": 98.0, "ema_50": 96.0, "adx_14": 30.0}  # 1 ATR apart


class Case(NamedTuple):
    """A bar that completes a setup, and its worth."""

    strategy: str
    bar: tuple[float, float, float, float]
    now: dict[str, float]
    before: dict[str, float]
    parts: tuple[float, float, float]
    """Agreement, strength, room."""
    regime: str
    targets: tuple[float, float]


DI = {"plus_di_14": 30.0, "minus_di_14": 15.0}
BANDS = {"bollinger_middle": 98.5, "keltner_upper": 102.0, "keltner_lower": 95.0}
CASES = [
    # Momentum 7 is 3.5 ATR: 3.5 / 2.5 - 1 = 0.4. RSI 60: (75 - 60) / 25 = 0.6. ADX rose.
    Case(
        "momentum", (99.0, 100.0, 99.0, 100.0), FLAT | DI | {"momentum": 7.0},
        FLAT | DI | {"momentum": 4.9, "adx_14": 19.0}, (1.0, 0.4, 0.6), "range", (103.0, 106.0),
    ),
    # RSI from 24 to 31: (30 - 24) / 15 = 0.4. The middle is 3 above, 1.5 ATR: 1.5 / 1.2 - 1 = 0.25. An upward bar.
    Case(
        "mean_reversion", (99.5, 100.0, 99.0, 100.0), FLAT | {"rsi_14": 31.0, "bollinger_middle": 103.0},
        FLAT | {"rsi_14": 24.0, "bollinger_middle": 103.0}, (1.0, 0.4, 0.25), "range", (102.4, 104.5),
    ),
    # 1 above the channel: 0.5 ATR. Width 7 is 3.5 ATR of at most 5: 2 x (1 - 0.7) = 0.6. The MACD agrees.
    Case(
        "breakout", (99.0, 100.0, 99.0, 100.0), FLAT | {"donchian_upper": 100.0, "donchian_lower": 93.0},
        FLAT | {"donchian_upper": 99.0, "donchian_lower": 92.0}, (1.0, 0.5, 0.6), "range", (103.0, 107.5),
    ),
    # The upper band left the channel. 1.5 above the middle: 0.75 ATR of 2: 0.375. RSI as above: 0.6. The MACD shrank.
    Case(
        "volatility_squeeze", (99.0, 100.0, 99.0, 100.0),
        FLAT | BANDS | {"bollinger_upper": 102.1, "bollinger_lower": 95.1},
        FLAT | BANDS | {"bollinger_upper": 101.9, "bollinger_lower": 95.1, "macd_hist": 0.3},
        (1.0 / 3.0, 0.375, 0.6), "range", (103.0, 106.0),
    ),
    # EMA 20 and 50 are 1 ATR apart: half of two. The low is within 0.2 of EMA 20, the close 0.5 ATR above.
    Case(
        "pullback", (98.5, 99.5, 98.1, 99.0), TREND, TREND | {"macd_hist": 0.1}, (1.0, 0.5, 0.5), "trend_up",
        (102.0, 105.0),
    ),
]  # fmt: skip
IDS = [case.strategy for case in CASES]


def found(case: Case, **changed: float) -> Candidate | None:
    return SHIPPED[case.strategy].evaluate(View("5m", *case.bar, case.now | changed, case.before))


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_completed_setup_is_a_buy_of_this_worth(case: Case) -> None:
    buy = found(case)

    assert buy is not None
    close = case.bar[3]
    assert (buy.action, buy.entry, buy.stop_loss, buy.regime) == ("BUY", close, close - 3.0, case.regime)
    assert (buy.take_profit_1, buy.take_profit_2) == pytest.approx(case.targets)
    agreement, strength, room = case.parts
    assert buy.quality == pytest.approx(3.0 * agreement + 4.0 * strength + 3.0 * room)
    assert buy.confidence == pytest.approx(0.5 + 0.15 * (agreement + strength + room))
    assert all(reason.isascii() for reason in buy.reasons)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_the_market_upside_down_is_a_sell_of_the_same_worth(case: Case) -> None:
    buy = found(case)
    opened, high, low, close = (200.0 - price for price in case.bar)
    turned = View("5m", opened, low, high, close, mirrored(case.now), mirrored(case.before))
    sell = SHIPPED[case.strategy].evaluate(turned)

    assert buy is not None
    assert sell is not None
    prices = ("entry", "stop_loss", "take_profit_1", "take_profit_2")
    assert [getattr(sell, name) for name in prices] == pytest.approx([200.0 - getattr(buy, name) for name in prices])
    assert sell.action == "SELL"
    assert sell.quality == pytest.approx(buy.quality)
    assert sell.confidence == pytest.approx(buy.confidence)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_no_strategy_trades_in_high_volatility(case: Case) -> None:
    assert found(case, atr_14_sma_50=2.0 / 1.8 - 1e-9) is None  # ATR 2 is 1.8 times its average, or a little more
    assert found(case, atr_14_sma_50=2.0 / 1.8 + 1e-9) is not None


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_no_strategy_trades_where_the_market_stands_still(case: Case) -> None:
    assert found(case, atr_14=0.0) is None


@pytest.mark.parametrize(
    ("strategy", "changed"),
    [
        ("momentum", {"momentum": 4.9}),  # not far enough
        ("momentum", {"plus_di_14": 14.0}),  # no direction
        ("momentum", {"rsi_14": 75.1}),  # exhausted
        ("mean_reversion", {"rsi_14": 29.9}),  # still falling
        ("mean_reversion", {"bollinger_middle": 102.3}),  # the mean is too near
        ("mean_reversion", {"adx_14": 30.0, "ema_20": 104.0}),  # a trend
        ("volatility_squeeze", {"bollinger_upper": 101.9}),  # still squeezed
        ("volatility_squeeze", {"macd_hist": -0.1}),
        ("volatility_squeeze", {"bollinger_middle": 99.1}),  # no side picked
        ("pullback", {"ema_20": 97.8}),  # not touched (and 0.9 ATR apart: no trend)
        ("pullback", {"rsi_14": 65.1}),
        ("pullback", {"adx_14": 24.9}),  # a range
    ],
)
def test_without_any_part_of_the_setup_there_is_no_signal(strategy: str, changed: dict[str, float]) -> None:
    case = CASES[IDS.index(strategy)]

    assert found(case, **changed) is None


@pytest.mark.parametrize("channel", [{"donchian_upper": 99.6}, {"donchian_lower": 88.9}])
def test_no_breakout_by_a_hair_or_of_a_wide_channel(channel: dict[str, float]) -> None:
    case = CASES[IDS.index("breakout")]

    assert found(case._replace(before=case.before | channel)) is None


def test_a_momentum_that_was_there_before_is_no_news() -> None:
    case = CASES[IDS.index("momentum")]

    assert found(case._replace(before=case.now)) is None


def test_the_lookback_is_the_longest_of_what_is_needed() -> None:
    # EMA 200 looks back 199 bars; SMA 50 of ATR 14 looks back 14 + 49.
    assert SHIPPED["trend_following"].lookback_bars == 199
    assert {SHIPPED[name].lookback_bars for name in IDS} == {63}
    assert replace(SHIPPED["pullback"], name="x").atr == "atr_14"

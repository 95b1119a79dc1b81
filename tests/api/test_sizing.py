"""Sizes and expected shortfall: exact steps, never above the risk, never the minimum instead of nothing."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import Rejected
from common.sizing import Terms, es95, lots_for
from tests.support_examples import examples

INDEX = Terms.of(1.0, 0.1, 0.1, 100.0)
FX = Terms.of(100_000.0, 0.01, 0.01, 100.0)
GOLD = Terms.of(100.0, 0.01, 0.01, 50.0)


def at_risk(equity: float, share: float) -> Decimal:
    """Return what a trade may lose."""
    return Decimal(repr(equity)) * Decimal(repr(share))


@pytest.mark.parametrize(
    ("equity", "risk", "distance", "terms", "lots"),
    [
        # By hand: 1,000 x 1 % = 10 USD; a lot of the index loses 15 USD at the stop: 0.666 lots, in tenths 0.6.
        (1_000.0, 0.01, 15.0, INDEX, "0.6"),
        # 3 USD at risk, 10 a lot: exactly 0.3, which in binary arithmetic is 2.9999999999999996 steps of 0.1.
        (300.0, 0.01, 10.0, INDEX, "0.3"),
        # 10,000 x 0.5 % = 50 USD; 20 pips are 200 USD a lot: 0.25.
        (10_000.0, 0.005, 0.0020, FX, "0.25"),
        # 250 USD at risk; 4.30 USD an ounce, 430 USD a lot: 0.581, in hundredths 0.58.
        (25_000.0, 0.01, 4.30, GOLD, "0.58"),
        (1e9, 0.01, 15.0, INDEX, "100.0"),
        (1e308, 0.99, 1e-300, FX, "100.0"),
    ],
)
def test_the_size_is_the_largest_step_within_the_risk(
    equity: float, risk: float, distance: float, terms: Terms, lots: str
) -> None:
    assert lots_for(at_risk(equity, risk), distance, terms) == Decimal(lots)


@pytest.mark.parametrize(
    ("equity", "distance", "terms", "reason"),
    [
        (100.0, 15.0, INDEX, "size_below_minimum"),
        (5e-324, 15.0, INDEX, "size_below_minimum"),
        (1_000.0, 0.0, INDEX, "stop_distance"),
        (1_000.0, float("nan"), INDEX, "stop_distance"),
        (1_000.0, float("inf"), INDEX, "stop_distance"),
    ],
)
def test_no_size_is_better_than_a_wrong_one(equity: float, distance: float, terms: Terms, reason: str) -> None:
    with pytest.raises(Rejected) as refused:
        lots_for(at_risk(equity, 0.01), distance, terms)
    assert refused.value.reason == reason


@given(
    equity=st.floats(min_value=1e-3, max_value=1e12),
    risk=st.floats(min_value=1e-6, max_value=0.99),
    distance=st.floats(min_value=1e-9, max_value=1e6),
    terms=st.sampled_from([INDEX, FX, GOLD]),
)
@examples(300)
def test_every_size_is_a_step_within_the_limits_and_the_risk(
    equity: float, risk: float, distance: float, terms: Terms
) -> None:
    try:
        lots = lots_for(at_risk(equity, risk), distance, terms)
    except Rejected:
        return
    assert terms.lot_min <= lots <= terms.lot_max
    assert lots % terms.lot_step == 0
    loss = lots * terms.contract_size * Decimal(repr(distance))
    assert loss <= Decimal(repr(equity)) * Decimal(repr(risk)) * (1 + Decimal("1e-20"))


def test_expected_shortfall_is_the_loss_at_the_stop_and_the_tail_of_the_fill() -> None:
    # By hand: 0.1 lots x 15 points = 1.5; deviation of a minute 6 / 1.5958 = 3.760, of a second 0.4854;
    # 0.4854 x 2.0627 = 1.0012.
    assert es95(Decimal("0.1"), 15.0, 6.0, 60_000, INDEX) == pytest.approx(0.1 * (15 + 1.0012), rel=1e-4)
    assert es95(Decimal("0.1"), 15.0, 0.0, 60_000, INDEX) == pytest.approx(1.5)
    assert es95(Decimal("0.1"), 15.0, float("nan"), 60_000, INDEX) == pytest.approx(1.5)
    # A bar shorter than the delay is taken whole: 1 s, deviation 3.760, x 2.0627 = 7.755.
    assert es95(Decimal("0.1"), 15.0, 6.0, 1_000, INDEX) == pytest.approx(0.1 * (15 + 7.755), rel=1e-4)

"""How large an order may be, and what it may lose: pure arithmetic over decimals.

A lot step such as 0.1 is no binary fraction: steps are counted in Decimal, so that 0.3 is three steps and not two.
"""

import math
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from functools import lru_cache

from common.errors import Rejected

# Expected shortfall of a standard normal variable at 95 %: pdf(1.6449) / 0.05.
# Source: McNeil, Frey, Embrechts, Quantitative Risk Management (2015), chapter 2.
NORMAL_ES95 = 2.0627
# Mean range of a driftless Brownian motion in units of its standard deviation, sqrt(8 / pi).
# Source: Parkinson, The Extreme Value Method for Estimating the Variance of the Rate of Return (1980).
MEAN_RANGE = math.sqrt(8 / math.pi)
FILL_DELAY_MS = 1_000  # a stop is noticed and filled within about a second


@dataclass(frozen=True)
class Terms:
    """A broker's terms for one symbol, and what its quote currency is worth.

    `contract_size`: units of the quote currency that one lot earns when the price moves by 1.
    `rate`: units of the account's currency for one of the quote currency.
    """

    contract_size: Decimal
    lot_min: Decimal
    lot_step: Decimal
    lot_max: Decimal
    rate: Decimal = Decimal(1)

    @classmethod
    def of(
        cls, contract_size: float, lot_min: float, lot_step: float, lot_max: float, rate: Decimal = Decimal(1)
    ) -> "Terms":
        """Return the terms with every number as it is written (0.1 is a tenth)."""
        return cls(exact(contract_size), exact(lot_min), exact(lot_step), exact(lot_max), rate)

    @property
    def point_value(self) -> Decimal:
        """What one lot earns in account currency when the price moves by 1."""
        return self.contract_size * self.rate


@dataclass(frozen=True)
class Margin:
    """What one lot binds, and what may be bound, in account currency."""

    per_lot: Decimal
    allowed: Decimal


@lru_cache(maxsize=4_096)
def exact(number: float) -> Decimal:
    """Return the decimal that the shortest spelling of a float names."""
    return Decimal(repr(number))


def lots_for(risk: Decimal, stop_distance: float, terms: Terms, margin: Margin | None = None) -> Decimal:
    """Return the largest multiple of the lot step that loses at most `risk` (account currency) at the stop.

    Never above `lot_max`, nor above what the margin allows (None: it is not looked at). Rejected("size_below_minimum")
    if the risk allows less than `lot_min`, "margin" if only the margin does, "stop_distance" if the stop is not away
    from entry.
    """
    if not (math.isfinite(stop_distance) and stop_distance > 0):
        raise Rejected("stop_distance", f"expected a stop away from the entry, found a distance of {stop_distance}")
    with localcontext(rounding=ROUND_CEILING):
        loss_per_lot = exact(stop_distance) * terms.point_value
    # The division rounds down: a rounding up may end on the next step, and beyond the risk.
    with localcontext(rounding=ROUND_FLOOR):
        affordable = min(risk / loss_per_lot, terms.lot_max)
        lots = _floored(affordable, terms)
        if lots < terms.lot_min:
            found = f"{affordable:.6f} lots for this equity, the minimum is {terms.lot_min}"
            raise Rejected("size_below_minimum", found)
        return lots if margin is None else _within(margin, lots, terms)


def _within(margin: Margin, lots: Decimal, terms: Terms) -> Decimal:
    if lots * margin.per_lot <= margin.allowed:
        return lots
    possible = _floored(max(margin.allowed, Decimal(0)) / margin.per_lot, terms)
    if possible < terms.lot_min:
        needed = terms.lot_min * margin.per_lot
        raise Rejected(
            "margin", f"the minimum of {terms.lot_min} lots needs {needed:.2f}, {margin.allowed:.2f} is allowed"
        )
    return possible


def _floored(lots: Decimal, terms: Terms) -> Decimal:
    return (lots // terms.lot_step) * terms.lot_step


def es95(lots: Decimal, stop_distance: float, atr: float, timeframe_ms: int, terms: Terms) -> float:
    """Return the estimated mean loss in the worst 5 % of such trades, in account currency, for these lots.

    The worst trades are those that end at the stop; they lose the distance to it, and what the price runs on until
    the fill: the expected shortfall of a normal move over FILL_DELAY_MS, whose deviation follows from the ATR of one
    bar (mean range / 1.596) by the square root of time. An ATR that is not known as a positive number adds nothing.
    """
    deviation = atr / MEAN_RANGE * math.sqrt(min(1.0, FILL_DELAY_MS / timeframe_ms)) if atr > 0 else 0.0
    return float(lots * terms.point_value) * (stop_distance + NORMAL_ES95 * deviation)

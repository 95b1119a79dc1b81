"""How large an order may be, and what it may lose: pure arithmetic over decimals.

A lot step such as 0.1 is no binary fraction: steps are counted in Decimal, so that 0.3 is three steps and not two.
"""

import math
from dataclasses import dataclass
from decimal import Decimal

from common.errors import Rejected

ACCOUNT_CURRENCY = "USD"

# Expected shortfall of a standard normal variable at 95 %: pdf(1.6449) / 0.05.
# Source: McNeil, Frey, Embrechts, Quantitative Risk Management (2015), chapter 2.
NORMAL_ES95 = 2.0627
# Mean range of a driftless Brownian motion in units of its standard deviation, sqrt(8 / pi).
# Source: Parkinson, The Extreme Value Method for Estimating the Variance of the Rate of Return (1980).
MEAN_RANGE = math.sqrt(8 / math.pi)
FILL_DELAY_MS = 1_000  # a stop is noticed and filled within about a second


@dataclass(frozen=True)
class Terms:
    """A broker's terms for one symbol. `contract_size`: units of the quote currency that one lot earns a point."""

    contract_size: Decimal
    lot_min: Decimal
    lot_step: Decimal
    lot_max: Decimal
    quote_currency: str

    @classmethod
    def of(cls, contract_size: float, lot_min: float, lot_step: float, lot_max: float, quote_currency: str) -> "Terms":
        """Return the terms with every number as it is written (0.1 is a tenth)."""
        return cls(exact(contract_size), exact(lot_min), exact(lot_step), exact(lot_max), quote_currency)


def exact(number: float) -> Decimal:
    """Return the decimal that the shortest spelling of a float names."""
    return Decimal(repr(number))


def lots_for(equity: float, risk_share: float, stop_distance: float, terms: Terms) -> Decimal:
    """Return the largest multiple of the lot step that loses at most `risk_share` of the equity at the stop.

    Never above `lot_max`. Rejected("size_below_minimum") if it would be below `lot_min`, "currency" if the symbol is
    not quoted in the account's currency (there is no conversion), "stop_distance" if the stop is not away from entry.
    """
    if terms.quote_currency != ACCOUNT_CURRENCY:
        raise Rejected("currency", f"quoted in {terms.quote_currency}, no conversion to {ACCOUNT_CURRENCY}")
    if not (math.isfinite(stop_distance) and stop_distance > 0):
        raise Rejected("stop_distance", f"expected a stop away from the entry, found a distance of {stop_distance}")
    loss_per_lot = exact(stop_distance) * terms.contract_size
    affordable = min(exact(risk_share) * exact(equity) / loss_per_lot, terms.lot_max)
    lots = (affordable // terms.lot_step) * terms.lot_step
    if lots < terms.lot_min:
        raise Rejected("size_below_minimum", f"{affordable:.6f} lots for this equity, the minimum is {terms.lot_min}")
    return lots


def es95(lots: Decimal, stop_distance: float, atr: float, timeframe_ms: int, terms: Terms) -> float:
    """Return the estimated mean loss in the worst 5 % of such trades, in account currency, for these lots.

    The worst trades are those that end at the stop; they lose the distance to it, and what the price runs on until
    the fill: the expected shortfall of a normal move over FILL_DELAY_MS, whose deviation follows from the ATR of one
    bar (mean range / 1.596) by the square root of time. An ATR that is not known as a positive number adds nothing.
    """
    deviation = atr / MEAN_RANGE * math.sqrt(min(1.0, FILL_DELAY_MS / timeframe_ms)) if atr > 0 else 0.0
    return float(lots * terms.contract_size) * (stop_distance + NORMAL_ES95 * deviation)

"""A broker's own terms for a symbol, as a terminal reports them: pure checks, and what holds beside the table."""

import math
from collections.abc import Mapping

from msgspec import Struct

from common.errors import Rejected
from common.symbols.table import Symbol

POSITIVE = ("contract_size", "lot_min", "lot_step", "lot_max", "tick_size")
LEAST, LARGEST = 1e-9, 1e12  # beyond these somebody's formatting is broken
LARGEST_DIGITS = 10


class BrokerTerms(Struct, frozen=True):
    """The terms of one symbol. `tick_value` and `margin_per_lot` are in the account's currency; None: not reported."""

    symbol: str
    """As the broker writes it."""
    contract_size: float
    lot_min: float
    lot_step: float
    lot_max: float
    tick_size: float
    digits: int
    quote_currency: str
    """In which the symbol's profit is (SYMBOL_CURRENCY_PROFIT)."""
    tick_value: float | None = None
    margin_per_lot: float | None = None


def terms_of(fields: Mapping[str, object]) -> BrokerTerms:
    """Return the checked terms of one symbol. Rejected("terms") names the field that is wrong."""
    numbers = {name: _positive(fields, name) for name in POSITIVE}
    if numbers["lot_min"] > numbers["lot_max"] or numbers["lot_step"] > numbers["lot_max"]:
        found = f"{numbers['lot_min']}, {numbers['lot_step']}, {numbers['lot_max']}"
        raise Rejected("terms", f"lot_max is wrong: expected at least lot_min and lot_step, found {found}")
    digits = fields.get("digits")
    if not isinstance(digits, int) or isinstance(digits, bool) or not 0 <= digits <= LARGEST_DIGITS:
        raise Rejected("terms", f"digits is wrong: expected a whole number from 0 to {LARGEST_DIGITS}, found {digits}")
    currency = fields.get("quote_currency")
    if not (isinstance(currency, str) and len(currency) == 3 and currency.isascii() and currency.isupper()):
        raise Rejected("terms", f"quote_currency is wrong: expected three capital letters, found {currency}")
    return BrokerTerms(
        str(fields.get("symbol")), **numbers, digits=digits, quote_currency=currency,
        tick_value=_optional(fields, "tick_value"), margin_per_lot=_optional(fields, "margin_per_lot"),
    )  # fmt: skip


def held_terms(symbol: Symbol, posted: BrokerTerms | None) -> Symbol:
    """Return the symbol with the terms that hold: the posted ones where there are any, else the table's."""
    if posted is None:
        return symbol
    names = (*POSITIVE, "digits", "quote_currency", "tick_value", "margin_per_lot")
    return symbol.model_copy(update={name: getattr(posted, name) for name in names})


def _optional(fields: Mapping[str, object], name: str) -> float | None:
    """Return a number that may be missing; a terminal that can't tell writes 0."""
    return None if fields.get(name) in (None, 0, 0.0) else _positive(fields, name)


def _positive(fields: Mapping[str, object], name: str) -> float:
    value = fields.get(name)
    if (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and LEAST <= value <= LARGEST
    ):
        return float(value)
    raise Rejected("terms", f"{name} is wrong: expected a number above 0, from {LEAST} to {LARGEST}, found {value}")

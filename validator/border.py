"""The border: what a vendor said becomes clean numbers, or is rejected with a slug."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from common.errors import Rejected
from common.messages import RawBar, RawQuote
from validator.state import Observation

# Far outside anything that is quoted, and far inside float64: sums, quotients and logarithms stay finite.
Price = Annotated[float, Field(ge=1e-9, le=1e12)]
Volume = Annotated[float, Field(ge=0, le=1e18)]
# From 2000 to 2100: seconds or microseconds taken for milliseconds are outside.
Time = Annotated[int, Field(ge=946_684_800_000, le=4_102_444_800_000)]


class _Border(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False, from_attributes=True, frozen=True, extra="ignore")


class _QuoteBorder(_Border):
    market_ms: Time | None
    last: Price | None
    bid: Price | None
    ask: Price | None
    day_volume: Volume | None


class CleanBar(_Border):
    """A vendor's bar with finite positive prices."""

    open_ms: Time
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Volume | None


def clean_quote(raw: RawQuote, received_ms: int) -> Observation:
    """Return the quote's numbers.

    Rejected: not_a_number, not_positive, out_of_range, bad_time, bad_volume, no_price.
    """
    try:
        clean = _QuoteBorder.model_validate(raw)
    except ValidationError as e:
        raise _rejected(e.errors()[0]) from e
    price = clean.last
    if price is None:
        if clean.bid is None or clean.ask is None:
            raise Rejected("no_price", "expected last, or bid and ask; found neither")
        price = (clean.bid + clean.ask) / 2
    market_ms = clean.market_ms
    return Observation(
        received_ms if market_ms is None else market_ms, received_ms, price,
        clean.last, clean.bid, clean.ask, clean.day_volume, raw.tick, market_ms is not None,
    )  # fmt: skip


def clean_bar(raw: RawBar) -> CleanBar:
    """Return the bar's numbers. Rejected: not_a_number, not_positive, out_of_range, bad_time, bad_volume."""
    try:
        return CleanBar.model_validate(raw)
    except ValidationError as e:
        raise _rejected(e.errors()[0]) from e


def _rejected(error: ErrorDetails) -> Rejected:
    field, found = str(error["loc"][0]), error["input"]
    expected = error["msg"].replace("Input should be", "expected", 1)
    return Rejected(_reason(field, error["type"], found), f"{field}: {expected}; found {found!r:.60}")


def _reason(field: str, kind: str, found: object) -> str:
    if field in ("market_ms", "open_ms"):
        return "bad_time"
    if kind not in ("greater_than_equal", "less_than_equal"):
        return "not_a_number"
    if field in ("volume", "day_volume"):
        return "bad_volume"
    return "not_positive" if isinstance(found, int | float) and found <= 0 else "out_of_range"

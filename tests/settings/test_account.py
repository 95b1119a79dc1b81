"""What each variable of the account does to the advice."""

import pytest

from tests.settings.proof import Given, proves
from tests.settings.serving import api_over


@proves("ACCOUNT_CURRENCY")
@pytest.mark.parametrize(
    ("currency", "lots"),
    [
        # 1 % of 10,000 is 100 USD; the stop is 39 points away: 2.56 lots of a dollar a point.
        ("USD", 2.5),
        # 100 EUR are 108.765 USD: 2.79 lots.
        ("EUR", 2.7),
    ],
)
async def test_equity_is_taken_to_be_in_this_currency(given: Given, currency: str, lots: float) -> None:
    settings = given(ACCOUNT_CURRENCY=currency, SYMBOLS="US30,EURUSD", DEFAULT_EQUITY=10_000, LIMITS="none")
    async with api_over(settings) as (client, world):
        world.alive("US30", "EURUSD")
        world.signal("US30")
        reply = (await client.get("/api/signals")).json()
    assert (reply["currency"], reply["signals"][0]["lots"]) == (currency, lots)


@proves("ACCOUNT_LEVERAGE", "MARGIN_LIMIT")
@pytest.mark.parametrize(
    ("leverage", "limit", "lots"),
    [
        # A lot is worth 39,000 USD and binds 3,900 at a leverage of 10. Half of 10,000 is enough for 1.28 lots.
        (10, 0.5, 1.2),
        # All of it for 2.56: as much as the risk allows.
        (10, 1.0, 2.5),
        # 1,950 a lot, and a tenth of 10,000: 0.51.
        (20, 0.1, 0.5),
    ],
)
async def test_a_size_binds_no_more_margin_than_this(given: Given, leverage: int, limit: float, lots: float) -> None:
    settings = given(
        ACCOUNT_LEVERAGE=leverage, MARGIN_LIMIT=limit, SYMBOLS="US30", DEFAULT_EQUITY=10_000, LIMITS="none"
    )
    async with api_over(settings) as (client, world):
        world.alive("US30")
        world.signal("US30")
        reply = (await client.get("/api/signals")).json()
    assert reply["signals"][0]["lots"] == lots

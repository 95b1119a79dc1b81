"""What each variable of the account does to the advice."""

import pytest

from tests.api.test_posts import CLOSE, FILL
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


@proves("ACCOUNT_RULES", "ACCOUNT_START_BALANCE")
@pytest.mark.parametrize(
    ("rules", "start", "found"),
    [
        ("none", 0, 2.5),
        # 9,500 is the daily limit of 5 %.
        ("ftmo_2step", 10_000, "daily_loss"),
        # Of 9,900 it is 9,405. 95 are left, half of it is 47.50: 1.21 lots of 39 USD.
        ("ftmo_2step", 9_900, 1.2),
    ],
)
async def test_the_rules_of_the_account_hold(given: Given, rules: str, start: int, found: float | str) -> None:
    settings = given(ACCOUNT_RULES=rules, ACCOUNT_START_BALANCE=start, SYMBOLS="US30", LIMITS="none")
    async with api_over(settings) as (client, world):
        world.alive("US30")
        world.signal("US30")
        reply = (
            await client.get("/api/signals?equity=9500" if rules != "none" else "/api/signals?equity=10000")
        ).json()
    assert [s["lots"] for s in reply["signals"]] + [w["reason"] for w in reply["withheld"]] == [found]


@proves("ACCOUNT_ID")
@pytest.mark.parametrize(("second", "found"), [("one", ["daily_loss"]), ("two", [])])
async def test_another_account_leaves_a_reached_limit_behind(given: Given, second: str, found: list[str]) -> None:
    rules = {"ACCOUNT_RULES": "ftmo_2step", "ACCOUNT_START_BALANCE": 10_000, "SYMBOLS": "US30", "LIMITS": "none"}
    async with api_over(given(ACCOUNT_ID="one", **rules)) as (client, world):
        world.alive("US30")
        for _ in range(2):
            await client.get("/api/signals?equity=9000")
    async with api_over(given(ACCOUNT_ID=second, **rules)) as (client, world):
        world.signal("US30")
        reply = (await client.get("/api/signals?equity=10000")).json()
    assert [w["reason"] for w in reply["withheld"]] == found


@proves("LOSS_COOLDOWN")
@pytest.mark.parametrize(("cooldown_s", "found"), [("0", []), ("1", []), ("3", ["cooldown"])])
async def test_a_symbol_rests_so_long_after_a_loss(given: Given, cooldown_s: str, found: list[str]) -> None:
    async with api_over(given(LOSS_COOLDOWN=cooldown_s, SYMBOLS="NAS100", LIMITS="none")) as (client, world):
        world.alive("NAS100")
        await client.post("/api/executions", content=FILL.replace("momentum_v3", "other"))
        await client.post("/api/executions/close", content=CLOSE.replace("2.5", "-2.5"))
        world.wall.ms += 2_000
        world.signal("NAS100")
        reply = (await client.get("/api/signals?equity=100000")).json()
    assert [w["reason"] for w in reply["withheld"]] == found

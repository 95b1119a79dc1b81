"""Sizes for an account in another currency than the symbol's: by live rates, or not at all; and the margin."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.account.rates import Pair, rate
from common.errors import Rejected
from common.sizing import Margin, Terms, lots_for
from common.symbols import table as symbol_table
from tests.api.test_posts import FILL
from tests.api.world import World, serving, settings_for
from tests.support_examples import examples

JPY_PAIR = """
[symbol.{name}]
title = "{name}"
broker = "{name}"
series = "fx_spot"
quote_currency = "JPY"
base_currency = "{base}"
tick_size = 0.001
digits = 3
contract_size = 100000.0
lot_min = 0.01
lot_step = 0.01
lot_max = 100.0
sources = [{{ vendor = "yahoo", symbol = "{name}=X", class = "fx_spot", volume = "none", delay_s = 0 }}]
"""


def priced(name: str, base: str, quote: str, price: str) -> Pair:
    """Return a pair with a fresh price."""
    return Pair(name, base, quote, lambda: Decimal(price))


def stale(name: str, base: str, quote: str) -> Pair:
    """Return a pair whose price can't be trusted."""

    def refuse() -> Decimal:
        raise Rejected("data_stale", "nothing for 31000 ms")

    return Pair(name, base, quote, refuse)


EURUSD = priced("EURUSD", "EUR", "USD", "1.25")
USDJPY = priced("USDJPY", "USD", "JPY", "160")


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("USD", "USD", "1"),
        ("EUR", "USD", "1.25"),  # as quoted
        ("USD", "EUR", "0.8"),  # 1 / 1.25
        ("JPY", "USD", "0.00625"),  # 1 / 160
        ("JPY", "EUR", "0.005"),  # by way of the dollar: 1 / 160 / 1.25
        ("EUR", "JPY", "200"),  # 1.25 x 160
    ],
)
def test_a_rate_is_direct_inverse_or_by_way_of_the_dollar(source: str, target: str, expected: str) -> None:
    assert rate(source, target, [EURUSD, USDJPY]) == Decimal(expected)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([], "no rate from JPY to USD: no symbol in SYMBOLS is that pair"),
        ([USDJPY], "no rate from USD to EUR: no symbol in SYMBOLS is that pair"),
        ([USDJPY, stale("EURUSD", "EUR", "USD")],
         "no fresh rate from USD to EUR: EURUSD: data_stale, nothing for 31000 ms"),
    ],
)  # fmt: skip
def test_a_rate_that_is_missing_or_stale_is_named(pairs: list[Pair], expected: str) -> None:
    with pytest.raises(Rejected) as refused:
        rate("JPY", "EUR", pairs)
    assert (refused.value.reason, refused.value.detail) == ("currency", expected)


def test_a_second_pair_stands_in_for_a_stale_one() -> None:
    assert rate("EUR", "USD", [stale("A", "EUR", "USD"), priced("B", "EUR", "USD", "1.2")]) == Decimal("1.2")


FX, GOLD = (100_000.0, 0.01, 0.01, 100.0), (100.0, 0.01, 0.01, 50.0)


@pytest.mark.parametrize(
    ("risk", "distance", "contract", "worth", "lots"),
    [
        # babypips.com, "Position sizing": USD 5,000, 1 %, 200 pips of EURUSD: 2,500 units.
        ("50", 0.0200, FX, "1", "0.02"),
        # The same lesson in euros at 1.5000: EUR 50 = USD 75, 3,750 units.
        ("50", 0.0200, FX, str(Decimal(2) / 3), "0.03"),
        # Ten times that: 0.375 lots.
        ("500", 0.0200, FX, str(Decimal(2) / 3), "0.37"),
        # tier1fx.com, contract specifications: a pip of a lot of USDJPY is 1000 / USDJPY dollars. At 125.00 that is 8;
        # 20 pips are 160 dollars a lot, for 100 dollars 0.625 lots.
        ("100", 0.20, FX, str(1 / Decimal(125)), "0.62"),
        # help.e8markets.com, contract sizes: 5 lots of gold earn 1,200 dollars from 2324.00 to 2326.40.
        ("1200", 2.40, GOLD, "1", "5.00"),
        # The same page: a lot of US30 is 5 dollars a point there; 100 points, 1,000 dollars: 2 lots.
        ("1000", 100.0, (5.0, 0.1, 0.1, 100.0), "1", "2.0"),
        # usgfx.co.uk, contract details: UK_100e is 10 pounds a point. At 1.25 dollars each 20 points are 250 dollars.
        ("1000", 20.0, (10.0, 0.01, 0.01, 100.0), "1.25", "4.00"),
        # The same: JP225e is 500 yen a point; at 160 yen a dollar 80 points are 250 dollars.
        ("500", 80.0, (500.0, 0.01, 0.01, 100.0), "0.00625", "2.00"),
        # The built-in table's index: 1 dollar a point. 15 points: 10 / 15 = 0.66.
        ("10", 15.0, (1.0, 0.1, 0.1, 100.0), "1", "0.6"),
    ],
)
def test_sizes_equal_published_examples(
    risk: str, distance: float, contract: tuple[float, float, float, float], worth: str, lots: str
) -> None:
    assert lots_for(Decimal(risk), distance, Terms.of(*contract, Decimal(worth))) == Decimal(lots)


@pytest.mark.parametrize(
    ("name", "distance", "lots"),
    [
        # 1,000 USD at risk. help.e8markets.com: a dollar on a lot of gold is 100 dollars: 4.00 are 400, 2.5 lots.
        ("XAUUSD", 4.00, "2.50"),
        # tier1fx.com: a pip of a lot is 10 dollars on EURUSD and GBPUSD; 30 pips are 300, 3.333 lots.
        ("EURUSD", 0.0030, "3.33"),
        ("GBPUSD", 0.0030, "3.33"),
        # The table's own word, "a lot of an index is 1 unit of currency a point": 70 points, 14.28 lots, so 14.2.
        ("NAS100", 70.0, "14.2"),
        ("US30", 70.0, "14.2"),
        ("US500", 70.0, "14.2"),
    ],
)
def test_every_symbol_of_the_built_in_table_is_sized_right(name: str, distance: float, lots: str) -> None:
    symbol = symbol_table.load_symbols((name,)).symbols[name]
    terms = Terms.of(symbol.contract_size, symbol.lot_min, symbol.lot_step, symbol.lot_max)
    assert lots_for(Decimal(1_000), distance, terms) == Decimal(lots)


def test_margin_reduces_a_size_and_below_the_minimum_there_is_none() -> None:
    # foreign-ib.blogspot.com, metals: a lot of gold at 1585 binds 100 x 1585 / 100 = 1,585 dollars at 1 %.
    terms, per_lot = Terms.of(*GOLD), Decimal(1585)
    assert lots_for(Decimal(10_000), 10.0, terms, Margin(per_lot, Decimal(15_850))) == Decimal("10.00")
    assert lots_for(Decimal(10_000), 10.0, terms, Margin(per_lot, Decimal(15_849))) == Decimal("9.99")
    assert lots_for(Decimal(10_000), 10.0, terms, Margin(per_lot, Decimal("15.85"))) == Decimal("0.01")
    for allowed in ("15.84", "0", "-100"):
        with pytest.raises(Rejected) as refused:
            lots_for(Decimal(10_000), 10.0, terms, Margin(per_lot, Decimal(allowed)))
        assert refused.value.reason == "margin"


@given(
    risk=st.decimals("0.01", "1e9", places=2),
    distance=st.floats(min_value=1e-6, max_value=1e5),
    contract=st.sampled_from([FX, GOLD, (1.0, 0.1, 0.1, 100.0), (500.0, 0.01, 0.01, 10.0)]),
    price=st.decimals("0.001", "1000", places=5),
    allowed=st.decimals("-100", "1e7", places=2),
    per_lot=st.decimals("0.01", "1e6", places=2),
)
@examples(200)
def test_no_size_is_above_risk_or_margin_or_off_its_step(
    risk: Decimal, distance: float, contract: tuple[float, float, float, float], price: Decimal, allowed: Decimal,
    per_lot: Decimal,
) -> None:  # fmt: skip
    terms = Terms.of(*contract, rate("JPY", "USD", [Pair("USDJPY", "USD", "JPY", lambda: price)]))
    try:
        lots = lots_for(risk, distance, terms, Margin(per_lot, allowed))
    except Rejected as e:
        assert e.reason in ("margin", "size_below_minimum")  # noqa: PT017  # both are right answers
        return
    assert terms.lot_min <= lots <= terms.lot_max
    assert lots % terms.lot_step == 0
    assert lots * per_lot <= allowed
    # In yen, without any division: lots x contract x distance is at most risk x price.
    assert lots * terms.contract_size * Decimal(repr(distance)) <= risk * price


@asynccontextmanager
async def account(world: World, folder: Path, **changes: object) -> AsyncIterator[httpx.AsyncClient]:
    """The api for another account over the same Redis."""
    own = World(world.redis, settings_for(world.settings.redis_port, folder, **changes), world.wall)
    async with serving(own) as (client, _):
        yield client


def withheld(reply: httpx.Response, name: str) -> tuple[str, str]:
    return next((w["reason"], w["detail"]) for w in reply.json()["withheld"] if w["instrument"] == name)


async def test_an_account_in_euros_trades_the_dow_by_the_live_rate(world: World, tmp_path: Path) -> None:
    world.alive("US30", "EURUSD")
    world.signal("US30")
    async with account(world, tmp_path, account_currency="EUR") as client:
        reply = (await client.get("/api/signals?equity=10000")).json()
    # By hand: EUR 100 at risk; 39 points are USD 39 a lot, at 1.08765 dollars EUR 35.857: 2.788 lots, in tenths 2.7.
    assert (reply["currency"], reply["signals"][0]["lots"]) == ("EUR", 2.7)
    # 2.7 lots lose EUR 96.81 at the stop; ATR 39: a second's deviation 39 / 1.5958 / sqrt(60) = 3.155, x 2.0627 =
    # 6.508 points, EUR 16.15.
    assert reply["signals"][0]["es95"] == pytest.approx(96.81 + 16.15, abs=0.02)


@pytest.mark.parametrize(
    ("rate_is", "detail"),
    [
        ("stale", "no fresh rate from USD to EUR: EURUSD: data_stale"),
        ("late", "no fresh rate from USD to EUR: EURUSD: delayed_class"),
        ("withheld", "no fresh rate from USD to EUR: EURUSD: no_source"),
        ("doubted", "no fresh rate from USD to EUR: EURUSD: data_suspect"),
        ("unknown", "no fresh rate from USD to EUR: EURUSD: no_data"),
        ("missing", "no rate from USD to EUR: no symbol in SYMBOLS is that pair"),
    ],
)
async def test_without_a_fresh_rate_there_is_no_signal(world: World, tmp_path: Path, rate_is: str, detail: str) -> None:
    world.alive("US30")
    world.signal("US30")
    symbols: tuple[str, ...] = ("US30", "EURUSD")
    if rate_is == "stale":
        world.lane("EURUSD", age_ms=31_000)
    elif rate_is == "late":
        world.lane("EURUSD", delay_ms=600_000)
    elif rate_is == "withheld":
        world.alive("EURUSD")
        world.status("EURUSD", "withheld", "no source")
    elif rate_is == "doubted":
        world.alive("EURUSD")
        world.score("EURUSD", 0.65)
    elif rate_is == "missing":
        symbols = ("US30",)
    async with account(world, tmp_path, account_currency="EUR", symbols=symbols) as client:
        reason, found = withheld(await client.get("/api/signals?equity=10000"), "US30")
    assert (reason, found[: len(detail)]) == ("currency", detail)


async def test_a_pair_quoted_in_yen_is_sized_by_its_own_live_price(world: World, tmp_path: Path) -> None:
    file = tmp_path / "symbols.toml"
    file.write_text(symbol_table.BUILTIN.read_text() + JPY_PAIR.format(name="USDJPY", base="USD"))
    world.alive("USDJPY")
    world.signal("USDJPY", entry=100.0, stop_loss=99.8, take_profit_1=100.4, take_profit_2=100.6)
    async with account(world, tmp_path, symbols=("USDJPY",), symbols_file=file) as client:
        reply = (await client.get("/api/signals?equity=10000")).json()
    # By hand: USD 100 at risk; 20 pips of a lot are JPY 20,000, at 100.00 USD 200: half a lot.
    assert reply["signals"][0]["lots"] == 0.5


async def test_what_open_positions_bind_is_not_there_for_another(world: World, tmp_path: Path) -> None:
    world.alive("NAS100", "US30")
    world.signal("US30")
    fill = FILL.replace('"lots":0.10', '"lots":8')
    async with account(world, tmp_path, account_leverage=20, margin_limit=1.0) as client:
        assert (await client.post("/api/executions", content=fill)).status_code == 200
        # By hand: 8 x 15,005 / 20 = 6,002 bound. 10,000 leaves 3,998; a lot of US30 binds 1,950: 2.05 lots, so 2.0.
        reply = (await client.get("/api/signals?equity=10000")).json()
        assert reply["signals"][0]["lots"] == 2.0
        # 6,190 leaves 188: less than the 195 of a tenth of a lot.
        reason, _ = withheld(await client.get("/api/signals?equity=6190"), "US30")
    assert reason == "margin"

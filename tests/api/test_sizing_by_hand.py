"""Every symbol's lots against arithmetic done by hand, for accounts in dollars, euros and yen, through the whole api.

What a lot is, by these sources:

- gold, 100 troy ounces: CME Group, Gold Futures Contract Specs (contract unit 100 troy ounces; kgieworld.sg/futures/
  cme-comex-gold-contractspecs), and for spot help.fxtrading.com, CFD contract specifications for precious metals, whose
  example is the one below: from 1,800 to 1,805 a lot earns 500 dollars.
- currencies, 100,000 of the base currency: howtradeforex.blogspot.com (2009/06, account minimums and trade size). In
  yen: a hundredth on 100,000 dollars is 1,000 yen, tier1fx.com, contract specifications.
- indices, 1 of the index: XM's table (hercules.finance, pip and lot value of indices): US100, US30, US500, a lot is 1
  index, 0.1 points 0.1 dollars. So does hwfx.eu/trading-products/futures ("1 Index value").
- indices, 10 of the index: metfx.com, indices spot contract specifications (NDXUSD, contract size 10).
"""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import httpx
import pytest

from common.features import FormingSet
from common.symbols.table import BUILTIN
from tests.api.test_account_currency import JPY_PAIR, account
from tests.api.world import SYMBOLS, World

# Round prices, so that the hand can follow: a euro is 1.25 dollars, a dollar 160 yen.
MARKET = {
    "XAUUSD": 2_000.0, "EURUSD": 1.25, "GBPUSD": 1.6, "NAS100": 20_000.0, "US30": 40_000.0, "US500": 5_000.0,
    "USDJPY": 160.0,
}  # fmt: skip
ACCOUNTS = {"USD": 10_000, "EUR": 10_000, "JPY": 1_000_000}
STEP = {"NAS100": "0.1", "US30": "0.1", "US500": "0.1"}  # 0.01 for the others

# Risk / what a lot loses at the stop, both in account currency: 1 % of the equity over distance x contract x rate.
BY_HAND = [
    # Gold, stop 5.00 away: 100 ounces lose 500 dollars, 400 euros, 80,000 yen.
    ("XAUUSD", 5.00, "USD", "100 / (5 * 100)", "0.20"),
    ("XAUUSD", 5.00, "EUR", "100 / (5 * 100 / 1.25)", "0.25"),
    ("XAUUSD", 5.00, "JPY", "10000 / (5 * 100 * 160)", "0.12"),  # 0.125
    # EURUSD, 32 pips: 320 dollars, 256 euros, 51,200 yen.
    ("EURUSD", 0.0032, "USD", "100 / (0.0032 * 100000)", "0.31"),  # 0.3125
    ("EURUSD", 0.0032, "EUR", "100 / (0.0032 * 100000 / 1.25)", "0.39"),  # 0.390625
    ("EURUSD", 0.0032, "JPY", "10000 / (0.0032 * 100000 * 160)", "0.19"),  # 0.1953
    # GBPUSD, 25 pips: 250 dollars, 200 euros, 40,000 yen. All exactly on a step, which is not to be lost.
    ("GBPUSD", 0.0025, "USD", "100 / (0.0025 * 100000)", "0.40"),
    ("GBPUSD", 0.0025, "EUR", "100 / (0.0025 * 100000 / 1.25)", "0.50"),
    ("GBPUSD", 0.0025, "JPY", "10000 / (0.0025 * 100000 * 160)", "0.25"),
    # Nasdaq-100, 50 points of 1 dollar: 50 dollars, 40 euros, 8,000 yen.
    ("NAS100", 50.0, "USD", "100 / (50 * 1)", "2.0"),
    ("NAS100", 50.0, "EUR", "100 / (50 * 1 / 1.25)", "2.5"),
    ("NAS100", 50.0, "JPY", "10000 / (50 * 1 * 160)", "1.2"),  # 1.25
    # Dow, 80 points: 80 dollars, 64 euros, 12,800 yen.
    ("US30", 80.0, "USD", "100 / (80 * 1)", "1.2"),  # 1.25
    ("US30", 80.0, "EUR", "100 / (80 * 1 / 1.25)", "1.5"),  # 1.5625
    ("US30", 80.0, "JPY", "10000 / (80 * 1 * 160)", "0.7"),  # 0.78
    # S&P 500, 8 points: 8 dollars, 6.40 euros, 1,280 yen.
    ("US500", 8.0, "USD", "100 / (8 * 1)", "12.5"),
    ("US500", 8.0, "EUR", "100 / (8 * 1 / 1.25)", "15.6"),  # 15.625
    ("US500", 8.0, "JPY", "10000 / (8 * 1 * 160)", "7.8"),  # 7.8125
    # USDJPY, 32 pips: 32,000 yen, 200 dollars, 160 euros.
    ("USDJPY", 0.32, "USD", "100 / (0.32 * 100000 / 160)", "0.50"),
    ("USDJPY", 0.32, "EUR", "100 / (0.32 * 100000 / 160 / 1.25)", "0.62"),  # 0.625
    ("USDJPY", 0.32, "JPY", "10000 / (0.32 * 100000)", "0.31"),  # 0.3125
]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """The built-in symbols and USDJPY: in the built-in table it would be in everybody's demo."""
    file = tmp_path / "symbols.toml"
    file.write_text(BUILTIN.read_text() + JPY_PAIR.format(name="USDJPY", base="USD"))
    return file


def publish(world: World, name: str, distance: float) -> None:
    """Write a working pipeline at the round prices, with a signal to buy at the market."""
    world.clock()
    world.engine()
    for symbol, price in MARKET.items():
        world.lane(symbol, forming=FormingSet(world.wall.ms, price, price, price, price, 0.0, 1, {}))
        world.status(symbol)
    entry = MARKET[name]
    stop, target = round(entry - distance, 5), round(entry + distance, 5)
    world.signal(name, entry=entry, stop_loss=stop, take_profit_1=target, take_profit_2=target, atr=0.0)


async def sized(world: World, table: Path, currency: str, equity: float, **settings: object) -> str:
    """Return the lots as they stand in the reply, or the reason why there are none."""
    own = {"symbols": (*SYMBOLS, "USDJPY"), "symbols_file": table, "account_currency": currency, **settings}
    async with account(world, table.parent, **own) as client:
        return lots_in(await client.get(f"/api/signals?equity={equity}"))


def lots_in(reply: httpx.Response) -> str:
    text, content = reply.text, reply.json()
    if content["signals"]:
        return text.partition('"lots":')[2].partition(",")[0]
    (reason,) = {item["reason"] for item in content["withheld"]} - {"no_signal"}
    return str(reason)


@pytest.mark.parametrize(("name", "distance", "currency", "worked", "lots"), BY_HAND)
async def test_every_symbols_lots_are_those_worked_by_hand(
    world: World, table: Path, name: str, distance: float, currency: str, worked: str, lots: str
) -> None:
    publish(world, name, distance)
    assert await sized(world, table, currency, ACCOUNTS[currency]) == lots
    assert floored(worked, STEP.get(name, "0.01")) == Fraction(lots)  # the hand's own sum


def floored(worked: str, step: str) -> Fraction:
    """Return a quotient of the table above, rounded down to a step, in fractions."""
    exact = eval("".join(f"F('{word}')" if word[0].isdigit() else word for word in split(worked)), {"F": Fraction})
    return exact // Fraction(step) * Fraction(step)


def split(worked: str) -> list[str]:
    return worked.replace("(", "( ").replace(")", " )").split()


def test_the_table_has_every_symbol_in_every_currency() -> None:
    assert {(row[0], row[2]) for row in BY_HAND} == {(name, currency) for name in MARKET for currency in ACCOUNTS}
    assert set(SYMBOLS) < set(MARKET)


@pytest.mark.parametrize(
    ("name", "distance", "currency", "equity", "lots"),
    [
        # Gold's minimum of 0.01 lots loses 5 dollars: 1 % of 500. With a cent less there is no signal, not the minimum.
        ("XAUUSD", 5.00, "USD", 500.00, "0.01"),
        ("XAUUSD", 5.00, "USD", 499.99, "size_below_minimum"),
        # In euros that is 4: 1 % of 400.
        ("XAUUSD", 5.00, "EUR", 400.00, "0.01"),
        ("XAUUSD", 5.00, "EUR", 399.99, "size_below_minimum"),
        # A tenth of a lot of an index, 5 dollars; in yen 800.
        ("NAS100", 50.0, "USD", 500.00, "0.1"),
        ("NAS100", 50.0, "USD", 499.99, "size_below_minimum"),
        ("NAS100", 50.0, "JPY", 80_000, "0.1"),
        ("NAS100", 50.0, "JPY", 79_999, "size_below_minimum"),
        # A hundredth of a lot of USDJPY loses 320 yen: 1 % of 32,000, or 2 dollars, 1 % of 200.
        ("USDJPY", 0.32, "JPY", 32_000, "0.01"),
        ("USDJPY", 0.32, "JPY", 31_999, "size_below_minimum"),
        ("USDJPY", 0.32, "USD", 200.00, "0.01"),
        ("USDJPY", 0.32, "USD", 199.99, "size_below_minimum"),
        # The maximum: 100 lots of an index lose 5,000 dollars, 1 % of 500,000. Whoever has more gets no more.
        ("NAS100", 50.0, "USD", 499_999, "99.9"),
        ("NAS100", 50.0, "USD", 500_000, "100.0"),
        ("NAS100", 50.0, "USD", 1e12, "100.0"),
        ("XAUUSD", 5.00, "USD", 1e12, "50.00"),
        ("EURUSD", 0.0032, "EUR", 1e12, "100.00"),
        ("USDJPY", 0.32, "JPY", 1e12, "100.00"),
    ],
)
async def test_the_ends_of_what_a_broker_takes(
    world: World, table: Path, name: str, distance: float, currency: str, equity: float, lots: str
) -> None:
    publish(world, name, distance)
    assert await sized(world, table, currency, equity) == lots


@pytest.mark.parametrize(
    ("name", "distance", "currency", "equity", "lots"),
    [
        # 5 % of a lot's worth, as xglobalmarkets.com has it for gold ("100*XAUUSD price*5%"): leverage 20. Half of the
        # equity may be bound. Gold: 100 x 2,000 x 5 % = 10,000 dollars a lot; 5,000 are half a lot, where the risk
        # alone allows 100 / (0.50 x 100) = 2.
        ("XAUUSD", 0.50, "USD", 10_000, "0.50"),
        # 8,000 euros a lot: 5,000 / 8,000 = 0.625. The risk: 100 / 40 = 2.5.
        ("XAUUSD", 0.50, "EUR", 10_000, "0.62"),
        # 1,600,000 yen a lot: 500,000 / 1,600,000 = 0.3125. The risk: 10,000 / 8,000 = 1.25.
        ("XAUUSD", 0.50, "JPY", 1_000_000, "0.31"),
        # USDJPY: 16,000,000 yen a lot, 800,000 of them. 500,000 / 800,000 = 0.625. The risk: 10,000 / 1,000 = 10.
        ("USDJPY", 0.01, "JPY", 1_000_000, "0.62"),
        # Dow: 40,000 x 5 % = 2,000 dollars a lot, 200 for the minimum: half of 400. The risk: 4 / 1 = 4.
        ("US30", 1.0, "USD", 400, "0.1"),
        ("US30", 1.0, "USD", 399.99, "margin"),
    ],
)
async def test_the_margin_reduces_a_size_by_hand(
    world: World, table: Path, name: str, distance: float, currency: str, equity: float, lots: str
) -> None:
    publish(world, name, distance)
    assert await sized(world, table, currency, equity, account_leverage=20, margin_limit=0.5) == lots


def terms(**changes: object) -> dict[str, list[Mapping[str, object]]]:
    """Return what a terminal posts of the Nasdaq, where a lot is 10 of the index."""
    held = {"symbol": "US100.e", "contract_size": 10, "lot_min": 0.01, "lot_step": 0.01, "lot_max": 50,
            "tick_size": 0.01, "digits": 2, "quote_currency": "USD"}  # fmt: skip
    return {"symbols": [held | changes]}


YEN = {"symbol": "USDJPY", "contract_size": 100_000, "tick_size": 0.001, "digits": 3, "quote_currency": "JPY"}


@pytest.mark.parametrize(
    ("name", "distance", "currency", "posted", "lots"),
    [
        # 50 points of 10 dollars: 500 dollars, 400 euros, 80,000 yen a lot.
        ("NAS100", 50.0, "USD", terms(), "0.20"),
        ("NAS100", 50.0, "EUR", terms(), "0.25"),
        ("NAS100", 50.0, "JPY", terms(), "0.12"),  # 0.125
        # A tick of 0.01 points is 0.10 dollars, 0.08 euros, 16 yen: what a terminal tells changes nothing.
        ("NAS100", 50.0, "USD", terms(tick_value=0.1), "0.20"),
        ("NAS100", 50.0, "EUR", terms(tick_value=0.08), "0.25"),
        ("NAS100", 50.0, "JPY", terms(tick_value=16), "0.12"),
        # A tick of a thousandth on 100,000 dollars is 100 yen, 0.625 dollars, 0.50 euros.
        ("USDJPY", 0.32, "USD", terms(**YEN, tick_value=0.625), "0.50"),
        ("USDJPY", 0.32, "EUR", terms(**YEN, tick_value=0.5), "0.62"),
        ("USDJPY", 0.32, "JPY", terms(**YEN, tick_value=100), "0.31"),
        # A mini lot of 10,000 dollars loses 20: 5 lots.
        ("USDJPY", 0.32, "USD", terms(**{**YEN, "contract_size": 10_000}), "5.00"),
        # Yen taken for dollars would be a tick value of 100 a lot: that contradicts the contract, and gives no size.
        ("USDJPY", 0.32, "USD", terms(**YEN, tick_value=100), "terms"),
    ],
)
async def test_posted_terms_are_sized_by_hand(
    world: World, table: Path, name: str, distance: float, currency: str, posted: object, lots: str
) -> None:
    publish(world, name, distance)
    own = {"symbols": (*SYMBOLS, "USDJPY"), "symbols_file": table, "account_currency": currency}
    async with account(world, table.parent, **own) as client:
        assert (await client.post("/api/broker/symbols", json=posted)).status_code == 200
        assert lots_in(await client.get(f"/api/signals?equity={ACCOUNTS[currency]}")) == lots


async def test_an_open_position_in_another_currency_binds_its_margin_by_hand(world: World, table: Path) -> None:
    """In euros, at leverage 20: half a lot of USDJPY binds 50,000 x 160 / 20 = 400,000 yen, 2,000 euros."""
    publish(world, "XAUUSD", 0.50)
    fill = {"trade_id": "1", "symbol": "USDJPY", "action": "BUY", "entry_price": 160.0, "lots": 0.5}
    own = {"symbols": (*SYMBOLS, "USDJPY"), "symbols_file": table, "account_currency": "EUR", "account_leverage": 20}
    async with account(world, table.parent, **own) as client:
        assert (await client.post("/api/executions", json=fill)).status_code == 200
        # 5,000 less 2,000 euros; a lot of gold binds 8,000: 0.375.
        assert lots_in(await client.get("/api/signals?equity=10000")) == "0.37"
    assert Decimal("0.37") * 8_000 <= 3_000 < Decimal("0.38") * 8_000

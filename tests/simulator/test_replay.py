"""Recorded prices come back exactly, in order, and never before their time."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from simulator.csv_source import BAR_HEADER, QUOTE_HEADER, read
from simulator.market import Market
from simulator.replay import spread_around
from simulator.ticks import Snapshot
from tests.simulator.kit import Client, client_of, replay, write

BARS = ("1642374000,15616.75,15653.25,15616,15630,660", "1642374060,15631.75,15640.25,15629,15636.5,254",
        "1642374240,15636,15637,15635.25,15636,7")  # fmt: skip
DATA_MS = 1_642_374_000_000


@pytest.fixture
def nasdaq(tmp_path: Path) -> Market:
    return replay([write(tmp_path, "NAS100_M1.csv", BAR_HEADER, *BARS)])


def told(market: Market, vendor: str, symbol: str) -> list[Snapshot]:
    instrument = market.listings[vendor][symbol]
    assert market.timeline.last_cycle is not None
    found: list[Snapshot] = []
    for cycle in range(market.timeline.last_cycle + 1):
        one = market.view(cycle).snapshot(instrument)
        if one is not None and (not found or one.number != found[-1].number):
            found.append(one)
    return found


def test_every_price_of_the_file_is_told_once_in_order(nasdaq: Market) -> None:
    ticks = told(nasdaq, "yahoo", "NQ=F")
    assert [one.price for one in ticks] == [
        15616.75, 15653.25, 15616, 15630, 15631.75, 15640.25, 15629, 15636.5, 15636, 15637, 15635.25, 15636,
    ]  # fmt: skip
    assert [one.number for one in ticks] == list(range(1, 13))
    assert ticks[-1].day_volume == 660 + 254 + 7


def test_a_late_vendor_tells_every_price_too(tmp_path: Path) -> None:
    rows = [f"{1642374000 + 60 * n},10,10.25,9.75,10,{n}" for n in range(20)]
    market = replay([write(tmp_path, "NAS100_M1.csv", BAR_HEADER, *rows)], real=True, interval_ms=40_000)
    for vendor, symbol in (("yahoo", "NQ=F"), ("yahoo", "^NDX")):
        numbers = [one.number for one in told(market, vendor, symbol)]
        assert numbers == list(range(1, len(numbers) + 1))
    late = told(market, "yahoo", "NQ=F")
    assert len(late) == 80


def test_quotes_of_one_millisecond_are_told_one_after_the_other(tmp_path: Path) -> None:
    rows = ("1000,1.1,1.2", "1000,1.11,1.21", "1000,1.12,1.22", "1500,1.13,1.23", "9000,1.14,1.24")
    market = replay([write(tmp_path, "quotes_EURUSD_x.csv", QUOTE_HEADER, *rows)])
    assert [(one.bid, one.ask) for one in told(market, "polygon", "C:EURUSD")] == [
        (1.1, 1.2), (1.11, 1.21), (1.12, 1.22), (1.13, 1.23), (1.14, 1.24),
    ]  # fmt: skip


def test_cash_indices_are_quoted_in_their_session_only(tmp_path: Path) -> None:
    open_s = int(datetime(2022, 1, 18, 14, 30, tzinfo=UTC).timestamp())
    rows = [f"{open_s - 120 + 60 * n},15120,15120,15120,15120,1" for n in range(4)]
    market = replay([write(tmp_path, "NAS100_M1.csv", BAR_HEADER, *rows)])
    ticks = told(market, "twelvedata", "NDX")
    assert ticks[0].market_ms == open_s * 1000
    assert {one.price for one in ticks} == {15000.0}  # a carry of 0.8 % below the future
    assert told(market, "yahoo", "NQ=F")[0].price == 15120


def test_history_is_the_data_up_to_now(nasdaq: Market) -> None:
    instrument = nasdaq.listings["yahoo"]["NQ=F"]
    view = nasdaq.view(92)  # 90 s after the first tick: the second bar has its first three ticks
    bars = view.bars(instrument, 60_000, 0, 2_000_000_000_000)
    assert bars.open_ms.tolist() == [DATA_MS, DATA_MS + 60_000]
    assert bars.close.tolist() == [15630, 15629]
    assert bars.volume.tolist() == [660, 168]


def test_bars_of_the_ticks_are_the_files_bars(shared: Path) -> None:
    file = shared / "market" / "US30_M1_2022-01.csv.gz"
    market = replay([file])
    assert market.timeline.last_cycle is not None
    bars = market.view(market.timeline.last_cycle).bars(market.listings["yahoo"]["YM=F"], 60_000, 0, 2_000_000_000_000)
    source = read(file)
    expected = source.price.reshape(-1, 4)
    found = np.stack((bars.open, bars.high, bars.low, bars.close), axis=1)
    assert np.array_equal(found, expected)
    assert np.array_equal(bars.volume, source.volume.reshape(-1, 4).sum(axis=1))


def test_bars_of_the_quotes_are_the_vendors_own_bid_bars(shared: Path) -> None:
    folder = shared / "market"
    market = replay([folder / "quotes_EURUSD_2014-05-01_08.csv.gz"])
    assert market.timeline.last_cycle is not None
    view = market.view(market.timeline.last_cycle)
    built = view.bars(market.listings["yahoo"]["EURUSD=X"], 60_000, 0, 2_000_000_000_000)
    theirs = read(folder / "EURUSD_M1bid_2014-05a.csv.gz")
    opened = theirs.market_ms[::4]
    both, mine, other = np.intersect1d(built.open_ms, opened, return_indices=True)
    assert len(both) == 8306  # the figure in the data's own description
    rows = np.stack((built.open, built.high, built.low, built.close), axis=1)[mine]
    assert np.array_equal(rows, theirs.price.reshape(-1, 4)[other])


def test_the_start_may_lie_inside_the_data(tmp_path: Path) -> None:
    rows = [f"{1642374000 + 60 * n},10,10,10,10,1" for n in range(10)]
    file = write(tmp_path, "NAS100_M1.csv", BAR_HEADER, *rows)
    market = replay([file], start_ms=DATA_MS + 300_000)
    view = market.view(0)
    assert len(view.bars(market.listings["yahoo"]["NQ=F"], 60_000, 0, view.now_ms)) == 5
    assert told(market, "yahoo", "NQ=F")[0].number == 21


@pytest.mark.parametrize("price", [1.08418, 15616.75, 1291.677, 1.133873376, 52471.3, 43000.0])
def test_the_middle_of_bid_and_ask_is_the_price_to_the_last_bit(price: float) -> None:
    bid, ask = spread_around(price, 0.00001, 3)
    assert bid < price < ask
    assert (bid + ask) / 2 == price


async def test_what_has_not_traded_yet_is_known_but_has_no_price(tmp_path: Path) -> None:
    early = write(tmp_path, "EURUSD_M1.csv", BAR_HEADER, "1642374000,1.1,1.1,1.1,1.1,5")
    late = [f"{1642384000},1.3,1.3,1.3,1.3,5", "1642384060,1.3,1.3,1.3,1.3,5"]
    client = client_of(replay([early, write(tmp_path, "GBPUSD_M1.csv", BAR_HEADER, *late)]))
    now_ms = await client.go(1)
    rows = (await client.quotes("EURUSD=X", "GBPUSD=X")).json["quoteResponse"]["result"]
    assert [(row["symbol"], "regularMarketPrice" in row) for row in rows] == [("EURUSD=X", True), ("GBPUSD=X", False)]
    chart = await client.get("/yahoo/v8/finance/chart/GBPUSD=X?interval=1m&range=1d")
    assert (chart.status, chart.json["chart"]["error"]["code"]) == (400, "Bad Request")
    assert chart.json["chart"]["error"]["description"].endswith(f"endDate = {now_ms // 1000 + 1}")
    rate = await client.get(
        "/alphavantage/query?function=CURRENCY_EXCHANGE_RATE&from_currency=GBP&to_currency=USD&apikey=k"
    )
    assert rate.json["Realtime Currency Exchange Rate"]["5. Exchange Rate"] == "-"
    quote = await client.get("/twelvedata/quote?symbol=GBP/USD&apikey=k")
    assert (quote.status, quote.json["message"]) == (422, "No data")
    tickers = await client.get("/polygon/v2/snapshot/locale/global/markets/forex/tickers?apiKey=k")
    assert [row["ticker"] for row in tickers.json["tickers"]] == ["C:EURUSD"]


async def test_vendors_agree_on_every_digit_of_a_price(tmp_path: Path) -> None:
    file = write(tmp_path, "EURUSD_M1.csv", BAR_HEADER, "1642374000,1.14182,1.14183,1.133873376,1.1418,5")
    client = client_of(replay([file]))
    for cycle, price in ((1, 1.14182), (16, 1.14183), (31, 1.133873376), (46, 1.1418)):
        await client.go(cycle)
        assert await prices(client) == [price] * 4


async def prices(client: Client) -> list[float]:
    yahoo = (await client.quotes("EURUSD=X")).json["quoteResponse"]["result"][0]["regularMarketPrice"]
    rate = await client.get(
        "/alphavantage/query?function=CURRENCY_EXCHANGE_RATE&from_currency=EUR&to_currency=USD&apikey=k"
    )
    close = (await client.get("/twelvedata/quote?symbol=EUR/USD&apikey=k")).json["close"]
    last = (await client.get("/polygon/v1/last_quote/currencies/EUR/USD?apiKey=k")).json["last"]
    av = rate.json["Realtime Currency Exchange Rate"]["5. Exchange Rate"]
    return [yahoo, float(av), float(close), (last["bid"] + last["ask"]) / 2]

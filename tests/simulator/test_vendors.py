"""Alpha Vantage, Twelve Data and Polygon: what their adapters must cope with, on prices made here."""

import csv
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from simulator.csv_source import BAR_HEADER, QUOTE_HEADER
from tests.simulator.kit import START_MS, Client, client_of, made, replay, write


@pytest.fixture
async def client() -> Client:
    client = client_of(made())
    await client.go(125)
    return client


@pytest.fixture
async def recorded_bars(tmp_path: Path) -> Client:
    rows = [f"{1642374000 + 60 * n},1.1{n:02},1.2,1.1,1.15,3" for n in range(12)]
    client = client_of(replay([write(tmp_path, "EURUSD_M1.csv", BAR_HEADER, *rows)]))
    await client.go(12 * 60 - 14)  # the last tick of the last minute
    return client


async def td(client: Client, query: str) -> Any:
    return (await client.get(f"/twelvedata/{query}&apikey=k")).json


async def poly(client: Client, path: str) -> Any:
    return (await client.get(f"/polygon/{path}{'&' if '?' in path else '?'}apiKey=k")).json


# -- Alpha Vantage --------------------------------------------------------------------------------


async def rate(client: Client) -> Any:
    url = "/alphavantage/query?function=CURRENCY_EXCHANGE_RATE&from_currency=EUR&to_currency=USD&apikey=k"
    return (await client.get(url)).json["Realtime Currency Exchange Rate"]


async def test_the_rate_is_the_middle_of_bid_and_ask(tmp_path: Path) -> None:
    client = client_of(replay([write(tmp_path, "quotes_EURUSD.csv", QUOTE_HEADER, "1000,1.10000,1.10013")]))
    await client.go(1)
    found = await rate(client)
    assert [found[key] for key in ("5. Exchange Rate", "8. Bid Price", "9. Ask Price")] == [
        "1.10006500", "1.10000000", "1.10013000",
    ]  # fmt: skip


async def test_last_refreshed_runs_on_while_the_market_is_closed() -> None:
    client = client_of(made(interval_ms=3_600_000))
    saturday = 2 * 24 + 20
    await client.go(saturday)
    first = await rate(client)
    await client.go(saturday + 1)
    second = await rate(client)
    assert first["5. Exchange Rate"] == second["5. Exchange Rate"]
    assert (first["6. Last Refreshed"], second["6. Last Refreshed"]) == ("2026-06-13 10:30:00", "2026-06-13 11:30:00")


@pytest.mark.parametrize("symbol", ["NDX", "XAU/USD", "EUR/USD", "IBM"])
async def test_global_quote_serves_none_of_ours_and_says_nothing(client: Client, symbol: str) -> None:
    reply = await client.get(f"/alphavantage/query?function=GLOBAL_QUOTE&symbol={symbol}&apikey=k")
    assert (reply.status, reply.body) == (200, b'{\n    "Global Quote": {}\n}')


@pytest.mark.parametrize(
    ("query", "key", "words"),
    [
        ("function=GLOBAL_QUOTE&symbol=IBM", "Error Message", "the parameter apikey is invalid or missing"),
        ("function=GLOBAL_QUOTE&symbol=IBM&apikey=", "Error Message", "the parameter apikey is invalid or missing"),
        ("function=GLOBAL_QUOTE&symbol=IBM&apikey=badkey", "Error Message", "the parameter apikey is invalid"),
        ("function=GLOBAL_QUOTE&symbol=IBM&apikey=demo", "Information", "The **demo** API key"),
        (
            "function=CURRENCY_EXCHANGE_RATE&from_currency=XAU&to_currency=USD&apikey=k",
            "Error Message",
            "Invalid API call",
        ),
        ("function=NONSENSE&apikey=k", "Error Message", "does not exist"),
    ],
)
async def test_alphavantage_always_answers_200(client: Client, query: str, key: str, words: str) -> None:
    reply = await client.get(f"/alphavantage/query?{query}")
    assert reply.status == 200
    assert words in reply.json[key]


async def test_intraday_bars_are_newest_first_as_json_and_csv(recorded_bars: Client) -> None:
    url = "/alphavantage/query?function=FX_INTRADAY&from_symbol=EUR&to_symbol=USD&interval=5min&apikey=k"
    bars = (await recorded_bars.get(url)).json["Time Series FX (5min)"]
    assert list(bars) == ["2022-01-16 23:10:00", "2022-01-16 23:05:00", "2022-01-16 23:00:00"]
    assert bars["2022-01-16 23:05:00"] == {
        "1. open": "1.10500", "2. high": "1.20000", "3. low": "1.10000", "4. close": "1.15000",
    }  # fmt: skip
    reply = await recorded_bars.get(f"{url}&datatype=csv")
    assert reply.headers["content-type"] == "application/x-download"
    rows = list(csv.reader(reply.body.decode().splitlines()))
    assert rows[0] == ["timestamp", "open", "high", "low", "close"]
    assert [row[0] for row in rows[1:]] == list(bars)
    assert reply.body.endswith(b"\r\n")


# -- Twelve Data ----------------------------------------------------------------------------------


async def test_one_symbol_is_bare_several_are_keyed_with_errors_inside(client: Client) -> None:
    alone = await td(client, "quote?symbol=EUR/USD")
    several = await td(client, "quote?symbol=EUR/USD,NOPE,XAU/USD")
    assert several["EUR/USD"] == alone
    assert list(several) == ["EUR/USD", "NOPE", "XAU/USD"]
    assert (several["NOPE"]["code"], several["NOPE"]["status"]) == (404, "error")
    assert await td(client, "quote?symbol=EUR/USD,") == alone


async def test_the_quotes_times_are_those_of_the_day_and_of_the_last_tick(client: Client) -> None:
    found = await td(client, "quote?symbol=EUR/USD")
    assert found["datetime"] == "2026-06-10"
    assert datetime.fromtimestamp(found["timestamp"], UTC).isoformat() == "2026-06-09T20:00:00+00:00"
    assert 0 <= START_MS // 1000 + 125 - found["last_quote_at"] <= 2


async def test_credits_are_counted_per_symbol(client: Client) -> None:
    reply = await client.get("/twelvedata/quote?symbol=EUR/USD,GBP/USD,XAU/USD&apikey=k")
    assert (reply.headers["api-credits-used"], reply.headers["api-credits-left"]) == ("3", "10943")


@pytest.mark.parametrize(
    ("query", "stamps"),
    [
        ("", ["2022-01-16 23:10:00", "2022-01-16 23:05:00", "2022-01-16 23:00:00"]),
        ("&order=asc", ["2022-01-16 23:00:00", "2022-01-16 23:05:00", "2022-01-16 23:10:00"]),
        ("&outputsize=1", ["2022-01-16 23:10:00"]),
        ("&start_date=2022-01-16 23:05:00&end_date=2022-01-16 23:10:00", ["2022-01-16 23:05:00"]),
        ("&start_date=2022-01-16T23:05:00&order=asc", ["2022-01-16 23:05:00", "2022-01-16 23:10:00"]),
    ],
)
async def test_bars_come_as_they_are_asked_for(recorded_bars: Client, query: str, stamps: list[str]) -> None:
    found = await td(recorded_bars, f"time_series?symbol=EUR/USD&interval=5min&timezone=UTC{query}")
    assert [bar["datetime"] for bar in found["values"]] == stamps


async def test_without_a_timezone_currencies_are_stamped_in_sydney(recorded_bars: Client) -> None:
    found = await td(recorded_bars, "time_series?symbol=EUR/USD&interval=1h")
    assert found["values"][0]["datetime"] == "2022-01-17 10:00:00"  # 23:00 UTC, Sydney's summer time


async def test_prices_are_strings_without_trailing_zeros(recorded_bars: Client) -> None:
    found = await td(recorded_bars, "time_series?symbol=EUR/USD&interval=5min&outputsize=1&timezone=UTC")
    assert found["values"] == [
        {"datetime": "2022-01-16 23:10:00", "open": "1.11", "high": "1.2", "low": "1.1", "close": "1.15"}
    ]


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        (
            "time_series?symbol=EUR/USD&interval=1min&end_date=2001-01-01",
            400,
            "No data is available on the specified dates",
        ),
        ("time_series?symbol=EUR/USD&interval=1min&outputsize=5001", 400, "outputsize"),
        ("time_series?symbol=EUR/USD&interval=1min&timezone=Moon/Sea", 400, "timezone"),
        ("time_series?symbol=EUR/USD&interval=1min&order=up", 400, "order"),
        ("time_series?symbol=EUR/USD&interval=1min&start_date=soon", 400, "start_date"),
        (f"quote?symbol={','.join(f'S{n}' for n in range(121))}", 414, "Too many symbols"),
        ("quote?interval=1min", 404, "**symbol**"),
        ("nothing?symbol=EUR/USD", 404, "/nothing"),
    ],
)
async def test_twelvedata_errors_have_their_code_as_status(
    recorded_bars: Client, query: str, code: int, words: str
) -> None:
    reply = await recorded_bars.get(f"/twelvedata/{query}&apikey=k")
    assert (reply.status, reply.json["code"], reply.json["status"]) == (code, code, "error")
    assert words in reply.json["message"]


async def test_a_key_in_the_header_is_good_too(client: Client) -> None:
    reply = await client.get("/twelvedata/quote?symbol=EUR/USD", authorization="apikey good")
    assert reply.status == 200


async def test_indices_are_gated_on_the_free_plan() -> None:
    client = client_of(made(real=True), real=True)
    await client.go(1)
    gated = await td(client, "quote?symbol=NDX")
    assert gated["code"] == 404
    assert "available starting with the Grow or Venture plan" in gated["message"]
    assert "**symbol**" in (await td(client, "quote?symbol=DJI"))["message"]


# -- Polygon --------------------------------------------------------------------------------------


async def test_times_are_in_ms_and_ns(client: Client) -> None:
    last = await poly(client, "v1/last_quote/currencies/EUR/USD")
    rows = await poly(client, "v2/snapshot/locale/global/markets/forex/tickers?tickers=C:EURUSD")
    index = await poly(client, "v3/snapshot/indices?ticker.any_of=I:NDX")
    at_ms = last["last"]["timestamp"]
    assert rows["tickers"][0]["lastQuote"]["t"] == at_ms
    assert rows["tickers"][0]["updated"] == at_ms * 1_000_000
    assert START_MS < index["results"][0]["last_updated"] // 1_000_000 <= START_MS + 125_000


async def test_all_pairs_are_told_where_none_is_named(client: Client) -> None:
    rows = await poly(client, "v2/snapshot/locale/global/markets/forex/tickers")
    assert [row["ticker"] for row in rows["tickers"]] == ["C:XAUUSD", "C:EURUSD", "C:GBPUSD"]


async def test_pages_of_bars_follow_each_other_without_a_key(recorded_bars: Client) -> None:
    page = await poly(recorded_bars, "v2/aggs/ticker/C:EURUSD/range/1/minute/2022-01-16/2022-01-16?limit=5")
    stamps = [bar["t"] for bar in page["results"]]
    while "next_url" in page:
        assert "apiKey" not in page["next_url"]
        page = await poly(recorded_bars, page["next_url"].removeprefix("http://sim/polygon/"))
        stamps += [bar["t"] for bar in page["results"]]
    assert stamps == [1642374000000 + 60_000 * n for n in range(12)]


async def test_the_limit_counts_base_bars(recorded_bars: Client) -> None:
    page = await poly(recorded_bars, "v2/aggs/ticker/C:EURUSD/range/5/minute/2022-01-16/2022-01-16?limit=10&sort=desc")
    assert [bar["t"] for bar in page["results"]] == [1642374600000, 1642374300000]
    assert page["next_url"]


async def test_a_pairs_volume_is_the_number_of_its_quotes(recorded_bars: Client) -> None:
    page = await poly(recorded_bars, "v2/aggs/ticker/C:EURUSD/range/1/minute/1642374000000/1642374059999")
    assert [(bar["v"], bar["n"], bar["o"], bar["c"]) for bar in page["results"]] == [(4, 4, 1.1, 1.15)]


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("v1/last_quote/currencies/EUR/USD", 401, "API Key was not provided"),
        ("v1/last_quote/currencies/EUR/USD?apiKey=bad1", 401, "Unknown API Key"),
        ("v1/last_quote/currencies/DOG/USD?apiKey=k", 404, "Data not found"),
        ("v2/aggs/ticker/C:EURUSD/range/0/minute/2024-01-02/2024-01-03?apiKey=k", 400, "Could not parse the range"),
        ("v2/aggs/ticker/C:EURUSD/range/1/eon/2024-01-02/2024-01-03?apiKey=k", 400, "Could not parse the range"),
        ("v2/aggs/ticker/C:EURUSD/range/1/minute/2024-01-02/2024-01-03?limit=x&apiKey=k", 400, "limit"),
        ("v9/none?apiKey=k", 404, "not found"),
    ],
)  # fmt: skip
async def test_polygon_errors(client: Client, path: str, status: int, words: str) -> None:
    reply = await client.get(f"/polygon/{path}")
    assert reply.status == status
    assert words in reply.body.decode()


async def test_the_free_plan_has_yesterdays_bars_only() -> None:
    client = client_of(made(real=True), real=True)
    await client.go(1)
    yesterday = await poly(client, "v2/aggs/ticker/C:EURUSD/range/1/hour/2026-06-09/2026-06-10")
    assert [bar["t"] for bar in yesterday["results"]] == [1780963200000 + 3_600_000 * n for n in range(24)]
    today = await client.get("/polygon/v2/aggs/ticker/C:EURUSD/range/1/hour/2026-06-10/2026-06-10?apiKey=k")
    assert (today.status, today.json["status"]) == (403, "NOT_AUTHORIZED")
    assert "timeframe" in today.json["message"]

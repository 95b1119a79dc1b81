"""What a Yahoo adapter must cope with, on prices made here."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.csv_source import BAR_HEADER
from simulator.spelling import java_float
from tests.simulator.kit import START_MS, Client, client_of, made, replay, write

START_S = START_MS // 1000


@pytest.fixture
async def client() -> Client:
    client = client_of(made())
    await client.go(125)
    return client


async def result(client: Client, symbol: str, query: str) -> Any:
    reply = await client.get(f"/yahoo/v8/finance/chart/{symbol}?{query}")
    assert reply.status == 200, reply.body
    return reply.json["chart"]["result"][0]


async def row(client: Client, symbol: str) -> Any:
    return (await client.quotes(symbol)).json["quoteResponse"]["result"][0]


async def test_a_pairs_bid_and_ask_are_swapped_and_the_price_is_the_bid(client: Client) -> None:
    found = await row(client, "EURUSD=X")
    assert found["bid"] > found["ask"]
    assert found["regularMarketPrice"] == found["bid"]
    assert (found["regularMarketVolume"], found["bidSize"], found["askSize"]) == (0, 0, 0)


async def test_a_futures_bid_is_below_its_ask_and_its_volume_grows(client: Client) -> None:
    before = await row(client, "ES=F")
    await client.go(150)
    after = await row(client, "ES=F")
    assert after["bid"] < after["ask"]
    assert after["regularMarketVolume"] > before["regularMarketVolume"]
    assert (after["shortName"], after["underlyingSymbol"]) == ("E-Mini S&P 500 Jun 26", "ESM26.CME")


async def test_floats_are_spelled_as_java_does(client: Client) -> None:
    body = (await client.quotes("YM=F")).body.decode()
    price = (await row(client, "YM=F"))["regularMarketPrice"]
    assert f'"regularMarketPrice":{int(price)}.0,' in body


async def test_rows_come_in_the_order_asked_without_the_unknown(client: Client) -> None:
    reply = await client.quotes("GC=F", "NOPE", "EURUSD=X")
    assert [one["symbol"] for one in reply.json["quoteResponse"]["result"]] == ["GC=F", "EURUSD=X"]
    assert list(reply.ticks) == ["GC=F", "EURUSD=X"]


async def test_a_late_future_says_so_and_is(tmp_path: Path) -> None:
    client = client_of(made(real=True), real=True)
    now_ms = await client.go(1000)
    found = await row(client, "GC=F")
    assert found["exchangeDataDelayedBy"] == 10
    assert 600 <= now_ms // 1000 - found["regularMarketTime"] <= 603
    on_time = await row(client_of(made()), "GC=F")
    assert on_time["exchangeDataDelayedBy"] == 0


async def test_a_closed_index_has_zeros_for_what_there_is_not() -> None:
    client = client_of(made())
    await client.go(8 * 3600)
    found = await row(client, "^GSPC")
    assert [found[key] for key in ("bid", "ask", "regularMarketOpen", "regularMarketDayHigh")] == [0.0] * 4
    assert found["regularMarketPrice"] > 0
    assert found["marketState"] == "POST"


async def test_the_last_element_of_a_chart_is_the_live_point_off_the_grid(client: Client) -> None:
    found = await result(client, "NQ=F", "interval=1m&range=30m")
    stamps, quote = found["timestamp"], found["indicators"]["quote"][0]
    assert stamps[-1] == found["meta"]["regularMarketTime"]
    assert stamps[-1] % 60
    assert [stamp % 60 for stamp in stamps[:-1]] == [0] * (len(stamps) - 1)
    assert quote["open"][-1] == quote["high"][-1] == quote["low"][-1] == quote["close"][-1]
    assert quote["volume"][-1] == 0


async def test_the_last_element_is_the_forming_bar_where_the_tick_is_on_the_grid(tmp_path: Path) -> None:
    rows = [f"{1642374000 + 60 * n},10,10,10,10,4" for n in range(3)]
    client = client_of(replay([write(tmp_path, "NAS100_M1.csv", BAR_HEADER, *rows)]))
    await client.go(61)
    found = await result(client, "NQ=F", "interval=1m&range=1d")
    assert found["timestamp"] == [1642374000, 1642374060]


async def test_chart_prices_are_float32_widened_to_doubles(client: Client) -> None:
    closes = (await result(client, "GC=F", "interval=5m&range=1d"))["indicators"]["quote"][0]["close"]
    assert all(float(np.float32(close)) == close for close in closes)
    assert any(len(repr(close)) > 12 for close in closes)
    assert all(round(float(java_float(close)) * 10) % 1 == 0 for close in closes)


async def test_minutes_of_the_session_without_a_trade_are_null(tmp_path: Path) -> None:
    rows = ("1642374000,10,10,10,10,4", "1642374060,10,10,10,10,4", "1642374240,11,11,11,11,4")
    client = client_of(replay([write(tmp_path, "NAS100_M1.csv", BAR_HEADER, *rows)]))
    await client.go(241)
    found = await result(client, "NQ=F", "interval=1m&range=1d")
    assert found["timestamp"] == [1642374000 + 60 * n for n in range(5)]
    quote = found["indicators"]["quote"][0]
    assert quote["close"] == [10.0, 10.0, None, None, 11.0]
    assert quote["volume"] == [4, 4, None, None, 0]


async def test_a_closed_hour_has_no_elements_at_all(client: Client) -> None:
    day_s = START_S - START_S % 86_400 - 86_400
    stamps = (await result(client, "NQ=F", f"interval=5m&period1={day_s + 70_000}&period2={day_s + 86_400}"))[
        "timestamp"
    ]
    hours = {stamp % 86_400 // 3600 for stamp in stamps}
    assert hours == {19, 20, 22, 23}  # the break is 21:00 to 22:00 UTC in June


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("interval=1m&period1={old}&period2={new}", 422, "Only 8 days worth of 1m granularity data are allowed"),
        ("interval=1m&range=1mo", 422, "Only 8 days worth"),
        ("interval=1m&period1={ancient}&period2={ancient1}", 422, "must be within the last 30 days"),
        ("interval=5m&period1={ancient2}&period2={ancient3}", 422, "must be within the last 60 days"),
        ("interval=7m", 422, "interval=7m is not supported"),
        ("interval=1m&range=7x", 422, "range=7x is not supported"),
        ("interval=1m&period1=x", 400, "must be numbers"),
        ("interval=1m&period1=9&period2=3", 400, "start date cannot be after end date"),
    ],
)
async def test_what_a_chart_refuses(client: Client, query: str, status: int, words: str) -> None:
    day_s = 86_400
    times = {
        "old": START_S - 9 * day_s, "new": START_S, "ancient": START_S - 40 * day_s, "ancient1": START_S - 39 * day_s,
        "ancient2": START_S - 70 * day_s, "ancient3": START_S - 69 * day_s,
    }  # fmt: skip
    reply = await client.get(f"/yahoo/v8/finance/chart/NQ=F?{query.format(**times)}")
    assert reply.status == status
    assert words in reply.json["chart"]["error"]["description"]


async def test_eight_days_of_minutes_are_allowed(client: Client) -> None:
    found = await result(client, "EURUSD=X", f"interval=1m&period1={START_S - 8 * 86_400}&period2={START_S}")
    assert len(found["timestamp"]) > 8000


async def test_without_cookie_or_crumb_there_are_no_quotes(client: Client) -> None:
    cookie = (await client.get("/yahoo-cookie/")).headers["set-cookie"].split(";")[0]
    for sent, crumb in ((None, ""), (None, "abc"), (cookie, ""), (cookie, "wrong")):
        headers = {} if sent is None else {"cookie": sent}
        reply = await client.get(f"/yahoo/v7/finance/quote?symbols=GC=F&crumb={crumb}", **headers)
        assert (reply.status, reply.json["finance"]["error"]["code"]) == (401, "Unauthorized")
    assert (await client.get("/yahoo/v1/test/getcrumb")).status == 401


async def test_a_crumb_stays_good_over_cycles_and_restarts(client: Client) -> None:
    cookie = (await client.get("/yahoo-cookie/")).headers["set-cookie"].split(";")[0]
    crumb = (await client.get("/yahoo/v1/test/getcrumb", cookie=cookie)).body.decode()
    other = client_of(made())
    await other.go(9000)
    assert (await other.get(f"/yahoo/v7/finance/quote?symbols=GC=F&crumb={crumb}", cookie=cookie)).status == 200


@pytest.mark.parametrize(
    "agent", ["python-requests/2.31", "python-httpx/0.28.1", "curl/8.0", "Java/17", "Go-http-client/1.1", ""]
)
async def test_plain_agents_are_refused_at_once(client: Client, agent: str) -> None:
    assert (await client.get("/yahoo/v8/finance/chart/GC=F", user_agent=agent)).status == 429


async def test_a_chart_is_the_same_copy_for_ten_seconds_under_real_limits() -> None:
    client = client_of(made(real=True), real=True)
    url = "/yahoo/v8/finance/chart/EURUSD=X?interval=1m&range=30m"
    await client.go(11)
    first = await client.get(url)
    await client.go(19)
    second = await client.get(url)
    await client.go(20)
    third = await client.get(url)
    assert first.body == second.body != third.body
    assert [one.headers["age"] for one in (first, second, third)] == ["1", "9", "0"]


async def test_a_path_that_is_gone_is_answered_as_yahoo_does(client: Client) -> None:
    reply = await client.get("/yahoo/v6/finance/quote?symbols=GC=F")
    assert (reply.status, reply.json["finance"]["error"]["code"]) == (404, "Not Found")

"""The simulator's answers against the recorded ones: same keys, same order, same kinds of value, same texts."""

import json
import re
from pathlib import Path

import pytest

from tests.simulator.kit import START_MS, Client, Reply, client_of, made
from tests.simulator.shapes import assert_alike, blank, load

DAY_S = 86_400
START_S = START_MS // 1000
NIGHT = 8 * 3600  # 22:30 UTC: cash indices are closed, all else trades
AV = "/alphavantage/query?apikey=k"


# -- Yahoo ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "symbol", "cycle"),
    [
        ("quote_EURUSD_20250217", "EURUSD=X", 126), ("quote_EURUSD_20250217", "GBPUSD=X", 126),
        ("quote_GC_F_20250217", "GC=F", 126), ("quote_GC_F_20250217", "ES=F", 126),
        ("quote_VXAPL_index_closed_20250217", "^NDX", NIGHT),
    ],
)  # fmt: skip
async def test_yahoo_quotes(client: Client, recorded: Path, file: str, symbol: str, cycle: int) -> None:
    await client.go(cycle)
    assert_alike((await client.quotes(symbol)).json, load(recorded / "yahoo" / f"{file}.json"))


async def test_yahoo_quote_headers(client: Client, recorded: Path) -> None:
    theirs = next(
        row["headers"] for row in load(recorded / "index.json") if row["file"] == "yahoo/quote_EURUSD_20250217.json"
    )
    mine = (await client.quotes("EURUSD=X")).headers
    for name in ("cache-control", "content-type", "server", "vary", "x-envoy-upstream-service-time", "age"):
        assert mine[name] == theirs[name]
    assert len(mine["y-rid"]) == len(theirs["y-rid"])
    assert blank(mine["date"]).split(",")[1].split()[0] == "N"


async def test_yahoo_narrowed_quote(client: Client, recorded: Path) -> None:
    theirs = load(recorded / "yahoo" / "quote_fields_param_20250217.json")["quoteResponse"]["result"][0]
    mine = (await client.quotes("EURUSD=X", fields="symbol,displayName")).json["quoteResponse"]["result"][0]
    assert set(mine) == set(theirs) - {"displayName"}  # a share's key: pairs have none


async def test_yahoo_unknown_symbol(client: Client, recorded: Path) -> None:
    theirs = (recorded / "yahoo" / "quote_unknown_symbol_empty_20250217.json").read_bytes()
    assert (await client.quotes("SIX")).body == theirs.strip()


async def chart(client: Client, symbol: str, query: str) -> Reply:
    return await client.get(f"/yahoo/v8/finance/chart/{symbol}?{query}")


@pytest.mark.parametrize(
    ("file", "symbol"),
    [("chart_EURUSD_1d_2020", "EURUSD=X"), ("chart_GC_F_1d_2020", "GC=F"), ("chart_GC_F_1d_2020", "NQ=F")],
)
async def test_yahoo_chart_meta(client: Client, recorded: Path, file: str, symbol: str) -> None:
    theirs = load(recorded / "yahoo" / f"{file}.json")["chart"]["result"][0]
    mine = (await chart(client, symbol, "interval=1m&range=1d")).json["chart"]["result"][0]
    intraday = ("previousClose", "scale", "tradingPeriods")  # the recordings of pairs and futures are daily ones
    assert_alike({key: value for key, value in mine["meta"].items() if key not in intraday}, theirs["meta"])
    assert set(mine["indicators"]["quote"][0]) == set(theirs["indicators"]["quote"][0])


async def test_yahoo_intraday_chart(client: Client, recorded: Path) -> None:
    theirs = load(recorded / "yahoo" / "chart_TNX_index_5m_1d_20260202.json")["chart"]["result"][0]
    mine = (await chart(client, "^NDX", "interval=5m&range=1d")).json["chart"]["result"][0]
    assert list(mine) == list(theirs)
    assert list(mine["meta"]) == list(theirs["meta"])
    for period in ("pre", "regular", "post"):
        assert set(mine["meta"]["currentTradingPeriod"][period]) == set(theirs["meta"]["currentTradingPeriod"][period])
    assert set(mine["meta"]["tradingPeriods"][0][0]) == set(theirs["meta"]["tradingPeriods"][0][0])
    for name, column in theirs["indicators"]["quote"][0].items():
        assert {type(v) for v in mine["indicators"]["quote"][0][name]} == {type(v) for v in column}


async def test_yahoo_chart_without_bars(client: Client, recorded: Path) -> None:
    theirs = load(recorded / "yahoo" / "chart_AAPL_1m_weekend_no_timestamp.json")["chart"]
    sunday_s = START_S - 3 * DAY_S - 14 * 3600
    mine = (await chart(client, "%5ENDX", f"interval=1m&period1={sunday_s}&period2={sunday_s + 3600}")).json["chart"]
    assert list(mine["result"][0]) == list(theirs["result"][0])
    assert mine["result"][0]["indicators"] == theirs["result"][0]["indicators"]
    assert list(mine["result"][0]["meta"]) == list(theirs["result"][0]["meta"])
    assert mine["error"] is theirs["error"] is None


async def test_yahoo_spark(client: Client, recorded: Path) -> None:
    theirs = load(recorded / "yahoo" / "spark_AAPL_VTI_1mo_2021.json")
    mine = (await client.get("/yahoo/v8/finance/spark?symbols=NQ=F,GC=F,NOPE&range=1d&interval=5m")).json
    assert list(mine) == ["NQ=F", "GC=F"]
    assert_alike(mine["NQ=F"], theirs["AAPL"])


@pytest.mark.parametrize(
    ("file", "status", "url"),
    [
        ("error_404_chart_not_found.json", 404, "/yahoo/v8/finance/chart/NOSUCH?range=1d&interval=1m"),
        ("error_401_access_feature.json", 401, "/yahoo/v7/finance/quote?symbols=AAPL"),
        (
            "error_422_1m_window.json",
            422,
            "/yahoo/v8/finance/chart/ES=F?interval=1m&period1=1787219117&period2=1789897517",
        ),
    ],
)
async def test_yahoo_errors(client: Client, recorded: Path, file: str, status: int, url: str) -> None:
    reply = await client.get(url)
    assert (reply.status, reply.body) == (status, (recorded / "yahoo" / file).read_bytes().strip())


async def test_yahoo_crumb_and_its_refusal(client: Client, recorded: Path) -> None:
    cookie = (await client.get("/yahoo/cookie/")).headers["set-cookie"].split(";")[0]
    crumb = await client.get("/yahoo/v1/test/getcrumb", cookie=cookie)
    assert len(crumb.body) == len((recorded / "yahoo" / "getcrumb_ok_20250216.txt").read_bytes())
    assert crumb.headers["content-type"] == "text/plain;charset=utf-8"
    refused = await client.get("/yahoo/v7/finance/quote?symbols=EURUSD=X&crumb=wrong", cookie=cookie)
    assert refused.status == 401
    assert refused.body == (recorded / "yahoo" / "error_401_invalid_crumb.json").read_bytes().strip()


async def test_yahoo_edge_refuses_plain_agents(client: Client, recorded: Path) -> None:
    reply = await client.get("/yahoo/v8/finance/chart/GC=F", user_agent="python-httpx/0.28.1")
    assert (reply.status, reply.body) == (429, (recorded / "yahoo" / "error_429_edge.txt").read_bytes().strip())


# -- Alpha Vantage --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "query"),
    [
        ("currency_exchange_rate_USDJPY_20260517_sunday.json",
         "function=CURRENCY_EXCHANGE_RATE&from_currency=EUR&to_currency=USD"),
        ("gold_silver_spot_XAU_20260904.json", "function=GOLD_SILVER_SPOT&symbol=GOLD"),
    ],
)  # fmt: skip
async def test_alphavantage_latest_text(client: Client, recorded: Path, file: str, query: str) -> None:
    theirs = (recorded / "alphavantage" / file).read_text().strip()
    mine = (await client.get(f"{AV}&{query}")).body.decode()
    currency = r'": "(USD|JPY|EUR|Euro|United States Dollar|Japanese Yen)"'
    assert re.sub(currency, '": "C"', blank(mine)) == re.sub(currency, '": "C"', blank(theirs))


async def test_alphavantage_intraday_text(client: Client, recorded: Path) -> None:
    query = "function=FX_INTRADAY&from_symbol=EUR&to_symbol=USD&interval=5min&outputsize=full"
    theirs = blank((recorded / "alphavantage" / "fx_intraday_EURUSD_5min_20200506.json").read_text()).splitlines()
    mine = blank((await client.get(f"{AV}&{query}")).body.decode()).splitlines()
    bars = len(theirs) - 3  # all but the last three closing brackets
    assert mine[:bars] == theirs[:bars]


async def test_alphavantage_intraday_csv(client: Client, recorded: Path) -> None:
    query = "function=FX_INTRADAY&from_symbol=EUR&to_symbol=USD&interval=5min&datatype=csv"
    theirs = (recorded / "alphavantage" / "fx_intraday_EURUSD_5min_20260515.csv").read_text().splitlines()
    reply = await client.get(f"{AV}&{query}")
    mine = reply.body.decode().splitlines()
    assert (mine[0], blank(mine[1]), len(mine)) == (theirs[0], blank(theirs[1]), len(theirs))
    assert [len(field) for field in mine[1].split(",")] == [len(field) for field in theirs[1].split(",")]


@pytest.mark.parametrize(
    ("file", "real", "calls"),
    [
        ("error_message_apikey", False, ["function=FX_DAILY&apikey=bad"]),
        ("error_information_premium", True, ["function=FX_INTRADAY&apikey=k"]),
        ("error_information_one_per_second", True, ["function=GLOBAL_QUOTE&apikey=k"] * 2),
    ],
)
async def test_alphavantage_errors(recorded: Path, file: str, real: bool, calls: list[str]) -> None:
    client = client_of(made(real=real), real=real)
    replies = [await client.get(f"/alphavantage/query?{query}") for query in calls]
    assert (replies[-1].status, replies[-1].body) == (
        200,
        (recorded / "alphavantage" / f"{file}.json").read_bytes().strip(),
    )


async def test_alphavantage_invalid_call(client: Client, recorded: Path) -> None:
    theirs = (recorded / "alphavantage" / "error_message_invalid_call.json").read_bytes().strip()
    reply = await client.get(f"{AV}&function=FX_INTRADAY&from_symbol=XAU&to_symbol=USD&interval=1min")
    assert reply.body == theirs.replace(b"FX_DAILY", b"FX_INTRADAY")


async def test_alphavantage_daily_limit_holds_the_key(recorded: Path) -> None:
    client = client_of(made(real=True), real=True)
    replies = []
    for cycle in range(1, 27):
        await client.go(cycle)
        replies.append(await client.get(f"/alphavantage/query?function=GLOBAL_QUOTE&symbol=IBM&apikey={'X' * 16}"))
    assert replies[-1].body == (recorded / "alphavantage" / "error_information_daily_limit.json").read_bytes().strip()


# -- Twelve Data ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "symbol"), [("quote_EURUSD", "EUR/USD"), ("quote_EURUSD", "XAU/USD"), ("quote_AAPL_closed", "NDX")]
)
async def test_twelvedata_quotes(client: Client, recorded: Path, file: str, symbol: str) -> None:
    mine = (await client.get(f"/twelvedata/quote?symbol={symbol}&apikey=k")).json
    assert_alike(mine, load(recorded / "twelvedata" / f"{file}.json"))


@pytest.mark.parametrize(
    ("file", "symbol"), [("time_series_XAUUSD_5min_20221103", "XAU/USD"), ("time_series_AAPL_5min", "SPX")]
)
async def test_twelvedata_bars(client: Client, recorded: Path, file: str, symbol: str) -> None:
    mine = (await client.get(f"/twelvedata/time_series?symbol={symbol}&interval=5min&outputsize=10&apikey=k")).json
    assert_alike(mine, load(recorded / "twelvedata" / f"{file}.json"))


async def test_twelvedata_batch(client: Client, recorded: Path) -> None:
    theirs = load(recorded / "twelvedata" / "batch_time_series_AAPL_MSFT.json")
    mine = (await client.get("/twelvedata/time_series?symbol=NDX,SPX&interval=1h&outputsize=1&apikey=k")).json
    assert list(mine) == ["NDX", "SPX"]
    assert_alike(mine["NDX"], theirs["AAPL"])


@pytest.mark.parametrize(
    ("file", "url"),
    [
        ("error_400_interval", "time_series?symbol=AAPL&interval=xyz&apikey=k"),
        ("error_401_apikey", "quote?symbol=AAPL&apikey=bad"),
        ("error_401_apikey", "quote?symbol=AAPL"), ("error_404_symbol", "quote?symbol=NOSUCH&apikey=k"),
    ],
)  # fmt: skip
async def test_twelvedata_errors(client: Client, recorded: Path, file: str, url: str) -> None:
    reply = await client.get(f"/twelvedata/{url}")
    theirs = load(recorded / "twelvedata" / f"{file}.json")
    assert (reply.status, reply.body.decode()) == (theirs["code"], json.dumps(theirs, separators=(",", ":")))


async def test_twelvedata_minute_limit(recorded: Path) -> None:
    client = client_of(made(real=True), real=True)
    replies = [await client.get("/twelvedata/quote?symbol=EUR/USD&apikey=k") for _ in range(9)]
    assert [reply.status for reply in replies] == [200] * 8 + [429]
    assert replies[-1].json == load(recorded / "twelvedata" / "error_429_minute.json")
    assert (replies[-1].headers["api-credits-used"], replies[-1].headers["api-credits-left"]) == ("9", "0")

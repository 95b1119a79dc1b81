"""Payloads written by hand after the documented shapes: what the adapters are tested on wherever the project is."""

import json
from dataclasses import dataclass

from collector.vendors.base import Ask
from common.messages import Timeframe
from tests.collector.vendors.support import KEY, ask

MONDAY_MS = 1_900_022_400_000  # 2030-03-18 00:00:00 UTC
NOW_MS = MONDAY_MS + 36_005_000  # 10:00:05
HOUR_10_S = (MONDAY_MS + 36_000_000) // 1_000

EURUSD_X = ask("EURUSD=X", "EURUSD")
NQ_F = ask("NQ=F", "NAS100", "traded")
EUR_USD = ask("EUR/USD", "EURUSD")
XAU_USD = ask("XAU/USD", "XAUUSD")
GOLD = ask("GOLD", "XAUUSD")
C_EURUSD = ask("C:EURUSD", "EURUSD", "ticks")
I_NDX = ask("I:NDX", "NAS100")


@dataclass(frozen=True)
class Sample:
    """A reply, and what it answers: history where a timeframe is given, else latest prices."""

    vendor: str
    asks: tuple[Ask, ...]
    body: str
    timeframe: Timeframe | None = None
    status: int = 200


def yahoo_quotes() -> str:
    """Return v7 quotes: a pair (bid and ask swapped), a future, a row without a price; not in the asked order."""
    rows = [
        {"symbol": "NQ=F", "quoteType": "FUTURE", "regularMarketPrice": 25125.25, "regularMarketTime": HOUR_10_S - 597,
         "bid": 25125.0, "ask": 25125.5, "regularMarketVolume": 80123, "exchangeDataDelayedBy": 10},
        {"symbol": "EURUSD=X", "quoteType": "CURRENCY", "regularMarketPrice": 1.0871234,
         "regularMarketTime": HOUR_10_S + 2, "bid": 1.0871234, "ask": 1.0869, "regularMarketVolume": 0},
        {"symbol": "GONE=F", "quoteType": "FUTURE", "regularMarketTime": 1_400_000_000},
    ]  # fmt: skip
    return json.dumps({"quoteResponse": {"result": rows, "error": None}})


def yahoo_chart(symbol: str = "NQ=F", **meta: object) -> str:
    """Return a 1m chart of 09:56 to 09:59 with a null row at 09:57, and a live point at 10:00:03."""
    start = HOUR_10_S - 240
    about = {"symbol": symbol, "dataGranularity": "1m", "regularMarketTime": HOUR_10_S + 3, **meta}
    wide = 103.62999725341797  # the float32 of 103.63
    columns = {
        "open": [1.5, None, 2.5, wide, 9.0], "high": [2.0, None, 2.75, wide, 9.0],
        "low": [1.25, None, 2.25, wide, 9.0], "close": [1.75, None, 2.5, wide, 9.0], "volume": [7, None, 0, 12, 0],
    }  # fmt: skip
    result = {
        "meta": about,
        "timestamp": [start, start + 60, start + 120, start + 180, HOUR_10_S + 3],
        "indicators": {"quote": [columns]},
    }
    return json.dumps({"chart": {"result": [result], "error": None}})


def alphavantage_rate(rate: object = "1.08710000", bid: object = "1.08700000", asked: object = "-") -> str:
    """Return a rate of EUR/USD; the vendor writes "-" for a side that it does not know."""
    fields = {
        "1. From_Currency Code": "EUR", "3. To_Currency Code": "USD", "5. Exchange Rate": rate,
        "6. Last Refreshed": "2030-03-17 12:00:00", "7. Time Zone": "UTC", "8. Bid Price": bid, "9. Ask Price": asked,
    }  # fmt: skip
    return json.dumps({"Realtime Currency Exchange Rate": fields})


def alphavantage_intraday(key: str = "Time Series FX (1min)", zone: str = "UTC") -> str:
    """Return bars of 09:58 to 10:00, newest first: the newest is still open."""
    rows = {
        f"2030-03-18 {clock}:00": {"1. open": "1.10", "2. high": "1.13", "3. low": "1.09", "4. close": close}
        for clock, close in (("10:00", "1.12"), ("09:59", "1.11"), ("09:58", "1.10"))
    }
    meta = {"2. From Symbol": "EUR", "3. To Symbol": "USD", "6. Time Zone": zone}
    return json.dumps({"Meta Data": meta, key: rows})


def twelvedata_quote(symbol: str, close: str) -> dict[str, object]:
    """Return one quote; `timestamp` is the start of the day's candle."""
    return {
        "symbol": symbol, "datetime": "2030-03-18", "timestamp": MONDAY_MS // 1_000 - 14_400,
        "last_quote_at": HOUR_10_S + 1, "close": close, "is_market_open": True,
    }  # fmt: skip


def twelvedata_error(code: int, message: str) -> dict[str, object]:
    """Return an error body."""
    return {"code": code, "message": message, "status": "error"}


def twelvedata_series(interval: str = "1min") -> str:
    """Return bars of 09:59 and 10:00, oldest first: the newest is still open."""
    rows = [
        {"datetime": f"2030-03-18 {clock}:00", "open": "2410.10999", "high": "2411", "low": "2410.0", "close": "2410.5"}
        for clock in ("09:59", "10:00")
    ]
    return json.dumps({"meta": {"symbol": "XAU/USD", "interval": interval}, "values": rows, "status": "ok"})


def polygon_forex(updated: int = HOUR_10_S * 1_000 + 4_000) -> str:
    """Return a v2 forex snapshot of one pair."""
    row = {"ticker": "C:EURUSD", "lastQuote": {"a": 1.0872, "b": 1.0871, "t": updated, "x": 48}}
    return json.dumps({"status": "OK", "tickers": [row]})


def polygon_mixed() -> str:
    """Return a v3 snapshot of a pair, an index and a ticker that is not in the plan."""
    rows = [
        {"ticker": "I:NDX", "type": "indices", "value": 25101.5, "last_updated": HOUR_10_S * 10**9 + 123_456_789},
        {"ticker": "C:EURUSD", "type": "fx",
         "last_quote": {"ask": 1.0872, "bid": 1.0871, "last_updated": HOUR_10_S * 10**9 + 999_999}},
        {"ticker": "I:SPX", "error": "NOT_ENTITLED", "message": "Not entitled to this ticker."},
    ]  # fmt: skip
    return json.dumps({"request_id": "r", "results": rows, "status": "OK"})


def polygon_aggs(next_url: str = "") -> str:
    """Return minute bars of a Sunday and a Monday; volume is the number of quotes."""
    rows = [
        {"t": MONDAY_MS - 60_000, "o": 1.1, "h": 1.3, "l": 1.0, "c": 1.2, "v": 3, "vw": 1.1, "n": 3},
        {"t": MONDAY_MS, "o": 1.2, "h": 1.25, "l": 1.15, "c": 1.21, "v": 41.0, "vw": 1.2, "n": 41},
    ]
    page = {"next_url": next_url} if next_url else {}
    return json.dumps({"ticker": "C:EURUSD", "resultsCount": 2, "results": rows, "status": "DELAYED", **page})


_SPENT = f"We have detected your API key as {KEY} and our standard API rate limit is 25 requests per day."
_TOO_FAST = "You have run out of API credits for the current minute. 9 API credits were used"
SAMPLES = (
    Sample("yahoo", (EURUSD_X, NQ_F), yahoo_quotes()),
    Sample("yahoo", (NQ_F,), yahoo_chart(), "1m"),
    Sample("yahoo", (NQ_F,), '{"finance":{"result":null,"error":{"code":"Unauthorized","description":"x"}}}',
           status=401),
    Sample("alphavantage", (EUR_USD,), alphavantage_rate()),
    Sample("alphavantage", (GOLD,), '{"nominal":"XAUUSD","timestamp":"2030-03-18 09:59:58","price":"2411.0123456789"}'),
    Sample("alphavantage", (EUR_USD,), alphavantage_intraday(), "1m"),
    Sample("alphavantage", (EUR_USD,), json.dumps({"Information": _SPENT})),
    Sample("twelvedata", (EUR_USD,), json.dumps(twelvedata_quote("EUR/USD", "1.08712"))),
    Sample("twelvedata", (EUR_USD, XAU_USD), json.dumps({
        "EUR/USD": twelvedata_quote("EUR/USD", "1.08712"), "XAU/USD": twelvedata_error(404, "symbol is invalid")})),
    Sample("twelvedata", (XAU_USD,), twelvedata_series(), "1m"),
    Sample("twelvedata", (XAU_USD,), json.dumps(twelvedata_error(429, _TOO_FAST)), None, 429),
    Sample("polygon", (C_EURUSD,), polygon_forex()),
    Sample("polygon", (C_EURUSD, I_NDX, ask("I:SPX", "US500")), polygon_mixed()),
    Sample("polygon", (C_EURUSD,), polygon_aggs("https://api.massive.com/v2/aggs/ticker/C:EURUSD/range/1?cursor=ab"),
           "1m"),
    Sample("polygon", (C_EURUSD,), '{"status":"ERROR","error":"Unknown API Key"}', None, 401),
)  # fmt: skip

"""Alpha Vantage: HTTP 200 for everything, on payloads written by hand."""

import json

import pytest

from collector.vendors import VENDORS
from collector.vendors.base import Verdict
from common.messages import RawBar, RawQuote
from tests.collector.vendors.made import EUR_USD, GOLD, MONDAY_MS, NOW_MS, alphavantage_intraday, alphavantage_rate
from tests.collector.vendors.support import CREDENTIALS, KEY, ask, history, latest, reply

ALPHAVANTAGE = VENDORS["alphavantage"]
DAY_MS = 86_400_000


def test_pairs_metals_and_shares_go_to_their_own_endpoints() -> None:
    pair = ALPHAVANTAGE.latest([EUR_USD], CREDENTIALS)
    assert (pair.path, dict(pair.params)) == (
        "/query",
        {"function": "CURRENCY_EXCHANGE_RATE", "from_currency": "EUR", "to_currency": "USD", "apikey": KEY},
    )
    metal = dict(ALPHAVANTAGE.latest([GOLD], CREDENTIALS).params)
    assert (metal["function"], metal["symbol"]) == ("GOLD_SILVER_SPOT", "GOLD")
    assert dict(ALPHAVANTAGE.latest([ask("IBM")], CREDENTIALS).params)["function"] == "GLOBAL_QUOTE"
    assert (ALPHAVANTAGE.batch, pair.credits) == (1, 1)


def test_a_rate_has_no_market_time_because_its_clock_runs_on_at_the_weekend() -> None:
    reading = latest("alphavantage", [EUR_USD], reply(alphavantage_rate()))
    assert reading.quotes == (RawQuote("EURUSD", "some_class", None, 1.0871, 1.087, None),)


def test_a_word_in_place_of_the_rate_stays_a_word_and_a_dash_is_no_price() -> None:
    worded = latest("alphavantage", [EUR_USD], reply(alphavantage_rate(rate="Infinity")))
    assert worded.quotes[0].last == "Infinity"
    dashed = latest("alphavantage", [EUR_USD], reply(alphavantage_rate(rate="-")))
    assert (dashed.verdict, dashed.refused) == (Verdict.NO_DATA, {"EURUSD": Verdict.NO_DATA})


def test_the_rate_of_another_pair_is_not_ours() -> None:
    body = alphavantage_rate().replace('"EUR"', '"USD"')
    assert latest("alphavantage", [EUR_USD], reply(body)).verdict is Verdict.OUTAGE
    assert latest("alphavantage", [EUR_USD], reply('{"nominal":null,"price":"1"}')).verdict is Verdict.OUTAGE


@pytest.mark.parametrize(
    ("key", "text", "verdict", "wait_s"),
    [
        ("Information", "consider 1 request per second (25 requests per day), premium", Verdict.RATE_LIMITED, 2.0),
        ("Information", f"your API key as {KEY} ... limit is 25 requests per day, premium plans", Verdict.RATE_LIMITED,
         50_396.0),  # from 10:00:05 to midnight, and one second
        ("Note", "5 calls per minute and 500 calls per day", Verdict.RATE_LIMITED, 60.0),
        ("Information", "This is a premium endpoint.", Verdict.NOT_ENTITLED, None),
        ("Information", "The **demo** API key is for demo purposes only.", Verdict.BAD_KEY, None),
        ("Error Message", "the parameter apikey is invalid or missing.", Verdict.BAD_KEY, None),
        ("Error Message", "Invalid API call.", Verdict.UNKNOWN_SYMBOL, None),
        ("message", "THE SAMPLE DATA SCHEMA BELOW IS ARTIFICIAL", Verdict.NOT_ENTITLED, None),
        ("Information", "Something new.", Verdict.OUTAGE, None),
    ],
)  # fmt: skip
def test_a_text_is_told_by_its_words(key: str, text: str, verdict: Verdict, wait_s: float | None) -> None:
    reading = latest("alphavantage", [EUR_USD], reply(json.dumps({key: text}), received_ms=NOW_MS))
    assert (reading.verdict, reading.retry_after_s) == (verdict, wait_s)
    assert KEY not in reading.detail


def test_sample_numbers_are_never_data() -> None:
    body = json.loads(alphavantage_rate()) | {"message": "THE SAMPLE DATA IS ARTIFICIAL"}
    reading = latest("alphavantage", [EUR_USD], reply(json.dumps(body)))
    assert (reading.verdict, reading.quotes) == (Verdict.NOT_ENTITLED, ())


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        ('{"Global Quote": {}}', Verdict.UNKNOWN_SYMBOL),
        ('{"Global Quote - DATA DELAYED BY 15 MINUTES": {"05. price": "112.13"}}', Verdict.NO_DATA),
        ('{"Global Quote": {}, "Note": "5 calls per minute"}', Verdict.RATE_LIMITED),
        ("symbol,open\r\nIBM,1", Verdict.OUTAGE),
    ],
)
def test_a_share_has_no_latest_price_here(body: str, verdict: Verdict) -> None:
    reading = latest("alphavantage", [ask("IBM")], reply(body))
    assert (reading.verdict, reading.quotes) == (verdict, ())


def test_history_is_for_pairs_only() -> None:
    (request,) = ALPHAVANTAGE.history(EUR_USD, "1h", 0, DAY_MS, CREDENTIALS)
    params = dict(request.params)
    assert (params["function"], params["interval"], params["datatype"]) == ("FX_INTRADAY", "60min", "json")
    assert ALPHAVANTAGE.history(GOLD, "1h", 0, DAY_MS, CREDENTIALS) == ()
    assert ALPHAVANTAGE.history(EUR_USD, "1s", 0, DAY_MS, CREDENTIALS) == ()


def test_bars_come_oldest_first_without_the_open_one() -> None:
    reading = history("alphavantage", EUR_USD, "1m", reply(alphavantage_intraday(), received_ms=NOW_MS))
    at_0958_ms = MONDAY_MS + 35_880_000
    assert reading.bars == (
        RawBar(at_0958_ms, 1.1, 1.13, 1.09, 1.1),
        RawBar(at_0958_ms + 60_000, 1.1, 1.13, 1.09, 1.11),
    )


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        (alphavantage_intraday(key="Time Series FX (5min)"), Verdict.NO_DATA),
        (alphavantage_intraday(zone="US/Eastern"), Verdict.OUTAGE),
        (alphavantage_intraday().replace('"EUR"', '"GBP"'), Verdict.OUTAGE),
        ('{"Information": "This is a premium endpoint."}', Verdict.NOT_ENTITLED),
        (alphavantage_rate(), Verdict.OUTAGE),
        ("{}", Verdict.OUTAGE),
    ],
)
def test_a_reply_without_bars_says_why(body: str, verdict: Verdict) -> None:
    reading = history("alphavantage", EUR_USD, "1m", reply(body, received_ms=NOW_MS))
    assert (reading.verdict, reading.bars) == (verdict, ())
    assert reading.detail

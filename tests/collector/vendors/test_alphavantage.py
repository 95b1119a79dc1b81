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
        ("Information", "Something new.", Verdict.RATE_LIMITED, 60.0),  # a limit or a bad key, whatever it says
        ("Error Message", "Something new.", Verdict.OUTAGE, None),
    ],
)  # fmt: skip
def test_a_text_is_told_by_its_words(key: str, text: str, verdict: Verdict, wait_s: float | None) -> None:
    reading = latest("alphavantage", [EUR_USD], reply(json.dumps({key: text}), received_ms=NOW_MS))
    assert (reading.verdict, reading.retry_after_s) == (verdict, wait_s)
    assert KEY not in reading.detail


BEFORE_MIDNIGHT_S = 50_396.0  # from 10:00:05 to midnight, and one second
_ADVERTISED = (
    " You may subscribe to any of the premium plans at https://www.alphavantage.co/premium/ to lift the free key rate"
    " limit (25 requests per day), raise the per-second burst limit, and instantly unlock all premium endpoints"
)


@pytest.mark.parametrize(
    ("text", "verdict", "wait_s"),
    [
        ("Thank you for using Alpha Vantage! Please consider spreading out your free API requests more sparingly (1"
         " request per second)." + _ADVERTISED, Verdict.RATE_LIMITED, 2.0),
        ("Thank you! Please consider spreading out your free API requests more sparingly." + _ADVERTISED,
         Verdict.RATE_LIMITED, 60.0),
        ("Burst pattern detected. Please slow down.", Verdict.RATE_LIMITED, 2.0),
        ("You are limited to one call/second.", Verdict.RATE_LIMITED, 2.0),
        ("5 requests/min are allowed with this key." + _ADVERTISED, Verdict.RATE_LIMITED, 60.0),
        (f"We have detected your API key as {KEY} and our API rate limit is 25 requests per day." + _ADVERTISED,
         Verdict.RATE_LIMITED, BEFORE_MIDNIGHT_S),
        ("Your daily quota is exhausted." + _ADVERTISED, Verdict.RATE_LIMITED, BEFORE_MIDNIGHT_S),
        ("You have used up the calls of today.", Verdict.RATE_LIMITED, BEFORE_MIDNIGHT_S),
        ("Too many requests.", Verdict.RATE_LIMITED, 60.0),
        ("This is a premium endpoint." + _ADVERTISED, Verdict.NOT_ENTITLED, None),
        ("This is a premium endpoint. To access the data, subscribe to a premium plan with 600 requests per minute.",
         Verdict.NOT_ENTITLED, None),
        ("This function is not available on your current plan.", Verdict.NOT_ENTITLED, None),
        ("To access this data, please subscribe to any premium plan.", Verdict.NOT_ENTITLED, None),
        ("Invalid API key. Claim your free API key with 25 requests per day.", Verdict.BAD_KEY, None),
        (f"The key could not be verified: API-KEY {KEY} is not recognised.", Verdict.BAD_KEY, None),
        ("Your API key was suspended because it exceeded our limits.", Verdict.BAD_KEY, None),
        ("The **demo** API key is for demo purposes only. Please claim your free API key. It takes 20 seconds.",
         Verdict.BAD_KEY, None),
        ("Invalid API call. Please retry or visit the documentation for CURRENCY_EXCHANGE_RATE.",
         Verdict.UNKNOWN_SYMBOL, None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("key", ["Information", "Note", "Error Message", "message", "Notice", "detail"])
def test_the_sense_of_a_text_does_not_hang_on_its_key_or_wording(
    key: str, text: str, verdict: Verdict, wait_s: float | None
) -> None:
    for body in ({key: text}, {"error": {key: text}}, {"Global Quote": {}, key: text}):
        reading = latest("alphavantage", [EUR_USD], reply(json.dumps(body), received_ms=NOW_MS))
        assert (reading.verdict, reading.retry_after_s) == (verdict, wait_s)
        assert KEY not in reading.detail


def test_words_beside_data_are_no_error() -> None:
    body = json.loads(alphavantage_rate()) | {"Information": "25 requests per day"}
    assert latest("alphavantage", [EUR_USD], reply(json.dumps(body))).verdict is Verdict.OK


def test_a_daily_series_without_rows_names_no_limit() -> None:
    body = json.dumps({"Meta Data": {"1. Information": "Forex Daily Prices"}, "Time Series FX (1min)": {}})
    assert history("alphavantage", EUR_USD, "1m", reply(body)).verdict is Verdict.OUTAGE


def test_a_server_error_is_an_outage_whatever_it_says() -> None:
    body = json.dumps({"Information": "something went wrong today"})
    assert latest("alphavantage", [EUR_USD], reply(body, 503)).verdict is Verdict.OUTAGE


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

"""Twelve Data: shapes that change with the number of symbols, errors by code and text; payloads written by hand."""

import json

import pytest

from collector.vendors import VENDORS
from collector.vendors.base import Verdict
from common.messages import RawBar, RawQuote
from tests.collector.vendors.made import (
    EUR_USD,
    HOUR_10_S,
    MONDAY_MS,
    NOW_MS,
    XAU_USD,
    twelvedata_error,
    twelvedata_quote,
    twelvedata_series,
)
from tests.collector.vendors.support import CREDENTIALS, KEY, ask, history, latest, reply

TWELVEDATA = VENDORS["twelvedata"]
EUR_QUOTE = RawQuote("EURUSD", "some_class", HOUR_10_S * 1000 + 1000, 1.08712)
BATCH = {"EUR/USD": twelvedata_quote("EUR/USD", "1.08712"), "XAU/USD": twelvedata_quote("XAU/USD", "2410")}


def test_a_batch_costs_a_credit_for_each_symbol_and_the_key_stays_out_of_the_url() -> None:
    request = TWELVEDATA.latest([EUR_USD, XAU_USD], CREDENTIALS)
    assert (request.path, request.params, request.credits) == ("/quote", (("symbol", "EUR/USD,XAU/USD"),), 2)
    assert request.headers == (("Authorization", f"apikey {KEY}"),)


@pytest.mark.parametrize("body", [BATCH["EUR/USD"], {"EUR/USD": BATCH["EUR/USD"]}])
def test_one_symbol_may_come_bare_or_under_its_key(body: dict[str, object]) -> None:
    assert latest("twelvedata", [EUR_USD], reply(json.dumps(body))).quotes == (EUR_QUOTE,)


def test_several_symbols_come_under_their_keys() -> None:
    reading = latest("twelvedata", [XAU_USD, EUR_USD], reply(json.dumps(BATCH)))
    assert reading.quotes == (RawQuote("XAUUSD", "some_class", HOUR_10_S * 1000 + 1000, 2410.0), EUR_QUOTE)
    assert (reading.verdict, reading.refused, reading.detail) == (Verdict.OK, {}, "")


def test_an_error_under_one_key_is_that_symbols_alone() -> None:
    gated = twelvedata_error(404, "This symbol is available starting with the Grow or Venture plan.")
    reading = latest("twelvedata", [EUR_USD, XAU_USD], reply(json.dumps(BATCH | {"XAU/USD": gated})))
    assert (reading.verdict, reading.quotes, reading.refused) == (
        Verdict.OK, (EUR_QUOTE,), {"XAUUSD": Verdict.NOT_ENTITLED},
    )  # fmt: skip


def test_without_last_quote_at_there_is_no_telling_how_old_a_price_is() -> None:
    row = {k: v for k, v in BATCH["EUR/USD"].items() if k != "last_quote_at"}
    assert latest("twelvedata", [EUR_USD], reply(json.dumps(row))).verdict is Verdict.NO_DATA


@pytest.mark.parametrize(
    ("code", "text", "verdict", "wait_s"),
    [
        (429, "out of API credits for the current minute. 9 used, limit 8", Verdict.RATE_LIMITED, 56.0),
        (429, "out of API credits for the day. 801 used, limit 800", Verdict.RATE_LIMITED, 50_396.0),
        (401, "**apikey** parameter is incorrect or not specified.", Verdict.BAD_KEY, None),
        (403, "/quote is available exclusively with pro plans", Verdict.NOT_ENTITLED, None),
        (403, "The demo API key is for demonstration only", Verdict.BAD_KEY, None),
        (404, "**symbol** parameter is missing or invalid. Please provide a valid one", Verdict.UNKNOWN_SYMBOL, None),
        (404, "This symbol is available starting with the Grow or Venture plan", Verdict.NOT_ENTITLED, None),
        (400, "No data is available on the specified dates", Verdict.NO_DATA, None),
        (400, "**symbol** not found: XYZ", Verdict.UNKNOWN_SYMBOL, None),
        (400, "Invalid **interval** provided", Verdict.BAD_REQUEST, None),
        (414, "too many symbols", Verdict.BAD_REQUEST, None),
        (422, "No data", Verdict.NO_DATA, None),
        (500, "Internal error", Verdict.OUTAGE, None),
    ],
)
@pytest.mark.parametrize("status", [200, 0])
def test_an_error_is_told_by_code_and_text_whatever_the_status(
    code: int, text: str, verdict: Verdict, wait_s: float | None, status: int
) -> None:
    body = json.dumps(twelvedata_error(code, text))
    reading = latest("twelvedata", [EUR_USD], reply(body, status or code, NOW_MS))
    assert (reading.verdict, reading.retry_after_s, reading.quotes) == (verdict, wait_s, ())


@pytest.mark.parametrize(
    ("body", "verdict", "wait_s"),
    [
        ({"status": "error", "message": "Your apikey is not valid"}, Verdict.BAD_KEY, None),
        ({"code": "401", "message": "who are you?"}, Verdict.BAD_KEY, None),
        (
            {"code": 200, "status": "error", "message": "daily limit of 800 credits exceeded"},
            Verdict.RATE_LIMITED,
            50_396.0,
        ),
        ({"status": "error", "messages": ["Too many requests"]}, Verdict.RATE_LIMITED, 56.0),
        ({"status": "error", "message": "Upgrade to see this"}, Verdict.NOT_ENTITLED, None),
        ({"status": "error", "message": "oops"}, Verdict.OUTAGE, None),
    ],
)
def test_an_error_without_a_known_code_is_told_by_its_words(
    body: dict[str, object], verdict: Verdict, wait_s: float | None
) -> None:
    reading = latest("twelvedata", [EUR_USD], reply(json.dumps(body), 200, NOW_MS))
    assert (reading.verdict, reading.retry_after_s, reading.quotes) == (verdict, wait_s, ())


@pytest.mark.parametrize("name", ["api-credits-left", "Api-Credits-Left"])
def test_what_is_left_of_the_minute_is_read_from_the_header(name: str) -> None:
    assert latest("twelvedata", [EUR_USD], reply("{}", headers={name: "5"})).credits_left == 5
    assert latest("twelvedata", [EUR_USD], reply("{}", headers={name: "-1"})).credits_left is None


def test_history_is_asked_for_in_utc_oldest_first_in_pieces() -> None:
    requests = TWELVEDATA.history(XAU_USD, "1m", MONDAY_MS, MONDAY_MS + 5_000 * 60_000, CREDENTIALS)
    assert [r.span for r in requests] == [
        (MONDAY_MS, MONDAY_MS + 4_999 * 60_000), (MONDAY_MS + 4_999 * 60_000, MONDAY_MS + 5_000 * 60_000),
    ]  # fmt: skip
    assert dict(requests[0].params) == {
        "symbol": "XAU/USD", "interval": "1min", "start_date": "2030-03-18 00:00:00",
        "end_date": "2030-03-21 11:19:00", "outputsize": "5000", "order": "asc", "timezone": "UTC",
    }  # fmt: skip
    assert TWELVEDATA.history(XAU_USD, "1s", 0, 60_000, CREDENTIALS) == ()


def test_bars_are_strings_in_utc_and_the_open_one_is_left_out() -> None:
    reading = history("twelvedata", XAU_USD, "1m", reply(twelvedata_series(), received_ms=NOW_MS))
    assert reading.bars == (RawBar(HOUR_10_S * 1000 - 60_000, 2410.10999, 2411.0, 2410.0, 2410.5),)


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        (twelvedata_series("5min"), Verdict.NO_DATA),
        (twelvedata_series().replace("XAU/USD", "XAG/USD"), Verdict.OUTAGE),
        (json.dumps(twelvedata_error(400, "No data is available on the specified dates")), Verdict.NO_DATA),
        (twelvedata_series().replace('"values"', '"rows"'), Verdict.NO_DATA),
        ("[]", Verdict.OUTAGE),
        ("{}", Verdict.OUTAGE),
    ],
)
def test_a_reply_without_bars_says_why(body: str, verdict: Verdict) -> None:
    reading = history("twelvedata", XAU_USD, "1m", reply(body, received_ms=NOW_MS))
    assert (reading.verdict, reading.bars) == (verdict, ())
    assert reading.detail


def test_a_volume_counts_only_where_it_means_something() -> None:
    body = json.dumps(twelvedata_quote("QQQ", "401.5") | {"volume": "1200"})
    traded = latest("twelvedata", [ask("QQQ", "Q", "traded")], reply(body))
    untraded = latest("twelvedata", [ask("QQQ", "Q")], reply(body))
    assert (traded.quotes[0].day_volume, untraded.quotes[0].day_volume) == (1200.0, None)

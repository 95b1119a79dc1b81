"""Yahoo: the quirks of its quotes, charts and crumbs, on payloads written by hand."""

import json

import pytest

from collector.vendors import VENDORS
from collector.vendors.base import Credentials, Reading, Verdict
from common.messages import RawBar, RawQuote
from tests.collector.vendors.made import EURUSD_X, HOUR_10_S, NOW_MS, NQ_F, yahoo_chart, yahoo_quotes
from tests.collector.vendors.support import CREDENTIALS, TOKEN, ask, history, latest, reply

YAHOO = VENDORS["yahoo"]
DAY_MS = 86_400_000


def test_quotes_are_asked_for_in_one_call_with_the_crumb() -> None:
    request = YAHOO.latest([EURUSD_X, NQ_F], CREDENTIALS)
    assert (request.path, request.credits) == ("/v7/finance/quote", 1)
    assert request.params == (("symbols", "EURUSD=X,NQ=F"), ("crumb", TOKEN))
    assert YAHOO.latest([NQ_F], Credentials()).params == (("symbols", "NQ=F"),)
    assert dict(YAHOO.headers)["User-Agent"].startswith("Mozilla/5.0")


def test_quotes_come_in_the_order_of_the_asks_and_a_pair_has_no_spread() -> None:
    reading = latest("yahoo", [EURUSD_X, NQ_F], reply(yahoo_quotes(), received_ms=NOW_MS))
    assert reading == Reading(
        Verdict.OK,
        (
            RawQuote("EURUSD", "some_class", HOUR_10_S * 1000 + 2000, 1.0871234),
            RawQuote("NAS100", "some_class", HOUR_10_S * 1000 - 597_000, 25125.25, 25125.0, 25125.5, 80123.0),
        ),
    )


def test_a_symbol_without_a_row_is_unknown_and_a_row_without_a_price_has_no_data() -> None:
    asks = [ask("GONE=F", "OLD"), ask("NOSUCH", "NEW"), NQ_F]
    reading = latest("yahoo", asks, reply(yahoo_quotes(), received_ms=NOW_MS))
    assert (reading.verdict, [q.symbol for q in reading.quotes]) == (Verdict.OK, ["NAS100"])
    assert reading.refused == {"OLD": Verdict.NO_DATA, "NEW": Verdict.UNKNOWN_SYMBOL}


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({"quoteType": "NONE"}, Verdict.UNKNOWN_SYMBOL),
        ({"regularMarketTime": HOUR_10_S - 31 * 86_400}, Verdict.NO_DATA),
        ({"regularMarketTime": None}, Verdict.NO_DATA),
        ({"regularMarketPrice": None}, Verdict.NO_DATA),
    ],
)
def test_a_dead_row_is_no_quote(change: dict[str, object], verdict: Verdict) -> None:
    row = {"symbol": "NQ=F", "regularMarketPrice": 25125.25, "regularMarketTime": HOUR_10_S} | change
    body = json.dumps({"quoteResponse": {"result": [row], "error": None}})
    reading = latest("yahoo", [NQ_F], reply(body, received_ms=NOW_MS))
    assert (reading.verdict, reading.refused, reading.quotes) == (verdict, {"NAS100": verdict}, ())


@pytest.mark.parametrize(
    ("body", "status", "verdict", "wait_s"),
    [
        ("Too Many Requests\r\n", 429, Verdict.RATE_LIMITED, 900.0),
        ("Edge: Too Many Requests", 200, Verdict.RATE_LIMITED, 900.0),
        ("<html>Too Many Requests</html>", 429, Verdict.RATE_LIMITED, 900.0),
        ("Unable to process request at this time -- error 999", 999, Verdict.RATE_LIMITED, 900.0),
        ('{"finance":{"result":null,"error":{"code":"x","description":"Rate limit reached"}}}', 200,
         Verdict.RATE_LIMITED, 900.0),
        ("<!DOCTYPE html><title>Yahoo</title>", 200, Verdict.OUTAGE, None),
        ('<html><form action="/consent?gcrumb=x">Before you continue</form></html>', 200, Verdict.OUTAGE, None),
        ("", 307, Verdict.OUTAGE, None),
        ("<html>sign in</html>", 401, Verdict.BAD_SESSION, None),
        ('{"finance":{"result":null,"error":{"code":"Unauthorized","description":"Invalid Cookie"}}}', 200,
         Verdict.BAD_SESSION, None),
        ('{"finance":{"result":null,"error":{"code":"Not Found","description":"HTTP 404 Not Found"}}}', 404,
         Verdict.OUTAGE, None),
        ('<?xml version="1.0"?><yahoo:error/>', 404, Verdict.OUTAGE, None),
        ('{"quoteResponse":{"result":null,"error":{"code":"Internal Server Error","description":"x"}}}', 500,
         Verdict.OUTAGE, None),
        ("", 502, Verdict.OUTAGE, None),
    ],
)  # fmt: skip
def test_an_error_is_told_by_its_body(body: str, status: int, verdict: Verdict, wait_s: float | None) -> None:
    reading = latest("yahoo", [NQ_F], reply(body, status, headers={"content-type": "text/html"}))
    assert (reading.verdict, reading.retry_after_s, reading.quotes) == (verdict, wait_s, ())


def test_good_quotes_count_whatever_the_status_and_content_type_say() -> None:
    answer = reply(yahoo_quotes(), 503, NOW_MS, {"content-type": "text/html"})
    assert latest("yahoo", [NQ_F], answer).verdict is Verdict.OK


def test_the_cookie_page_comes_before_the_crumb() -> None:
    cookie, crumb = YAHOO.token_requests()
    assert (YAHOO.hosts[cookie.host], cookie.path) == ("https://fc.yahoo.com", "/")
    assert (YAHOO.hosts[crumb.host], crumb.path) == ("https://query1.finance.yahoo.com", "/v1/test/getcrumb")


@pytest.mark.parametrize("body", ["aB3./xYz9Qk", "abcdefghijk\n", "=-_~xYz9Qk1"])
def test_a_crumb_is_a_short_word_of_plain_text(body: str) -> None:
    assert YAHOO.read_token(reply(body)) == body.strip()


@pytest.mark.parametrize(
    "body",
    [
        "",
        "Too Many Requests",
        "<html></html>",
        "<consent/>",
        "consent?gcrumb=abc&done=https",
        '{"error":1}',
        "Unauthorized",
        "x" * 21,
        "abc",
        "aB3./xYz\u00e9Qk",
    ],
)
def test_words_and_pages_are_no_crumb(body: str) -> None:
    assert YAHOO.read_token(reply(body)) is None
    assert YAHOO.read_token(reply("aB3./xYz9Qk", status=401)) is None


def test_why_there_is_no_crumb_is_told_by_read_latest() -> None:
    request = YAHOO.token_requests()[-1]
    assert YAHOO.read_latest(request, reply("Too Many Requests", 429)).verdict is Verdict.RATE_LIMITED


def test_history_is_cut_to_what_one_call_can_carry() -> None:
    requests = YAHOO.history(ask("^GSPC"), "1m", 0, 15 * DAY_MS, CREDENTIALS)
    assert [r.span for r in requests] == [(0, 7 * DAY_MS), (7 * DAY_MS, 14 * DAY_MS), (14 * DAY_MS, 15 * DAY_MS)]
    assert requests[1].path == "/v8/finance/chart/%5EGSPC"
    assert requests[1].params[:3] == (("interval", "1m"), ("period1", "604800"), ("period2", "1209600"))
    assert len(YAHOO.history(NQ_F, "15m", 0, 61 * DAY_MS, CREDENTIALS)) == 2
    assert len(YAHOO.history(NQ_F, "1h", 0, 731 * DAY_MS, CREDENTIALS)) == 2
    assert YAHOO.history(NQ_F, "1s", 0, DAY_MS, CREDENTIALS) == YAHOO.history(NQ_F, "1m", 5, 5, CREDENTIALS) == ()


OPEN_0956_MS = (HOUR_10_S - 240) * 1_000
BAR_0956 = RawBar(OPEN_0956_MS, 1.5, 2.0, 1.25, 1.75, 7.0)
BAR_0958 = RawBar(OPEN_0956_MS + 120_000, 2.5, 2.75, 2.25, 2.5, 0.0)
BAR_0959 = RawBar(OPEN_0956_MS + 180_000, 103.63, 103.63, 103.63, 103.63, 12.0)


def test_null_rows_and_the_live_point_are_no_bars() -> None:
    reading = history("yahoo", NQ_F, "1m", reply(yahoo_chart(), received_ms=NOW_MS))
    assert (reading.verdict, reading.bars) == (Verdict.OK, (BAR_0956, BAR_0958, BAR_0959))


def test_a_bar_is_closed_only_when_our_clock_and_the_vendors_data_have_passed_its_end() -> None:
    early = history("yahoo", NQ_F, "1m", reply(yahoo_chart(), received_ms=HOUR_10_S * 1000 - 1))
    assert early.bars == (BAR_0956, BAR_0958)
    late = yahoo_chart(regularMarketTime=HOUR_10_S - 65)  # the newest price is of 09:58:55
    assert history("yahoo", NQ_F, "1m", reply(late, received_ms=NOW_MS)).bars == (BAR_0956,)
    settled = history("yahoo", NQ_F, "1m", reply(late, received_ms=NOW_MS + 1_200_000))
    assert settled.bars == (BAR_0956, BAR_0958, BAR_0959)


def test_bars_outside_the_span_are_left_out() -> None:
    span = (OPEN_0956_MS + 60_000, OPEN_0956_MS + 180_000)
    assert history("yahoo", NQ_F, "1m", reply(yahoo_chart(), received_ms=NOW_MS), span).bars == (BAR_0958,)


def test_a_flat_last_bar_at_the_end_of_the_session_is_the_closing_point() -> None:
    body = yahoo_chart(currentTradingPeriod={"regular": {"end": HOUR_10_S - 60}})
    chart = json.loads(body)
    chart["chart"]["result"][0]["timestamp"].pop()
    reading = history("yahoo", NQ_F, "1m", reply(json.dumps(chart), received_ms=NOW_MS))
    assert reading.bars == (BAR_0956, BAR_0958)


def test_words_in_the_arrays_stay_words_for_the_validator() -> None:
    chart = json.loads(yahoo_chart())
    columns = chart["chart"]["result"][0]["indicators"]["quote"][0]
    columns["high"][0], columns["low"][2] = "Infinity", float("nan")
    reading = history("yahoo", NQ_F, "1m", reply(json.dumps(chart), received_ms=NOW_MS))
    assert (reading.bars[0].high, reading.bars[1].low) == ("Infinity", "NaN")


@pytest.mark.parametrize(
    ("body", "status", "verdict"),
    [
        (yahoo_chart(dataGranularity="5m"), 200, Verdict.NO_DATA),
        (yahoo_chart(symbol="ES=F"), 200, Verdict.OUTAGE),
        ('{"chart":{"result":[{"meta":{"symbol":"NQ=F","dataGranularity":"1m"},"indicators":{"quote":[{}]}}],"error":null}}',
         200, Verdict.NO_DATA),
        ('{"chart":{"result":null,"error":{"code":"Not Found","description":"No data found, symbol may be delisted"}}}',
         404, Verdict.UNKNOWN_SYMBOL),
        ('{"chart":{"result":null,"error":{"code":"Unprocessable","description":"must be within the last 30"}}}',
         422, Verdict.NO_DATA),
        ('{"chart":{"result":null,"error":{"code":"Unprocessable Entity","description":"Only 8 days worth"}}}', 422,
         Verdict.BAD_REQUEST),
        ("Edge: Too Many Requests", 429, Verdict.RATE_LIMITED),
        (yahoo_quotes(), 200, Verdict.OUTAGE),
    ],
)  # fmt: skip
def test_a_chart_without_bars_says_why(body: str, status: int, verdict: Verdict) -> None:
    reading = history("yahoo", NQ_F, "1m", reply(body, status, NOW_MS))
    assert (reading.verdict, reading.bars) == (verdict, ())
    assert reading.detail

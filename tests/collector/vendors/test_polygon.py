"""Polygon: units by magnitude, errors inside good replies, pages; on payloads written by hand."""

import json

import pytest

from collector.vendors import VENDORS
from collector.vendors.base import Verdict
from common.messages import RawBar, RawQuote
from tests.collector.vendors.made import (
    C_EURUSD,
    HOUR_10_S,
    I_NDX,
    MONDAY_MS,
    NOW_MS,
    polygon_aggs,
    polygon_forex,
    polygon_mixed,
)
from tests.collector.vendors.support import CREDENTIALS, KEY, ask, history, latest, reply

POLYGON = VENDORS["polygon"]
AT_10_MS = HOUR_10_S * 1_000


def test_pairs_alone_and_mixed_kinds_are_one_call_each() -> None:
    pairs = POLYGON.latest([C_EURUSD, ask("C:XAUUSD")], CREDENTIALS)
    assert pairs.path == "/v2/snapshot/locale/global/markets/forex/tickers"
    assert pairs.params == (("tickers", "C:EURUSD,C:XAUUSD"),)
    mixed = POLYGON.latest([C_EURUSD, I_NDX], CREDENTIALS)
    assert mixed.path == "/v3/snapshot"
    assert mixed.params == (("ticker.any_of", "C:EURUSD,I:NDX"), ("limit", "250"))
    assert pairs.headers == mixed.headers == (("Authorization", f"Bearer {KEY}"),)


def test_a_mixed_snapshot_gives_quotes_values_and_refusals() -> None:
    reading = latest("polygon", [C_EURUSD, I_NDX, ask("I:SPX", "US500")], reply(polygon_mixed()))
    assert reading.quotes == (
        RawQuote("EURUSD", "some_class", AT_10_MS, None, 1.0871, 1.0872),
        RawQuote("NAS100", "some_class", AT_10_MS + 123, 25101.5),
    )
    assert (reading.verdict, reading.refused) == (Verdict.OK, {"US500": Verdict.NOT_ENTITLED})


@pytest.mark.parametrize("unit", [1, 1_000, 1_000_000, 1_000_000_000])
def test_a_time_is_the_same_in_whatever_unit_it_comes(unit: int) -> None:
    reading = latest("polygon", [C_EURUSD], reply(polygon_forex(updated=HOUR_10_S * unit)))
    assert reading.quotes == (RawQuote("EURUSD", "some_class", AT_10_MS, None, 1.0871, 1.0872),)


def test_a_quote_without_a_plausible_time_is_refused() -> None:
    assert latest("polygon", [C_EURUSD], reply(polygon_forex(updated=7))).verdict is Verdict.NO_DATA


def test_a_pair_that_is_missing_from_the_snapshot_has_no_data_yet() -> None:
    reading = latest("polygon", [C_EURUSD, ask("C:XAUUSD", "XAUUSD")], reply(polygon_forex()))
    assert reading.refused == {"XAUUSD": Verdict.NO_DATA}
    assert latest("polygon", [C_EURUSD], reply('{"status":"OK","tickers":[]}')).verdict is Verdict.NO_DATA


def test_a_row_with_an_error_is_refused_even_beside_a_value() -> None:
    row = {"ticker": "I:NDX", "value": 1.0, "last_updated": HOUR_10_S, "error": 17}
    assert latest("polygon", [I_NDX], reply(json.dumps({"results": [row]}))).verdict is Verdict.NO_DATA


@pytest.mark.parametrize(
    ("status", "body", "verdict", "wait_s"),
    [
        (429, '{"status":"ERROR","error":"You\'ve exceeded the maximum requests per minute, please wait or upgrade"}',
         Verdict.RATE_LIMITED, 56.0),
        (200, '{"status":"ERROR","error":"Too many requests: upgrade your plan"}', Verdict.RATE_LIMITED, 56.0),
        (429, "", Verdict.RATE_LIMITED, 56.0),
        (401, '{"status":"ERROR","error":"Unknown API Key"}', Verdict.BAD_KEY, None),
        (401, "", Verdict.BAD_KEY, None),
        (403, '{"status":"NOT_AUTHORIZED","message":"You are not entitled to this data. Please upgrade your plan"}',
         Verdict.NOT_ENTITLED, None),
        (200, '{"status":"NOT_AUTHORIZED","message":"You are not entitled to this data."}', Verdict.NOT_ENTITLED, None),
        (404, '{"status":"NOT_FOUND","message":"Ticker not found."}', Verdict.UNKNOWN_SYMBOL, None),
        (400, '{"status":"ERROR","error":"bad parameter"}', Verdict.BAD_REQUEST, None),
        (500, '{"status":"ERROR","error":"internal"}', Verdict.OUTAGE, None),
        (200, "<html></html>", Verdict.OUTAGE, None),
    ],
)  # fmt: skip
def test_an_error_is_told_by_its_body_first(status: int, body: str, verdict: Verdict, wait_s: float | None) -> None:
    reading = latest("polygon", [I_NDX], reply(body, status, NOW_MS))
    assert (reading.verdict, reading.retry_after_s, reading.quotes) == (verdict, wait_s, ())
    assert history("polygon", C_EURUSD, "1m", reply(body, status, NOW_MS)).verdict is verdict


@pytest.mark.parametrize(
    "words", ["Your plan doesn't include this data timeframe", "Attempted to request today's data before end of day"]
)
def test_a_plan_without_that_time_frame_has_no_data_there_and_stays_entitled(words: str) -> None:
    body = json.dumps({"status": "NOT_AUTHORIZED", "message": f"{words}. Please upgrade your plan"})
    assert history("polygon", C_EURUSD, "1m", reply(body, 403, NOW_MS)).verdict is Verdict.NO_DATA


def test_history_is_asked_for_in_ms_with_an_end_that_is_included() -> None:
    (request,) = POLYGON.history(C_EURUSD, "5m", MONDAY_MS, NOW_MS, CREDENTIALS)
    assert request.path == f"/v2/aggs/ticker/C:EURUSD/range/5/minute/{MONDAY_MS}/{NOW_MS - 1}"
    assert request.params == (("sort", "asc"), ("limit", "50000"))
    assert POLYGON.history(C_EURUSD, "1m", 5, 5, CREDENTIALS) == ()


def test_bars_carry_quote_counts_as_volume_and_weekend_bars_are_told() -> None:
    reading = history("polygon", C_EURUSD, "1m", reply(polygon_aggs(), received_ms=NOW_MS))
    assert reading.bars == (
        RawBar(MONDAY_MS - 60_000, 1.1, 1.3, 1.0, 1.2, 3.0),
        RawBar(MONDAY_MS, 1.2, 1.25, 1.15, 1.21, 41.0),
    )
    assert reading.detail == "2 bars of 2 rows, 1 of them at the weekend"
    assert reading.next is None


@pytest.mark.parametrize("results", ["", ',"results":null'])
def test_no_results_are_no_data(results: str) -> None:
    body = f'{{"ticker":"C:EURUSD","resultsCount":0,"status":"OK"{results}}}'
    assert history("polygon", C_EURUSD, "1m", reply(body)).verdict is Verdict.NO_DATA


@pytest.mark.parametrize("root", ["https://api.massive.com", "http://127.0.0.1:9/polygon"])
def test_the_next_page_is_fetched_from_our_host_with_our_key(root: str) -> None:
    url = f"{root}/v2/aggs/ticker/C:EURUSD/range/1/minute/1/2?cursor=bGltaXQ&apiKey=other"
    span = (MONDAY_MS - 60_000, NOW_MS)
    reading = history("polygon", C_EURUSD, "1m", reply(polygon_aggs(url), received_ms=NOW_MS), span)
    assert reading.next is not None
    assert (reading.next.path, reading.next.params) == (
        "/v2/aggs/ticker/C:EURUSD/range/1/minute/1/2", (("cursor", "bGltaXQ"),),
    )  # fmt: skip
    assert (reading.next.host, reading.next.span, reading.next.asks) == ("", span, (C_EURUSD,))
    assert reading.next.headers == (("Authorization", f"Bearer {KEY}"),)


@pytest.mark.parametrize(
    "url", ["https://evil.example/steal", "https://[::1", "//x", "https://api.polygon.io/v2/aggs/ticker/../../keys"]
)
def test_a_next_page_elsewhere_is_not_followed(url: str) -> None:
    assert history("polygon", C_EURUSD, "1m", reply(polygon_aggs(url), received_ms=NOW_MS)).next is None


def test_a_page_that_leads_to_itself_is_the_last() -> None:
    (request,) = POLYGON.history(C_EURUSD, "1m", MONDAY_MS, NOW_MS, CREDENTIALS)
    url = f"https://api.polygon.io{request.path}?sort=asc&limit=50000"
    assert POLYGON.read_history(request, "1m", reply(polygon_aggs(url), received_ms=NOW_MS)).next is None


def test_bars_of_another_ticker_are_not_ours() -> None:
    assert history("polygon", I_NDX, "1m", reply(polygon_aggs(), received_ms=NOW_MS)).verdict is Verdict.OUTAGE

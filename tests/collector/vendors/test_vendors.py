"""What holds for every adapter: no key in a detail, an order of all asks, Retry-After obeyed, no I/O."""

import ast
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

import collector.vendors
from collector.vendors import STREAMS, VENDORS
from collector.vendors.answers import redacted
from collector.vendors.base import Ask, Credentials, Request, Verdict
from common.symbols import TERMINAL, load_symbols
from tests.collector.vendors.made import SAMPLES, Sample
from tests.collector.vendors.support import CREDENTIALS, KEY, TOKEN, ask, history, latest, reply

ASKS = {"yahoo": "NQ=F", "alphavantage": "EUR/USD", "twelvedata": "EUR/USD", "polygon": "C:EURUSD"}
TEXT_KEYS = ("Information", "Note", "Error Message", "error", "message", "status")


def test_the_symbol_table_names_vendors_that_exist() -> None:
    table = load_symbols(("NAS100", "XAUUSD", "EURUSD", "GBPUSD", "US30", "US500"))
    listed = {listing.vendor for symbol in table.symbols.values() for listing in symbol.sources}
    assert listed - {TERMINAL} == VENDORS.keys()
    assert STREAMS.keys() <= VENDORS.keys()
    assert all(table[name].name == name for table in (VENDORS, STREAMS) for name in table)


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("spelled", [str, str.lower, lambda secret: quote(secret, safe="")])
def test_a_key_that_a_vendor_repeats_is_in_no_detail(vendor: str, spelled: Callable[[str], str]) -> None:
    asks, secret = [ask(ASKS[vendor], "X")], spelled(KEY if VENDORS[vendor].needs_key else TOKEN)
    said = f"{secret}: we have detected your API key as {secret} at /query?apikey={secret}&crumb={secret}"
    bodies = [json.dumps({key: said} | {"code": 400, "status": "ERROR"}) for key in TEXT_KEYS]
    bodies += [
        json.dumps({top: {"error": {"code": said, "description": said}}}) for top in ("finance", "quoteResponse")
    ]
    bodies += [said]
    for body in bodies:
        reading = latest(vendor, asks, reply(body, 400, headers={"content-type": said}))
        assert secret.lower() not in reading.detail.lower()


@pytest.mark.parametrize("vendor", [name for name in VENDORS if VENDORS[name].needs_key])
def test_a_key_in_a_reply_to_a_history_request_is_in_no_detail(vendor: str) -> None:
    body = json.dumps({"Information": KEY, "code": KEY, "error": KEY, "status": "error", "message": KEY, "ticker": KEY})
    assert KEY not in history(vendor, ask(ASKS[vendor]), "1m", reply(body, headers={"content-type": KEY})).detail


def test_a_key_of_another_request_is_not_repeated_either() -> None:
    request = Request("/", (), (("apikey", "k1"),), (("Authorization", "Bearer b\u00e9\u00e9"),))
    text = "API key as ABCDEFGH12345678 and b\u00e9\u00e9 and k1\nat ?apikey=x&y"
    assert redacted(text, request) == "API key as *** and *** and *** at ?apikey=***&y"
    assert redacted("nothing", Request("/", (), (("apikey", ""),))) == "nothing"


@pytest.mark.parametrize("vendor", VENDORS)
def test_retry_after_is_obeyed_where_it_is_longer(vendor: str) -> None:
    for status in (429, 503):
        answer = reply("", status, headers={"Retry-After": "7200"})
        assert latest(vendor, [ask(ASKS[vendor])], answer).retry_after_s == 7200.0


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("body", ["", "<html></html>", "{", "{}", "[]", "null", "\x00"])
@pytest.mark.parametrize("status", [200, 301, 404, 500, 502, 503])
def test_what_is_no_answer_is_an_outage(vendor: str, body: str, status: int) -> None:
    answer = reply(body, status)
    assert latest(vendor, [ask(ASKS[vendor])], answer).verdict is Verdict.OUTAGE
    assert history(vendor, ask(ASKS[vendor]), "1m", answer).verdict is Verdict.OUTAGE


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: f"{s.vendor}-{s.body[:24]}")
def test_every_ask_is_quoted_or_refused_or_the_vendor_is_at_fault(sample: Sample) -> None:
    if sample.timeframe is None:
        reading = latest(sample.vendor, sample.asks, reply(sample.body, sample.status, 1_900_060_000_000))
        told = {q.symbol for q in reading.quotes} | set(reading.refused)
        of_the_vendor = reading.verdict in (Verdict.BAD_KEY, Verdict.BAD_SESSION, Verdict.RATE_LIMITED)
        assert told == (set() if of_the_vendor else {a.symbol for a in sample.asks})


@pytest.mark.parametrize("vendor", [name for name in VENDORS if VENDORS[name].needs_key])
def test_a_vendor_with_a_key_needs_no_token(vendor: str) -> None:
    assert VENDORS[vendor].token_requests() == ()
    assert VENDORS[vendor].read_token(reply("abcdefghijk")) is None


@pytest.mark.parametrize("vendor", VENDORS)
def test_no_request_carries_a_key_in_its_path(vendor: str) -> None:
    adapter, what = VENDORS[vendor], Ask("X", ASKS[vendor], "c")
    requests = (adapter.latest([what], CREDENTIALS), *adapter.history(what, "1m", 0, 60_000, CREDENTIALS))
    assert all(r.path.startswith("/") and KEY not in r.path and r.host in adapter.hosts for r in requests)
    assert adapter.latest([what], Credentials()).asks == (what,)


def test_adapters_do_no_io_and_read_no_clock() -> None:
    folder = Path(collector.vendors.__file__).parent
    imported = {
        name.split(".")[0]
        for file in folder.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    allowed = {"base64", "binascii", "collections", "collector", "common", "dataclasses", "datetime", "email", "enum",
               "json", "math", "re", "struct", "typing", "urllib"}  # fmt: skip
    assert imported <= allowed

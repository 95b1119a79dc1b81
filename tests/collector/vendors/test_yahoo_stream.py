"""Yahoo's streamer on frames encoded by Google's own library."""

import base64
import json

import pytest

from collector.vendors import STREAMS, VENDORS
from collector.vendors.base import Verdict
from collector.vendors.stream import FrameReading
from common.messages import RawQuote
from tests.collector.vendors.made import EURUSD_X, NQ_F
from tests.collector.vendors.streaming import AT_MS, conversation, future_frame, pricing, yahoo_frame
from tests.collector.vendors.support import CREDENTIALS, ask, reply

YAHOO = STREAMS["yahoo"]
EURO = RawQuote("EURUSD", "some_class", AT_MS - 2_000, 1.0871234)


def test_one_connection_carries_all_symbols_as_a_browser_would_open_it() -> None:
    (endpoint,) = YAHOO.endpoints([EURUSD_X, NQ_F], CREDENTIALS)
    assert (endpoint.path, endpoint.params) == ("/", (("version", "2"),))
    assert dict(endpoint.headers)["User-Agent"] == dict(VENDORS["yahoo"].headers)["User-Agent"]
    assert YAHOO.endpoints([], CREDENTIALS) == ()
    assert not YAHOO.needs_key


def test_the_subscription_is_repeated() -> None:
    talk = conversation("yahoo", [EURUSD_X, NQ_F, ask("EURUSD=X", "EURUSD2")])
    assert talk.opened() == talk.periodic() == ('{"subscribe":["EURUSD=X","NQ=F"]}',)
    assert YAHOO.period_s == 15.0


def test_a_price_is_the_shortest_decimal_of_its_float32() -> None:
    reading = conversation("yahoo", [EURUSD_X]).read(yahoo_frame(), AT_MS)
    assert reading == FrameReading(quotes=(EURO,), subscribed=("EURUSD",))


def test_a_future_has_bid_ask_and_volume_and_a_pair_has_none() -> None:
    talk = conversation("yahoo", [EURUSD_X, NQ_F])
    future = RawQuote("NAS100", "some_class", AT_MS - 600_000, 25125.25, 25125.0, 25125.5, 80123.0)
    assert talk.read(future_frame(), AT_MS).quotes == (future,)
    pair = talk.read(yahoo_frame(bid=1.0872, ask=1.0869, day_volume=5), AT_MS)
    assert pair.quotes == (EURO,)


def test_the_first_price_is_the_sign_of_a_subscription() -> None:
    talk = conversation("yahoo", [EURUSD_X, NQ_F])
    said = [talk.read(frame, AT_MS).subscribed for frame in (yahoo_frame(), yahoo_frame(), future_frame())]
    assert said == [("EURUSD",), (), ("NAS100",)]


def test_one_symbol_of_the_vendor_may_be_two_of_ours() -> None:
    reading = conversation("yahoo", [EURUSD_X, ask("EURUSD=X", "EURUSD2")]).read(yahoo_frame(), AT_MS)
    assert [q.symbol for q in reading.quotes] == ["EURUSD", "EURUSD2"]


@pytest.mark.parametrize(
    ("symbol", "quote_type", "hours", "is_quote"),
    [
        ("^NDX", 9, 1, True), ("^NDX", 9, 0, False), ("^NDX", 9, 2, False), ("QQQ", 20, 1, True), ("QQQ", 20, 4, False),
        ("NQ=F", 18, 0, True), ("NQ=F", 18, 3, True), ("EURUSD=X", 14, 0, True), ("EURUSD=X", 14, 1, True),
        ("BTC-USD", 41, 4, True), ("AAPL", 8, 2, False), ("AAPL", 8, 1, True),
    ],
)  # fmt: skip
def test_a_price_outside_regular_hours_counts_where_there_are_no_such_hours(
    symbol: str, quote_type: int, hours: int, is_quote: bool
) -> None:
    frame = yahoo_frame(id=symbol, quote_type=quote_type, market_hours=hours)
    reading = conversation("yahoo", [ask(symbol)]).read(frame, AT_MS)
    assert (reading.verdict, bool(reading.quotes), reading.subscribed) == (Verdict.OK, is_quote, (symbol,))


def test_a_symbol_that_was_not_asked_for_is_nobodys() -> None:
    reading = conversation("yahoo", [NQ_F]).read(yahoo_frame(), AT_MS)
    assert (reading.verdict, reading.quotes, reading.subscribed) == (Verdict.OK, (), ())


@pytest.mark.parametrize("fields", [{"price": 0.0}, {"time": 0}, {"time": 5}])
def test_a_price_without_value_or_time_is_no_quote(fields: dict[str, object]) -> None:
    reading = conversation("yahoo", [EURUSD_X]).read(yahoo_frame(**fields), AT_MS)
    assert (reading.verdict, reading.quotes) == (Verdict.OK, ())
    assert "EURUSD=X" in reading.detail


def test_a_price_that_is_no_number_stays_a_word_for_the_validator() -> None:
    talk = conversation("yahoo", [EURUSD_X])
    assert [talk.read(yahoo_frame(price=float(word)), AT_MS).quotes[0].last for word in ("nan", "inf")] == [
        "nan",
        "inf",
    ]


def test_version_1_sends_the_message_without_an_envelope() -> None:
    bare = json.loads(yahoo_frame())["message"]
    for form in (bare, bare.encode(), f"{bare}\n"):
        assert conversation("yahoo", [EURUSD_X]).read(form, AT_MS).quotes == (EURO,)


@pytest.mark.parametrize("frame", ['{"type":"heartbeat"}', '{"type":"error","message":"x"}'])
def test_other_types_are_ignored(frame: str) -> None:
    reading = conversation("yahoo", [EURUSD_X]).read(frame, AT_MS)
    assert (reading.verdict, reading.quotes, reading.send) == (Verdict.OK, (), ())


def _enveloped(message: object) -> str:
    return json.dumps({"type": "pricing", "message": message})


@pytest.mark.parametrize(
    "frame",
    [
        "", "{", "[]", "null", "<html>", "not base64!", "AAAA", "\ud800", b"\xff\xfe", "{}", '{"message":"AAAA"}',
        _enveloped(None), _enveloped(7), _enveloped("CgRB"), _enveloped("\u00e9"), _enveloped(""),
        _enveloped(base64.b64encode(pricing(id="EURUSD=X", price=1.5)[:-1]).decode()),
        _enveloped(base64.b64encode(pricing(price=1.5)).decode()),
    ],
)  # fmt: skip
def test_what_is_no_frame_is_an_outage(frame: str | bytes) -> None:
    reading = conversation("yahoo", [EURUSD_X]).read(frame, AT_MS)
    assert (reading.verdict, reading.quotes, reading.send) == (Verdict.OUTAGE, (), ())
    assert reading.detail


def test_a_blocked_address_is_told_by_the_reply_in_place_of_the_socket() -> None:
    (endpoint,) = YAHOO.endpoints([NQ_F], CREDENTIALS)
    blocked = YAHOO.read_refusal(endpoint, CREDENTIALS, reply("Edge: Too Many Requests", 429))
    assert (blocked.verdict, blocked.retry_after_s) == (Verdict.RATE_LIMITED, 900.0)
    assert YAHOO.read_refusal(endpoint, CREDENTIALS, reply("<html>", 200)).verdict is Verdict.OUTAGE
    assert YAHOO.read_refusal(endpoint, CREDENTIALS, reply('{"finance":{}}', 401)).verdict is Verdict.OUTAGE

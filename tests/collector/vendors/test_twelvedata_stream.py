"""Twelve Data's price stream on frames written by hand."""

import json

import pytest

from collector.vendors import STREAMS
from collector.vendors.base import Verdict
from collector.vendors.stream import FrameReading
from common.messages import RawQuote
from tests.collector.vendors.made import EUR_USD, XAU_USD
from tests.collector.vendors.streaming import AT_MS, conversation, twelvedata_price
from tests.collector.vendors.support import CREDENTIALS, KEY, ask, reply

TWELVEDATA = STREAMS["twelvedata"]
ASKS = (EUR_USD, XAU_USD)
NOT_ENTITLED, UNKNOWN, NO_DATA = Verdict.NOT_ENTITLED, Verdict.UNKNOWN_SYMBOL, Verdict.NO_DATA


def status(**fields: object) -> str:
    return json.dumps({"event": "subscribe-status"} | fields)


def test_the_key_goes_with_the_opening_and_all_symbols_in_one_subscription() -> None:
    (endpoint,) = TWELVEDATA.endpoints(ASKS, CREDENTIALS)
    assert (endpoint.path, endpoint.params) == ("/v1/quotes/price", (("apikey", KEY),))
    talk = TWELVEDATA.converse(endpoint, CREDENTIALS)
    assert talk.opened() == ('{"action":"subscribe","params":{"symbols":"EUR/USD,XAU/USD"}}',)
    assert (talk.periodic(), TWELVEDATA.period_s) == (('{"action":"heartbeat"}',), 10.0)
    assert TWELVEDATA.endpoints((), CREDENTIALS) == ()


def test_a_price_event_is_a_quote() -> None:
    quote = RawQuote("EURUSD", "some_class", AT_MS, 1.08712, 1.0871, 1.08714)
    assert conversation("twelvedata", ASKS).read(twelvedata_price(), AT_MS) == FrameReading(quotes=(quote,))


def test_a_volume_counts_where_it_is_traded() -> None:
    asks = (ask("QQQ", volume_kind="traded"), ask("QQQ", "Q2"))
    reading = conversation("twelvedata", asks).read(twelvedata_price("QQQ", day_volume=1200), AT_MS)
    assert [q.day_volume for q in reading.quotes] == [1200.0, None]


@pytest.mark.parametrize("change", [{"price": None}, {"timestamp": None}, {"timestamp": "soon"}, {"symbol": "X"}])
def test_a_price_event_without_price_time_or_symbol_is_no_quote(change: dict[str, object]) -> None:
    reading = conversation("twelvedata", ASKS).read(json.dumps(json.loads(twelvedata_price()) | change), AT_MS)
    assert (reading.verdict, reading.quotes) == (Verdict.OK, ())


def _euro(**fields: object) -> list[dict[str, object]]:
    return [{"symbol": "EUR/USD"} | fields]


def _gold(**fields: object) -> list[dict[str, object]]:
    return [{"symbol": "XAU/USD"} | fields]


@pytest.mark.parametrize(
    ("frame", "subscribed", "refused"),
    [
        (status(status="ok", success=_euro() + _gold(), fails=None), ("EURUSD", "XAUUSD"), {}),
        (status(status="ok", success=_gold() + _euro(), fails=[]), ("EURUSD", "XAUUSD"), {}),
        (status(status="ok", success=_euro() + _gold()), ("EURUSD", "XAUUSD"), {}),
        # ok although one failed, and without a reason: most plans have a short list of symbols
        (status(status="ok", success=_euro(), fails=_gold()), ("EURUSD",), {"XAUUSD": NOT_ENTITLED}),
        (status(status="warning", success=_euro(), fails=_gold(message="You are not authorized to access COMMODITY.")),
         ("EURUSD",), {"XAUUSD": NOT_ENTITLED}),
        (status(status="error", success=None, fails=_euro(msg="Symbol not found") + _gold(reason="invalid symbol")), (),
         {"EURUSD": UNKNOWN, "XAUUSD": UNKNOWN}),
        (status(status="ok", success=["EUR/USD"], fails=["XAU/USD"]), ("EURUSD",), {"XAUUSD": NOT_ENTITLED}),
        (status(status="error", fails=_gold(), messages=["symbol does not exist"]), (),
         {"EURUSD": NO_DATA, "XAUUSD": UNKNOWN}),
        # neither confirmed nor refused: the status of the whole is no word about it
        (status(status="ok", success=_euro()), ("EURUSD",), {"XAUUSD": NO_DATA}),
        (status(status="ok"), (), {"EURUSD": NO_DATA, "XAUUSD": NO_DATA}),
        (status(status="ok", success={}, fails="no"), (), {"EURUSD": NO_DATA, "XAUUSD": NO_DATA}),
        (status(status="ok", success=[{"symbol": "GBP/USD"}, 7, None], fails=[None, {"symbol": 1}]), (),
         {"EURUSD": NO_DATA, "XAUUSD": NO_DATA}),
    ],
)  # fmt: skip
def test_a_subscription_is_told_symbol_by_symbol(
    frame: str, subscribed: tuple[str, ...], refused: dict[str, Verdict]
) -> None:
    reading = conversation("twelvedata", ASKS).read(frame, AT_MS)
    assert (reading.verdict, reading.subscribed, reading.refused) == (Verdict.OK, subscribed, refused)


def test_what_one_frame_confirmed_the_next_one_does_not_take_back() -> None:
    talk = conversation("twelvedata", ASKS)
    first = talk.read(status(status="ok", success=_euro()), AT_MS)
    second = talk.read(status(status="ok", success=_gold()), AT_MS)
    assert (first.refused, second.refused, second.subscribed) == ({"XAUUSD": NO_DATA}, {}, ("XAUUSD",))


@pytest.mark.parametrize(
    ("content", "verdict", "wait_s"),
    [
        ({"code": 401, "message": f"**apikey** {KEY} is incorrect", "status": "error"}, Verdict.BAD_KEY, None),
        ({"event": "error", "status": "error", "message": "apikey is missing"}, Verdict.BAD_KEY, None),
        ({"event": "subscribe-status", "status": "error", "code": 401, "message": "x"}, Verdict.BAD_KEY, None),
        ({"status": "error", "code": 403, "message": "WebSocket is available with Pro"}, NOT_ENTITLED, None),
        ({"event": "subscribe-status", "status": "error", "messages": ["You have no access on your plan"]},
         NOT_ENTITLED, None),
        ({"status": "error", "code": 429, "message": "credits for the current minute"}, Verdict.RATE_LIMITED, 51.0),
        ({"event": "error", "status": "error", "message": "maximum connections exceeded"}, Verdict.RATE_LIMITED, 51.0),
        ({"event": "subscribe-status", "status": "error", "messages": ["Cant parse message"]}, Verdict.BAD_REQUEST,
         None),
        ({"code": 404, "message": "symbol not found"}, Verdict.OUTAGE, None),  # of a symbol that it does not name
        ({"status": "error"}, Verdict.OUTAGE, None),
        ({"status": "error", "code": 500, "message": "Internal server error"}, Verdict.OUTAGE, None),
    ],
)  # fmt: skip
def test_an_error_object_ends_the_connection_with_its_reason(
    content: dict[str, object], verdict: Verdict, wait_s: float | None
) -> None:
    reading = conversation("twelvedata", ASKS).read(json.dumps(content), AT_MS + 5_000)
    assert (reading.verdict, reading.retry_after_s, reading.quotes) == (verdict, wait_s, ())
    assert KEY not in reading.detail


@pytest.mark.parametrize("frame", ['{"event":"heartbeat","status":"ok"}', '{"event":"reset-status","status":"ok"}'])
def test_other_events_are_ignored(frame: str) -> None:
    assert conversation("twelvedata", ASKS).read(frame, AT_MS) == FrameReading()


@pytest.mark.parametrize("frame", ["", "{", "[]", "null", "7", "{}", '{"price":1}', b"\xff", "<html>", "\ud800"])
def test_what_is_no_frame_is_an_outage(frame: str | bytes) -> None:
    reading = conversation("twelvedata", ASKS).read(frame, AT_MS)
    assert (reading.verdict, reading.quotes, reading.refused) == (Verdict.OUTAGE, (), {})


def test_a_refused_opening_is_told_by_its_reply() -> None:
    (endpoint,) = TWELVEDATA.endpoints(ASKS, CREDENTIALS)
    body = json.dumps({"code": 401, "message": f"apikey {KEY} is incorrect", "status": "error"})
    refusal = TWELVEDATA.read_refusal(endpoint, CREDENTIALS, reply(body, 401))
    assert (refusal.verdict, KEY in refusal.detail) == (Verdict.BAD_KEY, False)
    busy = TWELVEDATA.read_refusal(endpoint, CREDENTIALS, reply("", 429, AT_MS, {"Retry-After": "300"}))
    assert (busy.verdict, busy.retry_after_s) == (Verdict.RATE_LIMITED, 300.0)


@pytest.mark.parametrize(
    ("reason", "verdict"),
    [("", Verdict.OUTAGE), ("invalid apikey", Verdict.BAD_KEY), ("too many connections", Verdict.RATE_LIMITED)],
)
def test_a_closing_frame_may_say_why(reason: str, verdict: Verdict) -> None:
    assert conversation("twelvedata", ASKS).closed(1008, reason).verdict is verdict

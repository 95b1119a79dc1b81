"""Polygon's sockets on frames written by hand."""

import json

import pytest

from collector.vendors import STREAMS
from collector.vendors.base import Verdict
from collector.vendors.stream import FrameReading, PushedBar
from common.messages import RawBar, RawQuote
from tests.collector.vendors.made import C_EURUSD, I_NDX
from tests.collector.vendors.streaming import (
    AT_MS,
    C_XAUUSD,
    conversation,
    polygon_aggregate,
    polygon_quote,
    polygon_status,
    polygon_value,
)
from tests.collector.vendors.support import CREDENTIALS, KEY, ask, reply

POLYGON = STREAMS["polygon"]
PAIRS = (C_EURUSD, C_XAUUSD)
EURO = RawQuote("EURUSD", "some_class", AT_MS, bid=1.0871, ask=1.0872)
GOLD = RawQuote("XAUUSD", "some_class", AT_MS, bid=1.0871, ask=1.0872)
NASDAQ = RawQuote("NAS100", "some_class", AT_MS, 25101.5)
SUBSCRIBE = '{"action":"subscribe","params":"C.EUR/USD,C.XAU/USD"}'


def frame(*rows: object) -> str:
    return json.dumps(list(rows))


def test_pairs_and_indices_are_two_connections() -> None:
    asks = (I_NDX, C_EURUSD, C_XAUUSD, ask("AAPL"), ask("C:EURUSDT"), ask("X:BTCUSD"))
    endpoints = POLYGON.endpoints(asks, CREDENTIALS)
    assert [(e.path, [a.symbol for a in e.asks]) for e in endpoints] == [
        ("/forex", ["EURUSD", "XAUUSD"]), ("/indices", ["NAS100"]),
    ]  # fmt: skip
    assert all(KEY not in str(endpoint) for endpoint in endpoints)
    assert POLYGON.endpoints([ask("AAPL")], CREDENTIALS) == ()


def test_the_key_is_sent_when_the_server_has_spoken_and_the_subscription_when_the_key_is_good() -> None:
    talk = conversation("polygon", PAIRS)
    assert talk.opened() == talk.periodic() == ()
    assert talk.read(frame(polygon_status("connected")), AT_MS).send == (f'{{"action":"auth","params":"{KEY}"}}',)
    assert talk.read(frame(polygon_status("auth_success", "authenticated")), AT_MS).send == (SUBSCRIBE,)
    assert talk.read(frame(polygon_status("success", "authenticated")), AT_MS).send == (SUBSCRIBE,)  # as in 2019


def test_indices_are_subscribed_by_value() -> None:
    reading = conversation("polygon", [I_NDX]).read(frame(polygon_status("auth_success")), AT_MS)
    assert reading.send == ('{"action":"subscribe","params":"V.I:NDX"}',)


def test_one_frame_may_mix_statuses_and_prices_of_several_symbols() -> None:
    rows = (
        polygon_status("success", "subscribed to: C.EUR/USD"), polygon_quote(), polygon_quote("XAU/USD", x=44),
        polygon_quote("GBP/USD"), polygon_status("success", "subscribed to: C.XAU/USD"),
    )  # fmt: skip
    reading = conversation("polygon", PAIRS).read(frame(*rows), AT_MS)
    assert reading == FrameReading(quotes=(EURO, GOLD), subscribed=("EURUSD", "XAUUSD"))


@pytest.mark.parametrize("spelled", ["EUR/USD", "EUR-USD", "EURUSD", "C:EURUSD"])
def test_a_pair_is_known_in_any_spelling(spelled: str) -> None:
    assert conversation("polygon", PAIRS).read(frame(polygon_quote(spelled)), AT_MS).quotes == (EURO,)


def test_an_index_has_a_value() -> None:
    assert conversation("polygon", [I_NDX]).read(frame(polygon_value()), AT_MS) == FrameReading(quotes=(NASDAQ,))


@pytest.mark.parametrize("kind", ["CA", "CAS"])
def test_an_aggregate_is_a_bar_and_no_quote(kind: str) -> None:
    bar = PushedBar("EURUSD", "some_class", AT_MS, RawBar(AT_MS - 60_000, 1.1, 1.3, 1.0, 1.2, 72.0))
    reading = conversation("polygon", PAIRS).read(frame(polygon_aggregate(kind)), AT_MS)
    assert reading == FrameReading(bars=(bar,))


@pytest.mark.parametrize("kind", ["A", "AM"])
def test_an_aggregate_of_an_index_has_no_volume(kind: str) -> None:
    row = {
        "ev": kind,
        "sym": "I:NDX",
        "op": 1.0,
        "o": 1.1,
        "c": 1.2,
        "h": 1.3,
        "l": 1.0,
        "s": AT_MS - 1_000,
        "e": AT_MS,
    }
    bar = PushedBar("NAS100", "some_class", AT_MS, RawBar(AT_MS - 1_000, 1.1, 1.3, 1.0, 1.2))
    assert conversation("polygon", [I_NDX]).read(frame(row), AT_MS) == FrameReading(bars=(bar,))


@pytest.mark.parametrize(
    "row",
    [polygon_quote(b=None), polygon_quote(a=None), polygon_quote(t="x"), polygon_aggregate(o=None),
     polygon_aggregate(e=None), polygon_quote(p=None), {"ev": "Q", "sym": "AAPL"}],
)  # fmt: skip
def test_an_event_with_a_hole_is_left_out_and_the_others_count(row: dict[str, object]) -> None:
    reading = conversation("polygon", PAIRS).read(frame(row, polygon_quote("XAU/USD")), AT_MS)
    assert (reading.verdict, reading.quotes, reading.bars) == (Verdict.OK, (GOLD,), ())


@pytest.mark.parametrize(
    ("status", "message", "verdict", "wait_s"),
    [
        ("auth_failed", "authentication failed", Verdict.BAD_KEY, None),
        ("auth_failed", f"unknown key {KEY}", Verdict.BAD_KEY, None),
        ("error", "authentication failed", Verdict.BAD_KEY, None),
        ("auth_failed", "Your plan doesn't include websocket access. Visit https://polygon.io/pricing to upgrade.",
         Verdict.NOT_ENTITLED, None),
        ("auth_failed", "not authorized", Verdict.NOT_ENTITLED, None),
        ("max_connections", "Maximum number of websocket connections exceeded.", Verdict.RATE_LIMITED, 60.0),
        ("error", "Maximum number of connections exceeded.", Verdict.RATE_LIMITED, 60.0),
        ("auth_timeout", "No authentication request received.", Verdict.OUTAGE, None),
        ("error", "slow consumer, disconnecting", Verdict.OUTAGE, None),
        ("slow_consumer", "", Verdict.OUTAGE, None),
        ("error", "internal", Verdict.OUTAGE, None),
        ("subscribe_failed", "", Verdict.OUTAGE, None),
    ],
)  # fmt: skip
def test_a_bad_status_ends_the_connection_with_its_reason(
    status: str, message: str, verdict: Verdict, wait_s: float | None
) -> None:
    reading = conversation("polygon", PAIRS).read(
        frame(polygon_quote(), polygon_status(status, message), polygon_status("auth_success")), AT_MS
    )
    assert (reading.verdict, reading.retry_after_s, reading.send) == (verdict, wait_s, ())
    assert reading.quotes == (EURO,)  # what came before it came
    assert reading.detail.startswith(status)
    assert KEY not in reading.detail


def test_a_refused_subscription_is_of_the_channels_that_are_not_confirmed() -> None:
    talk = conversation("polygon", PAIRS)
    talk.read(frame(polygon_status("success", "subscribed to: C.EUR/USD")), AT_MS)
    reading = talk.read(frame(polygon_status("error", "not authorized")), AT_MS)
    assert (reading.verdict, reading.refused) == (Verdict.OK, {"XAUUSD": Verdict.NOT_ENTITLED})


@pytest.mark.parametrize("words", ["not authorized to subscribe to: C.EUR/USD", "C.EUR/USD is not in your plan"])
def test_a_refused_subscription_that_names_its_channel_is_of_that_one(words: str) -> None:
    reading = conversation("polygon", PAIRS).read(frame(polygon_status("error", words)), AT_MS)
    assert reading.refused == {"EURUSD": Verdict.NOT_ENTITLED}


def test_a_status_that_nobody_needs_is_ignored() -> None:
    reading = conversation("polygon", PAIRS).read(frame(polygon_status("info", f"hello {KEY}")), AT_MS)
    assert (reading.verdict, reading.send, KEY in reading.detail) == (Verdict.OK, (), False)
    assert conversation("polygon", PAIRS).read("[]", AT_MS) == FrameReading()


@pytest.mark.parametrize("text", ["", "{", "null", "7", "{}", "[7]", "[{}]", '[{"ev":7}]', "<html>", b"\xff", "\ud800"])
def test_what_is_no_frame_is_an_outage(text: str | bytes) -> None:
    reading = conversation("polygon", PAIRS).read(text, AT_MS)
    assert (reading.verdict, reading.quotes, reading.send) == (Verdict.OUTAGE, (), ())


def test_an_event_outside_an_array_is_understood_as_well() -> None:
    assert conversation("polygon", PAIRS).read(json.dumps(polygon_quote()), AT_MS).quotes == (EURO,)


def test_a_closing_frame_may_say_why() -> None:
    talk = conversation("polygon", PAIRS)
    assert talk.closed(1008, "Maximum number of connections").verdict is Verdict.RATE_LIMITED
    assert talk.closed(1008, "slow consumer").verdict is Verdict.OUTAGE
    assert "1006" in talk.closed(1006, "").detail


def test_a_refused_opening_is_told_by_its_reply() -> None:
    (endpoint,) = POLYGON.endpoints(PAIRS, CREDENTIALS)
    forbidden = '{"status":"NOT_AUTHORIZED","message":"You are not entitled to this data."}'
    assert POLYGON.read_refusal(endpoint, CREDENTIALS, reply(forbidden, 403)).verdict is Verdict.NOT_ENTITLED
    assert POLYGON.read_refusal(endpoint, CREDENTIALS, reply('{"status":"NOT_FOUND"}', 404)).verdict is Verdict.OUTAGE
    assert POLYGON.read_refusal(endpoint, CREDENTIALS, reply("", 502)).verdict is Verdict.OUTAGE

"""What Yahoo's streamer says, against the recorded frames and without them."""

import base64
import json
from pathlib import Path

import pytest

from simulator.dialogue import Opening, Says
from simulator.wire import Answer
from simulator.yahoo_proto import pricing_data
from simulator.yahoo_stream import YahooStream
from tests.simulator.kit import START_MS, client_of, made
from tests.simulator.pricing import decode
from tests.simulator.shapes import load
from tests.simulator.talk import Talk


def yahoo(*symbols: str, version: str = "2") -> Talk:
    talk = Talk(made(), "yahoo", version=version)
    assert talk.say({"subscribe": symbols}) == Says()
    return talk


@pytest.mark.parametrize(
    ("frame", "decoded"),
    [
        ("ws_v2_AAPL_20260805.frame.json", "ws_v2_AAPL_20260805.decoded.json"),
        ("ws_v2_BTC_USD_20251030.frame.json", "ws_v2_BTC_USD_20251030.decoded.json"),
        ("ws_v1_AAPL_20240306.frame.txt", "ws_v1_AAPL_20240306.decoded.json"),
    ],
)
def test_the_writer_gives_recorded_messages_byte_by_byte(recorded: Path, frame: str, decoded: str) -> None:
    text = (recorded / "yahoo" / frame).read_text().strip()
    message = json.loads(text)["message"] if frame.endswith("json") else text
    values = load(recorded / "yahoo" / decoded)
    assert decode(message) == values
    assert base64.b64encode(pricing_data(values)).decode() == message


def test_the_writer_is_right_about_zigzag_floats_and_defaults() -> None:
    # By hand after the protobuf encoding's description: tag = number << 3 | wire type; zigzag of -1 is 1, of 150 300.
    assert pricing_data({"id": "A", "time": 150}) == b"\x0a\x01A\x18\xac\x02"
    assert pricing_data({"day_volume": -1, "price": 1.0, "bid_size": 0}) == b"\x15\x00\x00\x80\x3f\x48\x01"
    assert pricing_data({"price_hint": 2, "market_cap": 1.0}) == b"\xd8\x01\x04\x89\x02\x00\x00\x00\x00\x00\x00\xf0\x3f"


def test_yahoo_frames_of_a_pair_a_future_and_an_index() -> None:
    talk = yahoo("EURUSD=X", "GC=F", "^NDX")
    found = {one["id"]: one for one in (decode(json.loads(text)["message"]) for text in talk.cycle(1))}
    head = ["id", "price", "time", "exchange", "quote_type", "market_hours", "change_percent"]
    tail = ["day_high", "day_low", "change"]
    assert list(found["EURUSD=X"]) == [*head, *tail, "price_hint"]
    assert list(found["^NDX"]) == [*head, *tail, "price_hint"]
    sizes = ["last_size", "bid", "bid_size", "ask", "ask_size"]
    keys = [*head, "day_volume", *tail, *sizes, "price_hint"]
    assert [key for key in found["GC=F"] if key != "last_size"] == [key for key in keys if key != "last_size"]
    kinds = {name: (one["quote_type"], one["exchange"], one["market_hours"]) for name, one in found.items()}
    assert kinds == {"EURUSD=X": (14, "CCY", 1), "GC=F": (18, "CMX", 1), "^NDX": (9, "NIM", 1)}
    assert all(one["time"] % 1000 == 0 and START_MS <= one["time"] <= START_MS + 1000 for one in found.values())


async def test_yahoo_pushes_the_price_that_it_quotes() -> None:
    talk = yahoo("EURUSD=X", "NQ=F")
    client = client_of(made())
    await client.go(7)
    rows = {row["symbol"]: row for row in (await client.quotes("EURUSD=X", "NQ=F")).json["quoteResponse"]["result"]}
    for one in (decode(json.loads(text)["message"]) for text in talk.cycle(7)):
        row = rows[one["id"]]
        assert one["price"] == pytest.approx(row["regularMarketPrice"], rel=1e-7)
        assert one["time"] == row["regularMarketTime"] * 1000


def test_yahoo_version_1_is_the_bare_message() -> None:
    (bare,) = yahoo("EURUSD=X", version="").cycle(1)
    (enveloped,) = yahoo("EURUSD=X").cycle(1)
    assert json.loads(enveloped) == {"type": "pricing", "message": bare}


def test_yahoo_says_nothing_to_unknown_symbols_or_to_what_it_cannot_read() -> None:
    talk = yahoo("NOPE", "XAUUSD=X")
    assert [talk.dialogue.read(text) for text in ("{", "[]", '{"subscribe":"EURUSD=X"}', "")] == [Says()] * 4
    assert talk.cycle(1) == []


def test_yahoo_subscriptions_may_be_repeated_and_taken_back() -> None:
    talk = yahoo("EURUSD=X", "GBPUSD=X")
    talk.say({"subscribe": ["EURUSD=X"]})
    assert len(talk.cycle(1)) == 2
    talk.say({"unsubscribe": ["EURUSD=X", "NOPE"]})
    assert list(talk.dialogue.wanted()) == ["GBPUSD=X"]


def test_yahoo_takes_the_recorded_order(recorded: Path) -> None:
    talk = yahoo()
    talk.say(load(recorded / "yahoo" / "ws_client_subscribe.json"))
    assert list(talk.dialogue.wanted()) == ["EURUSD=X", "GBPUSD=X", "GC=F", "NQ=F", "ES=F", "YM=F"]


def test_yahoo_knows_one_path() -> None:
    assert isinstance(YahooStream({}).welcome(Opening("/other", {}, {})), Answer)

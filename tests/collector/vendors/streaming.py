"""What the tests of the push sides share: conversations, the frames of vendors, PricingData as Google encodes it."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

from collector.vendors import STREAMS
from collector.vendors.base import Ask
from collector.vendors.stream import Conversation
from tests.collector.vendors.made import C_EURUSD, EUR_USD, EURUSD_X, HOUR_10_S, I_NDX, NQ_F, XAU_USD
from tests.collector.vendors.support import CREDENTIALS, KEY, ask

AT_MS = HOUR_10_S * 1_000 + 5_000
C_XAUUSD = ask("C:XAUUSD", "XAUUSD", "ticks")
TEXT, FLOAT, DOUBLE, INT32, SINT64 = 9, 2, 1, 5, 18  # as descriptor.proto numbers the types

# name, number and type, as yfinance/pricing.proto declares them
DECLARED = (
    ("id", 1, TEXT), ("price", 2, FLOAT), ("time", 3, SINT64), ("currency", 4, TEXT), ("exchange", 5, TEXT),
    ("quote_type", 6, INT32), ("market_hours", 7, INT32), ("change_percent", 8, FLOAT), ("day_volume", 9, SINT64),
    ("day_high", 10, FLOAT), ("day_low", 11, FLOAT), ("change", 12, FLOAT), ("short_name", 13, TEXT),
    ("expire_date", 14, SINT64), ("open_price", 15, FLOAT), ("previous_close", 16, FLOAT), ("strike_price", 17, FLOAT),
    ("underlying_symbol", 18, TEXT), ("open_interest", 19, SINT64), ("options_type", 20, SINT64),
    ("mini_option", 21, SINT64), ("last_size", 22, SINT64), ("bid", 23, FLOAT), ("bid_size", 24, SINT64),
    ("ask", 25, FLOAT), ("ask_size", 26, SINT64), ("price_hint", 27, SINT64), ("vol_24hr", 28, SINT64),
    ("vol_all_currencies", 29, SINT64), ("from_currency", 30, TEXT), ("last_market", 31, TEXT),
    ("circulating_supply", 32, DOUBLE), ("market_cap", 33, DOUBLE),
)  # fmt: skip


def _pricing_class() -> type[Message]:
    file = descriptor_pb2.FileDescriptorProto(name="pricing_under_test.proto", package="t", syntax="proto3")
    message = file.message_type.add(name="PricingData")
    for name, number, kind in DECLARED:
        message.field.add(name=name, number=number, type=kind, label=1)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.PricingData"))


PricingData = _pricing_class()


def pricing(**fields: object) -> bytes:
    """Return the message as the vendor's server would encode it."""
    return PricingData(**fields).SerializeToString()


def yahoo_frame(**fields: object) -> str:
    """Return a frame of version 2: a pair at 10:00:03, unless told otherwise."""
    told: dict[str, object] = {"id": "EURUSD=X", "price": 1.0871234, "time": AT_MS - 2_000, "quote_type": 14}
    return json.dumps({"type": "pricing", "message": base64.b64encode(pricing(**told | fields)).decode()})


def future_frame() -> str:
    """Return a frame of a future, with all that a quote may take from it."""
    return yahoo_frame(
        id="NQ=F", price=25125.25, quote_type=18, market_hours=1, bid=25125.0, ask=25125.5, day_volume=80_123,
        time=AT_MS - 600_000, short_name="Nasdaq 100 Jun 30", price_hint=2,
    )  # fmt: skip


def twelvedata_price(symbol: str = "EUR/USD", **fields: object) -> str:
    """Return a price event."""
    told = {"event": "price", "symbol": symbol, "timestamp": AT_MS // 1_000, "price": 1.08712}
    return json.dumps(told | {"bid": 1.0871, "ask": 1.08714} | fields)


def polygon_status(status: str, message: str = "") -> dict[str, object]:
    """Return a status event."""
    return {"ev": "status", "status": status, "message": message}


def polygon_quote(pair: str = "EUR/USD", **fields: object) -> dict[str, object]:
    """Return a quote event; `x` comes as a number or as a string."""
    return {"ev": "C", "p": pair, "x": "44", "a": 1.0872, "b": 1.0871, "t": AT_MS} | fields


def polygon_value(ticker: str = "I:NDX", **fields: object) -> dict[str, object]:
    """Return an index's value."""
    return {"ev": "V", "T": ticker, "val": 25101.5, "t": AT_MS} | fields


def polygon_aggregate(kind: str = "CA", **fields: object) -> dict[str, object]:
    """Return an aggregate of a pair."""
    told: dict[str, object] = {"ev": kind, "pair": "EUR/USD", "v": 72, "o": 1.1, "c": 1.2, "h": 1.3, "l": 1.0}
    return told | {"s": AT_MS - 60_000, "e": AT_MS} | fields


def conversation(vendor: str, asks: Sequence[Ask]) -> Conversation:
    """Return a new conversation of the vendor's first connection for these asks."""
    stream = STREAMS[vendor]
    return stream.converse(stream.endpoints(asks, CREDENTIALS)[0], CREDENTIALS)


@dataclass(frozen=True)
class Frame:
    """A good frame, and who hears it."""

    vendor: str
    asks: tuple[Ask, ...]
    text: str


_PAIRS, _OURS = (C_EURUSD, C_XAUUSD), (EUR_USD, XAU_USD)
FRAMES = (
    Frame("yahoo", (EURUSD_X, NQ_F), yahoo_frame()),
    Frame("yahoo", (EURUSD_X, NQ_F), future_frame()),
    Frame("yahoo", (EURUSD_X, NQ_F), json.loads(future_frame())["message"]),
    Frame("twelvedata", _OURS, twelvedata_price()),
    Frame("twelvedata", _OURS, '{"event":"heartbeat","status":"ok"}'),
    Frame("twelvedata", _OURS, json.dumps({
        "event": "subscribe-status", "status": "ok", "success": [{"symbol": "EUR/USD"}],
        "fails": [{"symbol": "XAU/USD", "message": "You are not authorized to access this data."}]})),
    Frame("twelvedata", _OURS, json.dumps(
        {"status": "error", "code": 401, "message": f"**apikey** parameter {KEY} is incorrect"})),
    Frame("polygon", _PAIRS, json.dumps([polygon_status("connected"), polygon_status("auth_success")])),
    Frame("polygon", _PAIRS, json.dumps([
        polygon_status("success", "subscribed to: C.EUR/USD"), polygon_quote(), polygon_quote("XAU/USD")])),
    Frame("polygon", (I_NDX,), json.dumps([polygon_value(), polygon_status("error", "not authorized")])),
    Frame("polygon", _PAIRS, json.dumps([polygon_aggregate(), polygon_aggregate("CAS")])),
    Frame("polygon", _PAIRS, json.dumps([polygon_status("auth_failed", f"key {KEY} is wrong")])),
    Frame("polygon", _PAIRS, json.dumps([polygon_status("auth_failed", "Your plan doesn't include websocket access")])),
    Frame("polygon", _PAIRS, json.dumps([polygon_status("max_connections", "Maximum number of connections exceeded")])),
)  # fmt: skip

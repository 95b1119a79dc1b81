"""A reader of Yahoo's PricingData of its own, by the public field numbers; the writer under test shares none of it."""

import base64
import struct
from typing import Any

NAMES = {
    1: "id", 2: "price", 3: "time", 4: "currency", 5: "exchange", 6: "quote_type", 7: "market_hours",
    8: "change_percent", 9: "day_volume", 10: "day_high", 11: "day_low", 12: "change", 13: "short_name",
    15: "open_price", 16: "previous_close", 22: "last_size", 23: "bid", 24: "bid_size", 25: "ask", 26: "ask_size",
    27: "price_hint", 28: "vol_24hr", 29: "vol_all_currencies", 30: "from_currency", 32: "circulating_supply",
    33: "market_cap",
}  # fmt: skip
ZIGZAG = {3, 9, 22, 24, 26, 27, 28, 29}


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def decode(text: str) -> dict[str, Any]:
    """Return the fields of a base64 message, in the order of its bytes."""
    content = base64.b64decode(text, validate=True)
    found: dict[str, Any] = {}
    at = 0
    while at < len(content):
        tag, at = _varint(content, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(content, at)
            found[NAMES[number]] = (value >> 1) ^ -(value & 1) if number in ZIGZAG else value
        elif wire == 2:
            size, at = _varint(content, at)
            found[NAMES[number]], at = content[at : at + size].decode(), at + size
        else:
            kind, size = ("<f", 4) if wire == 5 else ("<d", 8)
            found[NAMES[number]], at = struct.unpack(kind, content[at : at + size])[0], at + size
    return found

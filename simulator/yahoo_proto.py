"""Yahoo's PricingData as protobuf bytes."""

import struct
from collections.abc import Mapping

Value = str | int | float

_FIELDS: dict[str, tuple[int, str]] = {
    "id": (1, "text"), "price": (2, "float"), "time": (3, "sint"), "currency": (4, "text"), "exchange": (5, "text"),
    "quote_type": (6, "enum"), "market_hours": (7, "enum"), "change_percent": (8, "float"), "day_volume": (9, "sint"),
    "day_high": (10, "float"), "day_low": (11, "float"), "change": (12, "float"), "short_name": (13, "text"),
    "open_price": (15, "float"), "previous_close": (16, "float"), "last_size": (22, "sint"), "bid": (23, "float"),
    "bid_size": (24, "sint"), "ask": (25, "float"), "ask_size": (26, "sint"), "price_hint": (27, "sint"),
    "vol_24hr": (28, "sint"), "vol_all_currencies": (29, "sint"), "from_currency": (30, "text"),
    "circulating_supply": (32, "double"), "market_cap": (33, "double"),
}  # fmt: skip
_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5
"""Wire types."""


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _field(number: int, kind: str, value: Value) -> bytes:
    if isinstance(value, str):
        content = value.encode()
        return _varint(number << 3 | _BYTES) + _varint(len(content)) + content
    if kind == "float":
        return _varint(number << 3 | _FLOAT) + struct.pack("<f", value)
    if kind == "double":
        return _varint(number << 3 | _DOUBLE) + struct.pack("<d", value)
    whole = int(value)
    zigzag = (whole << 1) ^ (whole >> 63) if kind == "sint" else whole
    return _varint(number << 3 | _VARINT) + _varint(zigzag)


def pricing_data(values: Mapping[str, Value]) -> bytes:
    """Return the message, fields by ascending number; those with the default value are left out."""
    told = sorted((*_FIELDS[name], value) for name, value in values.items() if value)
    return b"".join(_field(number, kind, value) for number, kind, value in told)

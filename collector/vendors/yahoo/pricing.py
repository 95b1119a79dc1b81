"""Read PricingData, the protocol buffer in each frame of Yahoo's streamer.

Source: the fields of yfinance/pricing.proto; the wire format is that of protobuf.dev/programming-guides/encoding.
"""

import struct
from collections.abc import Mapping
from typing import Literal, TypeAlias

Field: TypeAlias = str | int | float
Kind: TypeAlias = Literal["text", "float", "double", "int32", "sint64"]

FIELDS: Mapping[int, tuple[str, Kind]] = {
    1: ("id", "text"), 2: ("price", "float"), 3: ("time", "sint64"), 4: ("currency", "text"),
    5: ("exchange", "text"), 6: ("quote_type", "int32"), 7: ("market_hours", "int32"), 8: ("change_percent", "float"),
    9: ("day_volume", "sint64"), 10: ("day_high", "float"), 11: ("day_low", "float"), 12: ("change", "float"),
    13: ("short_name", "text"), 14: ("expire_date", "sint64"), 15: ("open_price", "float"),
    16: ("previous_close", "float"), 17: ("strike_price", "float"), 18: ("underlying_symbol", "text"),
    19: ("open_interest", "sint64"), 20: ("options_type", "sint64"), 21: ("mini_option", "sint64"),
    22: ("last_size", "sint64"), 23: ("bid", "float"), 24: ("bid_size", "sint64"), 25: ("ask", "float"),
    26: ("ask_size", "sint64"), 27: ("price_hint", "sint64"), 28: ("vol_24hr", "sint64"),
    29: ("vol_all_currencies", "sint64"), 30: ("from_currency", "text"), 31: ("last_market", "text"),
    32: ("circulating_supply", "double"), 33: ("market_cap", "double"),
}  # fmt: skip
"""Number -> name and type. Each sint64 is zigzag: read as a plain integer it comes out doubled."""

_VARINT, _FIXED64, _BYTES, _GROUP, _END_GROUP, _FIXED32 = range(6)
_WIRE: Mapping[Kind, int] = {
    "text": _BYTES, "float": _FIXED32, "double": _FIXED64, "int32": _VARINT, "sint64": _VARINT,
}  # fmt: skip
_VARINT_BYTES, _TAG_BYTES = 10, 5
_UINT64, _UINT32, _INT32_SIGN = 2**64 - 1, 2**32 - 1, 2**31


class _BrokenError(Exception):
    """The bytes are no protocol buffer."""


def read(message: bytes) -> dict[str, Field] | None:
    """Return the fields that the message carries, by name; None if it is no protocol buffer.

    A field that is left out has its default: 0 or "". Unknown fields, and known ones of another type, are skipped; of a
    field that is repeated the last counts.
    """
    found: dict[str, Field] = {}
    reader = _Reader(message)
    try:
        while not reader.at_end:
            number, wire = reader.tag()
            if number == 0:  # nobody's; inside a group that is skipped it does no harm
                return None
            name, kind = FIELDS.get(number, ("", "text"))
            if name and _WIRE[kind] == wire:
                found[name] = reader.value(kind)
            else:
                reader.skip(number, wire)
    except _BrokenError:
        return None
    return found


class _Reader:
    """A place in the bytes that moves on. Every method raises _BrokenError where they end too early."""

    def __init__(self, content: bytes) -> None:
        self._content, self._place = content, 0

    @property
    def at_end(self) -> bool:
        return self._place == len(self._content)

    def tag(self) -> tuple[int, int]:
        """Return the number and the wire type of the next field."""
        tag = self._varint(_TAG_BYTES)
        if tag > _UINT32:
            raise _BrokenError
        return tag >> 3, tag & 7

    def value(self, kind: Kind) -> Field:
        match kind:
            case "text":
                return self._text()
            case "float":
                (single,) = struct.unpack("<f", self._take(4))
                return float(single)
            case "double":
                (double,) = struct.unpack("<d", self._take(8))
                return float(double)
            case "int32":
                low = self._varint() & _UINT32
                return low - 2 * _INT32_SIGN if low >= _INT32_SIGN else low
            case "sint64":
                folded = self._varint()
                return folded >> 1 ^ -(folded & 1)

    def skip(self, number: int, wire: int) -> None:
        """Pass over the field's value; a group's up to the end of that same group, without recursion."""
        open_groups: list[int] = []
        while True:
            if wire == _GROUP:
                open_groups.append(number)
            elif wire == _END_GROUP:
                if not open_groups or open_groups.pop() != number:
                    raise _BrokenError
            else:
                self._skip_value(wire)
            if not open_groups:
                return
            number, wire = self.tag()

    def _skip_value(self, wire: int) -> None:
        match wire:
            case 0:
                self._varint()
            case 1:
                self._take(8)
            case 2:
                self._take(self._varint())
            case 5:
                self._take(4)
            case _:
                raise _BrokenError

    def _text(self) -> str:
        try:
            return self._take(self._varint()).decode()
        except UnicodeDecodeError as e:
            raise _BrokenError from e

    def _varint(self, most_bytes: int = _VARINT_BYTES) -> int:
        value = 0
        for i in range(most_bytes):
            (byte,) = self._take(1)
            value |= (byte & 0x7F) << 7 * i
            if byte < 0x80:
                return value & _UINT64
        raise _BrokenError

    def _take(self, count: int) -> bytes:
        taken = self._content[self._place : self._place + count]
        if len(taken) < count:
            raise _BrokenError
        self._place += count
        return taken

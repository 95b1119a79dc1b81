"""Numbers as vendors spell them, and what may be made of them without inventing any."""

import math
import re
import struct

from collector.vendors.bodies import Json
from common.messages import Number

_DECIMAL = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")  # float() alone would take "1_0", "inf" and " 1"
_SHOWN_CHARS = 40
_FLOAT32_INTEGERS = 2.0**24  # from here on float32 has no decimals, and shorter means another number


def number(value: Json) -> Number:
    """Return the finite number that the value is or spells; its text if it is none; None where nothing stood."""
    match value:
        case None:
            return None
        case bool():
            return "true" if value else "false"
        case int() | float():
            return _from_numeric(value)
        case str():
            return _from_text(value)
        case list():
            return "array"
        case dict():
            return "object"


def _from_numeric(value: float) -> float | str:
    try:
        converted = float(value)
    except OverflowError:
        return f"integer of {int(value).bit_length()} bits"
    return converted if math.isfinite(converted) else str(converted)


def _from_text(text: str) -> float | str:
    converted = float(text) if len(text) <= _SHOWN_CHARS and _DECIMAL.fullmatch(text) else math.nan
    return converted if math.isfinite(converted) else printable(text)[:_SHOWN_CHARS]


def printable(text: str) -> str:
    """Return the text in plain ASCII on one line: safe to encode, to log and to show."""
    spelled = text.encode("ascii", "backslashreplace").decode("ascii")
    return "".join(c if " " <= c <= "~" else " " for c in spelled)


def unless_zero(value: Number) -> Number:
    """Return the value, or None for 0 where a vendor writes 0 for "none"."""
    return None if value == 0.0 else value


def shortest_float32(value: Number) -> Number:
    """Return the shortest decimal of a float32 that was widened to a double (103.62999725341797 is 103.63).

    A value that is no float32 comes back untouched: it was not widened.
    """
    if not isinstance(value, float) or abs(value) >= _FLOAT32_INTEGERS or _as_float32(value) != value:
        return value
    candidates = (float(f"{value:.{digits}g}") for digits in range(1, 9))
    return next((c for c in candidates if _as_float32(c) == value), float(f"{value:.9g}"))


def _as_float32(value: float) -> float:
    try:
        (narrowed,) = struct.unpack("<f", struct.pack("<f", value))
    except OverflowError:
        return math.inf
    return float(narrowed)

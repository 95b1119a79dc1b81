"""How each vendor spells numbers and times on the wire."""

import struct
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import formatdate
from functools import lru_cache

import numpy as np

_JAVA_PLAIN_FROM = 1e-3
_JAVA_PLAIN_BELOW = 1e7
_FAST_BELOW = 1e6
_FLOAT32 = struct.Struct("f")


def float32(value: float) -> float:
    """Return the float32 nearest to `value`, widened back to a double: what a chart array holds."""
    widened: float = _FLOAT32.unpack(_FLOAT32.pack(value))[0]
    return widened


def _java(digits: str, exponent: int) -> str:
    mantissa = digits if "." in digits else f"{digits}.0"
    return f"{mantissa}E{exponent}"


def _scientific(text: str) -> str:
    """Return Java's spelling of a number in Python's scientific form, such as "-5.505085e-04"."""
    mantissa, _, exponent = text.partition("e")
    return _java(mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa, int(exponent))


def _shortest(value: float) -> str:
    """Return the shortest digits that no other float32 is nearer to; `value` is at least 1E-3 and below 1E6."""
    narrow = float32(value)
    forms = (form % narrow for form in ("%.6g", "%.7g", "%.8g"))
    text = next((text for text in forms if float32(float(text)) == narrow), f"{narrow:.9g}")
    return text if "." in text else f"{text}.0"


@lru_cache(maxsize=8192)
def java_float(value: float) -> str:
    """Return Java's spelling of the float32 nearest to `value`: shortest digits, 236.0, -5.505085E-4, 2.464E10."""
    if _JAVA_PLAIN_FROM <= abs(value) < _FAST_BELOW:
        return _shortest(value)
    narrow = np.float32(value)
    if value == 0 or _JAVA_PLAIN_FROM <= abs(value) < _JAVA_PLAIN_BELOW:
        return np.format_float_positional(narrow, unique=True, trim="0")
    return _scientific(np.format_float_scientific(narrow, unique=True, trim="k"))


def java_double(value: float) -> str:
    """Return Java's Double.toString of `value`."""
    if value == 0 or _JAVA_PLAIN_FROM <= abs(value) < _JAVA_PLAIN_BELOW:
        return repr(float(value))
    return _scientific(np.format_float_scientific(np.float64(value), unique=True, trim="k"))


@lru_cache(maxsize=8192)
def yahoo_price(price: float) -> str:
    """Return a market price as the v7 quote spells it.

    Prices of a replay must come back exactly; the few that no float32 can carry (nine digits) are spelled as doubles.
    """
    text = java_float(price)
    return text if float(text) == price else java_double(price)


def plain(value: float) -> str:
    """Return the shortest digits that give `value` back, without a trailing ".0" and never scientific: 490, 1.16696."""
    text = repr(float(value))
    if "e" in text:
        text = np.format_float_positional(np.float64(value), unique=True, trim="-")
    return text.removesuffix(".0")


def decimals(value: float) -> int:
    """Return how many decimals `value` needs to be given back exactly."""
    _, _, fraction = plain(value).partition(".")
    return len(fraction)


def fixed(value: float, places: int) -> str:
    """Return `value` with at least `places` decimals, more where it would not come back exactly."""
    return f"{value:.{max(places, decimals(value))}f}"


def eight_digits(value: float) -> str:
    """Return Twelve Data's spelling of a computed number: eight significant digits below 1, seven from 1 on."""
    if value == 0:
        return "0"
    if abs(value) < 1:
        return f"{Decimal(f'{value:.7e}'):f}"
    return plain(float(f"{value:.7g}"))


def utc_text(at_ms: int) -> str:
    """Return "2026-05-17 17:12:44", UTC."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def http_date(at_ms: int) -> str:
    """Return the time as a Date header has it."""
    return formatdate(at_ms // 1000, usegmt=True)

"""Text and numbers for clients that search for substrings instead of parsing JSON."""

import re
from decimal import Decimal
from functools import lru_cache

# As a string value or a key these would be taken for something that they are not.
RESERVED = frozenset({"symbol", "signals"})
_NOT_PLAIN = re.compile(r"[^ !#-\[\]-~]")


@lru_cache(maxsize=4096)
def plain(text: str) -> str:
    """Return the text as printable ASCII without quotes and backslashes; what can't be shown is a question mark."""
    shown = _NOT_PLAIN.sub("?", text)
    return shown + "_" if shown in RESERVED else shown


def number(value: float) -> str:
    """Return a finite number in plain decimal notation, exactly, without an exponent."""
    text = repr(value)
    return format(Decimal(text), "f") if "e" in text else text

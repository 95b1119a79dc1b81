"""How fresh each symbol's series is, and its newest price: what is read of all symbols at every request.

A record of fixed size for each symbol, like a bar's: a thousand of them are looked over as columns.
"""

import struct
from collections.abc import Sequence
from math import isnan

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from common.bars import SOURCE_BYTES
from common.symbols import CLASS_BYTES

HEAD = np.dtype(
    [
        ("market_ms", "<i8"),
        ("delay_ms", "<i8"),
        ("open_ms", "<i8"),
        ("high", "<f8"),
        ("low", "<f8"),
        ("close", "<f8"),
        ("price", "<f8"),
        ("score", "<f8"),
        ("warming", "?"),
        ("source", f"S{SOURCE_BYTES}"),
        ("source_class", f"S{CLASS_BYTES}"),
    ]
)
"""One symbol in 115 bytes. A time that there is none of is NEVER, such a number NaN."""

NEVER = -(2**63)
_LAYOUT = struct.Struct(f"<3q5d?{SOURCE_BYTES}s{CLASS_BYTES}s")
_NAN = float("nan")

Heads = NDArray[np.void]
"""Records of HEAD."""


class FormingHead(Struct, frozen=True, gc=False):
    """The prices of a bar that is still open."""

    open_ms: int
    high: float
    low: float
    close: float


class LaneHead(Struct, frozen=True, gc=False):
    """The head of a symbol's shortest lane."""

    market_ms: int | None = None
    source: str = ""
    source_class: str = ""
    delay_ms: int = 0
    """How late the class is by contract."""
    warming: bool = False
    """Another class feeds the symbol's series, and it gives no signals yet."""
    forming: FormingHead | None = None
    price: float | None = None
    """The newest, of the bar that is being built or else the last closed one; None before the first."""
    score: float | None = None
    """Quality, in [0, 1], of the newest quote; None before the first."""


def encode_head(head: LaneHead) -> bytes:
    """Return the record of a head."""
    bar = head.forming
    return _LAYOUT.pack(
        NEVER if head.market_ms is None else head.market_ms, head.delay_ms,
        *((NEVER, _NAN, _NAN, _NAN) if bar is None else (bar.open_ms, bar.high, bar.low, bar.close)),
        _NAN if head.price is None else head.price, _NAN if head.score is None else head.score,
        head.warming, head.source.encode(), head.source_class.encode(),
    )  # fmt: skip


def decode_head(record: bytes) -> LaneHead | None:
    """Return the head in a record; None if it is none of this layout."""
    if len(record) != HEAD.itemsize:
        return None
    market_ms, delay_ms, open_ms, high, low, close, price, score, warming, source, of_class = _LAYOUT.unpack(record)
    return LaneHead(
        None if market_ms == NEVER else market_ms, _text(source), _text(of_class), delay_ms, warming,
        None if open_ms == NEVER else FormingHead(open_ms, high, low, close),
        None if isnan(price) else price, None if isnan(score) else score,
    )  # fmt: skip


def heads_of(records: Sequence[bytes]) -> Heads:
    """Return records of this layout as an array."""
    return np.frombuffer(b"".join(records), HEAD)


def warming_text(source_class: str) -> str:
    """Return why a symbol gives no signals since another class feeds its series."""
    return f"series changed to {source_class}; warming"


def _text(padded: bytes) -> str:
    return padded.rstrip(b"\0").decode(errors="replace")

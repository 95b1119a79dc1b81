"""The packed record of a final bar, as the bar cache holds it, and the arithmetic of timeframes."""

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from common.errors import Fatal
from common.messages import Bar, Timeframe, VolumeKind

SOURCE_BYTES = 18

RECORD = np.dtype(
    [
        ("open_ms", "<i8"),
        ("open", "<f8"),
        ("high", "<f8"),
        ("low", "<f8"),
        ("close", "<f8"),
        ("volume", "<f8"),
        ("ticks", "<u4"),
        ("volume_kind", "u1"),  # index in VOLUME_KINDS
        ("flags", "u1"),  # VENDOR | INCOMPLETE | REPAIRED
        ("source", f"S{SOURCE_BYTES}"),
    ]
)
"""One bar in 72 bytes. Symbol, timeframe and class stand in the key and the symbol table."""

VOLUME_KINDS: tuple[VolumeKind, ...] = ("none", "traded", "ticks")
VENDOR = 1
INCOMPLETE = 2
REPAIRED = 4

_LAYOUT = struct.Struct(f"<q5dIBB{SOURCE_BYTES}s")
_KIND_INDEX = {kind: index for index, kind in enumerate(VOLUME_KINDS)}

Records = NDArray[np.void]
"""Bars as a structured array of RECORD, oldest first."""


def pack(bar: Bar) -> bytes:
    """Return the record of a final bar. Fatal where the source's name does not fit."""
    source = bar.source.encode()
    if len(source) > SOURCE_BYTES:
        raise Fatal(f"source name: expected at most {SOURCE_BYTES} bytes, found {bar.source!r}")
    flags = (VENDOR if bar.origin == "vendor" else 0) | (0 if bar.complete else INCOMPLETE)
    flags |= REPAIRED if bar.repaired else 0
    kind = _KIND_INDEX[bar.volume_kind]
    return _LAYOUT.pack(bar.open_ms, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.ticks, kind, flags, source)


def unpack(packed: bytes | bytearray | Sequence[bytes]) -> Records:
    """Return records, joined or one by one (as LRANGE gives them), as an array. ValueError if the length is odd."""
    joined = packed if isinstance(packed, (bytes, bytearray)) else b"".join(packed)
    return np.frombuffer(joined, dtype=RECORD)


def is_layout(joined: bytes | bytearray) -> bool:
    """Tell whether joined records are of this layout: by their length, and by times that rise from bar to bar."""
    if len(joined) % RECORD.itemsize:
        return False
    return bool((np.diff(unpack(joined)["open_ms"]) > 0).all())


def readable(packed: Sequence[bytes]) -> Sequence[bytes]:
    """Return the records of a bar cache's list; none if it was written in another layout, which the engine drops."""
    return packed if is_layout(b"".join(packed)) else ()


def to_bar(record: bytes, symbol: str, timeframe: Timeframe, source_class: str) -> Bar:
    """Return the bar of one record, with what the record leaves out."""
    open_ms, open_, high, low, close, volume, ticks, kind, flags, source = _LAYOUT.unpack(record)
    return Bar(
        symbol=symbol,
        timeframe=timeframe,
        open_ms=open_ms,
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=volume,
        volume_kind=VOLUME_KINDS[kind],
        ticks=ticks,
        source=source.rstrip(b"\0").decode(),
        source_class=source_class,
        origin="vendor" if flags & VENDOR else "built",
        complete=not flags & INCOMPLETE,
        repaired=bool(flags & REPAIRED),
    )


def to_bars(packed: Sequence[bytes], symbol: str, timeframe: Timeframe, source_class: str) -> list[Bar]:
    """Return the bars of a bar cache's list."""
    return [to_bar(record, symbol, timeframe, source_class) for record in packed]


def bucket_open_ms(at_ms: int, timeframe_ms: int) -> int:
    """Return when the bar that `at_ms` falls into opens; bars are aligned to the epoch in UTC."""
    return at_ms - at_ms % timeframe_ms


def bucket_end_ms(at_ms: int, timeframe_ms: int) -> int:
    """Return when the bar that `at_ms` falls into ends: the open of the next one."""
    return at_ms - at_ms % timeframe_ms + timeframe_ms

"""Give back what was in the stream `raw`, in its order, from what was stored: the input of a replay."""

import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from itertools import groupby

import msgspec

from common.messages import Bar, Clock, HistoryBars, RawBar, RawBars, RawQuote, RawQuotes, SeriesChange, decode

RawMessage = RawQuotes | RawBars | SeriesChange | Clock
Id = tuple[int, int]
"""The halves of an entry id."""
Origin = tuple[int, int, int]
"""raw_ms, raw_seq, raw_index."""

BEFORE_ALL: Id = (-1, 0)
_WITHIN = "partition = ? AND (raw_ms, raw_seq) > (?, ?) AND (raw_ms, raw_seq) <= (?, ?)"
_IN_ORDER = "ORDER BY raw_ms, raw_seq"

_FIRST_CYCLE = f"""
SELECT raw_ms, raw_seq FROM clocks WHERE partition = ? AND now_ms >= ? AND now_ms < ? {_IN_ORDER} LIMIT 1
"""  # noqa: S608 our own names
_LAST_CYCLE = """
SELECT raw_ms, raw_seq FROM clocks WHERE partition = ? AND now_ms >= ? AND now_ms < ?
ORDER BY raw_ms DESC, raw_seq DESC LIMIT 1
"""
_CYCLE_BEFORE = """
SELECT raw_ms, raw_seq FROM clocks WHERE partition = ? AND (raw_ms, raw_seq) < (?, ?)
ORDER BY raw_ms DESC, raw_seq DESC LIMIT 1
"""
_CLOCKS = f"SELECT raw_ms, raw_seq, 0, cycle, now_ms, wall_ms, speed FROM clocks WHERE {_WITHIN} {_IN_ORDER}"  # noqa: S608
_CHANGES = f"""
SELECT raw_ms, raw_seq, 0, symbol, source_class, before, at_ms, why FROM series_changes WHERE {_WITHIN} {_IN_ORDER}
"""  # noqa: S608
_ACCEPTED = f"""
SELECT raw_ms, raw_seq, raw_index, source, received_ms, symbol, source_class, CASE WHEN market_time THEN market_ms END,
       last, bid, ask, day_volume, tick, is_check
FROM market_data WHERE {_WITHIN} {_IN_ORDER}, raw_index
"""  # noqa: S608
_REJECTED = f"""
SELECT raw_ms, raw_seq, raw_index, source, received_ms, raw, raw_bar, is_check
FROM rejects WHERE {_WITHIN} {_IN_ORDER}, raw_index
"""  # noqa: S608
_HISTORY = f"SELECT raw_ms, raw_seq, -1, body FROM history_entries WHERE {_WITHIN} {_IN_ORDER}"  # noqa: S608


_QUOTE_FIELDS = ("symbol", "source_class", "market_ms", "last", "bid", "ask", "day_volume", "tick")


class _Piece(msgspec.Struct, frozen=True):
    """A part of one raw entry: a whole message, or one quote or bar of it."""

    origin: Origin
    content: Clock | SeriesChange | HistoryBars | RawQuote | RawBar
    source: str = ""
    received_ms: int = 0
    check: bool = False


def raw_entries(
    connection: sqlite3.Connection, from_ms: int, to_ms: int, partition: int = 0
) -> Iterator[tuple[str, RawMessage]]:
    """Yield (entry id, message) of all cycles whose clock's now_ms is in [from_ms, to_ms), as they stood in `raw`.

    Equal to the original, but for two things that validation forgets: a field of an accepted quote that was text is
    None, and a history of which every bar was rejected has volume_kind "none". The read transaction lasts until the
    iterator is exhausted or closed: give it a connection of its own.
    """
    bounds = cycles_between(connection, from_ms, to_ms, partition)
    if bounds is not None:
        yield from entries_between(connection, *bounds, partition)


def entries_between(
    connection: sqlite3.Connection, after: Id, last: Id, partition: int = 0
) -> Iterator[tuple[str, RawMessage]]:
    """Yield the same of the entries whose id is in (after, last]."""
    values = (partition, *after, *last)
    pieces = merge(
        map(_clock, connection.execute(_CLOCKS, values)),
        map(_change, connection.execute(_CHANGES, values)),
        map(_history, connection.execute(_HISTORY, values)),
        map(_accepted, connection.execute(_ACCEPTED, values)),
        map(_rejected, connection.execute(_REJECTED, values)),
        key=lambda piece: piece.origin,
    )
    for (ms, sequence), of_entry in groupby(pieces, key=lambda piece: piece.origin[:2]):
        yield f"{ms}-{sequence}", _message(tuple(of_entry))


def cycles_between(
    connection: sqlite3.Connection, from_ms: int, to_ms: int, partition: int = 0
) -> tuple[Id, Id] | None:
    """Return the ids of the clock before the first cycle whose now_ms is in [from_ms, to_ms), and of the last cycle's.

    None without cycles.
    """
    first = connection.execute(_FIRST_CYCLE, (partition, from_ms, to_ms)).fetchone()
    if first is None:
        return None
    before = connection.execute(_CYCLE_BEFORE, (partition, *first)).fetchone()
    return before or BEFORE_ALL, connection.execute(_LAST_CYCLE, (partition, from_ms, to_ms)).fetchone()


def _clock(row: tuple[int, int, int, int, int, int, float]) -> _Piece:
    return _Piece(row[:3], Clock(*row[3:]))


def _change(row: tuple[int, int, int, str, str, str, int, str]) -> _Piece:
    return _Piece(row[:3], SeriesChange(*row[3:]))


def _history(row: tuple[int, int, int, bytes]) -> _Piece:
    message = decode(zlib.decompress(row[3]))
    if not isinstance(message, HistoryBars):
        raise TypeError(f"history_entries {row[0]}-{row[1]}: expected history_bars, found {type(message).__name__}")
    return _Piece(row[:3], message)


def _accepted(row: tuple[int, int, int, str, int, str, str, int | None, *tuple[float | None, ...]]) -> _Piece:
    ms, sequence, index, source, received_ms, *fields = row
    quote = msgspec.convert(dict(zip(_QUOTE_FIELDS, fields[:-1], strict=True)), RawQuote)
    return _Piece((ms, sequence, index), quote, source, received_ms, bool(fields[-1]))


def _rejected(row: tuple[int, int, int, str, int, str | None, str | None, int]) -> _Piece:
    ms, sequence, index, source, received_ms, raw, raw_bar, check = row
    content: RawQuote | RawBar
    if raw is not None:
        content = msgspec.json.decode(raw, type=RawQuote)
    else:
        content = msgspec.json.decode(raw_bar or "", type=RawBar)
    return _Piece((ms, sequence, index), content, source, received_ms, bool(check))


def _message(pieces: Sequence[_Piece]) -> RawMessage:
    first = pieces[0].content
    if isinstance(first, Clock | SeriesChange):
        return first
    if isinstance(first, HistoryBars):
        return _raw_bars(first, pieces[1:])
    quotes = tuple(piece.content for piece in pieces if isinstance(piece.content, RawQuote))
    return RawQuotes(pieces[0].source, pieces[0].received_ms, quotes, pieces[0].check)


def _raw_bars(history: HistoryBars, rejected: Iterable[_Piece]) -> RawBars:
    """Return the vendor's history with its rejected bars back in their places."""
    bars = [_raw_bar(bar) for bar in history.bars]
    for piece in rejected:
        if isinstance(piece.content, RawBar):
            bars.insert(piece.origin[2], piece.content)
    return RawBars(
        history.request_id, history.source, history.source_class, history.symbol, history.timeframe,
        history.received_ms, history.bars[0].volume_kind if history.bars else "none", tuple(bars), history.final,
        history.detail, history.retry_ms,
    )  # fmt: skip


def _raw_bar(bar: Bar) -> RawBar:
    volume = None if bar.volume_kind == "none" else bar.volume
    return RawBar(bar.open_ms, bar.open, bar.high, bar.low, bar.close, volume)

"""From entries to the rows that keep them."""

import zlib
from collections.abc import Callable, Iterable, Sequence

import msgspec

from common.errors import Rejected
from common.messages import (
    AnyMessage,
    Bar,
    Bars,
    ClientEvent,
    Clock,
    Execution,
    HistoryBars,
    HistoryRequest,
    HistoryTaken,
    Quote,
    Quotes,
    Reject,
    Rejects,
    SeriesChange,
    Signal,
    SourceEvent,
    encode,
)
from common.stage import Entry

SqlValue = str | int | float | bytes | None
Row = tuple[SqlValue, ...]
Rows = dict[str, list[Row]]
"""Table -> rows in the order of their arrival, columns as in tables.COLUMNS."""

_FROM_RAW = ("market_data", "rejects", "clocks", "series_changes", "history_entries")
"""Tables whose rows begin with partition, raw_ms, raw_seq."""

_to_json = msgspec.json.Encoder().encode
_COMPRESSION = 6  # a vendor's history shrinks to about a fifth; more effort gains little


def parse_id(entry_id: str) -> tuple[int, int]:
    """Return the halves of an entry id, which compare as Redis compares. Rejected if it is none."""
    ms, dash, sequence = entry_id.partition("-")
    if not (dash and ms.isdecimal() and sequence.isdecimal()):
        raise Rejected("no_origin", f"expected an entry id such as 1700000000000-0, found {entry_id!r}")
    return int(ms), int(sequence)


def rows_of(batch: Sequence[Entry], partition: int, incarnation: str) -> Rows:
    """Return the rows of all entries, each stream's position, and where Redis began anew if it did.

    Rejected for a kind that is not stored.
    """
    rows: Rows = {}
    for entry in batch:
        message = entry.message
        make = _MAKERS.get(type(message))
        if make is None:
            raise Rejected("unexpected_kind", f"{entry.stream.name} {entry.id}: found {type(message).__name__}")
        make(message, partition, rows)
    origins = [row[1:3] for table in _FROM_RAW for row in rows.get(table, ())]
    if origins:
        rows["incarnations"] = [(partition, incarnation, *min(origins))]
    rows["stream_positions"] = [*_positions(batch, partition, incarnation)]
    return rows


def bar_row(bar: Bar, origin: str, *, repaired: bool = False) -> Row:
    """Return the row of a bar. repaired: it came because the gap ledger asked for it."""
    return (
        bar.symbol, bar.source_class, bar.timeframe, bar.open_ms, bar.open, bar.high, bar.low, bar.close, bar.volume,
        bar.volume_kind, bar.ticks, bar.source, origin, int(bar.complete), int(repaired or bar.repaired),
    )  # fmt: skip


def _positions(batch: Sequence[Entry], partition: int, incarnation: str) -> Iterable[Row]:
    newest: dict[str, tuple[int, int]] = {}
    for entry in batch:
        newest[entry.stream.name] = max(parse_id(entry.id), newest.get(entry.stream.name, (0, 0)))
    return ((partition, stream, incarnation, ms, sequence) for stream, (ms, sequence) in newest.items())


def _text(value: object) -> str:
    return _to_json(value).decode()


def _quote_row(quote: Quote, partition: int) -> Row:
    return (
        partition, *parse_id(quote.raw_id), quote.raw_index, quote.symbol, quote.source, quote.source_class,
        quote.market_ms, quote.received_ms, quote.price, quote.last, quote.bid, quote.ask, quote.day_volume,
        quote.volume, quote.volume_kind, quote.score, _text(quote.reasons) if quote.reasons else "[]",
        int(quote.market_time), quote.tick, int(quote.check), quote.detail,
    )  # fmt: skip


def _reject_row(reject: Reject, partition: int) -> Row:
    return (
        partition, *parse_id(reject.raw_id), reject.raw_index, reject.symbol, reject.source, reject.source_class,
        reject.received_ms, reject.reason, reject.detail, reject.score, reject.timeframe,
        None if reject.raw is None else _text(reject.raw),
        None if reject.raw_bar is None else _text(reject.raw_bar), int(reject.check),
    )  # fmt: skip


def _quotes(message: Quotes, partition: int, rows: Rows) -> None:
    rows.setdefault("market_data", []).extend(_quote_row(quote, partition) for quote in message.quotes)


def _rejects(message: Rejects, partition: int, rows: Rows) -> None:
    rows.setdefault("rejects", []).extend(_reject_row(reject, partition) for reject in message.rejects)


def _clock(message: Clock, partition: int, rows: Rows) -> None:
    row = (partition, *parse_id(message.raw_id), message.cycle, message.now_ms, message.wall_ms, message.speed)
    rows.setdefault("clocks", []).append(row)


def _series_change(message: SeriesChange, partition: int, rows: Rows) -> None:
    row = (
        partition, *parse_id(message.raw_id), message.symbol, message.source_class, message.before, message.at_ms,
        message.why,
    )  # fmt: skip
    rows.setdefault("series_changes", []).append(row)


def _bars(message: Bars, _partition: int, rows: Rows) -> None:
    rows.setdefault("bars", []).extend(bar_row(bar, bar.origin) for bar in message.bars)


def _history(message: HistoryBars, partition: int, rows: Rows) -> None:
    rows.setdefault("bars", []).extend(bar_row(bar, "vendor", repaired=message.repair) for bar in message.bars)
    if not message.raw_id:
        return
    body = zlib.compress(encode(message), _COMPRESSION)
    row = (
        partition, *parse_id(message.raw_id), message.request_id, message.symbol, message.timeframe,
        message.source_class, len(message.bars), body,
    )  # fmt: skip
    rows.setdefault("history_entries", []).append(row)


def _history_taken(message: HistoryTaken, partition: int, rows: Rows) -> None:
    history = message.history
    row = (
        partition, *parse_id(message.id), *parse_id(message.raw_id), history.request_id, history.symbol,
        history.timeframe, history.source_class, len(history.bars), zlib.compress(encode(history), _COMPRESSION),
    )  # fmt: skip
    rows.setdefault("history_taken", []).append(row)


def _signal(message: Signal, _partition: int, rows: Rows) -> None:
    values = msgspec.structs.asdict(message)
    values["reasons"], values["values"] = _text(message.reasons), _text(message.values)
    rows.setdefault("signals", []).append(tuple(values.values()))


def _source_event(message: SourceEvent, _partition: int, rows: Rows) -> None:
    row = (message.id, message.source, message.event, message.at_ms, message.detail, _text(message.fields))
    rows.setdefault("source_events", []).append(row)


def _execution(message: Execution, _partition: int, rows: Rows) -> None:
    row = (message.id, message.trade_id, message.symbol, message.received_ms, _text(message.body))
    rows.setdefault("executions", []).append(row)


def _client_event(message: ClientEvent, _partition: int, rows: Rows) -> None:
    rows.setdefault("client_events", []).append((message.id, message.event, message.received_ms, _text(message.body)))


def _no_rows(_message: HistoryRequest, _partition: int, _rows: Rows) -> None:
    """A question leaves nothing but the position."""


_MAKERS: dict[type[AnyMessage], Callable[..., None]] = {
    Quotes: _quotes,
    Rejects: _rejects,
    Clock: _clock,
    SeriesChange: _series_change,
    Bars: _bars,
    HistoryBars: _history,
    HistoryTaken: _history_taken,
    Signal: _signal,
    SourceEvent: _source_event,
    Execution: _execution,
    ClientEvent: _client_event,
    HistoryRequest: _no_rows,
}

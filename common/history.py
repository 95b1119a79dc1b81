"""Read what the storer has written: bars, quotes, signals. Nothing here writes."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal, cast

import msgspec

from common.errors import Retryable
from common.gap_history import GapQuery, GapRecord, LaneRecord, Place, read_gaps, read_lanes, read_present
from common.messages import Bar, ClientEvent, Execution, Quote, RawBar, RawQuote, Reject, Signal, Timeframe, VolumeKind

Row = Sequence[object]
BarRow = tuple[
    str, Timeframe, int, float, float, float, float, float, VolumeKind, int, str, str, Literal["built", "vendor"], int,
    int,
]  # fmt: skip

# The writer's transactions are short, and in WAL mode it doesn't block readers: only a recovery after a kill does.
BUSY_S = 1.0

_BARS = """
SELECT symbol, timeframe, open_ms, open, high, low, close, volume, volume_kind, ticks, source, source_class, origin,
       complete, repaired
FROM bars WHERE symbol = ? AND source_class = ? AND timeframe = ? AND open_ms < ? ORDER BY open_ms DESC LIMIT ?
"""
QUOTE_COLUMNS = """
SELECT symbol, source, source_class, market_ms, received_ms, price, raw_id, raw_index, last, bid, ask, day_volume,
       volume, volume_kind, score, reasons, market_time, tick, is_check, detail
FROM market_data
"""
_QUOTES = QUOTE_COLUMNS + "WHERE symbol = ? AND market_ms < ? ORDER BY market_ms DESC LIMIT ?"
REJECT_COLUMNS = """
SELECT symbol, source, source_class, received_ms, reason, detail, score, raw_id, raw_index, raw, raw_bar, timeframe,
       is_check
FROM rejects
"""
_REJECTS = REJECT_COLUMNS + "WHERE symbol = ? AND received_ms < ? ORDER BY received_ms DESC LIMIT ?"
_SIGNAL_COLUMNS = """
SELECT id, symbol, timeframe, strategy, bar_open_ms, action, entry, stop_loss, take_profit_1, take_profit_2, confidence,
       quality, regime, reasons, published_ms, expires_ms, data_age_ms, atr, source, source_class, "values",
       data_score, spread
FROM signals
"""
_SIGNALS = _SIGNAL_COLUMNS + "WHERE published_ms < ? ORDER BY published_ms DESC LIMIT ?"
_SIGNALS_OF = _SIGNAL_COLUMNS + "WHERE symbol = ? AND published_ms < ? ORDER BY published_ms DESC LIMIT ?"
_EXECUTIONS = """
SELECT id, trade_id, symbol, received_ms, body FROM executions WHERE received_ms < ? ORDER BY received_ms DESC LIMIT ?
"""
_EXECUTION = "SELECT id, trade_id, symbol, received_ms, body FROM executions WHERE id = ?"

_CLIENT_EVENTS = """
SELECT id, event, received_ms, body FROM client_events WHERE event = ? AND received_ms < ?
ORDER BY received_ms DESC LIMIT ?
"""

_list_of = msgspec.json.Decoder(tuple[str, ...]).decode
_object_of = msgspec.json.Decoder(dict[str, object]).decode


def read_bars(
    connection: sqlite3.Connection, symbol: str, source_class: str, timeframe: str, before_ms: int, count: int
) -> tuple[Bar, ...]:
    """Return the newest `count` bars of the lane that open before `before_ms`, oldest first."""
    rows: list[BarRow] = connection.execute(_BARS, (symbol, source_class, timeframe, before_ms, count)).fetchall()
    return tuple(_bar_of(row) for row in reversed(rows))


class History:
    """The database at `path`, read-only. Each call opens a connection of its own (0.2 ms), so any thread may call.

    Every method raises Retryable where the file isn't there yet or can't be read now. Results are oldest first.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def bars(self, symbol: str, source_class: str, timeframe: str, before_ms: int, count: int) -> tuple[Bar, ...]:
        """Return the newest `count` bars of the lane that open before `before_ms`."""
        rows = self._rows(_BARS, (symbol, source_class, timeframe, before_ms, count))
        return tuple(_bar_of(cast(BarRow, row)) for row in rows)

    def quotes(self, symbol: str, before_ms: int, count: int) -> tuple[Quote, ...]:
        """Return the newest `count` accepted quotes of all sources with a market time before `before_ms`."""
        return tuple(quote_of(row) for row in self._rows(_QUOTES, (symbol, before_ms, count)))

    def rejects(self, symbol: str, before_ms: int, count: int) -> tuple[Reject, ...]:
        """Return the newest `count` quotes and vendor bars in quarantine that were received before `before_ms`."""
        return tuple(reject_of(row) for row in self._rows(_REJECTS, (symbol, before_ms, count)))

    def signals(self, before_ms: int, count: int, symbol: str = "") -> tuple[Signal, ...]:
        """Return the newest `count` signals published before `before_ms`, of one symbol or (empty) of all."""
        if symbol:
            rows = self._rows(_SIGNALS_OF, (symbol, before_ms, count))
        else:
            rows = self._rows(_SIGNALS, (before_ms, count))
        return tuple(_signal_of(row) for row in rows)

    def executions(self, before_ms: int, count: int) -> tuple[Execution, ...]:
        """Return the newest `count` executions received before `before_ms`."""
        return tuple(_execution_of(row) for row in self._rows(_EXECUTIONS, (before_ms, count)))

    def execution(self, identity: str) -> Execution | None:
        """Return one report by its id; None if there is none."""
        return next((_execution_of(row) for row in self._rows(_EXECUTION, (identity,))), None)

    def client_events(self, event: str, before_ms: int, count: int) -> tuple[ClientEvent, ...]:
        """Return the newest `count` events of this name received before `before_ms`."""
        return tuple(_client_event_of(row) for row in self._rows(_CLIENT_EVENTS, (event, before_ms, count)))

    def written_ms(self) -> int | None:
        """Return the stream time of the newest clock entry that is stored; None where none is."""
        row = self._rows("SELECT max(now_ms) FROM (SELECT max(now_ms) AS now_ms FROM clocks GROUP BY partition)", ())[0]
        return row[0] if isinstance(row[0], int) else None

    def gaps(self, query: GapQuery, after: Place, count: int) -> list[GapRecord]:
        """Return the first `count` rows of the gap ledger after a place, oldest first."""
        with self._connected() as connection:
            return read_gaps(connection, query, after, count)

    def lanes(self) -> list[LaneRecord]:
        """Return how the gap ledger stands with every lane."""
        with self._connected() as connection:
            return read_lanes(connection)

    def present(self, lane: tuple[str, str, str], from_ms: int, to_ms: int) -> frozenset[int]:
        """Return the open times of a lane's (symbol, class, timeframe) bars in [from_ms, to_ms)."""
        with self._connected() as connection:
            return read_present(connection, lane, from_ms, to_ms)

    def _rows(self, statement: str, values: Sequence[str | int]) -> list[Row]:
        """Return the rows of a statement that gives the newest first, turned round."""
        with self._connected() as connection:
            rows: list[Row] = connection.execute(statement, values).fetchall()
        return rows[::-1]

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(_open_read_only(self.path)) as connection:
                yield connection
        except sqlite3.DatabaseError as e:
            raise Retryable(f"DATABASE_PATH: {self.path} can't be read: {e}; the storer makes it at its start") from e


def _open_read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_S)


def _named(fields: tuple[str, ...], row: Row) -> dict[str, object]:
    return dict(zip(fields, row, strict=True))


def _bar_of(row: BarRow) -> Bar:
    return Bar(
        *row[:-2], bool(row[-2]), repaired=bool(row[-1])
    )  # thousands at once: msgspec.convert takes three times as long


def quote_of(row: Row) -> Quote:
    """Return the quote of a row with the columns of QUOTE_COLUMNS."""
    values = _named(Quote.__struct_fields__, row)
    values["reasons"] = _list_of(str(values["reasons"]))
    return msgspec.convert(values, Quote, strict=False)  # not strict: SQLite's booleans are 0 and 1


def reject_of(row: Row) -> Reject:
    """Return the reject of a row with the columns of REJECT_COLUMNS."""
    values = _named(Reject.__struct_fields__, row)
    values["raw"] = _quote_from(values["raw"])
    values["raw_bar"] = _vendor_bar_from(values["raw_bar"])
    return msgspec.convert(values, Reject, strict=False)  # as above


def _signal_of(row: Row) -> Signal:
    values = _named(Signal.__struct_fields__, row)
    values["reasons"] = _list_of(str(values["reasons"]))
    values["values"] = _object_of(str(values["values"]))
    return msgspec.convert(values, Signal)


def _execution_of(row: Row) -> Execution:
    values = _named(Execution.__struct_fields__, row)
    return msgspec.convert({**values, "body": _object_of(str(values["body"]))}, Execution)


def _client_event_of(row: Row) -> ClientEvent:
    values = _named(ClientEvent.__struct_fields__, row)
    return msgspec.convert({**values, "body": _object_of(str(values["body"]))}, ClientEvent)


def _quote_from(text: object) -> RawQuote | None:
    return None if text is None else msgspec.json.decode(str(text), type=RawQuote)


def _vendor_bar_from(text: object) -> RawBar | None:
    return None if text is None else msgspec.json.decode(str(text), type=RawBar)

"""The statements that write the tables. Whatever arrives twice is stored once."""

BAR_COLUMNS = (
    "symbol", "source_class", "timeframe", "open_ms", "open", "high", "low", "close", "volume", "volume_kind", "ticks",
    "source", "origin", "complete", "repaired",
)  # fmt: skip

COLUMNS: dict[str, tuple[str, ...]] = {
    "market_data": (
        "partition", "raw_ms", "raw_seq", "raw_index", "symbol", "source", "source_class", "market_ms", "received_ms",
        "price", "last", "bid", "ask", "day_volume", "volume", "volume_kind", "score", "reasons", "market_time", "tick",
        "is_check", "detail",
    ),
    "rejects": (
        "partition", "raw_ms", "raw_seq", "raw_index", "symbol", "source", "source_class", "received_ms", "reason",
        "detail", "score", "timeframe", "raw", "raw_bar", "is_check",
    ),
    "clocks": ("partition", "raw_ms", "raw_seq", "cycle", "now_ms", "wall_ms", "speed"),
    "series_changes": (
        "partition", "raw_ms", "raw_seq", "symbol", "source_class", "before", "at_ms", "why",
    ),
    "history_entries": (
        "partition", "raw_ms", "raw_seq", "request_id", "symbol", "timeframe", "source_class", "bar_count", "body",
    ),
    "history_taken": (
        "partition", "history_ms", "history_seq", "raw_ms", "raw_seq", "request_id", "symbol", "timeframe",
        "source_class", "bar_count", "body",
    ),
    "bars": BAR_COLUMNS,
    "signals": (
        "id", "symbol", "timeframe", "strategy", "bar_open_ms", "action", "entry", "stop_loss", "take_profit_1",
        "take_profit_2", "confidence", "quality", "regime", "reasons", "published_ms", "expires_ms", "data_age_ms",
        "atr", "source", "source_class", "values", "data_score", "spread",
    ),
    "source_events": ("id", "source", "event", "at_ms", "detail", "fields"),
    "executions": ("id", "trade_id", "symbol", "received_ms", "body"),
    "client_events": ("id", "event", "received_ms", "body"),
    "stream_positions": ("partition", "stream", "incarnation", "last_ms", "last_seq"),
    "incarnations": ("partition", "incarnation", "raw_ms", "raw_seq"),
}  # fmt: skip
"""Table -> the columns of a row, in the order in which rows.py makes it. The order of the tables is that of writing."""

_ORIGIN = "partition, raw_ms, raw_seq, raw_index"
_NOTHING = "DO NOTHING"


def _rank(bar: str) -> str:
    """SQL: how far a bar is to be preferred. Built from complete quotes, then a vendor's, then a part of one."""
    return f"(CASE WHEN {bar}.origin = 'vendor' THEN 1 WHEN {bar}.complete THEN 2 ELSE 0 END)"


def _set(columns: tuple[str, ...]) -> str:
    return ", ".join(f"{column} = excluded.{column}" for column in columns)


def _values(bar: str) -> str:
    return ", ".join(f"{bar}.{column}" for column in ("open", "high", "low", "close", "volume"))


# A vendor's later word on its own bar. Another vendor's does not count: their bars would take turns.
_CORRECTION = f"""(excluded.origin = 'vendor' AND bars.origin = 'vendor' AND excluded.source = bars.source
    AND ({_values("excluded")}) <> ({_values("bars")}))"""

_POSITION = ("incarnation", "last_ms", "last_seq")
_AHEAD = """excluded.incarnation <> stream_positions.incarnation
    OR (excluded.last_ms, excluded.last_seq) > (stream_positions.last_ms, stream_positions.last_seq)"""

# Only the identity is forgiven: "INSERT OR IGNORE" would also swallow a NULL where there must be none.
_ON_CONFLICT: dict[str, tuple[str, str]] = {
    "market_data": (_ORIGIN, _NOTHING),
    "rejects": (_ORIGIN, _NOTHING),
    "clocks": ("partition, raw_ms, raw_seq", _NOTHING),
    "series_changes": ("partition, raw_ms, raw_seq", _NOTHING),
    "history_entries": ("partition, raw_ms, raw_seq", _NOTHING),
    "history_taken": ("partition, history_ms, history_seq", _NOTHING),
    "bars": (
        "symbol, source_class, timeframe, open_ms",
        f"DO UPDATE SET {_set(BAR_COLUMNS[4:])} WHERE {_rank('excluded')} > {_rank('bars')} OR {_CORRECTION}",
    ),
    "signals": ("id", _NOTHING),
    "source_events": ("id", _NOTHING),
    "executions": ("id", _NOTHING),
    "client_events": ("id", _NOTHING),
    "stream_positions": ("partition, stream", f"DO UPDATE SET {_set(_POSITION)} WHERE {_AHEAD}"),
    "incarnations": ("partition, incarnation", _NOTHING),
}


def _insert(table: str) -> str:
    identity, otherwise = _ON_CONFLICT[table]
    return f"{_plain(table)} ON CONFLICT ({identity}) {otherwise}"


def _plain(table: str, word: str = "INSERT") -> str:
    columns = ", ".join(f'"{column}"' for column in COLUMNS[table])
    marks = ", ".join("?" * len(COLUMNS[table]))
    return f"{word} INTO {table} ({columns}) VALUES ({marks})"


INSERT: dict[str, str] = {table: _insert(table) for table in COLUMNS}
"""Table -> the statement that writes one row of COLUMNS[table]."""

REPLACE_BAR = _plain("bars", "INSERT OR REPLACE")
"""Writes a bar whatever is there: the gap ledger's word."""

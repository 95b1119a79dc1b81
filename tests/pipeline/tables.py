"""What a finished run left in SQLite, without what differs between two runs of the same data (entry ids, real time)."""

from tests.pipeline.harness import Pipeline

_COLUMNS = {
    "market_data": "symbol, source, source_class, market_ms, received_ms, price, last, bid, ask, day_volume,"
    " volume, volume_kind, score, reasons, market_time, tick",
    "rejects": "symbol, source, source_class, received_ms, reason, detail, score, raw",
    "bars": "symbol, source_class, timeframe, open_ms, open, high, low, close, volume, volume_kind, ticks, source,"
    " origin, complete",
    "signals": "id, action, entry, stop_loss, take_profit_1, take_profit_2, confidence, quality, regime, reasons,"
    ' published_ms, expires_ms, data_age_ms, atr, source, source_class, "values"',
    "clocks": "cycle, now_ms",
}


def final_tables(pipeline: Pipeline) -> dict[str, list[tuple[object, ...]]]:
    """Return every row of every table that the data decide, sorted."""
    return {
        name: sorted(pipeline.rows(f"SELECT {columns} FROM {name}"), key=repr) for name, columns in _COLUMNS.items()
    }

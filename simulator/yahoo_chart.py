"""Yahoo's v8 chart and spark: bars on the exchange's grid, and the live point behind them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from simulator.instruments import Instrument
from simulator.market import View
from simulator.sessions import earlier, newest_session, open_mask, session_of
from simulator.spelling import float32, java_float
from simulator.ticks import F64, I64, Bars, Snapshot
from simulator.wire import Answer, Call, encode, raw_object, text
from simulator.yahoo_names import About, about, front_month, local, midnight_ms, offset_s

MINUTE_S = 60
DAY_S = 86_400
WIDTHS_S: dict[str, int] = {
    "1m": 60, "2m": 120, "5m": 300, "15m": 900, "30m": 1800, "60m": 3600, "90m": 5400, "1h": 3600,
}  # fmt: skip
_REACH_DAYS: dict[str, int] = {"1m": 30, "60m": 730, "1h": 730}
_REACH_OTHER_DAYS = 60
_MINUTE_WINDOW_DAYS = 8
_RANGE_UNITS_S: dict[str, int] = {"m": MINUTE_S, "h": 3600, "wk": 7 * DAY_S, "mo": 30 * DAY_S, "y": 365 * DAY_S}
_VALID_RANGES = ["1d", "5d", "1mo", "3mo", "6mo", "1y", "2y", "5y", "10y", "ytd", "max"]
_CHART_TYPE = "application/json;charset=utf-8"


@dataclass(frozen=True)
class Span:
    """What was asked for, in epoch seconds: [from_s, to_s)."""

    interval: str
    range: str
    from_s: int
    to_s: int

    @property
    def width_s(self) -> int:
        """The length of a bar."""
        return WIDTHS_S[self.interval]


def chart_error(status: int, code: str, description: str) -> Answer:
    """Return an error in the form of the chart endpoint."""
    body = encode({"chart": {"result": None, "error": {"code": code, "description": description}}})
    return Answer(status, body, _CHART_TYPE, verdict="unknown_symbol" if status == 404 else "bad_request")


def _unprocessable(description: str) -> Answer:
    return chart_error(422, "Unprocessable Entity", description)


def _days_back(session: str, at_ms: int, days: int, zone: str) -> int:
    """Return the local midnight of the trading day that is `days` - 1 trading days before the newest one."""
    newest = newest_session(session, at_ms)
    day = newest
    for _ in range(days - 1):
        day = session_of(session, earlier(day.day))
    midnight = midnight_ms(zone, (day.open_ms + day.close_ms) // 2)
    return min(midnight, at_ms) if midnight <= at_ms else day.open_ms


def _range_start_s(name: str, session: str, at_ms: int, zone: str) -> int | None:
    """Return where a range such as "1d", "30m" or "1mo" begins; None for one that is not valid."""
    found = re.fullmatch(r"(\d{1,4})(m|h|d|wk|mo|y)", name)
    if name in ("ytd", "max"):
        return at_ms // 1000 - _REACH_DAYS["1h"] * DAY_S
    if found is None or int(found[1]) == 0:
        return None
    if found[2] == "d":
        return _days_back(session, at_ms, min(int(found[1]), 1000), zone) // 1000
    return at_ms // 1000 - int(found[1]) * _RANGE_UNITS_S[found[2]]


def span_of(params: Mapping[str, str], instrument: Instrument, now_ms: int, market_ms: int) -> Span | Answer:
    """Return what the parameters ask for, or the error that Yahoo answers."""
    interval, name = params.get("interval", "1d"), params.get("range", "")
    if interval not in WIDTHS_S:
        allowed = ", ".join(WIDTHS_S)
        return _unprocessable(f"Invalid input - interval={interval} is not supported. Valid intervals: [{allowed}]")
    if "period1" in params or "period2" in params:
        try:
            span = Span(interval, "", int(params["period1"]), int(params.get("period2", now_ms // 1000)))
        except (KeyError, ValueError):
            return chart_error(400, "Bad Request", "Invalid input - period1 and period2 must be numbers")
        if span.from_s >= span.to_s:
            return chart_error(
                400, "Bad Request", f"Invalid input - start date cannot be after end date. "
                f"startDate = {span.from_s}, endDate = {span.to_s}",
            )  # fmt: skip
    else:
        name = name or "1d"
        start_s = _range_start_s(name, instrument.session, market_ms, about(instrument).zone)
        if start_s is None:
            return _unprocessable(f"Invalid input - range={name} is not supported. Valid ranges: {_VALID_RANGES}")
        span = Span(interval, name, start_s, now_ms // 1000 + 1)
    return _within_reach(span, now_ms)


def _within_reach(span: Span, now_ms: int) -> Span | Answer:
    missing = f"{span.interval} data not available for startTime={span.from_s} and endTime={span.to_s}."
    if span.interval == "1m" and span.to_s - span.from_s > _MINUTE_WINDOW_DAYS * DAY_S:
        return _unprocessable(
            f"{missing} Only 8 days worth of 1m granularity data are allowed to be fetched per request."
        )
    days = _REACH_DAYS.get(span.interval, _REACH_OTHER_DAYS)
    if span.from_s < now_ms // 1000 - days * DAY_S:
        return _unprocessable(f"{missing} The requested range must be within the last {days} days.")
    return span


@dataclass(frozen=True)
class Columns:
    """The arrays of a chart, on the grid; NaN where nothing was traded."""

    at_s: I64
    open: F64
    high: F64
    low: F64
    close: F64
    volume: F64


def _on_grid(bars: Bars, session: str, width_ms: int) -> Columns:
    """Return the bars with the minutes of the session in which nothing was traded between them."""
    grid = np.arange(bars.open_ms[0], bars.open_ms[-1] + 1, width_ms, dtype=np.int64)
    place = np.searchsorted(grid, bars.open_ms)
    wanted = open_mask(session, grid, width_ms)
    wanted[place] = True

    def spread(values: F64 | I64) -> F64:
        full = np.full(len(grid), np.nan)
        full[place] = values
        return np.asarray(full[wanted])

    return Columns(
        grid[wanted] // 1000, spread(bars.open), spread(bars.high), spread(bars.low), spread(bars.close),
        spread(bars.volume),
    )  # fmt: skip


def _with_live_point(columns: Columns, price: float, at_s: int) -> Columns:
    return Columns(
        np.append(columns.at_s, at_s), np.append(columns.open, price), np.append(columns.high, price),
        np.append(columns.low, price), np.append(columns.close, price), np.append(columns.volume, 0),
    )  # fmt: skip


def columns_of(view: View, instrument: Instrument, span: Span, snapshot: Snapshot) -> Columns | None:
    """Return what a chart shows; None if there is nothing in the span."""
    width_ms = span.width_s * 1000
    bars = view.bars(instrument, width_ms, span.from_s * 1000, span.to_s * 1000)
    if not len(bars):
        return None
    columns = _on_grid(bars, instrument.session, width_ms)
    at_s = snapshot.market_ms // 1000
    if at_s % span.width_s and columns.at_s[-1] < at_s < span.to_s:
        return _with_live_point(columns, snapshot.price, at_s)
    return columns


def _floats(values: F64) -> list[float | None]:
    """Return float32 prices widened to doubles, None where there are none."""
    widened = values.astype(np.float32).astype(np.float64)
    if np.isnan(widened).any():
        return [None if value != value else value for value in widened.tolist()]  # noqa: PLR0124  # NaN
    return list(widened.tolist())


def _integers(values: F64) -> list[int | None]:
    return [None if value != value else int(value) for value in values.tolist()]  # noqa: PLR0124  # NaN


def _period(zone_name: str, start_s: int, end_s: int, shift_s: int) -> dict[str, object]:
    return {"timezone": zone_name, "start": start_s, "end": end_s, "gmtoffset": shift_s}


def _day_bounds(instrument: Instrument, known: About, at_ms: int) -> tuple[int, int]:
    """Return the regular period of the day of `at_ms`, in seconds: 24-hour markets count from midnight to 23:59."""
    if known.kind == "INDEX":
        session = newest_session(instrument.session, at_ms)
        return session.open_ms // 1000, session.close_ms // 1000
    midnight_s = midnight_ms(known.zone, at_ms) // 1000
    return midnight_s, midnight_s + DAY_S - MINUTE_S


def _periods(instrument: Instrument, known: About, now_ms: int) -> dict[str, object]:
    shift_s, zone_name = offset_s(known.zone, now_ms)
    start_s, end_s = _day_bounds(instrument, known, now_ms)
    return {
        "pre": _period(zone_name, start_s, start_s, shift_s),
        "regular": _period(zone_name, start_s, end_s, shift_s),
        "post": _period(zone_name, end_s, end_s, shift_s),
    }


def _trading_periods(instrument: Instrument, known: About, at_s: I64) -> list[list[dict[str, object]]]:
    found: dict[int, dict[str, object]] = {}
    for moment_s in np.unique(at_s // 3600 * 3600).tolist():
        start_s, end_s = _day_bounds(instrument, known, (moment_s + 3599) * 1000)
        if start_s not in found:
            shift_s, zone_name = offset_s(known.zone, start_s * 1000)
            found[start_s] = _period(zone_name, start_s, end_s, shift_s)
    return [[period] for period in found.values()]


def _rounded(price: float) -> str:
    """Return a price of the meta part: float32, four decimals at most."""
    return java_float(round(float32(price), 4))


def _meta(view: View, instrument: Instrument, span: Span, snapshot: Snapshot, columns: Columns | None) -> str:
    known = about(instrument)
    shift_s, zone_name = offset_s(known.zone, view.now_ms)
    fields = {
        "currency": '"USD"', "symbol": text(instrument.vendor_symbol), "exchangeName": text(known.exchange),
        "fullExchangeName": text(known.exchange_title), "instrumentType": text(known.kind),
        "firstTradeDate": str(known.first_trade_s), "regularMarketTime": str(snapshot.market_ms // 1000),
        "hasPrePostMarketData": "false", "gmtoffset": str(shift_s), "timezone": text(zone_name),
        "exchangeTimezoneName": text(known.zone), "regularMarketPrice": _rounded(snapshot.price),
        "fiftyTwoWeekHigh": _rounded(snapshot.year_high), "fiftyTwoWeekLow": _rounded(snapshot.year_low),
        "regularMarketDayHigh": _rounded(snapshot.day_high), "regularMarketDayLow": _rounded(snapshot.day_low),
        "regularMarketVolume": str(snapshot.day_volume) if instrument.traded else "0",
    }  # fmt: skip
    if known.contract is None:
        fields |= {"longName": text(known.title), "shortName": text(known.title)}
    else:
        _, expiry = front_month(known.contract, local(known.zone, view.now_ms).date())
        fields["shortName"] = text(f"{known.contract.title} {expiry:%b} {expiry:%y}")
    before = _rounded(snapshot.previous_close)
    fields |= {"chartPreviousClose": before, "previousClose": before, "scale": "3", "priceHint": str(known.price_hint)}
    fields["currentTradingPeriod"] = encode(_periods(instrument, known, view.now_ms)).decode()
    if columns is not None:
        fields["tradingPeriods"] = encode(_trading_periods(instrument, known, columns.at_s)).decode()
    fields |= {"dataGranularity": text(span.interval), "range": text(span.range)}
    fields["validRanges"] = encode(_VALID_RANGES).decode()
    return raw_object(fields)


def chart(call: Call, instrument: Instrument) -> Answer:
    """Return the chart of one symbol."""
    now_ms = call.view.now_ms
    snapshot = call.view.snapshot(instrument)
    span = span_of(call.params, instrument, now_ms, now_ms if snapshot is None else snapshot.market_ms)
    if isinstance(span, Answer):
        return span
    if snapshot is None:  # it has never traded
        missing = f"Data doesn't exist for startDate = {span.from_s}, endDate = {span.to_s}"
        return chart_error(400, "Bad Request", missing)
    columns = columns_of(call.view, instrument, span, snapshot)
    meta = _meta(call.view, instrument, span, snapshot, columns)
    ticks = {instrument.vendor_symbol: snapshot.number}
    if columns is None:
        body = f'{{"chart":{{"result":[{{"meta":{meta},"indicators":{{"quote":[{{}}]}}}}],"error":null}}}}'
        return Answer(200, body.encode(), _CHART_TYPE, ticks=ticks, told=False, verdict="no_data")
    volume = columns.volume if instrument.traded else np.where(np.isnan(columns.volume), np.nan, 0)
    quote = encode(
        {
            "open": _floats(columns.open), "volume": _integers(volume), "close": _floats(columns.close),
            "low": _floats(columns.low), "high": _floats(columns.high),
        }
    ).decode()  # fmt: skip
    stamps = encode(columns.at_s.tolist()).decode()
    inner = f'"meta":{meta},"timestamp":{stamps},"indicators":{{"quote":[{quote}]}}'
    body = f'{{"chart":{{"result":[{{{inner}}}],"error":null}}}}'
    return Answer(200, body.encode(), _CHART_TYPE, ticks=ticks, told=False)


def spark_row(call: Call, instrument: Instrument, snapshot: Snapshot) -> str | Answer:
    """Return one symbol's part of a spark: closes only, or the error that the parameters lead to."""
    span = span_of(call.params, instrument, call.view.now_ms, snapshot.market_ms)
    if isinstance(span, Answer):
        return span
    columns = columns_of(call.view, instrument, span, snapshot)
    closes = [] if columns is None else columns.close.astype(np.float32).tolist()
    spelled = ["null" if close != close else java_float(close) for close in closes]  # noqa: PLR0124  # NaN
    return raw_object(
        {
            "end": "null", "start": "null",
            "timestamp": encode([] if columns is None else columns.at_s.tolist()).decode(),
            "previousClose": "null", "chartPreviousClose": _rounded(snapshot.previous_close),
            "symbol": text(instrument.vendor_symbol), "close": f"[{','.join(spelled)}]", "dataGranularity": "300",
        }
    )  # fmt: skip

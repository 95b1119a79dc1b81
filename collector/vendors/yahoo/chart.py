"""History: v8 chart, one symbol a call, without cookie or crumb."""

from dataclasses import dataclass
from urllib.parse import quote

from collector.vendors.answers import Trouble, history, no_history, volume_is_told
from collector.vendors.bars import pieces, settled
from collector.vendors.base import Ask, HistoryReading, Reply, Request, Verdict
from collector.vendors.bodies import Json, JsonObject, list_at, object_at, objects_at, read_object, text_at
from collector.vendors.numbers import number, shortest_float32
from collector.vendors.times import epoch_ms
from collector.vendors.yahoo.errors import trouble_in
from common.messages import Number, RawBar, Timeframe

_DAY_MS = 86_400_000
_INTERVALS: dict[str, tuple[str, ...]] = {"1m": ("1m",), "5m": ("5m",), "15m": ("15m",), "1h": ("1h", "60m")}
"""What to ask for, and what else the reply may call it."""
_LONGEST_MS = {"1m": 7 * _DAY_MS, "5m": 60 * _DAY_MS, "15m": 60 * _DAY_MS, "1h": 730 * _DAY_MS}
"""The vendor cuts 1m at 8 days a call; the rest is how far back it goes at all (1m: 30 days)."""
_SETTLE_MS = 20 * 60_000
"""Quotes are up to 15 minutes late: a bar that ends after the newest market time may miss trades for that long."""


def requests(ask: Ask, timeframe: Timeframe, from_ms: int, to_ms: int) -> tuple[Request, ...]:
    """Return one request for each piece that one call can carry; none for a timeframe without history."""
    if timeframe not in _INTERVALS:
        return ()
    return tuple(_request(ask, timeframe, span) for span in pieces(from_ms, to_ms, _LONGEST_MS[timeframe]))


def _request(ask: Ask, timeframe: Timeframe, span: tuple[int, int]) -> Request:
    params = (
        ("interval", _INTERVALS[timeframe][0]),
        ("period1", str(span[0] // 1_000)),
        ("period2", str(-(-span[1] // 1_000))),
        ("includePrePost", "false"),
    )
    return Request(path=f"/v8/finance/chart/{quote(ask.vendor_symbol, safe='')}", asks=(ask,), params=params, span=span)


def read(request: Request, timeframe: Timeframe, reply: Reply) -> HistoryReading:
    """Return the bars that have closed; rows with a null, live points and stamps off the grid are left out."""
    content = read_object(reply.body)
    trouble = trouble_in(content, reply)
    if content is None or trouble is not None:
        return no_history(request, reply, trouble or Trouble(Verdict.OUTAGE, "no JSON object"))
    result = next(objects_at(object_at(content, "chart"), "result"), None)
    if result is None:
        return no_history(request, reply, Trouble(Verdict.OUTAGE, "expected chart.result[0], found none"))
    meta, (ask,) = object_at(result, "meta"), request.asks
    if (other := _another_question(meta, ask, timeframe)) is not None:
        return no_history(request, reply, other)
    stamps = list_at(result, "timestamp")
    columns = _Columns.of(next(objects_at(object_at(result, "indicators"), "quote"), {}))
    rows = [columns.bar(i, open_ms, ask) for i, stamp in enumerate(stamps) if (open_ms := epoch_ms(stamp)) is not None]
    full = [bar for bar in rows if bar is not None]
    bars = settled(_without_live_point(full, meta), timeframe, request.span, _closed_until(meta, reply))
    return history(request, bars, f"{len(bars)} bars of {len(stamps)} stamps, {len(full)} rows without null")


def _another_question(meta: JsonObject, ask: Ask, timeframe: Timeframe) -> Trouble | None:
    """Return what makes this a reply to something that was not asked."""
    symbol, granularity = text_at(meta, "symbol"), text_at(meta, "dataGranularity")
    if symbol != ask.vendor_symbol:
        return Trouble(Verdict.OUTAGE, f"asked for {ask.vendor_symbol}, got {symbol or 'no symbol'}")
    if granularity not in _INTERVALS[timeframe]:
        return Trouble(Verdict.NO_DATA, f"asked for {timeframe}, got bars of {granularity or 'no granularity'}")
    return None


@dataclass(frozen=True)
class _Columns:
    """The arrays of one chart. They may be shorter than the stamps, or missing."""

    open: list[Json]
    high: list[Json]
    low: list[Json]
    close: list[Json]
    volume: list[Json]

    @classmethod
    def of(cls, quotes: JsonObject) -> "_Columns":
        return cls(*(list_at(quotes, name) for name in ("open", "high", "low", "close", "volume")))

    def bar(self, row: int, open_ms: int, ask: Ask) -> RawBar | None:
        """Return the bar of one row; None if any of its prices is null."""
        o, h, low, c = (_price(column, row) for column in (self.open, self.high, self.low, self.close))
        if o is None or h is None or low is None or c is None:
            return None
        volume = number(self.volume[row]) if volume_is_told(ask) and row < len(self.volume) else None
        return RawBar(open_ms, o, h, low, c, volume)


def _price(column: list[Json], row: int) -> Number:
    return shortest_float32(number(column[row])) if row < len(column) else None


def _without_live_point(bars: list[RawBar], meta: JsonObject) -> list[RawBar]:
    """Leave out a last row that is the newest price and no bar: flat, stamped with its own time or a session's end.

    Most live points lie off the grid and fall there; the one of a session's end (16:00:00) lies on it.
    """
    if not bars or not (bars[-1].open == bars[-1].high == bars[-1].low == bars[-1].close):
        return bars
    periods = object_at(meta, "currentTradingPeriod")
    ends = [epoch_ms(object_at(periods, name).get("end")) for name in ("pre", "regular", "post")]
    return bars[:-1] if bars[-1].open_ms in (epoch_ms(meta.get("regularMarketTime")), *ends) else bars


def _closed_until(meta: JsonObject, reply: Reply) -> int:
    """Return the moment up to which bars can't change any more."""
    market_ms = epoch_ms(meta.get("regularMarketTime")) or 0
    return min(reply.received_ms, max(market_ms, reply.received_ms - _SETTLE_MS))

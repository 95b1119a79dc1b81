"""Twelve Data: one credit a symbol; the body tells what happened, the HTTP status may not."""

from collections.abc import Mapping, Sequence

from collector.vendors.answers import Trouble, credits_left, gathered, history, no_history, refusal, volume_is_told
from collector.vendors.bars import pieces, settled
from collector.vendors.base import Ask, Credentials, HistoryReading, Reading, Reply, Request, Verdict
from collector.vendors.bodies import JsonObject, list_at, object_at, objects_at, read_object, text_at
from collector.vendors.numbers import number
from collector.vendors.times import epoch_ms, utc_ms, utc_stamp
from collector.vendors.twelvedata.errors import trouble_in, untold
from common.messages import TIMEFRAME_MS, RawBar, RawQuote, Timeframe

_INTERVALS = {"1m": "1min", "5m": "5min", "15m": "15min", "1h": "1h"}
_ROWS_A_CALL = 5_000
_CREDITS_LEFT = "api-credits-left"  # of the current minute, not of the day


class TwelveData:
    """The adapter: /quote for the latest (it has the market's time, /price has none), /time_series for history."""

    name: str = "twelvedata"
    hosts: Mapping[str, str] = {"": "https://api.twelvedata.com"}
    needs_key: bool = True
    batch: int = 8
    """The vendor takes 120, but a symbol costs a credit and the smallest plan has 8 a minute: more would never pass."""
    headers: tuple[tuple[str, str], ...] = (("Accept", "application/json"),)

    def latest(self, asks: Sequence[Ask], credentials: Credentials) -> Request:
        """See Vendor."""
        symbols = ",".join(ask.vendor_symbol for ask in asks)
        return Request("/quote", tuple(asks), (("symbol", symbols),), _authorization(credentials), credits=len(asks))

    def latest_without_token(self, asks: Sequence[Ask]) -> Request | None:  # noqa: ARG002  # part of the protocol
        """See Vendor."""
        return None

    def read_latest(self, request: Request, reply: Reply) -> Reading:
        """See Vendor."""
        content, left = read_object(reply.body), credits_left(reply, _CREDITS_LEFT)
        trouble = untold(reply) if content is None else trouble_in(content, reply)
        if content is None or trouble is not None:
            return refusal(request, reply, trouble or untold(reply), left)
        return gathered(request, reply, {ask.symbol: _quote(ask, content, reply) for ask in request.asks}, left)

    def history(
        self, ask: Ask, timeframe: Timeframe, from_ms: int, to_ms: int, credentials: Credentials
    ) -> tuple[Request, ...]:
        """See Vendor."""
        if timeframe not in _INTERVALS:
            return ()
        spans = pieces(from_ms, to_ms, (_ROWS_A_CALL - 1) * TIMEFRAME_MS[timeframe])  # should the end be included
        return tuple(_history_request(ask, timeframe, span, credentials) for span in spans)

    def read_history(self, request: Request, timeframe: Timeframe, reply: Reply) -> HistoryReading:
        """See Vendor."""
        content, left = read_object(reply.body), credits_left(reply, _CREDITS_LEFT)
        trouble = untold(reply) if content is None else trouble_in(content, reply)
        if content is None or trouble is not None:
            return no_history(request, reply, trouble or untold(reply), left)
        (ask,) = request.asks
        other = _another_question(content, ask, timeframe, reply)
        if other is not None:
            return no_history(request, reply, other, left)
        rows = list_at(content, "values")
        found = [bar for row in objects_at(content, "values") if (bar := _bar(row, ask)) is not None]
        bars = settled(found, timeframe, request.span, reply.received_ms)
        return history(request, bars, f"{len(bars)} bars of {len(rows)} rows", left)

    def token_requests(self) -> tuple[Request, ...]:
        """See Vendor."""
        return ()

    def read_token(self, reply: Reply) -> str | None:  # noqa: ARG002  # part of the protocol
        """See Vendor."""
        return None


def _authorization(credentials: Credentials) -> tuple[tuple[str, str], ...]:
    return (("Authorization", f"apikey {credentials.key}"),)  # not in the URL, which ends up in logs


def _history_request(ask: Ask, timeframe: Timeframe, span: tuple[int, int], credentials: Credentials) -> Request:
    params = (
        ("symbol", ask.vendor_symbol),
        ("interval", _INTERVALS[timeframe]),
        ("start_date", utc_stamp(span[0])),
        ("end_date", utc_stamp(span[1])),
        ("outputsize", str(_ROWS_A_CALL)),
        ("order", "asc"),
        ("timezone", "UTC"),  # without it pairs and metals come in Sydney's time, it seems
    )
    return Request("/time_series", (ask,), params, _authorization(credentials), span=span)


def _quote(ask: Ask, content: JsonObject, reply: Reply) -> RawQuote | Trouble:
    """Return one symbol's quote: the object itself where one symbol was asked for, else the one under its key."""
    row = content if text_at(content, "symbol") == ask.vendor_symbol else object_at(content, ask.vendor_symbol)
    trouble = trouble_in(row, reply)
    if trouble is not None:
        return trouble
    if text_at(row, "symbol") != ask.vendor_symbol:
        return Trouble(Verdict.OUTAGE, f"no quote of {ask.vendor_symbol} in the reply")
    price, market_ms = number(row.get("close")), epoch_ms(row.get("last_quote_at"))
    if price is None:
        return Trouble(Verdict.NO_DATA, f"{ask.vendor_symbol} has no price")
    if market_ms is None:  # `timestamp` is the start of the day's candle
        return Trouble(Verdict.NO_DATA, f"{ask.vendor_symbol} has a price without last_quote_at")
    volume = number(row.get("volume")) if ask.volume_kind == "traded" else None
    return RawQuote(ask.symbol, ask.source_class, market_ms, last=price, day_volume=volume)


def _another_question(content: JsonObject, ask: Ask, timeframe: Timeframe, reply: Reply) -> Trouble | None:
    """Return what makes this a reply to something that was not asked."""
    meta = object_at(content, "meta")
    symbol, interval = text_at(meta, "symbol"), text_at(meta, "interval")
    if not isinstance(content.get("values"), list) and not meta:
        return untold(reply)
    if symbol != ask.vendor_symbol:
        return Trouble(Verdict.OUTAGE, f"asked for {ask.vendor_symbol}, got {symbol or 'no symbol'}")
    if interval != _INTERVALS[timeframe]:
        return Trouble(Verdict.NO_DATA, f"asked for {_INTERVALS[timeframe]}, got {interval or 'no interval'}")
    return None


def _bar(row: JsonObject, ask: Ask) -> RawBar | None:
    """Return the bar of one row; None if its time or any of its prices is missing."""
    open_ms = utc_ms(row.get("datetime"))
    o, h, low, c = (number(row.get(name)) for name in ("open", "high", "low", "close"))
    if open_ms is None or o is None or h is None or low is None or c is None:
        return None
    return RawBar(open_ms, o, h, low, c, number(row.get("volume")) if volume_is_told(ask) else None)

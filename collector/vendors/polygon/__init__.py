"""Polygon.io, now Massive: currencies (C:) and indices (I:), each a plan of its own."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import parse_qsl, quote, urlsplit

from collector.vendors.answers import Trouble, gathered, history, no_history, refusal, volume_is_told
from collector.vendors.bars import settled
from collector.vendors.base import Ask, Credentials, HistoryReading, Reading, Reply, Request, Verdict
from collector.vendors.bodies import JsonObject, list_at, object_at, objects_at, read_object, text_at
from collector.vendors.numbers import number
from collector.vendors.polygon.errors import trouble_in, untold, verdict_of
from collector.vendors.times import epoch_ms, is_weekend
from common.messages import RawBar, RawQuote, Timeframe

_FOREX = "/v2/snapshot/locale/global/markets/forex/tickers"
_ANY_KIND = "/v3/snapshot"
_MOST_TICKERS = 250
_RANGES = {"1s": "1/second", "1m": "1/minute", "5m": "5/minute", "15m": "15/minute", "1h": "1/hour"}
_MOST_BASE_BARS = "50000"
_NEXT_PATH = re.compile(r"/v2/aggs/ticker/[A-Za-z0-9:%/_-]+(\.[A-Za-z0-9:%/_-]+)*$")
"""The end of a next page's path: before it may stand what a proxy puts there."""


class Polygon:
    """The adapter: snapshots for the latest, aggregates for history. POLYGON_HOST names another host."""

    name: str = "polygon"
    hosts: Mapping[str, str] = {"": "https://api.polygon.io"}
    needs_key: bool = True
    batch: int = _MOST_TICKERS
    headers: tuple[tuple[str, str], ...] = (("Accept", "application/json"),)

    def latest(self, asks: Sequence[Ask], credentials: Credentials) -> Request:
        """See Vendor. One call serves pairs and indices alike; pairs alone are asked for where only they are served."""
        tickers = ",".join(ask.vendor_symbol for ask in asks)
        authorization = _authorization(credentials)
        if all(ask.vendor_symbol.startswith("C:") for ask in asks):
            return Request(_FOREX, tuple(asks), (("tickers", tickers),), authorization)
        params = (("ticker.any_of", tickers), ("limit", str(_MOST_TICKERS)))  # the vendor's own limit is 10
        return Request(_ANY_KIND, tuple(asks), params, authorization)

    def latest_without_token(self, asks: Sequence[Ask]) -> Request | None:  # noqa: ARG002  # part of the protocol
        """See Vendor."""
        return None

    def read_latest(self, request: Request, reply: Reply) -> Reading:
        """See Vendor."""
        content = read_object(reply.body)
        trouble = untold(reply) if content is None else trouble_in(content, reply)
        if content is None or trouble is not None:
            return refusal(request, reply, trouble or untold(reply))
        if isinstance(content.get("results"), list):
            found = {text_at(row, "ticker"): row for row in objects_at(content, "results")}
        elif "tickers" in content:
            found = {text_at(row, "ticker"): _as_v3(row) for row in objects_at(content, "tickers")}
        else:
            return refusal(request, reply, untold(reply))
        return gathered(request, reply, {a.symbol: _quote(a, found.get(a.vendor_symbol)) for a in request.asks})

    def history(
        self, ask: Ask, timeframe: Timeframe, from_ms: int, to_ms: int, credentials: Credentials
    ) -> tuple[Request, ...]:
        """See Vendor. The first page; each reply leads to the next."""
        if from_ms >= to_ms:
            return ()
        ticker = quote(ask.vendor_symbol, safe=":")
        path = f"/v2/aggs/ticker/{ticker}/range/{_RANGES[timeframe]}/{from_ms}/{to_ms - 1}"
        params = (("sort", "asc"), ("limit", _MOST_BASE_BARS))
        return (Request(path, (ask,), params, _authorization(credentials), span=(from_ms, to_ms)),)

    def read_history(self, request: Request, timeframe: Timeframe, reply: Reply) -> HistoryReading:
        """See Vendor."""
        content = read_object(reply.body)
        trouble = untold(reply) if content is None else trouble_in(content, reply)
        if content is None or trouble is not None:
            return no_history(request, reply, trouble or untold(reply))
        (ask,) = request.asks
        if text_at(content, "ticker") != ask.vendor_symbol:
            got = text_at(content, "ticker") or "no ticker"
            return no_history(request, reply, Trouble(Verdict.OUTAGE, f"asked for {ask.vendor_symbol}, got {got}"))
        found = [bar for row in objects_at(content, "results") if (bar := _bar(row, ask)) is not None]
        bars = settled(found, timeframe, request.span, reply.received_ms)
        weekend = sum(is_weekend(bar.open_ms) for bar in bars)
        detail = f"{len(bars)} bars of {len(list_at(content, 'results'))} rows, {weekend} of them at the weekend"
        return history(request, bars, detail, rest=_rest(request, text_at(content, "next_url")))

    def token_requests(self) -> tuple[Request, ...]:
        """See Vendor."""
        return ()

    def read_token(self, reply: Reply) -> str | None:  # noqa: ARG002  # part of the protocol
        """See Vendor."""
        return None


def _authorization(credentials: Credentials) -> tuple[tuple[str, str], ...]:
    return (("Authorization", f"Bearer {credentials.key}"),)  # not in the URL, which ends up in logs


def _as_v3(row: JsonObject) -> JsonObject:
    """Return a row of the v2 forex snapshot with the names of v3."""
    last = object_at(row, "lastQuote")
    return {"last_quote": {"bid": last.get("b"), "ask": last.get("a"), "last_updated": last.get("t")}}


def _quote(ask: Ask, row: JsonObject | None) -> RawQuote | Trouble:
    if row is None:
        # Not "unknown": the forex snapshot is emptied at midnight in New York, and fills as pairs are quoted.
        return Trouble(Verdict.NO_DATA, f"no row for {ask.vendor_symbol}")
    if row.get("error") is not None:
        return _of_row(text_at(row, "error"), text_at(row, "message"))
    last = object_at(row, "last_quote")
    price, bid, asked = number(row.get("value")), number(last.get("bid")), number(last.get("ask"))
    market_ms = epoch_ms(row.get("last_updated") if price is not None else last.get("last_updated"))
    if price is None and (bid is None or asked is None):
        return Trouble(Verdict.NO_DATA, f"{ask.vendor_symbol} has neither a value nor a quote")
    if market_ms is None:
        return Trouble(Verdict.NO_DATA, f"{ask.vendor_symbol} has a price without a time")
    return RawQuote(ask.symbol, ask.source_class, market_ms, last=price, bid=bid, ask=asked)


def _of_row(error: str, message: str) -> Trouble:
    entitled = Verdict.NOT_ENTITLED if error == "NOT_ENTITLED" else Verdict.NO_DATA
    return Trouble(verdict_of(error, message.lower()) or entitled, f"{error}: {message}")


def _bar(row: JsonObject, ask: Ask) -> RawBar | None:
    """Return the bar of one row; None if its time or any of its prices is missing. Indices have no volume."""
    open_ms = epoch_ms(row.get("t"))
    o, h, low, c = (number(row.get(name)) for name in ("o", "h", "l", "c"))
    if open_ms is None or o is None or h is None or low is None or c is None:
        return None
    return RawBar(open_ms, o, h, low, c, number(row.get("v")) if volume_is_told(ask) else None)


def _rest(request: Request, next_url: str) -> Request | None:
    """Return the request for the next page, at our own host and with our own key, whatever host the URL names."""
    try:
        url = urlsplit(next_url)
        params = tuple((name, value) for name, value in parse_qsl(url.query) if name.lower() != "apikey")
    except ValueError:
        return None
    path = _NEXT_PATH.search(url.path)
    if path is None or (path[0], params) == (request.path, request.params):
        return None
    return replace(request, path=path[0], params=params)

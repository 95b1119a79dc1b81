"""Polygon's REST endpoints: last quotes, snapshots, aggregates. Numbers are spelled as Go does."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from simulator.instruments import Instrument
from simulator.limits import DAY_MS, MINUTE_MS, Limit, Unlimited, Windows
from simulator.market import View
from simulator.polygon_aggs import aggregates, number
from simulator.sessions import is_open, newest_session
from simulator.ticks import Bars, Snapshot
from simulator.wire import Answer, Call, encode, names

_PRICING = "https://polygon.io/pricing"
EXCHANGE = 48
_MOST_TICKERS = 250
_NS_PER_MS = 1_000_000
_NAMES = {
    "I:NDX": "Nasdaq 100", "I:DJI": "Dow Jones Industrial Average", "I:SPX": "S&P 500",
    "C:EURUSD": "Euro - United States Dollar", "C:GBPUSD": "British Pound Sterling - United States Dollar",
    "C:XAUUSD": "Gold - United States Dollar",
}  # fmt: skip
_ALIKE_VERDICTS = {400: "bad_request", 401: "bad_key", 403: "not_entitled", 404: "unknown_symbol", 429: "rate_limited"}


def _request_id(call: Call) -> str:
    text = f"{call.view.moment.cycle}|{call.path}|{sorted(call.params.items())}"
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def failure(call: Call, status: int, word: str, key: str, message: str) -> Answer:
    """Return an error; the text stands in `error` or in `message`."""
    body = encode({"status": word, "request_id": _request_id(call), key: message})
    return Answer(status, body, verdict=_ALIKE_VERDICTS.get(status, "outage"))


def not_entitled(call: Call, message: str = "") -> Answer:
    """Return the answer for data that the plan does not include."""
    text = message or f"You are not entitled to this data. Please upgrade your plan at {_PRICING}"
    return failure(call, 403, "NOT_AUTHORIZED", "message", text)


def too_many(call: Call) -> Answer:
    """Return the answer to the call that is one too many in its minute."""
    text = (
        "You've exceeded the maximum requests per minute, please wait or upgrade your subscription to continue. "
        f"{_PRICING}"
    )
    return failure(call, 429, "ERROR", "error", text)


class Polygon:
    """The vendor."""

    name = "polygon"

    def __init__(self, listings: Mapping[str, Instrument], *, real_limits: bool) -> None:
        self._listings = listings
        self._basic = real_limits
        self._limit: Limit = Unlimited()
        if real_limits:
            self._limit = Windows((("minute", MINUTE_MS, 5),), count_refused=False)

    def answer(self, call: Call) -> Answer:
        """Return the reply to one GET."""
        answer = self._checked(call)
        common = (("server", "nginx/1.19.2"), ("vary", "Accept-Encoding"), ("x-request-id", _request_id(call)))
        return replace(answer, headers=(*answer.headers, *common))

    def rate_limited(self, call: Call) -> Answer:
        """Return the answer to the sixth call of a minute."""
        return too_many(call)

    def server_error(self, call: Call) -> Answer:
        """Return an error object with status 500."""
        return failure(call, 500, "ERROR", "error", "Internal server error")

    def _checked(self, call: Call) -> Answer:
        key = call.params.get("apiKey", "") or call.headers.get("authorization", "").removeprefix("Bearer ").strip()
        if not key:
            return failure(call, 401, "ERROR", "error", "API Key was not provided")
        if key.startswith("bad"):
            return failure(call, 401, "ERROR", "error", "Unknown API Key")
        if self._limit.admit(call.view.now_ms) is not None:
            return too_many(call)
        return self._route(call)

    def _route(self, call: Call) -> Answer:
        match call.path.split("/")[1:]:
            case ["v1", "last_quote", "currencies", base, quote]:
                return self._last_quote(call, base, quote)
            case ["v2", "snapshot", "locale", "global", "markets", "forex", "tickers"]:
                return self._forex(call)
            case ["v3", "snapshot", *_]:
                return self._universal(call)
            case ["v2", "aggs", "ticker", ticker, "range", multiplier, timespan, first, last]:
                return self._aggregates(call, ticker, (multiplier, timespan, first, last))
        return Answer(404, b"404 page not found\n", "text/plain", verdict="bad_request")

    def _last_quote(self, call: Call, base: str, quote: str) -> Answer:
        if self._basic:
            return not_entitled(call)
        ticker = f"C:{base}{quote}"
        instrument = self._listings.get(ticker)
        snapshot = None if instrument is None else call.view.snapshot(instrument)
        if snapshot is None:
            return failure(call, 404, "NOT_FOUND", "message", "Data not found.")
        body = {
            "last": {
                "ask": number(snapshot.ask), "bid": number(snapshot.bid), "exchange": EXCHANGE,
                "timestamp": snapshot.market_ms,
            },
            "request_id": _request_id(call),
            "status": "success",
            "symbol": f"{base}/{quote}",
        }  # fmt: skip
        return Answer(200, encode(body), ticks={ticker: snapshot.number})

    def _forex(self, call: Call) -> Answer:
        if self._basic:
            return not_entitled(call)
        pairs = {name: one for name, one in self._listings.items() if name.startswith("C:")}
        rows: list[dict[str, object]] = []
        ticks: dict[str, int] = {}
        for ticker in names(call.params.get("tickers", "")) or list(pairs):
            instrument = pairs.get(ticker)
            snapshot = None if instrument is None else call.view.snapshot(instrument)
            if instrument is not None and snapshot is not None:
                rows.append(_forex_row(call.view, instrument, snapshot))
                ticks[ticker] = snapshot.number
        return Answer(200, encode({"status": "OK", "tickers": rows}), ticks=ticks)

    def _universal(self, call: Call) -> Answer:
        wanted = names(call.params.get("ticker.any_of", "")) or [call.params.get("ticker", "")]
        if len(wanted) > _MOST_TICKERS:
            return failure(call, 400, "ERROR", "error", f"ticker.any_of: at most {_MOST_TICKERS} tickers")
        kinds = ("I:",) if call.path.startswith("/v3/snapshot/indices") else ("I:", "C:")
        rows: list[dict[str, object]] = []
        ticks: dict[str, int] = {}
        for ticker in filter(None, wanted):
            instrument = self._listings.get(ticker) if ticker.startswith(kinds) else None
            snapshot = None if instrument is None else call.view.snapshot(instrument)
            if instrument is None or snapshot is None:
                rows.append({"error": "NOT_FOUND", "message": "Ticker not found.", "ticker": ticker})
            elif self._basic:
                rows.append({"error": "NOT_ENTITLED", "message": "Not entitled to this ticker.", "ticker": ticker})
            else:
                rows.append(_universal_row(call.view, instrument, snapshot))
                ticks[ticker] = snapshot.number
        body = {"request_id": _request_id(call), "results": rows, "status": "OK"}
        return Answer(200, encode(body), ticks=ticks, verdict="ok" if ticks or not wanted else "no_data")

    def _aggregates(self, call: Call, ticker: str, span: tuple[str, str, str, str]) -> Answer:
        until_ms = call.view.now_ms + 1
        if self._basic:  # end of day data: nothing of the current UTC day
            until_ms = call.view.now_ms // DAY_MS * DAY_MS
        found = aggregates(call, self._listings.get(ticker), ticker, span, until_ms)
        if isinstance(found, str):
            return failure(call, 400, "ERROR", "error", found)
        if found.starts_ms >= until_ms and self._basic:
            return not_entitled(
                call, f"Your plan doesn't include this data timeframe. Please upgrade your plan at {_PRICING}"
            )
        body = found.body | {"request_id": _request_id(call), "count": found.body["queryCount"]}
        if found.next_url is not None:
            body["next_url"] = found.next_url
        return Answer(200, encode(body), verdict="ok" if found.body["queryCount"] else "no_data")


def _candle(bars: Bars, day: bool = False) -> dict[str, object]:  # one of two forms
    """Return several bars as one candle; one of a day has its mean price too."""
    if not len(bars):
        return {"c": 0, "h": 0, "l": 0, "o": 0, "v": 0}
    found: dict[str, object] = {
        "c": number(float(bars.close[-1])), "h": number(float(bars.high.max())),
        "l": number(float(bars.low.min())), "o": number(float(bars.open[0])), "v": int(bars.ticks.sum()),
    }  # fmt: skip
    if day:
        found["vw"] = number(round(float((bars.close * bars.ticks).sum() / bars.ticks.sum()), 4))
    return found


def _forex_row(view: View, instrument: Instrument, snapshot: Snapshot) -> dict[str, object]:
    today_ms = view.now_ms // DAY_MS * DAY_MS
    minute = view.bars(instrument, MINUTE_MS, snapshot.market_ms // MINUTE_MS * MINUTE_MS, view.now_ms + 1)
    before = newest_session(instrument.session, today_ms - 1)
    from_ms = min(today_ms, before.close_ms) // DAY_MS * DAY_MS
    from_ms = from_ms - DAY_MS if from_ms == today_ms else from_ms
    change = snapshot.price - snapshot.previous_close
    return {
        "day": _candle(view.bars(instrument, 60 * MINUTE_MS, today_ms, view.now_ms + 1)),
        "lastQuote": {"a": number(snapshot.ask), "b": number(snapshot.bid), "t": snapshot.market_ms, "x": EXCHANGE},
        "min": _candle(minute),
        "prevDay": _candle(view.bars(instrument, 60 * MINUTE_MS, from_ms, from_ms + DAY_MS), day=True),
        "ticker": instrument.vendor_symbol,
        "todaysChange": number(round(change, 6)),
        "todaysChangePerc": number(round(change / snapshot.previous_close * 100, 8)),
        "updated": snapshot.market_ms * _NS_PER_MS,
    }


def _session(snapshot: Snapshot) -> dict[str, object]:
    change = snapshot.price - snapshot.previous_close
    return {
        "change": number(round(change, 5)),
        "change_percent": number(round(change / snapshot.previous_close * 100, 4)),
        "close": number(snapshot.price),
        "high": number(snapshot.day_high),
        "low": number(snapshot.day_low),
        "open": number(snapshot.day_open),
        "previous_close": number(snapshot.previous_close),
    }


def _universal_row(view: View, instrument: Instrument, snapshot: Snapshot) -> dict[str, object]:
    ticker = instrument.vendor_symbol
    updated = snapshot.market_ms * _NS_PER_MS
    fixed = {
        "market_status": "open" if is_open(instrument.session, view.now_ms) else "closed",
        "name": _NAMES.get(ticker, ticker),
        "session": _session(snapshot),
        "ticker": ticker,
    }
    if ticker.startswith("I:"):
        tail = {"timeframe": "REAL-TIME", "type": "indices", "value": number(snapshot.price)}
        return {"last_updated": updated, **fixed, **tail}
    quote = {
        "ask": number(snapshot.ask), "bid": number(snapshot.bid), "exchange": EXCHANGE, "last_updated": updated,
        "timeframe": "REAL-TIME",
    }  # fmt: skip
    return {"last_quote": quote, **fixed, "type": "fx"}

"""Alpha Vantage's one endpoint. Every answer has status 200."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from simulator.instruments import Instrument
from simulator.limits import SECOND_MS, Limit, Paced, Unlimited
from simulator.spelling import decimals, fixed, utc_text
from simulator.ticks import Bars, Snapshot
from simulator.wire import HTML_TYPE, OUT_OF_ORDER, Answer, Call

_CSV_TYPE = "application/x-download"
_PLANS = "https://www.alphavantage.co/premium/"
_WIDTHS_S = {"1min": 60, "5min": 300, "15min": 900, "30min": 1800, "60min": 3600}
_COMPACT_BARS = 100
_FULL_SPAN_MS = 30 * 86_400_000
_RATE_DECIMALS = 8
_SPOT_DECIMALS = 10
_NO_PRICE = "-"
_CURRENCIES = {
    "EUR": "Euro", "USD": "United States Dollar", "GBP": "British Pound Sterling", "JPY": "Japanese Yen",
}  # fmt: skip
_BAD_KEY = (
    "the parameter apikey is invalid or missing. Please claim your free API key on "
    "(https://www.alphavantage.co/support/#api-key). It should take less than 20 seconds."
)
_DEMO = (
    "The **demo** API key is for demo purposes only. Please claim your free API key at "
    "(https://www.alphavantage.co/support/#api-key) to explore our full API offerings. It takes fewer than 20 seconds."
)
_TOO_FAST = (
    "Thank you for using Alpha Vantage! Please consider spreading out your free API requests more sparingly (1 request "
    f"per second). You may subscribe to any of the premium plans at {_PLANS} to lift the free key rate limit "
    "(25 requests per day) and instantly remove all daily rate limits."
)
_PREMIUM = (
    "Thank you for using Alpha Vantage! This is a premium endpoint. You may subscribe to any of the premium plans at "
    f"{_PLANS} to instantly unlock all premium endpoints"
)


def _pretty(value: object) -> bytes:
    return json.dumps(value, indent=4).encode()


def _say(key: str, message: str, verdict: str) -> Answer:
    return Answer(200, _pretty({key: message}), verdict=verdict)


def day_limit(key: str) -> Answer:
    """Return the answer of the day's last call; it holds the caller's key, as the vendor's does."""
    message = (
        f"We have detected your API key as {key} and our standard API rate limit is 25 requests per day. Please "
        f"subscribe to any of the premium plans at {_PLANS} to instantly remove all daily rate limits."
    )
    return _say("Information", message, "rate_limited")


def _invalid_call(function: str) -> Answer:
    message = (
        "Invalid API call. Please retry or visit the documentation (https://www.alphavantage.co/documentation/) "
        f"for {function}."
    )
    return _say("Error Message", message, "unknown_symbol")


@dataclass(frozen=True)
class _SeriesAsk:
    """What FX_INTRADAY was asked for."""

    instrument: Instrument
    interval: str
    full: bool


class AlphaVantage:
    """The vendor."""

    name = "alphavantage"

    def __init__(self, listings: Mapping[str, Instrument], *, real_limits: bool) -> None:
        self._listings = listings
        self._free = real_limits
        self._limit: Limit = Paced(SECOND_MS, 25) if real_limits else Unlimited()

    def answer(self, call: Call) -> Answer:
        """Return the reply to one GET."""
        key = call.params.get("apikey", "")
        if call.path != "/query":
            return Answer(404, b"Not Found", "text/html", verdict="bad_request")
        if not key or key.startswith("bad"):
            return _say("Error Message", _BAD_KEY, "bad_key")
        if key == "demo":
            return _say("Information", _DEMO, "bad_key")
        refused = self._limit.admit(call.view.now_ms)
        if refused == "second":
            return self.rate_limited(call)
        if refused is not None:
            return day_limit(key)
        return self._route(call)

    def rate_limited(self, call: Call) -> Answer:  # noqa: ARG002  # the Vendor protocol
        """Return the text for calls that follow each other too fast, with status 200."""
        return _say("Information", _TOO_FAST, "rate_limited")

    def server_error(self, call: Call) -> Answer:  # noqa: ARG002  # the Vendor protocol
        """Return an HTML page."""
        return Answer(500, OUT_OF_ORDER, HTML_TYPE, verdict="outage")

    def _route(self, call: Call) -> Answer:
        function = call.params.get("function", "")
        match function:
            case "CURRENCY_EXCHANGE_RATE":
                return self._rate(call)
            case "GOLD_SILVER_SPOT":
                return self._metal(call)
            case "GLOBAL_QUOTE":
                return Answer(200, _pretty({"Global Quote": {}}), verdict="no_data")
            case "FX_INTRADAY":
                return _say("Information", _PREMIUM, "not_entitled") if self._free else self._intraday(call)
        return _say("Error Message", f"This API function ({function}) does not exist.", "bad_request")

    def _pair(self, call: Call, first: str, second: str) -> Instrument | None:
        return self._listings.get(f"{call.params.get(first, '').upper()}/{call.params.get(second, '').upper()}")

    def _rate(self, call: Call) -> Answer:
        instrument = self._pair(call, "from_currency", "to_currency")
        if instrument is None:
            return _invalid_call("CURRENCY_EXCHANGE_RATE")
        snapshot = call.view.snapshot(instrument)
        body = {"Realtime Currency Exchange Rate": _rate_fields(instrument, snapshot, call.view.now_ms)}
        return Answer(200, _pretty(body), ticks=_told(instrument, snapshot))

    def _metal(self, call: Call) -> Answer:
        name = call.params.get("symbol", "").upper()
        name = {"XAU": "GOLD", "XAG": "SILVER"}.get(name, name)
        instrument = self._listings.get(name)
        if instrument is None:
            return _invalid_call("GOLD_SILVER_SPOT")
        snapshot = call.view.snapshot(instrument)
        price = _NO_PRICE if snapshot is None else fixed(snapshot.price, _SPOT_DECIMALS)
        stamp = utc_text(call.view.now_ms)
        body = f'{{"nominal": "{instrument.symbol}","timestamp": "{stamp}","price": "{price}"}}'
        return Answer(200, body.encode(), ticks=_told(instrument, snapshot))

    def _intraday(self, call: Call) -> Answer:
        instrument = self._pair(call, "from_symbol", "to_symbol")
        interval = call.params.get("interval", "")
        if instrument is None or interval not in _WIDTHS_S:
            return _invalid_call("FX_INTRADAY")
        ask = _SeriesAsk(instrument, interval, call.params.get("outputsize") == "full")
        width_ms = _WIDTHS_S[interval] * 1000
        until_ms = call.view.now_ms + 1
        bars = call.view.bars(instrument, width_ms, until_ms - _FULL_SPAN_MS, until_ms)
        if not len(bars):
            return _invalid_call("FX_INTRADAY")
        shown = bars if ask.full else bars.part(max(0, len(bars) - _COMPACT_BARS), len(bars))
        if call.params.get("datatype") == "csv":
            return Answer(200, _csv(shown), _CSV_TYPE, headers=(("content-disposition", _file_name(ask)),))
        return Answer(200, _pretty(_series(ask, shown)))


def _told(instrument: Instrument, snapshot: Snapshot | None) -> dict[str, int]:
    return {} if snapshot is None else {instrument.vendor_symbol: snapshot.number}


def _rate(snapshot: Snapshot | None) -> tuple[str, str, str]:
    """Return the rate (the middle), bid and ask."""
    if snapshot is None:
        return _NO_PRICE, _NO_PRICE, _NO_PRICE
    places = max(_RATE_DECIMALS, decimals(snapshot.bid), decimals(snapshot.ask))
    middle = (snapshot.bid + snapshot.ask) / 2
    return f"{middle:.{places}f}", f"{snapshot.bid:.{places}f}", f"{snapshot.ask:.{places}f}"


def _rate_fields(instrument: Instrument, snapshot: Snapshot | None, now_ms: int) -> dict[str, str]:
    """Return the recorded fields. `Last Refreshed` is the clock, not the price's time."""
    base, _, quote = instrument.vendor_symbol.partition("/")
    rate, bid, ask = _rate(snapshot)
    return {
        "1. From_Currency Code": base,
        "2. From_Currency Name": _CURRENCIES.get(base, base),
        "3. To_Currency Code": quote,
        "4. To_Currency Name": _CURRENCIES.get(quote, quote),
        "5. Exchange Rate": rate,
        "6. Last Refreshed": utc_text(now_ms),
        "7. Time Zone": "UTC",
        "8. Bid Price": bid,
        "9. Ask Price": ask,
    }


def _file_name(ask: _SeriesAsk) -> str:
    return f"attachment; filename=fx_intraday_{ask.interval}_{ask.instrument.vendor_symbol.replace('/', '_')}.csv"


def _newest_first(bars: Bars) -> list[tuple[str, list[str]]]:
    """Return the stamp and the four prices of each bar."""
    columns = (bars.open.tolist(), bars.high.tolist(), bars.low.tolist(), bars.close.tolist())
    rows = zip(bars.open_ms.tolist(), *columns, strict=True)
    return [(utc_text(opened), [fixed(price, 5) for price in prices]) for opened, *prices in rows][::-1]


def _csv(bars: Bars) -> bytes:
    lines = ["timestamp,open,high,low,close"] + [f"{stamp},{','.join(row)}" for stamp, row in _newest_first(bars)]
    return "".join(f"{line}\r\n" for line in lines).encode()


def _series(ask: _SeriesAsk, bars: Bars) -> dict[str, object]:
    base, _, quote = ask.instrument.vendor_symbol.partition("/")
    rows = _newest_first(bars)
    words = ("1. open", "2. high", "3. low", "4. close")
    return {
        "Meta Data": {
            "1. Information": f"FX Intraday ({ask.interval}) Time Series",
            "2. From Symbol": base,
            "3. To Symbol": quote,
            "4. Last Refreshed": rows[0][0],
            "5. Interval": ask.interval,
            "6. Output Size": "Full size" if ask.full else "Compact",
            "7. Time Zone": "UTC",
        },
        f"Time Series FX ({ask.interval})": {stamp: dict(zip(words, row, strict=True)) for stamp, row in rows},
    }

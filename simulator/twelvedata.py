"""Twelve Data's REST endpoints: quote and the errors. Prices are strings; the HTTP status is the body's code."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from simulator.instruments import Instrument
from simulator.limits import DAY_MS, MINUTE_MS, Windows
from simulator.market import View
from simulator.sessions import NEW_YORK, is_open, newest_session
from simulator.spelling import eight_digits, plain
from simulator.ticks import Snapshot
from simulator.twelvedata_series import SeriesAsk, series, series_ask
from simulator.wire import Answer, Call, encode, names

_PRICING = "https://twelvedata.com/pricing"
_BASIC = (8, 800)
_ULTRA = (10_946, 1 << 40)
_MOST_SYMBOLS = 120
BAD_KEY = (
    "**apikey** parameter is incorrect or not specified. You can get your free API key instantly following this link: "
    f"{_PRICING}. If you believe that everything is correct, you can contact us at "
    "https://twelvedata.com/contact/customer"
)
_SYMBOL = (
    "**symbol** or **figi** parameter is missing or invalid. Please provide a valid symbol according to API "
    "documentation: https://twelvedata.com/docs#reference-data"
)
_GATED = (
    "This symbol is available starting with the Grow or Venture plan. Consider upgrading your API Key now at "
    f"{_PRICING}"
)
_DAY_CANDLE_SHIFT_MS = 4 * 3_600_000
"""The currency day begins at 20:00 UTC of the evening before."""
_VERDICTS = {400: "bad_request", 401: "bad_key", 403: "not_entitled", 404: "unknown_symbol", 429: "rate_limited"}
TITLES = {
    "EUR/USD": ("Euro / US Dollar", "Forex"), "GBP/USD": ("British Pound / US Dollar", "Forex"),
    "XAU/USD": ("Gold Spot / US Dollar", "Forex"), "NDX": ("Nasdaq 100", "NASDAQ"),
    "SPX": ("S&P 500", "NYSE"), "DJI": ("Dow Jones Industrial Average", "NYSE"),
}  # fmt: skip
VENUES = {"NASDAQ": "XNAS", "NYSE": "XNYS"}


@dataclass(frozen=True)
class Failure:
    """An error, alone or inside a reply for several symbols."""

    code: int
    message: str
    meta: Mapping[str, str] | None = None

    def body(self) -> dict[str, object]:
        """Return the error object."""
        found: dict[str, object] = {"code": self.code, "message": self.message, "status": "error"}
        return found if self.meta is None else found | {"meta": dict(self.meta)}

    def answer(self) -> Answer:
        """Return the reply that this error is alone."""
        return Answer(self.code, encode(self.body()), verdict=_VERDICTS.get(self.code, "no_data"))


def used_up(window: str, used: int, limit: int) -> Failure:
    """Return the error for credits of a minute or a day that are gone."""
    word = "current minute" if window == "minute" else "day"
    wait = "Wait for the next minute" if window == "minute" else "Wait for the next day"
    return Failure(
        429,
        f"You have run out of API credits for the {word}. {used} API credits were used, with the current limit being "
        f"{limit}. {wait} or consider switching to a higher tier plan at {_PRICING}",
    )


class TwelveData:
    """The vendor."""

    name = "twelvedata"

    def __init__(self, listings: Mapping[str, Instrument], *, real_limits: bool) -> None:
        self._listings = listings
        self._basic = real_limits
        self._per_minute, self._per_day = _BASIC if real_limits else _ULTRA
        allowances = (("minute", MINUTE_MS, self._per_minute), ("day", DAY_MS, self._per_day))
        self._limit = Windows(allowances, count_refused=True)

    def answer(self, call: Call) -> Answer:
        """Return the reply to one GET."""
        key = call.params.get("apikey", "") or call.headers.get("authorization", "").removeprefix("apikey ").strip()
        if not key or key.startswith("bad"):
            return Failure(401, BAD_KEY).answer()
        wanted = names(call.params.get("symbol", ""))
        cost = max(1, len(wanted))
        refused = self._limit.admit(call.view.now_ms, cost)
        answer = self._refusal(refused) if self._basic and refused is not None else self._route(call, wanted)
        used = self._limit.used[0]
        credit_headers = (("api-credits-used", str(used)), ("api-credits-left", str(max(0, self._per_minute - used))))
        return replace(answer, headers=(*answer.headers, *credit_headers), credits=cost)

    def rate_limited(self, call: Call) -> Answer:  # noqa: ARG002  # the Vendor protocol
        """Return the answer to the ninth credit of a minute."""
        spent = (("api-credits-used", "9"), ("api-credits-left", "0"))
        return replace(used_up("minute", 9, _BASIC[0]).answer(), headers=spent)

    def server_error(self, call: Call) -> Answer:  # noqa: ARG002  # the Vendor protocol
        """Return an error object with code 500."""
        return replace(Failure(500, "Internal server error. Please contact our support.").answer(), verdict="outage")

    def _refusal(self, window: str) -> Answer:
        place, limit = (0, self._per_minute) if window == "minute" else (1, self._per_day)
        return used_up(window, self._limit.used[place], limit).answer()

    def _route(self, call: Call, wanted: list[str]) -> Answer:
        if len(wanted) > _MOST_SYMBOLS:
            return Failure(414, f"Too many symbols: {len(wanted)}, the limit is {_MOST_SYMBOLS}").answer()
        if call.path == "/quote":
            return self._each(wanted, lambda instrument: _quote(call.view, instrument))
        if call.path == "/time_series":
            ask = series_ask(call.params, call.view.now_ms)
            if isinstance(ask, str):
                return Failure(400, ask, _asked(call.params)).answer()
            return self._each(wanted, lambda instrument: _bars(call, instrument, ask))
        return Failure(404, f"{call.path} was not found").answer()

    def _instrument(self, symbol: str) -> Instrument | Failure:
        found = self._listings.get(symbol)
        if found is None:
            return Failure(404, _SYMBOL)
        if self._basic and found.session == "us_cash":
            return Failure(404, _SYMBOL if symbol == "DJI" else _GATED)
        return found

    def _each(self, wanted: list[str], tell: Callable[[Instrument], tuple[dict[str, object], int] | Failure]) -> Answer:
        """Return one symbol's object bare, those of several keyed by symbol with errors inside."""
        if not wanted:
            return Failure(404, _SYMBOL).answer()
        bodies: dict[str, dict[str, object]] = {}
        ticks: dict[str, int] = {}
        for symbol in wanted:
            instrument = self._instrument(symbol)
            found = instrument if isinstance(instrument, Failure) else tell(instrument)
            if isinstance(found, Failure):
                if len(wanted) == 1:
                    return found.answer()
                bodies[symbol] = found.body()
            else:
                bodies[symbol], number = found
                if number >= 0:
                    ticks[symbol] = number
        body = bodies[wanted[0]] if len(wanted) == 1 else bodies
        return Answer(200, encode(body), "application/json; charset=utf-8", ticks=ticks)


def _asked(params: Mapping[str, str]) -> dict[str, str]:
    return {"symbol": params.get("symbol", ""), "interval": params.get("interval", ""), "exchange": ""}


def _day(instrument: Instrument, now_ms: int) -> tuple[str, int]:
    """Return the date of the day candle and the second it begins."""
    if instrument.session == "us_cash":
        session = newest_session(instrument.session, now_ms)
        return session.day.isoformat(), session.open_ms // 1000
    turned_ms = (now_ms + _DAY_CANDLE_SHIFT_MS) // DAY_MS * DAY_MS
    return datetime.fromtimestamp(turned_ms / 1000, UTC).date().isoformat(), (turned_ms - _DAY_CANDLE_SHIFT_MS) // 1000


def _year(snapshot: Snapshot) -> dict[str, str]:
    low, high, price = snapshot.year_low, snapshot.year_high, snapshot.price
    return {
        "low": plain(low),
        "high": plain(high),
        "low_change": eight_digits(price - low),
        "high_change": eight_digits(price - high),
        "low_change_percent": eight_digits((price - low) / low * 100),
        "high_change_percent": eight_digits((price - high) / high * 100),
        "range": f"{low:.6f} - {high:.6f}",
    }


def _quote(view: View, instrument: Instrument) -> tuple[dict[str, object], int] | Failure:
    snapshot = view.snapshot(instrument)
    if snapshot is None:  # it has never traded
        return Failure(422, "No data", {"symbol": instrument.vendor_symbol, "interval": "", "exchange": ""})
    title, exchange = TITLES.get(instrument.vendor_symbol, (instrument.vendor_symbol, "Forex"))
    stock = instrument.session == "us_cash"
    date, timestamp = _day(instrument, view.now_ms)
    change = snapshot.price - snapshot.previous_close
    found: dict[str, object] = {"symbol": instrument.vendor_symbol, "name": title, "exchange": exchange}
    if stock:
        found |= {"mic_code": VENUES.get(exchange, "XNYS"), "currency": "USD"}
    found |= {
        "datetime": date, "timestamp": timestamp, "last_quote_at": snapshot.market_ms // 1000,
        "open": plain(snapshot.day_open), "high": plain(snapshot.day_high), "low": plain(snapshot.day_low),
        "close": plain(snapshot.price),
    }  # fmt: skip
    if stock:
        found["volume"] = "0"
    found |= {
        "previous_close": plain(snapshot.previous_close),
        "change": eight_digits(change),
        "percent_change": eight_digits(change / snapshot.previous_close * 100),
    }
    if stock:
        found["average_volume"] = "0"
    found |= {"is_market_open": is_open(instrument.session, view.now_ms), "fifty_two_week": _year(snapshot)}
    return found, snapshot.number


def _series_meta(instrument: Instrument, interval: str) -> dict[str, str]:
    symbol = instrument.vendor_symbol
    if instrument.session == "us_cash":
        _, exchange = TITLES.get(symbol, (symbol, "NYSE"))
        return {
            "symbol": symbol, "interval": interval, "currency": "USD", "exchange_timezone": NEW_YORK.key,
            "exchange": exchange, "mic_code": VENUES.get(exchange, "XNYS"), "type": "Index",
        }  # fmt: skip
    title, _ = TITLES.get(symbol, (symbol.replace("/", " / "), "Forex"))
    base, _, quote = title.partition(" / ")
    kind = "Precious Metal" if instrument.session == "metals" else "Physical Currency"
    return {"symbol": symbol, "interval": interval, "currency_base": base, "currency_quote": quote, "type": kind}


def _bars(call: Call, instrument: Instrument, ask: SeriesAsk) -> tuple[dict[str, object], int] | Failure:
    values = series(call.view, instrument, ask)
    if not values:
        message = "No data is available on the specified dates. Try setting different start/end dates."
        return Failure(400, message, _asked(call.params))
    return {"meta": _series_meta(instrument, ask.interval), "values": values, "status": "ok"}, -1

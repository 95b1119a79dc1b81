"""Alpha Vantage: 25 calls a day on the free plan, and HTTP 200 for every answer, errors included."""

from collections.abc import Mapping, Sequence

from collector.vendors.alphavantage import texts
from collector.vendors.answers import Trouble, gathered, history, no_history, refusal, untold
from collector.vendors.bars import settled
from collector.vendors.base import Ask, Credentials, HistoryReading, Reading, Reply, Request, Verdict
from collector.vendors.bodies import Json, JsonObject, object_at, read_object
from collector.vendors.numbers import number
from collector.vendors.times import utc_ms
from common.messages import Number, RawBar, RawQuote, Timeframe

_RATE = "Realtime Currency Exchange Rate"
_METALS = {"GOLD": "XAUUSD", "SILVER": "XAGUSD"}
"""What GOLD_SILVER_SPOT is asked for -> what its reply names it."""
_INTERVALS = {"1m": "1min", "5m": "5min", "15m": "15min", "1h": "60min"}
_SERVER_ERRORS = 500


class AlphaVantage:
    """The adapter: pairs from CURRENCY_EXCHANGE_RATE, metals from GOLD_SILVER_SPOT, history from FX_INTRADAY."""

    name: str = "alphavantage"
    hosts: Mapping[str, str] = {"": "https://www.alphavantage.co"}
    needs_key: bool = True
    batch: int = 1
    headers: tuple[tuple[str, str], ...] = (("Accept", "application/json"),)

    def latest(self, asks: Sequence[Ask], credentials: Credentials) -> Request:
        """See Vendor."""
        (ask,) = asks
        base, _, quoted = ask.vendor_symbol.partition("/")
        if quoted:
            what = (("function", "CURRENCY_EXCHANGE_RATE"), ("from_currency", base), ("to_currency", quoted))
        elif base in _METALS:
            what = (("function", "GOLD_SILVER_SPOT"), ("symbol", base), ("datatype", "json"))
        else:
            what = (("function", "GLOBAL_QUOTE"), ("symbol", base), ("datatype", "json"))
        return Request(path="/query", asks=(ask,), params=(*what, ("apikey", credentials.key)))

    def latest_without_token(self, asks: Sequence[Ask]) -> Request | None:  # noqa: ARG002  # part of the protocol
        """See Vendor."""
        return None

    def read_latest(self, request: Request, reply: Reply) -> Reading:
        """See Vendor."""
        content = read_object(reply.body)
        trouble = _trouble_in(content, reply)
        if content is None or trouble is not None:
            return refusal(request, reply, trouble or untold(reply))
        (ask,) = request.asks
        return gathered(request, reply, {ask.symbol: _quote(ask, content, reply)})

    def history(
        self, ask: Ask, timeframe: Timeframe, from_ms: int, to_ms: int, credentials: Credentials
    ) -> tuple[Request, ...]:
        """See Vendor. Pairs only; the vendor gives its newest bars and takes no range."""
        base, _, quoted = ask.vendor_symbol.partition("/")
        if not quoted or timeframe not in _INTERVALS or from_ms >= to_ms:
            return ()
        params = (
            ("function", "FX_INTRADAY"),
            ("from_symbol", base),
            ("to_symbol", quoted),
            ("interval", _INTERVALS[timeframe]),
            ("outputsize", "full"),
            ("datatype", "json"),
            ("apikey", credentials.key),
        )
        return (Request(path="/query", asks=(ask,), params=params, span=(from_ms, to_ms)),)

    def read_history(self, request: Request, timeframe: Timeframe, reply: Reply) -> HistoryReading:
        """See Vendor."""
        content = read_object(reply.body)
        trouble = _trouble_in(content, reply)
        if content is None or trouble is not None:
            return no_history(request, reply, trouble or untold(reply))
        (ask,) = request.asks
        other = _another_question(content, ask, timeframe, reply)
        if other is not None:
            return no_history(request, reply, other)
        rows = object_at(content, _series_key(timeframe))
        found = [bar for stamp, row in rows.items() if (bar := _bar(stamp, row)) is not None]
        bars = settled(found, timeframe, request.span, reply.received_ms)
        return history(request, bars, f"{len(bars)} bars of {len(rows)} rows")

    def token_requests(self) -> tuple[Request, ...]:
        """See Vendor."""
        return ()

    def read_token(self, reply: Reply) -> str | None:  # noqa: ARG002  # part of the protocol
        """See Vendor."""
        return None


def _trouble_in(content: JsonObject | None, reply: Reply) -> Trouble | None:
    """Return what the reply complains of; None if there is data in it, or nothing that we know."""
    if content is None:
        return untold(reply, texts.PER_MINUTE_S)
    if samples := texts.artificial(content):
        return Trouble(Verdict.NOT_ENTITLED, "sample numbers instead of data: " + samples)
    if texts.has_data(content) or reply.status >= _SERVER_ERRORS:
        return None
    return texts.trouble_in(content, reply.received_ms)


def _quote(ask: Ask, content: JsonObject, reply: Reply) -> RawQuote | Trouble:
    if _RATE in content:
        return _rate(ask, object_at(content, _RATE))
    if "price" in content and "nominal" in content:
        return _metal(ask, content)
    daily = next((value for key, value in content.items() if key.startswith("Global Quote")), None)
    if daily == {}:
        return Trouble(Verdict.UNKNOWN_SYMBOL, f"{ask.vendor_symbol} is not served")
    if isinstance(daily, dict):
        # It has a date and no time, and on the free plan it moves once a day: nothing to trade by.
        return Trouble(Verdict.NO_DATA, f"{ask.vendor_symbol} has an end-of-day price only")
    return untold(reply)


def _rate(ask: Ask, rate: JsonObject) -> RawQuote | Trouble:
    pair = f"{_field(rate, 'From_Currency Code')}/{_field(rate, 'To_Currency Code')}"
    if pair != ask.vendor_symbol:
        return Trouble(Verdict.OUTAGE, f"asked for {ask.vendor_symbol}, got {pair}")
    return _raw(ask, _field(rate, "Exchange Rate"), _field(rate, "Bid Price"), _field(rate, "Ask Price"))


def _metal(ask: Ask, content: JsonObject) -> RawQuote | Trouble:
    expected = _METALS.get(ask.vendor_symbol)
    if expected is None or content["nominal"] != expected:
        return Trouble(Verdict.OUTAGE, f"asked for {ask.vendor_symbol}, got {content['nominal']}")
    return _raw(ask, content["price"], None, None)


def _raw(ask: Ask, price: Json, bid: Json, asked: Json) -> RawQuote | Trouble:
    """Return the quote, without a market time: the vendor's clock runs on while the market is closed."""
    last = _given(price)
    if last is None:
        return Trouble(Verdict.NO_DATA, f"{ask.vendor_symbol} has no price")
    return RawQuote(ask.symbol, ask.source_class, last=last, bid=_given(bid), ask=_given(asked))


def _given(value: Json) -> Number:
    """Return the number, or None where the vendor writes "-" for none."""
    return None if value in ("-", "") else number(value)


def _field(content: JsonObject, words: str) -> Json:
    """Return the value under "<number>. <words>": the numbers differ between endpoints, the words do not."""
    return next((value for key, value in content.items() if key.partition(". ")[2] == words), None)


def _series_key(timeframe: Timeframe) -> str:
    return f"Time Series FX ({_INTERVALS[timeframe]})"


def _another_question(content: JsonObject, ask: Ask, timeframe: Timeframe, reply: Reply) -> Trouble | None:
    """Return what makes this a reply to something that was not asked."""
    series = next((key for key in content if key.startswith("Time Series")), None)
    if series is None:
        return untold(reply)
    if series != _series_key(timeframe):
        return Trouble(Verdict.NO_DATA, f"asked for {_series_key(timeframe)}, got {series}")
    meta = object_at(content, "Meta Data")
    pair = f"{_field(meta, 'From Symbol')}/{_field(meta, 'To Symbol')}"
    if pair != ask.vendor_symbol or _field(meta, "Time Zone") != "UTC":
        found = f"{pair} in {_field(meta, 'Time Zone')}"
        return Trouble(Verdict.OUTAGE, f"asked for {ask.vendor_symbol} in UTC, got {found}")
    return None


def _bar(stamp: str, row: Json) -> RawBar | None:
    """Return the bar of one row; None if its time or any of its prices is missing."""
    open_ms = utc_ms(stamp)
    if open_ms is None or not isinstance(row, dict):
        return None
    o, h, low, c = (_given(_field(row, name)) for name in ("open", "high", "low", "close"))
    return None if o is None or h is None or low is None or c is None else RawBar(open_ms, o, h, low, c)

"""Rows of Yahoo's v7 quote, key for key in the recorded order."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from functools import lru_cache

from simulator.instruments import Instrument
from simulator.market import View
from simulator.sessions import NEW_YORK, is_open
from simulator.spelling import decimals, java_float, yahoo_price
from simulator.ticks import Snapshot
from simulator.wire import raw_object, text
from simulator.yahoo_names import About, about, front_month, local, offset_s


def _keys(words: str) -> tuple[str, ...]:
    return tuple(words.split())


_CURRENCY = _keys("""language region quoteType typeDisp quoteSourceName triggerable customPriceAlertConfidence currency
fiftyDayAverage twoHundredDayAverage shortName longName regularMarketChangePercent regularMarketPrice
regularMarketChange regularMarketDayHigh regularMarketDayLow regularMarketPreviousClose bid ask regularMarketOpen
fiftyTwoWeekLow fiftyTwoWeekHigh tradeable cryptoTradeable fiftyDayAverageChange fiftyDayAverageChangePercent
twoHundredDayAverageChange twoHundredDayAverageChangePercent sourceInterval exchangeDataDelayedBy marketState
corporateActions regularMarketTime exchange messageBoardId exchangeTimezoneName exchangeTimezoneShortName
gmtOffSetMilliseconds market esgPopulated hasPrePostMarketData firstTradeDateMilliseconds priceHint
regularMarketDayRange regularMarketVolume bidSize askSize fullExchangeName averageDailyVolume3Month
averageDailyVolume10Day fiftyTwoWeekLowChange fiftyTwoWeekLowChangePercent fiftyTwoWeekRange fiftyTwoWeekHighChange
fiftyTwoWeekHighChangePercent fiftyTwoWeekChangePercent symbol""")

_FUTURE = _keys("""language region quoteType typeDisp quoteSourceName triggerable customPriceAlertConfidence
headSymbolAsString contractSymbol regularMarketChangePercent regularMarketPrice exchangeTimezoneName
exchangeTimezoneShortName gmtOffSetMilliseconds market esgPopulated shortName marketState corporateActions
regularMarketTime underlyingSymbol currency underlyingExchangeSymbol exchange expireDate expireIsoDate fiftyDayAverage
fiftyDayAverageChange fiftyDayAverageChangePercent twoHundredDayAverage twoHundredDayAverageChange
twoHundredDayAverageChangePercent sourceInterval exchangeDataDelayedBy tradeable cryptoTradeable hasPrePostMarketData
firstTradeDateMilliseconds priceHint regularMarketChange regularMarketDayHigh regularMarketDayRange regularMarketDayLow
regularMarketVolume regularMarketPreviousClose bid ask bidSize askSize fullExchangeName regularMarketOpen
averageDailyVolume3Month averageDailyVolume10Day fiftyTwoWeekLowChange fiftyTwoWeekLowChangePercent fiftyTwoWeekRange
fiftyTwoWeekHighChange fiftyTwoWeekHighChangePercent fiftyTwoWeekLow fiftyTwoWeekHigh fiftyTwoWeekChangePercent
openInterest symbol""")

_INDEX = _keys("""language region quoteType typeDisp quoteSourceName triggerable customPriceAlertConfidence currency
corporateActions regularMarketTime exchange messageBoardId exchangeTimezoneName exchangeTimezoneShortName
gmtOffSetMilliseconds market esgPopulated sourceInterval exchangeDataDelayedBy tradeable cryptoTradeable
hasPrePostMarketData priceHint regularMarketChange regularMarketDayHigh regularMarketDayRange regularMarketDayLow
regularMarketVolume regularMarketPreviousClose bid ask bidSize askSize fullExchangeName regularMarketOpen
fiftyTwoWeekLowChange fiftyTwoWeekRange fiftyTwoWeekHighChange fiftyTwoWeekLow fiftyTwoWeekHigh marketState
regularMarketChangePercent regularMarketPrice shortName longName symbol""")

_ORDER = {"CURRENCY": _CURRENCY, "FUTURE": _FUTURE, "INDEX": _INDEX}

_NARROW = frozenset(
    _keys("""language region quoteType typeDisp quoteSourceName triggerable customPriceAlertConfidence regularMarketTime
exchange marketState sourceInterval exchangeDataDelayedBy tradeable cryptoTradeable hasPrePostMarketData
firstTradeDateMilliseconds fullExchangeName exchangeTimezoneName exchangeTimezoneShortName gmtOffSetMilliseconds
market esgPopulated regularMarketPrice priceHint displayName symbol""")
)
"""Sent whatever `fields` asks for."""

_PRE, _OPEN, _CLOSE, _POST = time(4), time(9, 30), time(16), time(20)


def market_state(session: str, now_ms: int) -> str:
    """Return Yahoo's word for the state of the market."""
    if is_open(session, now_ms):
        return "REGULAR"
    at = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(NEW_YORK)
    if session != "us_cash" or at.weekday() >= 5:
        return "CLOSED"
    states = ((_PRE, "PREPRE"), (_OPEN, "PRE"), (_CLOSE, "REGULAR"), (_POST, "POST"))
    return next((state for until, state in states if at.time() < until), "POSTPOST")


@lru_cache(maxsize=256)
def _fixed(instrument: Instrument, today: date) -> Mapping[str, str]:
    """Return the values that stay the same for a day, as JSON."""
    known = about(instrument)
    symbol = text(instrument.vendor_symbol)
    future = known.kind == "FUTURE"
    values = {
        "language": '"en-US"', "region": '"US"', "quoteType": text(known.kind),
        "typeDisp": {"CURRENCY": '"Currency"', "FUTURE": '"Futures"', "INDEX": '"Index"'}[known.kind],
        "quoteSourceName": '"Delayed Quote"', "triggerable": "false" if future else "true",
        "customPriceAlertConfidence": '"NONE"' if future else '"HIGH"', "currency": '"USD"',
        "shortName": text(known.title), "longName": text(known.title), "tradeable": "false",
        "cryptoTradeable": "false", "sourceInterval": "15", "corporateActions": "[]",
        "exchange": text(known.exchange), "messageBoardId": text(known.board),
        "exchangeTimezoneName": text(known.zone), "market": text(known.market), "esgPopulated": "false",
        "hasPrePostMarketData": "false", "firstTradeDateMilliseconds": str(known.first_trade_s * 1000),
        "priceHint": str(known.price_hint), "fullExchangeName": text(known.exchange_title),
        "averageDailyVolume3Month": "8668" if future else "0", "averageDailyVolume10Day": "3092" if future else "0",
        "bidSize": "14" if future else "0", "askSize": "8" if future else "0", "openInterest": "393731",
        "headSymbolAsString": symbol, "contractSymbol": "false", "symbol": symbol,
    }  # fmt: skip
    return values | _contract(known, today)


def _contract(known: About, today: date) -> dict[str, str]:
    if known.contract is None:
        return {}
    code, expiry = front_month(known.contract, today)
    name = text(f"{known.contract.root}{code}.{known.contract.suffix}")
    return {
        "shortName": text(f"{known.contract.title} {expiry:%b} {expiry:%y}"),
        "underlyingSymbol": name,
        "underlyingExchangeSymbol": name,
        "expireDate": str(int(datetime.combine(expiry, time(), UTC).timestamp())),
        "expireIsoDate": text(f"{expiry}T00:00:00Z"),
    }


def _sides(snapshot: Snapshot, kind: str, *, trading: bool) -> tuple[str, str]:
    """Return bid and ask as Yahoo spells them: of a pair swapped, with the price as `bid`; of a closed index 0."""
    if kind == "INDEX" and not trading:
        return "0.0", "0.0"
    if kind != "CURRENCY":
        return yahoo_price(snapshot.bid), yahoo_price(snapshot.ask)
    places = max(decimals(snapshot.price), decimals(snapshot.bid), decimals(snapshot.ask))
    return yahoo_price(snapshot.price), yahoo_price(round(snapshot.price - (snapshot.ask - snapshot.bid), places))


def _against(price: float, name: str, base: float, spell: Callable[[float], str]) -> dict[str, str]:
    """Return a figure, and the price's distance from it in absolute and relative terms."""
    return {
        name: spell(base),
        f"{name}Change": java_float(price - base),
        f"{name}ChangePercent": java_float((price - base) / base),
    }


def _moving(view: View, instrument: Instrument, snapshot: Snapshot) -> dict[str, str]:
    """Return the values that change with the price, as JSON."""
    known = about(instrument)
    price, before = snapshot.price, snapshot.previous_close
    state = market_state(instrument.session, view.now_ms)
    shut = known.kind == "INDEX" and state != "REGULAR"
    day_open, high, low = (0.0, 0.0, 0.0) if shut else (snapshot.day_open, snapshot.day_high, snapshot.day_low)
    bid, ask = _sides(snapshot, known.kind, trading=not shut)
    year_low, year_high = yahoo_price(snapshot.year_low), yahoo_price(snapshot.year_high)
    return {
        **_against(price, "fiftyDayAverage", before * 0.991, java_float),
        **_against(price, "twoHundredDayAverage", before * 0.97, java_float),
        **_against(price, "fiftyTwoWeekLow", snapshot.year_low, yahoo_price),
        **_against(price, "fiftyTwoWeekHigh", snapshot.year_high, yahoo_price),
        "fiftyTwoWeekRange": f'"{year_low} - {year_high}"', "fiftyTwoWeekChangePercent": "3.089881",
        "regularMarketPrice": yahoo_price(price), "regularMarketChange": java_float(price - before),
        "regularMarketChangePercent": java_float((price - before) / before * 100),
        "regularMarketDayHigh": yahoo_price(high), "regularMarketDayLow": yahoo_price(low),
        "regularMarketDayRange": f'"{yahoo_price(low)} - {yahoo_price(high)}"',
        "regularMarketPreviousClose": yahoo_price(before), "regularMarketOpen": yahoo_price(day_open),
        "regularMarketVolume": str(snapshot.day_volume) if instrument.traded else "0",
        "regularMarketTime": str(snapshot.market_ms // 1000), "bid": bid, "ask": ask,
    }  # fmt: skip


def _current(view: View, instrument: Instrument) -> dict[str, str]:
    """Return the values that change with the time alone, as JSON."""
    offset, zone = offset_s(about(instrument).zone, view.now_ms)
    return {
        "marketState": text(market_state(instrument.session, view.now_ms)),
        "exchangeDataDelayedBy": str(view.delay_ms(instrument) // 60_000),
        "exchangeTimezoneShortName": text(zone),
        "gmtOffSetMilliseconds": str(offset * 1000),
    }


def row(view: View, instrument: Instrument, snapshot: Snapshot | None, fields: frozenset[str]) -> str:
    """Return one row of the result as JSON; `fields` (empty: all) narrows it roughly, as Yahoo does.

    Of an instrument that has never traded there is a row without a price.
    """
    known = about(instrument)
    today = local(known.zone, view.now_ms).date()
    values = {**_fixed(instrument, today), **_current(view, instrument)}
    if snapshot is not None:
        values |= _moving(view, instrument, snapshot)
    order = tuple(key for key in _ORDER[known.kind] if key in values)
    if fields:
        order = tuple(key for key in order if key in _NARROW or key in fields)
    return raw_object({key: values[key] for key in order})

"""The events in Polygon's frames, and the channels that they belong to: pairs are spelled EUR/USD there."""

from collector.vendors.answers import volume_is_told
from collector.vendors.base import Ask
from collector.vendors.bodies import JsonObject, text_at
from collector.vendors.numbers import number
from collector.vendors.stream import PushedBar
from collector.vendors.times import epoch_ms
from common.messages import RawBar, RawQuote

_QUOTE, _VALUE = "C", "V"
_SYMBOL_AT = {_QUOTE: "p", "CA": "pair", "CAS": "pair", _VALUE: "T", "A": "sym", "AM": "sym"}
"""Kind of event -> where its symbol stands. CAS and A are aggregates of a second, CA and AM of a minute."""
_CODE_CHARS = 3


def channel(ticker: str) -> str:
    """Return the channel of the prices of C:EURUSD or I:NDX; an empty string if there is none."""
    if ticker.startswith("I:"):
        return f"{_VALUE}.{ticker}"
    pair = ticker.removeprefix("C:").replace("-", "").replace("/", "")
    if ticker == pair or len(pair) != 2 * _CODE_CHARS:
        return ""
    return f"{_QUOTE}.{pair[:_CODE_CHARS]}/{pair[_CODE_CHARS:]}"


def channel_of(row: JsonObject) -> str:
    """Return the channel of the prices that the event tells of; an empty string if it is of a kind nobody needs."""
    kind = text_at(row, "ev")
    symbol = text_at(row, _SYMBOL_AT.get(kind, ""))
    if not symbol:
        return ""
    return channel(symbol if kind in (_VALUE, "A", "AM") else f"C:{symbol.removeprefix('C:')}")


def read(row: JsonObject, ask: Ask) -> RawQuote | PushedBar | str:
    """Return what the event tells of its symbol, or why it tells nothing."""
    match text_at(row, "ev"):
        case "C":
            return _quote(row, ask)
        case "V":
            return _value(row, ask)
    return _aggregate(row, ask)


def _quote(row: JsonObject, ask: Ask) -> RawQuote | str:
    bid, asked, market_ms = number(row.get("b")), number(row.get("a")), epoch_ms(row.get("t"))
    if bid is None or asked is None or market_ms is None:
        return f"{ask.vendor_symbol} has a quote without bid, ask or time"
    return RawQuote(ask.symbol, ask.source_class, market_ms, bid=bid, ask=asked)


def _value(row: JsonObject, ask: Ask) -> RawQuote | str:
    value, market_ms = number(row.get("val")), epoch_ms(row.get("t"))
    if value is None or market_ms is None:
        return f"{ask.vendor_symbol} has a value without number or time"
    return RawQuote(ask.symbol, ask.source_class, market_ms, last=value)


def _aggregate(row: JsonObject, ask: Ask) -> PushedBar | str:
    open_ms, end_ms = epoch_ms(row.get("s")), epoch_ms(row.get("e"))
    o, h, low, c = (number(row.get(name)) for name in ("o", "h", "l", "c"))
    if open_ms is None or end_ms is None or o is None or h is None or low is None or c is None:
        return f"{ask.vendor_symbol} has an aggregate with a hole"
    volume = number(row.get("v")) if volume_is_told(ask) else None
    return PushedBar(ask.symbol, ask.source_class, end_ms, RawBar(open_ms, o, h, low, c, volume))

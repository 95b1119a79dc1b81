"""Latest prices: v7 quote, many symbols in one call."""

from collections.abc import Sequence

from collector.vendors.answers import Trouble, gathered, refusal
from collector.vendors.base import Ask, Reading, Reply, Request, Verdict
from collector.vendors.bodies import JsonObject, object_at, objects_at, read_object, text_at
from collector.vendors.numbers import number, unless_zero
from collector.vendors.times import epoch_ms
from collector.vendors.yahoo.errors import trouble_in
from common.messages import RawQuote

_DAY_MS = 86_400_000
_DEAD_AFTER_MS = 30 * _DAY_MS  # no market closes for a month: the listing has ended


def request(asks: Sequence[Ask], token: str) -> Request:
    """Return the request for all asks; without a crumb it is answered with BAD_SESSION."""
    symbols = ",".join(ask.vendor_symbol for ask in asks)
    crumb = (("crumb", token),) if token else ()
    return Request(path="/v7/finance/quote", asks=tuple(asks), params=(("symbols", symbols), *crumb))


def read(request: Request, reply: Reply) -> Reading:
    """Return the quotes. Rows come in any order, and an unknown symbol has none."""
    content = read_object(reply.body)
    trouble = trouble_in(content, reply)
    if content is None or trouble is not None:
        return refusal(request, reply, trouble or Trouble(Verdict.OUTAGE, "no JSON object"))
    response = object_at(content, "quoteResponse")
    if not isinstance(response.get("result"), list):
        return refusal(request, reply, Trouble(Verdict.OUTAGE, "expected quoteResponse.result, found none"))
    rows = {text_at(row, "symbol"): row for row in objects_at(response, "result")}
    return gathered(request, reply, {ask.symbol: _quote(ask, rows, reply.received_ms) for ask in request.asks})


def _quote(ask: Ask, rows: dict[str, JsonObject], now_ms: int) -> RawQuote | Trouble:
    row = rows.get(ask.vendor_symbol)
    if row is None or text_at(row, "quoteType") == "NONE":
        return Trouble(Verdict.UNKNOWN_SYMBOL, f"no row for {ask.vendor_symbol}")
    price, market_ms = number(row.get("regularMarketPrice")), epoch_ms(row.get("regularMarketTime"))
    if price is None:
        return Trouble(Verdict.NO_DATA, f"{ask.vendor_symbol} has no price")
    if market_ms is None:
        return Trouble(Verdict.NO_DATA, f"{ask.vendor_symbol} has a price without a time")
    if now_ms - market_ms > _DEAD_AFTER_MS:
        days = (now_ms - market_ms) // _DAY_MS
        return Trouble(Verdict.NO_DATA, f"{ask.vendor_symbol} last traded {days} days ago")
    return _as_raw(ask, row, price, market_ms)


def _as_raw(ask: Ask, row: JsonObject, price: float | str, market_ms: int) -> RawQuote:
    # In every recording of a currency pair bid and ask are swapped and bid is the price: they make no spread.
    has_spread = text_at(row, "quoteType") != "CURRENCY"
    return RawQuote(
        symbol=ask.symbol,
        source_class=ask.source_class,
        market_ms=market_ms,
        last=price,
        bid=unless_zero(number(row.get("bid"))) if has_spread else None,
        ask=unless_zero(number(row.get("ask"))) if has_spread else None,
        day_volume=number(row.get("regularMarketVolume")) if ask.volume_kind == "traded" else None,
    )

"""Latest prices without a crumb: v8 spark, many symbols in one call, closes only."""

from collections.abc import Sequence

from collector.vendors.answers import Trouble, gathered, refusal
from collector.vendors.base import Ask, Reading, Reply, Request, Verdict
from collector.vendors.bodies import JsonObject, list_at, object_at, read_object
from collector.vendors.numbers import number, shortest_float32
from collector.vendors.times import epoch_ms
from collector.vendors.yahoo.errors import trouble_in
from common.messages import RawQuote

PATH = "/v8/finance/spark"
MOST_SYMBOLS = 20  # not published; clients keep to it


def request(asks: Sequence[Ask]) -> Request:
    """Return the request for the first asks; what goes beyond one call has no price then."""
    taken = tuple(asks[:MOST_SYMBOLS])
    symbols = ",".join(ask.vendor_symbol for ask in taken)
    return Request(PATH, taken, (("symbols", symbols), ("range", "1d"), ("interval", "1m")))


def read(request: Request, reply: Reply) -> Reading:
    """Return each symbol's newest close. One that the vendor does not know is left out of the reply."""
    content = read_object(reply.body)
    found = {ask.symbol: object_at(content or {}, ask.vendor_symbol) for ask in request.asks}
    if content is None or not any(found.values()):
        trouble = trouble_in(content, reply)
        return refusal(request, reply, trouble or Trouble(Verdict.OUTAGE, "no symbol in the reply"))
    return gathered(request, reply, {ask.symbol: _quote(ask, found[ask.symbol]) for ask in request.asks})


def _quote(ask: Ask, row: JsonObject) -> RawQuote | Trouble:
    """Return the newest close. Its stamp is the market's time, or up to a minute older: the start of its bar."""
    points = zip(list_at(row, "timestamp"), list_at(row, "close"), strict=False)
    told = [(epoch_ms(stamp), shortest_float32(number(close))) for stamp, close in points]
    newest = next(((at_ms, close) for at_ms, close in reversed(told) if at_ms is not None and close is not None), None)
    if newest is None:
        return Trouble(Verdict.NO_DATA, f"no close of {ask.vendor_symbol}")
    return RawQuote(ask.symbol, ask.source_class, newest[0], last=newest[1])

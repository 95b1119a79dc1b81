"""Yahoo's streamer: no key and no contract. It repeats what its pages show, and confirms nothing."""

import base64
import binascii
from collections.abc import Mapping, Sequence

from collector.vendors.answers import Trouble
from collector.vendors.base import Ask, Credentials, Reply, Verdict
from collector.vendors.bodies import read_object, text_at
from collector.vendors.frames import as_bytes, by_vendor_symbol, compact, ended, ended_by_reply, not_understood
from collector.vendors.numbers import number, shortest_float32, unless_zero
from collector.vendors.stream import Conversation, Endpoint, FrameReading
from collector.vendors.times import epoch_ms
from collector.vendors.yahoo import pricing
from collector.vendors.yahoo.browser import USER_AGENT
from collector.vendors.yahoo.errors import trouble_in
from collector.vendors.yahoo.pricing import Field
from common.messages import Number, RawQuote

_VERSION = "2"  # version 1 sends the bare base64, without an envelope
_EQUITY, _INDEX, _CURRENCY, _ETF = 8, 9, 14, 20
_HAVE_REGULAR_HOURS = frozenset({_EQUITY, _INDEX, _ETF})
_REGULAR = 1


class YahooStream:
    """The push side: one connection for all symbols."""

    name: str = "yahoo"
    stream_hosts: Mapping[str, str] = {"": "wss://streamer.finance.yahoo.com"}
    needs_key: bool = False
    confirms: bool = False
    period_s: float = 15.0
    """A subscription that is not repeated is forgotten, it seems: clients repeat it at this interval."""
    silence_s: float = 60.0

    def endpoints(self, asks: Sequence[Ask], credentials: Credentials) -> tuple[Endpoint, ...]:  # noqa: ARG002  # protocol
        """See StreamVendor."""
        headers = (("User-Agent", USER_AGENT), ("Origin", "https://finance.yahoo.com"))
        return (Endpoint(tuple(asks), "", "/", (("version", _VERSION),), headers),) if asks else ()

    def converse(self, endpoint: Endpoint, credentials: Credentials) -> Conversation:  # noqa: ARG002  # protocol
        """See StreamVendor."""
        return _Streamer(endpoint.asks)

    def read_refusal(self, endpoint: Endpoint, credentials: Credentials, reply: Reply) -> FrameReading:  # noqa: ARG002  # protocol
        """See StreamVendor."""
        trouble = trouble_in(read_object(reply.body), reply)
        return ended_by_reply(trouble or Trouble(Verdict.OUTAGE, f"status {reply.status}"), "", reply)


class _Streamer:
    """One connection."""

    def __init__(self, asks: Sequence[Ask]) -> None:
        self._asks = by_vendor_symbol(asks)
        self._seen: set[str] = set()

    def opened(self) -> tuple[str, ...]:
        """See Conversation."""
        return (compact({"subscribe": list(self._asks)}),)

    def periodic(self) -> tuple[str, ...]:
        """See Conversation."""
        return self.opened()

    def read(self, frame: str | bytes, received_ms: int) -> FrameReading:  # noqa: ARG002  # part of the protocol
        """See Conversation."""
        content = as_bytes(frame)
        envelope = read_object(content)
        if envelope is None:
            return self._of_message(content)
        kind = text_at(envelope, "type")
        if kind == "pricing":
            return self._of_message(text_at(envelope, "message").encode("utf-8", "surrogatepass"))
        return FrameReading(detail=f"type {kind[:40]!a}") if kind else not_understood("a JSON object without a type")

    def closed(self, code: int, reason: str) -> FrameReading:
        """See Conversation."""
        return ended(Trouble(Verdict.OUTAGE, f"closed with {code}: {reason}"), "")

    def _of_message(self, encoded: bytes) -> FrameReading:
        try:
            fields = pricing.read(base64.b64decode(encoded.strip(), validate=True))
        except binascii.Error:
            return not_understood("no base64")
        symbol = fields.get("id") if fields else None
        if not fields or not isinstance(symbol, str) or not symbol:
            return not_understood("no PricingData with an id")
        asks = self._asks.get(symbol, ())
        if not asks:
            return FrameReading(detail="a symbol that was not asked for")
        told = [_quote(ask, fields) for ask in asks]
        quotes = tuple(q for q in told if isinstance(q, RawQuote))
        detail = next((t for t in told if isinstance(t, str)), "")
        first = () if symbol in self._seen else tuple(ask.symbol for ask in asks)
        self._seen.add(symbol)
        return FrameReading(quotes=quotes, subscribed=first, detail=detail)


def _quote(ask: Ask, fields: Mapping[str, Field]) -> RawQuote | str:
    """Return the quote, or why there is none. Price, time and each other field are left out where they are 0."""
    kind, hours = fields.get("quote_type", 0), fields.get("market_hours", 0)
    if kind in _HAVE_REGULAR_HOURS and hours != _REGULAR:
        # Before and after hours the price is of another, thinner market, and the polled one is the regular session's.
        return f"{ask.vendor_symbol} outside its regular hours"
    price, market_ms = _price(fields, "price"), epoch_ms(fields.get("time"))
    if price is None or market_ms is None:
        return (
            f"{ask.vendor_symbol} has no price" if price is None else f"{ask.vendor_symbol} has a price without a time"
        )
    has_spread = kind != _CURRENCY  # as polled: swapped there, so that they make no spread
    return RawQuote(
        symbol=ask.symbol,
        source_class=ask.source_class,
        market_ms=market_ms,
        last=price,
        bid=_price(fields, "bid") if has_spread else None,
        ask=_price(fields, "ask") if has_spread else None,
        day_volume=number(fields.get("day_volume")) if ask.volume_kind == "traded" else None,
    )


def _price(fields: Mapping[str, Field], name: str) -> Number:
    return unless_zero(shortest_float32(number(fields.get(name))))

"""Twelve Data's price stream: a few trial symbols on the small plans, all of them on Pro."""

import re
from collections.abc import Mapping, Sequence

from collector.vendors.answers import Trouble, without
from collector.vendors.base import Ask, Credentials, Reply, Verdict
from collector.vendors.bodies import Json, JsonObject, list_at, read_object, text_at
from collector.vendors.frames import as_bytes, by_vendor_symbol, compact, ended, ended_by_reply, not_understood
from collector.vendors.numbers import number
from collector.vendors.stream import Conversation, Endpoint, FrameReading
from collector.vendors.times import epoch_ms
from collector.vendors.twelvedata.errors import NO_ACCESS, by_text, trouble, trouble_in, untold, words_of
from common.messages import RawQuote

_PATH = "/v1/quotes/price"
_HEARTBEAT = compact({"action": "heartbeat"})
_UNKNOWN = re.compile(r"not found|invalid|unknown|not exist|not recogni[sz]ed|not supported")


class TwelveDataStream:
    """The push side: one connection for all symbols; three are allowed."""

    name: str = "twelvedata"
    stream_hosts: Mapping[str, str] = {"": "wss://ws.twelvedata.com"}
    needs_key: bool = True
    confirms: bool = True
    period_s: float = 10.0
    silence_s: float = 60.0

    def endpoints(self, asks: Sequence[Ask], credentials: Credentials) -> tuple[Endpoint, ...]:
        """See StreamVendor."""
        return (Endpoint(tuple(asks), "", _PATH, (("apikey", credentials.key),)),) if asks else ()

    def converse(self, endpoint: Endpoint, credentials: Credentials) -> Conversation:
        """See StreamVendor."""
        return _Prices(endpoint.asks, credentials.key)

    def read_refusal(self, endpoint: Endpoint, credentials: Credentials, reply: Reply) -> FrameReading:  # noqa: ARG002  # protocol
        """See StreamVendor."""
        content = read_object(reply.body)
        found = trouble_in(content, reply) if content is not None else None
        return ended_by_reply(found or untold(reply), credentials.key, reply)


class _Prices:
    """One connection."""

    def __init__(self, asks: Sequence[Ask], key: str) -> None:
        self._asks, self._key = by_vendor_symbol(asks), key
        self._confirmed: set[str] = set()

    def opened(self) -> tuple[str, ...]:
        """See Conversation."""
        return (compact({"action": "subscribe", "params": {"symbols": ",".join(self._asks)}}),)

    def periodic(self) -> tuple[str, ...]:
        """See Conversation."""
        return (_HEARTBEAT,)

    def read(self, frame: str | bytes, received_ms: int) -> FrameReading:
        """See Conversation."""
        content = read_object(as_bytes(frame))
        if content is None:
            return not_understood("no JSON object")
        event = text_at(content, "event")
        if event == "price":
            return self._priced(content)
        if "success" in content or "fails" in content or (event == "subscribe-status" and not _is_error(content)):
            return self._status(content)
        if _is_error(content):
            code = number(content.get("code"))
            found = trouble(int(code) if isinstance(code, float) else 0, words_of(content), received_ms)
            return ended(found, self._key)
        return FrameReading() if event else not_understood("an object that is neither event nor error")

    def closed(self, code: int, reason: str) -> FrameReading:
        """See Conversation."""
        said = f"closed with {code}: {reason}"
        return ended(Trouble(by_text(reason.lower()) or Verdict.OUTAGE, said), self._key)

    def _priced(self, content: JsonObject) -> FrameReading:
        asks = self._asks.get(text_at(content, "symbol"), ())
        price, market_ms = number(content.get("price")), epoch_ms(content.get("timestamp"))
        if price is None or market_ms is None or not asks:
            return FrameReading(detail="a price event without price, time or a symbol that was asked for")
        return FrameReading(quotes=tuple(_quote(ask, content, price, market_ms) for ask in asks))

    def _status(self, content: JsonObject) -> FrameReading:
        """Return what became of each symbol. The overall status says "ok" although some failed."""
        confirmed = {_symbol(item) for item in list_at(content, "success")} & self._asks.keys()
        self._confirmed |= confirmed
        said = {_symbol(item): words_of(item) or words_of(content) for item in list_at(content, "fails")}
        refused = {
            ask.symbol: _refusal(said[symbol]) if symbol in said else Verdict.NO_DATA  # not named at all: nobody knows
            for symbol, asks in self._asks.items()
            for ask in asks
            if symbol not in self._confirmed
        }
        detail = "; ".join(f"{symbol}: {words or 'no reason given'}" for symbol, words in said.items() if symbol)
        return FrameReading(
            subscribed=tuple(ask.symbol for symbol in self._asks if symbol in confirmed for ask in self._asks[symbol]),
            refused=refused,
            detail=without((self._key,), detail),
        )


def _quote(ask: Ask, content: JsonObject, price: float | str, market_ms: int) -> RawQuote:
    return RawQuote(
        symbol=ask.symbol,
        source_class=ask.source_class,
        market_ms=market_ms,
        last=price,
        bid=number(content.get("bid")),
        ask=number(content.get("ask")),
        day_volume=number(content.get("day_volume")) if ask.volume_kind == "traded" else None,
    )


def _is_error(content: JsonObject) -> bool:
    return text_at(content, "status") == "error" or ("code" in content and "message" in content)


def _refusal(words: str) -> Verdict:
    """Return why a symbol is not pushed. Without a reason it is the plan: most have a short list of symbols."""
    said = words.lower()
    return Verdict.UNKNOWN_SYMBOL if _UNKNOWN.search(said) and not NO_ACCESS.search(said) else Verdict.NOT_ENTITLED


def _symbol(item: Json) -> str:
    return item if isinstance(item, str) else text_at(item, "symbol") if isinstance(item, dict) else ""

"""Yahoo's streamer: PricingData as base64, in a JSON envelope (?version=2) or bare."""

import base64
from collections.abc import Collection, Mapping

import msgspec

from simulator.dialogue import NOTHING, Dialogue, Frame, News, Opening, Says
from simulator.instruments import Instrument
from simulator.ticks import Snapshot
from simulator.wire import Answer
from simulator.yahoo_names import about
from simulator.yahoo_proto import Value, pricing_data

_QUOTE_TYPES = {"CURRENCY": 14, "FUTURE": 18, "INDEX": 9}
_REGULAR = 1
_BID_SIZE, _ASK_SIZE = 14, 8
"""Of a future, as in its REST row."""


class _Order(msgspec.Struct, frozen=True):
    subscribe: list[str] = []
    unsubscribe: list[str] = []


def _future(snapshot: Snapshot) -> dict[str, Value]:
    return {
        "day_volume": snapshot.day_volume, "last_size": snapshot.volume, "bid": snapshot.bid, "bid_size": _BID_SIZE,
        "ask": snapshot.ask, "ask_size": _ASK_SIZE,
    }  # fmt: skip


def message(instrument: Instrument, snapshot: Snapshot) -> bytes:
    """Return one price as PricingData. Its time is in whole seconds, and a pair has no sides, as recorded."""
    known = about(instrument)
    change = snapshot.price - snapshot.previous_close
    values: dict[str, Value] = {
        "id": instrument.vendor_symbol, "price": snapshot.price, "time": snapshot.market_ms // 1000 * 1000,
        "exchange": known.exchange, "quote_type": _QUOTE_TYPES[known.kind], "market_hours": _REGULAR,
        "change_percent": change / snapshot.previous_close * 100, "day_high": snapshot.day_high,
        "day_low": snapshot.day_low, "change": change, "price_hint": known.price_hint,
    }  # fmt: skip
    return pricing_data(values | _future(snapshot) if known.kind == "FUTURE" else values)


class YahooDialogue:
    """One connection. Nothing is confirmed; a symbol that is not known is passed over without a word."""

    def __init__(self, listings: Mapping[str, Instrument], *, enveloped: bool) -> None:
        self._listings = listings
        self._enveloped = enveloped
        self._wanted: dict[str, None] = {}

    def opened(self) -> Says:
        """See Dialogue."""
        return NOTHING

    def read(self, text: str) -> Says:
        """See Dialogue."""
        try:
            order = msgspec.json.decode(text, type=_Order)
        except msgspec.MsgspecError:
            return NOTHING
        self._wanted |= dict.fromkeys(symbol for symbol in order.subscribe if symbol in self._listings)
        for symbol in order.unsubscribe:
            self._wanted.pop(symbol, None)
        return NOTHING

    def wanted(self) -> Collection[str]:
        """See Dialogue."""
        return self._wanted.keys()

    def push(self, news: News) -> tuple[Frame, ...]:
        """See Dialogue."""
        return tuple(self._frame(symbol, snapshot) for symbol, snapshot in news.fresh.items())

    def _frame(self, symbol: str, snapshot: Snapshot) -> Frame:
        text = base64.b64encode(message(self._listings[symbol], snapshot)).decode()
        if self._enveloped:
            text = f'{{"type":"pricing","message":"{text}"}}'
        return Frame(text, ((symbol, snapshot.number),))

    def closed(self) -> None:
        """See Dialogue."""


class YahooStream:
    """The vendor's streamer."""

    def __init__(self, listings: Mapping[str, Instrument]) -> None:
        self._listings = listings

    def welcome(self, opening: Opening) -> Dialogue | Answer:
        """See StreamVendor."""
        if opening.path != "/":
            return Answer(404, b"", "text/plain", verdict="bad_request")
        return YahooDialogue(self._listings, enveloped=opening.params.get("version") == "2")

"""Twelve Data's WebSocket: subscriptions confirmed symbol by symbol, price events, heartbeats."""

from collections.abc import Collection, Iterable, Mapping

import msgspec

from simulator.dialogue import NOTHING, Dialogue, Frame, News, Opening, Says
from simulator.instruments import Instrument
from simulator.ticks import Snapshot
from simulator.twelvedata import BAD_KEY, TITLES, Failure
from simulator.wire import Answer, encode, names

PATH = "/v1/quotes/price"
_TRIAL_SYMBOLS = frozenset({"EUR/USD"})
"""Of the free plan's list of symbols for trying the stream, those that are asked for here."""
_TRIAL_CREDITS = 8
_MOST_CONNECTIONS = 3
_POLICY = 1008
_TOO_MANY = f"You have reached the limit of {_MOST_CONNECTIONS} WebSocket connections for your API key."


class _Named(msgspec.Struct, frozen=True):
    symbol: str


class _Params(msgspec.Struct, frozen=True):
    symbols: str | list[_Named] = ""


class _Order(msgspec.Struct, frozen=True):
    action: str
    params: _Params = _Params()


def _asked(order: _Order) -> list[str]:
    symbols = order.params.symbols
    return names(symbols) if isinstance(symbols, str) else [one.symbol for one in symbols]


def _failure(code: int, message: str) -> str:
    return encode(Failure(code, message).body()).decode()


def _confirmed(instrument: Instrument) -> dict[str, str]:
    symbol = instrument.vendor_symbol
    if instrument.session == "us_cash":
        _, exchange = TITLES.get(symbol, (symbol, "NYSE"))
        return {"symbol": symbol, "exchange": exchange, "country": "United States", "type": "Index"}
    return {"symbol": symbol, "exchange": "PHYSICAL CURRENCY", "type": "PHYSICAL_CURRENCY"}


def _status(event: str, success: list[dict[str, str]], fails: list[str]) -> str:
    body: dict[str, object] = {"event": event, "status": "ok" if success or not fails else "error"}
    body["success"] = success or None
    if fails:
        body["fails"] = [{"symbol": symbol} for symbol in fails]
    return encode(body).decode()


def _price(instrument: Instrument, snapshot: Snapshot) -> dict[str, object]:
    symbol = instrument.vendor_symbol
    found: dict[str, object] = {"event": "price", "symbol": symbol, "currency": "USD"}
    if instrument.session == "us_cash":
        _, exchange = TITLES.get(symbol, (symbol, "NYSE"))
        found |= {"exchange": exchange, "type": "Index"}
    else:
        title, _ = TITLES.get(symbol, (symbol.replace("/", " / "), ""))
        base, _, quote = title.partition(" / ")
        found |= {"currency_base": base, "currency_quote": quote, "type": "Physical Currency"}
    found |= {"timestamp": snapshot.market_ms // 1000, "price": snapshot.price}
    if instrument.session == "us_cash":
        return found | {"day_volume": 0}
    return found | {"bid": snapshot.bid, "ask": snapshot.ask}


class TwelveDataDialogue:
    """One connection."""

    def __init__(self, vendor: "TwelveDataStream", key: str) -> None:
        self._vendor = vendor
        self.key = key
        self.subscribed: dict[str, None] = {}

    def opened(self) -> Says:
        """See Dialogue. A wrong key is told in a frame, as is a connection too many."""
        if self.key.startswith("bad"):
            return Says((_failure(401, BAD_KEY),), _POLICY)
        if self._vendor.is_crowded(self.key):
            return Says((_failure(429, _TOO_MANY),), _POLICY)
        self._vendor.dialogues.append(self)
        return NOTHING

    def read(self, text: str) -> Says:
        """See Dialogue."""
        try:
            order = msgspec.json.decode(text, type=_Order)
        except msgspec.MsgspecError as e:
            return Says((_failure(400, f"Invalid request: {e}"),))
        match order.action:
            case "subscribe":
                return Says((self._subscribe(_asked(order)),))
            case "unsubscribe":
                return Says((self._unsubscribe(_asked(order)),))
            case "reset":
                self.subscribed.clear()
                return Says(('{"event":"reset-status","status":"ok"}',))
            case "heartbeat":
                return Says(('{"event":"heartbeat","status":"ok"}',))
        return Says((_failure(400, f"Unknown action: {order.action}"),))

    def _subscribe(self, symbols: Iterable[str]) -> str:
        success: list[dict[str, str]] = []
        fails: list[str] = []
        for symbol in symbols:
            instrument = self._vendor.granted(self, symbol)
            if instrument is None:
                fails.append(symbol)
            else:
                self.subscribed[symbol] = None
                success.append(_confirmed(instrument))
        return _status("subscribe-status", success, fails)

    def _unsubscribe(self, symbols: Iterable[str]) -> str:
        gone = [symbol for symbol in symbols if symbol in self.subscribed]
        for symbol in gone:
            del self.subscribed[symbol]
        return _status("unsubscribe-status", [_confirmed(self._vendor.listings[symbol]) for symbol in gone], [])

    def wanted(self) -> Collection[str]:
        """See Dialogue."""
        return self.subscribed.keys()

    def push(self, news: News) -> tuple[Frame, ...]:
        """See Dialogue."""
        return tuple(
            Frame(encode(_price(self._vendor.listings[symbol], snapshot)).decode(), ((symbol, snapshot.number),))
            for symbol, snapshot in news.fresh.items()
        )

    def closed(self) -> None:
        """See Dialogue."""
        if self in self._vendor.dialogues:
            self._vendor.dialogues.remove(self)


class TwelveDataStream:
    """The vendor's WebSocket."""

    def __init__(
        self, listings: Mapping[str, Instrument], *, real_limits: bool, trial_credits: int = _TRIAL_CREDITS
    ) -> None:
        self.listings = listings
        self.dialogues: list[TwelveDataDialogue] = []
        """Those that are served."""
        self._basic = real_limits
        self._trial_credits = trial_credits

    def welcome(self, opening: Opening) -> Dialogue | Answer:
        """See StreamVendor."""
        if opening.path != PATH:
            return Failure(404, f"{opening.path} was not found").answer()
        key = opening.params.get("apikey", "") or opening.headers.get("x-td-apikey", "")
        return TwelveDataDialogue(self, key) if key else Failure(401, BAD_KEY).answer()

    def is_crowded(self, key: str) -> bool:
        """Return whether this key has all the connections of its plan."""
        return self._basic and sum(one.key == key for one in self.dialogues) >= _MOST_CONNECTIONS

    def granted(self, dialogue: TwelveDataDialogue, symbol: str) -> Instrument | None:
        """Return the instrument if it is known and the plan includes it; every subscription of a key is a credit."""
        if not self._basic or symbol in dialogue.subscribed:
            return self.listings.get(symbol)
        used = sum(len(one.subscribed) for one in self.dialogues if one.key == dialogue.key)
        return self.listings.get(symbol) if symbol in _TRIAL_SYMBOLS and used < self._trial_credits else None

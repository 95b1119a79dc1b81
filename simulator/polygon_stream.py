"""Polygon's WebSockets: authentication, subscriptions by channel, arrays of events. One cluster each for currencies
and indices, and one connection of a key to each cluster.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import msgspec

from simulator.dialogue import NOTHING, Dialogue, Frame, News, Opening, Says
from simulator.instruments import Instrument
from simulator.limits import MINUTE_MS, SECOND_MS
from simulator.polygon import EXCHANGE
from simulator.polygon_aggs import number
from simulator.ticks import Bars, Snapshot
from simulator.wire import Answer, encode, names

_NO_ACCESS = "Your plan doesn't include websocket access. Visit https://massive.com/pricing to upgrade."
_MAX_CONNECTIONS = (
    "Maximum number of websocket connections exceeded. You have reached the connection limit for your account. "
    "Please contact support at https://polygon.io/contact to increase your limit."
)
_POLICY = 1008
_CHANNELS: dict[str, dict[str, int]] = {"/forex": {"C": 0, "CA": MINUTE_MS, "CAS": SECOND_MS}}
_CHANNELS["/indices"] = {"V": 0, "AM": MINUTE_MS, "A": SECOND_MS}
"""Cluster -> channel -> width of its bars; 0: every quote or value."""

Event = dict[str, object]


class _Order(msgspec.Struct, frozen=True):
    action: str
    params: str = ""


@dataclass(frozen=True)
class _Channel:
    """One subscription."""

    kind: str
    width_ms: int
    spelled: str
    """The instrument on the socket: EUR/USD, I:NDX."""
    symbol: str
    """The instrument in REST: C:EURUSD, I:NDX."""

    def __str__(self) -> str:
        return f"{self.kind}.{self.spelled}"


def _status(status: str, message: str) -> Event:
    return {"ev": "status", "status": status, "message": message}


def _text(*events: Event) -> str:
    return encode(events).decode()


def _quote(channel: _Channel, snapshot: Snapshot) -> Event:
    if channel.kind == "V":
        return {"ev": "V", "val": number(snapshot.price), "T": channel.spelled, "t": snapshot.market_ms}
    ask, bid = number(snapshot.ask), number(snapshot.bid)
    return {"ev": "C", "p": channel.spelled, "x": EXCHANGE, "a": ask, "b": bid, "t": snapshot.market_ms}


def _bar_head(channel: _Channel, bars: Bars, place: int, day_open: float) -> Event:
    if channel.symbol.startswith("I:"):
        return {"ev": channel.kind, "sym": channel.spelled, "op": number(day_open)}
    return {"ev": channel.kind, "pair": channel.spelled, "v": int(bars.ticks[place])}


def _bars(channel: _Channel, bars: Bars, day_open: float) -> list[Event]:
    return [
        {
            **_bar_head(channel, bars, place, day_open),
            "o": number(float(bars.open[place])), "c": number(float(bars.close[place])),
            "h": number(float(bars.high[place])), "l": number(float(bars.low[place])),
            "s": int(bars.open_ms[place]), "e": int(bars.open_ms[place]) + channel.width_ms,
        }
        for place in range(len(bars))
    ]  # fmt: skip


class PolygonDialogue:
    """One connection."""

    def __init__(self, vendor: "PolygonStream", cluster: str) -> None:
        self._vendor = vendor
        self._cluster = cluster
        self._channels: dict[str, _Channel] = {}
        self._unsent: list[Event] = []
        """Statuses that go with the next prices in one array."""
        self.key = ""
        """Empty until it is known."""

    def opened(self) -> Says:
        """See Dialogue."""
        return Says((_text(_status("connected", "Connected Successfully")),))

    def read(self, text: str) -> Says:
        """See Dialogue."""
        try:
            order = msgspec.json.decode(text, type=_Order)
        except msgspec.MsgspecError:
            return Says((_text(_status("error", "invalid message")),))
        if order.action == "auth":
            return self._auth(order.params)
        if not self.key:
            return Says((_text(_status("error", "not authorized")),))
        if order.action == "subscribe":
            return Says((_text(*(self._subscribe(param) for param in names(order.params))),))
        if order.action == "unsubscribe":
            self._unsubscribe(names(order.params))
            return NOTHING
        return Says((_text(_status("error", f"unknown action: {order.action}")),))

    def _auth(self, key: str) -> Says:
        if not key or key.startswith("bad"):
            return Says((_text(_status("auth_failed", "authentication failed")),), _POLICY)
        if self._vendor.basic:
            return Says((_text(_status("auth_failed", _NO_ACCESS)),), _POLICY)
        self.key = key
        evicted = Says((_text(_status("max_connections", _MAX_CONNECTIONS)),), _POLICY)
        older = self._vendor.hold(self._cluster, key, self)
        told = () if older is None or older is self else ((older, evicted),)
        return Says((_text(_status("auth_success", "authenticated")),), elsewhere=told)

    def _subscribe(self, param: str) -> Event:
        kind, _, spelled = param.partition(".")
        width_ms = _CHANNELS[self._cluster].get(kind)
        if width_ms is None or not spelled:
            return _status("error", f"unknown channel: {param}")
        for symbol in self._vendor.symbols(self._cluster, spelled):
            name = symbol if symbol.startswith("I:") else f"{symbol[2:5]}/{symbol[5:]}"
            channel = _Channel(kind, width_ms, name, symbol)
            self._channels[str(channel)] = channel
        return _status("success", f"subscribed to: {param}")

    def _unsubscribe(self, params: list[str]) -> None:
        for param in params:
            kind, _, spelled = param.partition(".")
            for name, channel in list(self._channels.items()):
                if channel.kind == kind and spelled in (channel.spelled, "*"):
                    del self._channels[name]
            self._unsent.append(_status("success", f"unsubscribed to: {param}"))

    def wanted(self) -> Collection[str]:
        """See Dialogue."""
        return dict.fromkeys(channel.symbol for channel in self._channels.values())

    def push(self, news: News) -> tuple[Frame, ...]:
        """See Dialogue. All of a cycle is one array."""
        events: list[Event] = []
        ticks: list[tuple[str, int]] = []
        for channel in self._channels.values():
            snapshot = news.fresh.get(channel.symbol)
            if channel.width_ms:
                events += self._closed_bars(channel, news)
            elif snapshot is not None:
                events.append(_quote(channel, snapshot))
                ticks.append((channel.symbol, snapshot.number))
        if not events and not self._unsent:
            return ()
        statuses, self._unsent = self._unsent, []
        return (Frame(_text(*statuses, *events), tuple(ticks)),)

    def _closed_bars(self, channel: _Channel, news: News) -> list[Event]:
        """Return the bars that have ended in this cycle."""
        width_ms = channel.width_ms
        from_ms, to_ms = (at // width_ms * width_ms for at in (news.before.now_ms, news.view.now_ms))
        if to_ms <= from_ms:
            return []
        instrument = self._vendor.listings[channel.symbol]
        snapshot = news.view.snapshot(instrument)
        day_open = 0.0 if snapshot is None else snapshot.day_open
        return _bars(channel, news.view.bars(instrument, width_ms, from_ms, to_ms), day_open)

    def closed(self) -> None:
        """See Dialogue."""
        self._vendor.release(self)


class PolygonStream:
    """The vendor's WebSockets."""

    def __init__(self, listings: Mapping[str, Instrument], *, real_limits: bool) -> None:
        self.listings = listings
        self.basic = real_limits
        """The plan has no WebSocket."""
        self._holders: dict[tuple[str, str], PolygonDialogue] = {}

    def welcome(self, opening: Opening) -> Dialogue | Answer:
        """See StreamVendor."""
        if opening.path not in _CHANNELS:
            return Answer(404, b"404 page not found\n", "text/plain", verdict="bad_request")
        return PolygonDialogue(self, opening.path)

    def hold(self, cluster: str, key: str, dialogue: PolygonDialogue) -> PolygonDialogue | None:
        """Note who uses the key's one connection to a cluster; return who did before."""
        older = self._holders.get((cluster, key))
        self._holders[cluster, key] = dialogue
        return older

    def release(self, dialogue: PolygonDialogue) -> None:
        """Forget a connection that is gone."""
        self._holders = {use: one for use, one in self._holders.items() if one is not dialogue}

    def symbols(self, cluster: str, spelled: str) -> list[str]:
        """Return the symbols, as in REST, behind a name on the socket or "*"; of one that is not known none."""
        prefix = "C:" if cluster == "/forex" else "I:"
        if spelled == "*":
            return [symbol for symbol in self.listings if symbol.startswith(prefix)]
        symbol = f"C:{spelled.replace('/', '', 1)}" if prefix == "C:" else spelled
        known = symbol in self.listings and symbol.startswith(prefix) and (prefix == "I:" or "/" in spelled)
        return [symbol] if known else []

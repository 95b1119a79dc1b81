"""Polygon's sockets: currencies and indices are two clusters, each of a plan of its own, one connection a key."""

from collections.abc import Mapping, Sequence

from collector.vendors.answers import Trouble, without
from collector.vendors.base import Ask, Credentials, Reply, Verdict
from collector.vendors.bodies import Json, read_json, read_object, text_at
from collector.vendors.frames import as_bytes, compact, ended, ended_by_reply, not_understood
from collector.vendors.polygon import errors, events
from collector.vendors.stream import Conversation, Endpoint, FrameReading, PushedBar
from common.messages import RawQuote

_FOREX, _INDICES = "/forex", "/indices"
_CONNECTIONS_WAIT_S = 60.0
"""Until the server has noticed that our former connection is gone, or another process has let go of the key."""
_NO_ACCESS = ("plan", "not authorized", "not entitled", "upgrade", "limit reached")


class PolygonStream:
    """The push side. POLYGON_STREAM_HOST names another host, such as that of delayed plans."""

    name: str = "polygon"
    stream_hosts: Mapping[str, str] = {"": "wss://socket.polygon.io"}
    needs_key: bool = True
    confirms: bool = True
    period_s: float = 30.0
    silence_s: float = 30.0

    def endpoints(self, asks: Sequence[Ask], credentials: Credentials) -> tuple[Endpoint, ...]:  # noqa: ARG002  # protocol
        """See StreamVendor."""
        clusters = {path: tuple(a for a in asks if _cluster(a) == path) for path in (_FOREX, _INDICES)}
        return tuple(Endpoint(its, "", path) for path, its in clusters.items() if its)

    def converse(self, endpoint: Endpoint, credentials: Credentials) -> Conversation:
        """See StreamVendor."""
        return _Cluster(endpoint.asks, credentials.key)

    def read_refusal(self, endpoint: Endpoint, credentials: Credentials, reply: Reply) -> FrameReading:  # noqa: ARG002  # protocol
        """See StreamVendor."""
        content = read_object(reply.body)
        trouble = errors.trouble_in(content, reply) if content is not None else None
        return ended_by_reply(trouble or errors.untold(reply), credentials.key, reply)


def _cluster(ask: Ask) -> str:
    channel = events.channel(ask.vendor_symbol)
    return _FOREX if channel.startswith("C.") else _INDICES if channel else ""


class _Cluster:
    """One connection: connected, then auth, then subscribe."""

    def __init__(self, asks: Sequence[Ask], key: str) -> None:
        self._key = key
        self._asks: dict[str, list[Ask]] = {}
        for ask in asks:
            self._asks.setdefault(events.channel(ask.vendor_symbol), []).append(ask)
        self._unconfirmed = dict.fromkeys(self._asks)

    def opened(self) -> tuple[str, ...]:
        """See Conversation. The server speaks first."""
        return ()

    def periodic(self) -> tuple[str, ...]:
        """See Conversation."""
        return ()

    def read(self, frame: str | bytes, received_ms: int) -> FrameReading:  # noqa: ARG002  # part of the protocol
        """See Conversation."""
        content = read_json(as_bytes(frame))
        rows = content if isinstance(content, list) else [content]
        return self._merged([self._event(row) for row in rows])

    def closed(self, code: int, reason: str) -> FrameReading:
        """See Conversation."""
        said = f"closed with {code}: {reason}"
        trouble = _of_the_connection("", reason.lower(), said) or Trouble(Verdict.OUTAGE, said)
        return ended(trouble, self._key)

    def _merged(self, readings: Sequence[FrameReading]) -> FrameReading:
        bad = next((r for r in readings if r.verdict is not Verdict.OK), FrameReading())
        confirmed = tuple(s for r in readings for s in r.subscribed)
        return FrameReading(
            verdict=bad.verdict,
            quotes=tuple(q for r in readings for q in r.quotes),
            bars=tuple(b for r in readings for b in r.bars),
            send=tuple(f for r in readings for f in r.send) if bad.verdict is Verdict.OK else (),
            subscribed=confirmed,
            refused={s: v for r in readings for s, v in r.refused.items() if s not in confirmed},
            detail=bad.detail
            or without((self._key,), "; ".join(dict.fromkeys(r.detail for r in readings if r.detail))),
            retry_after_s=bad.retry_after_s,
        )

    def _event(self, row: Json) -> FrameReading:
        if not isinstance(row, dict) or not text_at(row, "ev"):
            return not_understood("something other than an array of events")
        if text_at(row, "ev") == "status":
            return self._status(text_at(row, "status").lower(), text_at(row, "message"))
        found = [events.read(row, ask) for ask in self._asks.get(events.channel_of(row), ())]
        return FrameReading(
            quotes=tuple(q for q in found if isinstance(q, RawQuote)),
            bars=tuple(b for b in found if isinstance(b, PushedBar)),
            detail=next((f for f in found if isinstance(f, str)), ""),
        )

    def _status(self, status: str, message: str) -> FrameReading:
        said = message.lower()
        if status == "connected":
            return FrameReading(send=(compact({"action": "auth", "params": self._key}),))
        if status == "auth_success" or (status == "success" and said == "authenticated"):
            return FrameReading(send=(compact({"action": "subscribe", "params": ",".join(self._asks)}),))
        if status == "success":
            return self._subscribed(message)
        shown = f"{status}: {message}"
        trouble = _of_the_connection(status, said, shown)
        if trouble is not None:
            return ended(trouble, self._key)
        if status == "error" and any(words in said for words in _NO_ACCESS):
            return self._refused(shown)
        if status == "error" or status.endswith("failed"):
            return ended(Trouble(Verdict.OUTAGE, shown), self._key)
        return FrameReading(detail=without((self._key,), shown))  # a kind that nobody needs

    def _subscribed(self, message: str) -> FrameReading:
        channels = [c for c in message.removeprefix("subscribed to:").replace(" ", "").split(",") if c in self._asks]
        for channel in channels:
            self._unconfirmed.pop(channel, None)
        return FrameReading(subscribed=tuple(ask.symbol for channel in channels for ask in self._asks[channel]))

    def _refused(self, shown: str) -> FrameReading:
        """Refuse the channels that the text names; it names none mostly: then those that are not confirmed yet."""
        named = [channel for channel in self._asks if channel in shown]
        refused = {
            ask.symbol: Verdict.NOT_ENTITLED for channel in named or self._unconfirmed for ask in self._asks[channel]
        }
        return FrameReading(refused=refused, detail=without((self._key,), shown))


def _of_the_connection(status: str, said: str, shown: str) -> Trouble | None:
    """Return what ends the connection; None if the status (or a closing frame's text) says nothing of that kind."""
    if status == "max_connections" or ("maximum" in said and "connection" in said):
        return Trouble(Verdict.RATE_LIMITED, shown, _CONNECTIONS_WAIT_S)
    if status == "auth_failed" or "authentication failed" in said:
        no_access = any(words in said for words in _NO_ACCESS)
        return Trouble(Verdict.NOT_ENTITLED if no_access else Verdict.BAD_KEY, shown)
    if status == "auth_timeout" or "slow" in f"{status} {said}":
        return Trouble(Verdict.OUTAGE, shown)  # cut off: a new connection starts afresh
    return None

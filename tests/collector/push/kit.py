"""A push side of the tests' own, a small WebSocket server that misbehaves on demand, and a Push over both."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from collector.push.connection import Given
from collector.push.line import Line
from collector.push.push import Push
from collector.push.sockets import Place
from collector.vendors.base import Ask, Credentials, Reply, Verdict
from collector.vendors.stream import Endpoint, FrameReading
from common.clock import monotonic_s
from common.messages import RawQuote
from common.metrics import Metrics
from common.symbols import SymbolTable
from tests.collector.kit import KEY, T0, Now

SYMBOLS = ("EURUSD", "GBPUSD")

Talk = Callable[[ServerConnection], Awaitable[None]]


@dataclass
class PlainStream:
    """Speaks JSON: {"quotes": [[symbol, market_ms, price]]}, {"ok": [symbol]}, {"no": {symbol: why}}, {"end": why}."""

    name: str = "a"
    stream_hosts: Mapping[str, str] = field(default_factory=dict)
    needs_key: bool = False
    confirms: bool = True
    period_s: float = 60.0
    silence_s: float = 10.0

    def endpoints(self, asks: Sequence[Ask], credentials: Credentials) -> tuple[Endpoint, ...]:
        return (Endpoint(tuple(asks), path="/feed", params=(("key", credentials.key),)),) if asks else ()

    def converse(self, endpoint: Endpoint, credentials: Credentials) -> "PlainTalk":
        return PlainTalk(endpoint.asks)

    def read_refusal(self, endpoint: Endpoint, credentials: Credentials, reply: Reply) -> FrameReading:
        verdict = {401: Verdict.BAD_KEY, 429: Verdict.RATE_LIMITED}.get(reply.status, Verdict.OUTAGE)
        return FrameReading(verdict, detail=f"status {reply.status} for {credentials.key}")


class PlainTalk:
    """One connection of it."""

    def __init__(self, asks: Sequence[Ask]) -> None:
        self._asks = {ask.symbol: ask for ask in asks}

    def opened(self) -> tuple[str, ...]:
        return (json.dumps({"subscribe": list(self._asks)}),)

    def periodic(self) -> tuple[str, ...]:
        return ("beat",)

    def closed(self, code: int, reason: str) -> FrameReading:
        return FrameReading(Verdict.OUTAGE, detail=f"closed with {code}: {reason}")

    def read(self, frame: str | bytes, received_ms: int) -> FrameReading:
        try:
            body = json.loads(frame)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return FrameReading(Verdict.OUTAGE, detail="no JSON")
        if "end" in body:
            return FrameReading(Verdict(body["end"]), detail=f"ended, key {KEY}", retry_after_s=body.get("after"))
        quotes = tuple(
            RawQuote(s, self._asks[s].source_class, market_ms=t, last=p) for s, t, p in body.get("quotes", ())
        )
        refused = {s: Verdict(v) for s, v in body.get("no", {}).items()}
        return FrameReading(quotes=quotes, subscribed=tuple(body.get("ok", ())), refused=refused)


class PushServer:
    """Confirms every subscription, and sends what the test tells it to; `talk` may be replaced."""

    def __init__(self) -> None:
        self.url = ""
        self.talk: Talk = self.confirm
        self.heard: list[str] = []
        self.paths: list[str] = []
        self.open: list[ServerConnection] = []

    async def confirm(self, socket: ServerConnection) -> None:
        """Confirm whatever is subscribed, until the client goes."""
        async for frame in socket:
            self.heard.append(str(frame))
            if str(frame).startswith("{"):
                await socket.send(json.dumps({"ok": json.loads(frame)["subscribe"]}))

    async def push(self, market_ms: int, **prices: float) -> None:
        """Send one frame with these prices to every client."""
        for socket in self.open:
            await socket.send(json.dumps({"quotes": [[s, market_ms, p] for s, p in prices.items()]}))

    async def drop(self) -> None:
        """Cut every connection."""
        for socket in list(self.open):
            socket.transport.abort()

    async def handle(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self.paths.append(socket.request.path)
        self.open.append(socket)
        try:
            with suppress(ConnectionClosed):
                await self.talk(socket)
        finally:
            self.open.remove(socket)


@asynccontextmanager
async def push_server() -> AsyncIterator[PushServer]:
    """A server on the loopback."""
    made = PushServer()
    async with serve(made.handle, "127.0.0.1", 0, close_timeout=0.1) as server:
        made.url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        yield made
        await made.drop()


@dataclass
class Clock:
    """A monotonic clock that sleeps move."""

    ahead_s: float = 0.0

    def __call__(self) -> float:
        return monotonic_s() + self.ahead_s

    async def sleep(self, seconds: float) -> None:
        """Let the time pass at once; only a moment of it is real."""
        await asyncio.sleep(min(seconds, 0.002))
        self.ahead_s += seconds


def line_to(
    url: str, push: Push, asks: Sequence[Ask], now: Callable[[], int], *, vendor: PlainStream | None = None,
    stepped: bool = False, clock: Clock | None = None, expects: bool = True, deadline_s: float = 1.0,
) -> Line:  # fmt: skip
    """A line to a server of the tests."""
    vendor = vendor or PlainStream()
    ticking = clock or Clock()
    given = Given(
        now_ms=now, clock_s=ticking, random=lambda: 0.0, sleep=ticking.sleep if clock else asyncio.sleep,
        stepped=stepped, metrics=Metrics("collector"), hear=push.hear, expects=lambda _asks: expects,
    )  # fmt: skip
    credentials = Credentials(KEY)
    (endpoint,) = vendor.endpoints(asks, credentials)
    return Line(vendor, Place(url, endpoint, deadline_s), credentials, given)


def asks_for(*symbols: str, source_class: str = "fx_spot") -> tuple[Ask, ...]:
    """What a line carries."""
    return tuple(Ask(symbol, symbol, source_class) for symbol in symbols)


@asynccontextmanager
async def pushing(
    table: SymbolTable, url: str, *symbols: str, now: Callable[[], int] | None = None, **changes: object
) -> AsyncIterator[Push]:
    """A Push with one line, open."""
    push = Push(table, Metrics("collector"), lambda symbol: table.symbols[symbol].series, lambda *_: None)
    push.lines = (line_to(url, push, asks_for(*symbols), now or Now(), **changes),)  # type: ignore[arg-type]
    push.start()
    try:
        yield push
    finally:
        await push.close()


async def until(predicate: Callable[[], object], deadline_s: float = 5.0) -> None:
    end_s = monotonic_s() + deadline_s
    while not predicate():  # it lies in plain attributes
        assert monotonic_s() < end_s, "not in time"
        await asyncio.sleep(0.002)


def live(push: Push, symbol: str = "EURUSD", now_ms: int = T0) -> str:
    return push.live(symbol, "fx_spot", now_ms)

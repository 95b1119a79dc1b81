"""The WebSockets of all vendors: who is connected, and what each cycle sends them."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from simulator import asgi
from simulator.asgi import Message, Receive, Scope, Send
from simulator.dialogue import Dialogue, Frame, Opening, Says, StreamVendor
from simulator.faults import Fault, Faults, Phase
from simulator.ledger import Ledger
from simulator.market import Market
from simulator.polygon_stream import PolygonStream
from simulator.stream_faults import no_reply, refusal, spoiled_text
from simulator.stream_news import Desk
from simulator.twelvedata_stream import TwelveDataStream
from simulator.wire import Answer, Call, Vendor
from simulator.yahoo_stream import YahooStream

log = structlog.get_logger()

PREFIX = "/stream"
_MOST_UNSENT = 65_536
"""Bytes, those that the operating system has taken not counted. Whoever leaves more unread is cut off, and nobody ever
waits for a client."""
_ABNORMAL = 1006
"""No code that is ever sent: the connection breaks without a word."""


def stream_vendors(market: Market, *, real_limits: bool) -> dict[str, StreamVendor]:
    """Return the three vendors that push prices."""
    own = {name: dict(market.listings.get(name, {})) for name in ("yahoo", "twelvedata", "polygon")}
    return {
        "yahoo": YahooStream(own["yahoo"]),
        "twelvedata": TwelveDataStream(own["twelvedata"], real_limits=real_limits),
        "polygon": PolygonStream(own["polygon"], real_limits=real_limits),
    }


@dataclass(frozen=True)
class Handshake:
    """A client that wants a WebSocket, and the way to it."""

    vendor: str
    opening: Opening
    scope: Scope
    receive: Receive
    send: Send

    @property
    def path(self) -> str:
        """Below the vendor's prefix."""
        return PREFIX + self.opening.path


@dataclass(eq=False)
class Connection:
    """One open WebSocket."""

    handshake: Handshake
    dialogue: Dialogue
    hung: bool = False
    """The fault of this name: nothing is read and nothing sent."""

    @property
    def vendor(self) -> str:
        """Whose it is."""
        return self.handshake.vendor

    @property
    def transport(self) -> asyncio.Transport:
        """What can be broken."""
        return asgi.transport_of(self.handshake.scope)


class Streams:
    """All WebSockets."""

    def __init__(
        self,
        market: Market,
        vendors: Mapping[str, StreamVendor],
        polled: Mapping[str, Vendor],
        faults: Faults,
        ledger: Ledger,
    ) -> None:
        self._market = market
        self._vendors = vendors
        self._polled = polled
        """The REST sides: a handshake that is refused on demand gets their words."""
        self._faults = faults
        self._ledger = ledger
        self.connections: list[Connection] = []
        self._late: set[asyncio.Task[None]] = set()
        self._desk = Desk(market)
        self._pushing = asyncio.Lock()

    def open_count(self, vendor: str) -> int:
        """Return how many WebSockets of a vendor are open."""
        return sum(one.vendor == vendor for one in self.connections)

    # -- connections ------------------------------------------------------------------------------

    async def serve(self, handshake: Handshake, cycle: int) -> None:
        """Serve one WebSocket from its handshake to its end."""
        await handshake.receive()  # websocket.connect
        if handshake.vendor not in self._vendors:
            await asgi.refuse(handshake.send, Answer(404, b"", "text/plain"))
            return
        fault = self._faults.strike(handshake.vendor, handshake.path, cycle, "open")
        found = self._vendors[handshake.vendor].welcome(handshake.opening) if fault is None else None
        if fault is not None:
            await self._struck(handshake, fault, cycle)
        elif isinstance(found, Answer):
            await self._refuse(handshake, found, cycle)
        elif found is not None:
            self._note(handshake, cycle, "stream", 101)
            await handshake.send({"type": "websocket.accept"})
            await self._converse(Connection(handshake, found))

    async def _struck(self, handshake: Handshake, fault: Fault, cycle: int) -> None:
        call = Call(handshake.path, handshake.opening.params, handshake.opening.headers, self._market.view(cycle))
        answer = refusal(fault, self._polled[handshake.vendor], call)
        if answer is not None:
            await self._refuse(handshake, replace(answer, verdict=f"fault:{fault.order.fault}"), cycle)
            return
        self._note(handshake, cycle, f"fault:{fault.order.fault}", 0)
        await no_reply(fault, handshake.scope, handshake.receive)

    async def _refuse(self, handshake: Handshake, answer: Answer, cycle: int) -> None:
        self._note(handshake, cycle, answer.verdict, answer.status)
        await asgi.refuse(handshake.send, answer)

    def _note(self, handshake: Handshake, cycle: int, verdict: str, status: int) -> None:
        self._ledger.count_stream(handshake.vendor, "opened" if status == 101 else "refused")
        self._ledger.add(
            cycle=cycle, now_ms=self._market.timeline.at(cycle).now_ms, vendor=handshake.vendor, path=handshake.path,
            verdict=verdict, status=status, credits_=0,
        )  # fmt: skip

    async def _converse(self, connection: Connection) -> None:
        self.connections.append(connection)
        try:
            await self._say(connection, connection.dialogue.opened())
            while (message := await connection.handshake.receive())["type"] == "websocket.receive":
                text = message.get("text")
                if isinstance(text, str):
                    await self._say(connection, connection.dialogue.read(text))
        finally:
            self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        if connection in self.connections:
            self.connections.remove(connection)
            connection.dialogue.closed()
            self._ledger.count_stream(connection.vendor, "closed")

    async def _say(self, connection: Connection, says: Says) -> None:
        for other, farewell in says.elsewhere:
            for one in [one for one in self.connections if one.dialogue is other]:
                await self._say(one, farewell)
        for text in says.frames:
            await self._send(connection, text)
        if says.close is not None and await self._write(connection, {"type": "websocket.close", "code": says.close}):
            self._forget(connection)

    async def _send(self, connection: Connection, text: str) -> bool:
        """Send a frame; return whether it has gone out."""
        sent = await self._write(connection, {"type": "websocket.send", "text": text})
        if sent:
            self._ledger.count_stream(connection.vendor, "frames")
        return sent

    async def _write(self, connection: Connection, message: Message) -> bool:
        """Send to a connection unless it has gone; cut it off if its client does not read."""
        if connection not in self.connections:
            return False
        if connection.transport.get_write_buffer_size() > _MOST_UNSENT:
            log.warning("simulator.slow_consumer", vendor=connection.vendor, path=connection.handshake.path)
            self._ledger.count_stream(connection.vendor, "cut_off")
            self._forget(connection)
            connection.transport.abort()
            return False
        try:
            await connection.handshake.send(message)
        except OSError:  # it has gone in the meantime
            self._forget(connection)
            return False
        return True

    # -- prices -----------------------------------------------------------------------------------

    async def push(self, cycle: int) -> None:
        """Send every connection the frames of a cycle. The same cycle again sends the same frames again."""
        async with self._pushing:
            await self._push(cycle)

    async def _push(self, cycle: int) -> None:
        self._desk.turn_to(cycle)
        for connection in list(self.connections):
            broken = self._strike(connection, cycle, "cycle")
            if broken is not None:
                await self._disturb(connection, broken)
                continue
            self._wake(connection)
            news = self._desk.news(connection.vendor, connection.dialogue.wanted())
            wrong = self._strike(connection, cycle, "price") if news.fresh else None
            if wrong is not None:
                news = self._desk.falsified(connection.vendor, news, wrong.value)
            frames = connection.dialogue.push(news)
            if frames:
                await self._deliver(connection, frames, self._strike(connection, cycle, "frame"))

    def _strike(self, connection: Connection, cycle: int, phase: Phase) -> Fault | None:
        return self._faults.strike(connection.vendor, connection.handshake.path, cycle, phase)

    async def _disturb(self, connection: Connection, fault: Fault) -> None:
        """Break or hang a connection; what it would have been sent in this cycle is lost."""
        kind, code = fault.order.fault, int(fault.value)
        if kind == "hang":
            transport = connection.transport
            if not connection.hung and not transport.is_closing():
                transport.pause_reading()
            connection.hung = True
        elif kind == "close" and code != _ABNORMAL:
            await self._say(connection, Says(close=code))
        else:
            self._forget(connection)
            await asgi.reset(connection.handshake.scope)

    def _wake(self, connection: Connection) -> None:
        """Let a connection that hung read again."""
        transport = connection.transport if connection.hung else None
        connection.hung = False
        if transport is not None and not transport.is_closing():
            transport.resume_reading()

    async def _deliver(self, connection: Connection, frames: Sequence[Frame], fault: Fault | None) -> None:
        kind = None if fault is None else fault.order.fault
        if fault is None:
            await self._tell(connection, frames)
        elif kind == "latency":
            task = asyncio.create_task(self._tell_late(connection, frames, fault.value))
            self._late.add(task)
            task.add_done_callback(self._late.discard)
        elif kind != "silent":
            for frame in frames:
                await self._send(connection, spoiled_text(frame.text, fault))

    async def _tell(self, connection: Connection, frames: Sequence[Frame]) -> None:
        for frame in frames:
            if await self._send(connection, frame.text):
                self._ledger.tell(connection.vendor, frame.ticks)
                self._ledger.count_stream(connection.vendor, "ticks", len(frame.ticks))

    async def _tell_late(self, connection: Connection, frames: Sequence[Frame], delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        await self._tell(connection, frames)

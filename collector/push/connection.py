"""One open socket, from its first frame to its end: the conversation with the vendor, with a deadline on everything."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from collector.push.policy import End, Quiet, is_silent
from collector.push.sockets import BROKEN, closing_of
from collector.reach import Contact
from collector.vendors.base import Ask, Verdict
from collector.vendors.stream import Conversation, Endpoint, FrameReading, StreamVendor
from common.messages import RawQuote
from common.metrics import Metrics

PONG_S, PONG_LOOKS = 2.0, 8
SEND_S = 5.0
SETTLE_S = 5.0  # so long for a vendor's word on each symbol; those that it is silent on may still come
WATCH_S = 0.25
FRAMES_PER_SECOND = 5_000  # of six symbols: nobody sends so many who means well
LATER_LIMIT = 1_000


@dataclass(frozen=True)
class Given:
    """What the push side uses of the process."""

    now_ms: Callable[[], int]
    """The stream's time."""
    clock_s: Callable[[], float]
    """Monotonic."""
    random: Callable[[], float]
    """In [0, 1)."""
    sleep: Callable[[float], Awaitable[None]]
    stepped: bool
    """Time stands still between two cycles: prices are read when the next one has begun."""
    metrics: Metrics
    hear: Callable[[str, Sequence[RawQuote], int], bool]
    """Takes a source's quotes and when they came. Returns whether any was news."""
    expects: Callable[[Sequence[Ask]], bool]
    """Whether any of these should have a price now: its market is open."""
    contact: Callable[[str, Contact], None] = lambda _source, _contact: None
    """Takes what came of reaching for a source."""


class Listener(Protocol):
    """Whom a connection tells how it goes."""

    def settled(self) -> None:
        """It carries what was asked for."""
        ...

    def priced(self) -> None:
        """It brought news."""
        ...

    def refused(self, symbol: str, verdict: Verdict, detail: str) -> None:
        """The vendor does not push a symbol."""
        ...

    def accepted(self, symbol: str) -> None:
        """The vendor pushes a symbol."""
        ...


class Connection:
    """One life of a connection."""

    def __init__(
        self, socket: ClientConnection, vendor: StreamVendor, endpoint: Endpoint, conversation: Conversation,
        given: Given, listener: Listener,
    ) -> None:  # fmt: skip
        self._socket, self._vendor, self._endpoint = socket, vendor, endpoint
        self._conversation, self._given, self._listener = conversation, given, listener
        self._unnamed = {ask.symbol for ask in endpoint.asks}
        self._refused: dict[str, Verdict] = {}
        self._later: deque[str | bytes] = deque()
        self._told: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self._subscribing = True
        self._opened_s = given.clock_s()
        self._quiet = Quiet(self._opened_s, given.now_ms())
        self._second, self._frames = 0, 0
        self.is_settled = False
        self._priced = False

    # -- life --------------------------------------------------------------------------------------

    async def run(self) -> End:
        """Talk until the end, whoever makes it, and say how it came."""
        loop = asyncio.get_running_loop()
        work = (self._listen(), self._repeat(), self._watch())
        tasks = [self._told, *(loop.create_task(job) for job in work)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            end = next(task for task in tasks if task.done()).result()
            late = await self._read_later()
            return _with_price(late or end, priced=self._priced)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with suppress(*BROKEN):
                await self._socket.close()

    @property
    def is_open(self) -> bool:
        """Whether frames can still come."""
        return self._socket.state is State.OPEN and not self._told.done()

    async def catch_up(self) -> None:
        """Return when everything has been read that the vendor sent before now. One that does not answer is ended."""
        try:
            await self._pong()
            # What came before the pong woke the listener before us; it takes all frames that wait at once.
            await asyncio.sleep(0)
        except TimeoutError:
            self._end(End(Verdict.OUTAGE, f"no pong within {PONG_S:g} s"))
        except BROKEN:
            pass  # the listener says why
        end = await self._read_later()
        if end is not None:
            self._end(end)

    def forget(self) -> None:
        """Drop what has come and was not read."""
        self._later.clear()

    def _end(self, end: End) -> None:
        if not self._told.done():
            self._told.set_result(end)

    # -- listening ---------------------------------------------------------------------------------

    async def _listen(self) -> End:
        try:
            await self._say(self._conversation.opened())
            if self._given.stepped:
                await self._pong()  # the vendor has read the subscription
            self._subscribing = False
            self._look_settled()
            while True:
                frame = await self._socket.recv()
                end = self._counted() or await self._take(frame)
                if end is not None:
                    return end
        except ConnectionClosed as e:
            return _end_of(self._conversation.closed(*closing_of(e)))
        except BROKEN as e:
            return End(Verdict.OUTAGE, f"{type(e).__name__}: {e}")

    async def _take(self, frame: str | bytes) -> End | None:
        if self._given.stepped and self.is_settled and len(self._later) < LATER_LIMIT:
            self._later.append(frame)
            return None
        return await self._read(frame)

    async def _read_later(self) -> End | None:
        while self._later:
            try:
                end = await self._read(self._later.popleft())
            except BROKEN as e:
                end = End(Verdict.OUTAGE, f"{type(e).__name__}: {e}")
            if end is not None:
                return end
        return None

    async def _read(self, frame: str | bytes) -> End | None:
        given, source = self._given, self._vendor.name
        now_ms = given.now_ms()
        reading = self._conversation.read(frame, now_ms)
        given.metrics.count("md_push_frames_total", source=source)
        if reading.verdict is not Verdict.OK:
            return _end_of(reading)
        self._note_symbols(reading)
        if reading.quotes and given.hear(source, reading.quotes, now_ms):
            self._priced = True
            self._quiet = Quiet(given.clock_s(), now_ms)
            self._listener.priced()
        await self._say(reading.send)
        return self._all_refused(reading.detail)

    def _counted(self) -> End | None:
        second = int(self._given.clock_s())
        if second != self._second:
            self._second, self._frames = second, 0
        self._frames += 1
        if self._frames > FRAMES_PER_SECOND:
            return End(Verdict.OUTAGE, f"more than {FRAMES_PER_SECOND} frames a second")
        return None

    # -- what it carries ---------------------------------------------------------------------------

    def _note_symbols(self, reading: FrameReading) -> None:
        for symbol in (*reading.subscribed, *(quote.symbol for quote in reading.quotes)):
            self._unnamed.discard(symbol)
            if self._refused.pop(symbol, None) is not None:
                self._listener.accepted(symbol)
        for symbol, verdict in reading.refused.items():
            self._unnamed.discard(symbol)
            self._refused[symbol] = verdict
            self._listener.refused(symbol, verdict, reading.detail)
        self._look_settled()

    def _all_refused(self, detail: str) -> End | None:
        if any(ask.symbol not in self._refused for ask in self._endpoint.asks):
            return None
        return End(next(iter(self._refused.values())), detail or "none of the symbols is pushed")

    def _look_settled(self) -> None:
        waited_s = self._given.clock_s() - self._opened_s
        named = not self._vendor.confirms or not self._unnamed or waited_s > SETTLE_S
        if not self.is_settled and not self._subscribing and named:
            self.is_settled = True
            self._listener.settled()

    # -- talking, watching -------------------------------------------------------------------------

    async def _repeat(self) -> End:
        try:
            while True:
                await self._given.sleep(self._vendor.period_s)
                await self._say(self._conversation.periodic())
        except BROKEN as e:
            if isinstance(e, ConnectionClosed):
                return _end_of(self._conversation.closed(*closing_of(e)))
            return End(Verdict.OUTAGE, f"{type(e).__name__}: {e}")

    async def _watch(self) -> End:
        given, silence_s = self._given, self._vendor.silence_s
        while True:
            await given.sleep(min(WATCH_S, silence_s / 4))
            self._look_settled()
            now_s, now_ms = given.clock_s(), given.now_ms()
            if not given.expects([ask for ask in self._endpoint.asks if ask.symbol not in self._refused]):
                self._quiet = Quiet(now_s, now_ms)
            elif is_silent(self._quiet, now_s, now_ms, silence_s):
                return End(Verdict.OUTAGE, f"no price for {silence_s:g} s in an open market", silent=True)

    async def _say(self, frames: Sequence[str]) -> None:
        async with asyncio.timeout(SEND_S):
            for frame in frames:
                await self._socket.send(frame)

    async def _pong(self) -> None:
        """Return when the vendor has answered a ping. TimeoutError if it does not."""
        pong = asyncio.ensure_future(await self._socket.ping())
        for _ in range(PONG_LOOKS):  # in parts: time in which we ourselves stood still is not the vendor's
            await asyncio.wait((pong,), timeout=PONG_S / PONG_LOOKS)
            if pong.done():
                pong.result()
                return
        raise TimeoutError


def _end_of(reading: FrameReading) -> End:
    return End(reading.verdict, reading.detail, reading.retry_after_s)


def _with_price(end: End, *, priced: bool) -> End:
    return End(end.verdict, end.detail, end.retry_after_s, silent=end.silent, priced=priced)

"""One connection kept up: opened again with patience when it ends, left alone for long when it is refused."""

import structlog
from websockets.asyncio.client import ClientConnection

from collector.push import policy
from collector.push.connection import Connection, Given
from collector.push.policy import End, Standing, State
from collector.push.sockets import BROKEN, NotOpened, Place, open_socket
from collector.reach import Contact
from collector.vendors.answers import without
from collector.vendors.base import Ask, Credentials, Verdict
from collector.vendors.stream import StreamVendor

log = structlog.get_logger()

DETAIL_LIMIT = 200


class Line:
    """A connection to one vendor, over all its lives."""

    def __init__(self, vendor: StreamVendor, place: Place, credentials: Credentials, given: Given) -> None:
        self.vendor = vendor
        self.standing = Standing(since_ms=given.now_ms())
        self.refused_symbols: dict[str, Verdict] = {}
        self.reconnects = 0
        self.last_price_ms: int | None = None
        self.is_tried = False
        """The first attempt has come to something, or to nothing."""
        self._place, self._credentials, self._given = place, credentials, given
        self._connection: Connection | None = None
        self._lives = 0
        self._complained: tuple[State, Verdict] | None = None
        """What was said of its state last: the same is not said again at each attempt."""

    @property
    def asks(self) -> tuple[Ask, ...]:
        """What it is to carry."""
        return self._place.endpoint.asks

    @property
    def is_up(self) -> bool:
        """Whether it is open and carries what was asked for."""
        return self._connection is not None and self._connection.is_settled and self._connection.is_open

    def carries(self, symbol: str, source_class: str) -> bool:
        """Return whether it is up with this symbol."""
        listed = any((ask.symbol, ask.source_class) == (symbol, source_class) for ask in self.asks)
        return listed and self.is_up and symbol not in self.refused_symbols

    async def keep(self) -> None:
        """Hold the connection until cancelled."""
        while True:
            wait_s = self.standing.retry_s - self._given.clock_s()
            if wait_s > 0:
                await self._given.sleep(wait_s)
            self._note_end(await self._life())

    async def catch_up(self) -> None:
        """Return when all that was sent before now has been read."""
        if self._connection is not None and self._connection.is_settled:
            await self._connection.catch_up()

    def forget(self) -> None:
        """Drop what has come and was not read."""
        if self._connection is not None:
            self._connection.forget()

    # -- a life ------------------------------------------------------------------------------------

    async def _life(self) -> End:
        try:
            return await self._open_and_talk()
        except Exception as e:  # a bug that a frame brings out ends the connection, not the collector
            log.error("push.bug", source=self.vendor.name, error=repr(e), exc_info=e)
            return End(Verdict.OUTAGE, f"our own error: {type(e).__name__}")

    async def _open_and_talk(self) -> End:
        try:
            socket = await open_socket(self._place, self._given.now_ms())
        except NotOpened as e:
            self._given.contact(self.vendor.name, Contact.OK)
            reading = self.vendor.read_refusal(self._place.endpoint, self._credentials, e.reply)
            return End(reading.verdict, reading.detail, reading.retry_after_s)
        except BROKEN as e:
            self._given.contact(self.vendor.name, Contact.UNREACHABLE)
            return End(Verdict.OUTAGE, f"{type(e).__name__}: {e}")
        self._given.contact(self.vendor.name, Contact.OK)
        return await self._talk(socket)

    async def _talk(self, socket: ClientConnection) -> End:
        self._lives += 1
        if self._lives > 1:
            self.reconnects += 1
            self._given.metrics.count("md_push_reconnects_total", source=self.vendor.name)
        conversation = self.vendor.converse(self._place.endpoint, self._credentials)
        endpoint = self._place.endpoint
        self._connection = Connection(socket, self.vendor, endpoint, conversation, self._given, self)
        try:
            return await self._connection.run()
        finally:
            self._connection = None

    def _note_end(self, end: End) -> None:
        self.is_tried = True
        given = self._given
        end = End(end.verdict, self._redact(end.detail), end.retry_after_s, silent=end.silent, priced=end.priced)
        now_s = given.clock_s()
        self.standing = policy.ended(self.standing, end, given.now_ms(), now_s, given.random())
        if end.priced:
            self._complained = None
        complaint = self.standing.state, end.verdict
        say = log.debug if complaint == self._complained else log.warning
        self._complained = complaint
        say(
            f"push.{self.standing.state}", source=self.vendor.name, host=self._place.endpoint.host,
            verdict=end.verdict, detail=self.standing.detail, retry_in_s=round(self.standing.retry_s - now_s, 1),
        )  # fmt: skip

    def _redact(self, text: str) -> str:
        return without((self._credentials.key,), text)[:DETAIL_LIMIT]

    # -- what the connection tells -----------------------------------------------------------------

    def settled(self) -> None:
        """See Listener."""
        self.is_tried = True
        self.standing = policy.opened(self.standing, self._given.now_ms())
        say = log.debug if self._complained else log.info
        say(
            "push.open", source=self.vendor.name, host=self._place.endpoint.host,
            symbols=[ask.symbol for ask in self.asks if ask.symbol not in self.refused_symbols],
        )  # fmt: skip

    def priced(self) -> None:
        """See Listener."""
        now_ms = self._given.now_ms()
        self.last_price_ms = now_ms
        self._given.contact(self.vendor.name, Contact.OK)
        if self._complained:
            log.info("push.live", source=self.vendor.name, host=self._place.endpoint.host)
            self._complained = None
        self.standing = policy.priced(self.standing, now_ms)

    def refused(self, symbol: str, verdict: Verdict, detail: str) -> None:
        """See Listener."""
        if self.refused_symbols.get(symbol) is not verdict:
            log.warning(
                "push.symbol_refused", source=self.vendor.name, symbol=symbol, verdict=verdict,
                detail=self._redact(detail),
            )  # fmt: skip
        self.refused_symbols[symbol] = verdict

    def accepted(self, symbol: str) -> None:
        """See Listener."""
        self.refused_symbols.pop(symbol, None)

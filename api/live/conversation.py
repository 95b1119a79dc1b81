"""What one live client is told, from its first word to its last: the same over both transports.

A signal is judged when it can be sent, not when it came: what /api/signals would not serve at that moment is not sent.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass

from api.context import Context
from api.live.client import AWAY, TOO_SLOW, Client, End, Entry
from api.live.cursor import cursor_text
from api.live.events import HEARTBEAT_S, Event, Heartbeat, Hello, SignalEvent
from api.live.feed import backlog
from api.live.judge import Judge
from api.live.line import Line
from api.signals_v1 import signal_view
from api.times import iso
from common.clock import monotonic_s
from common.errors import Retryable

TAKEN_WITHIN_S = 5.0  # what a client hasn't taken by then is too old to be advice


@dataclass(frozen=True)
class Means:
    """How a transport speaks."""

    line: Line
    send: Callable[[Event], Awaitable[None]]
    close: Callable[[End], Awaitable[None]]
    """Say the last word and end the connection."""
    gone: Callable[[], Coroutine[None, None, None]]
    """Return when the client has gone."""


async def converse(context: Context, client: Client, means: Means) -> None:
    """Tell a client what it asked for until it goes, or is sent away."""
    await _until_over(client, _Teller(context, client, means).tell(), means.gone())
    if client.ended.done():
        await _close(means, client.ended.result())


async def _until_over(client: Client, *parts: Coroutine[None, None, None]) -> None:
    """Have both parts run until one of them has finished, or the client is sent away."""
    tasks = [asyncio.create_task(part) for part in parts]
    awaited: list[asyncio.Future[None] | asyncio.Future[End]] = [*tasks, client.ended]
    try:
        await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    for error in outcomes:
        if isinstance(error, Exception) and not isinstance(error, OSError):  # OSError: the client has gone
            raise error


async def _close(means: Means, why: End) -> None:
    try:
        async with asyncio.timeout(why.within_s):
            await means.line.drain()
            await means.close(why)
            await means.line.drain()
    except (TimeoutError, OSError):
        means.line.cut()
        await means.gone()


class _Teller:
    """Tells one client."""

    def __init__(self, context: Context, client: Client, means: Means) -> None:
        self._context = context
        self._client = client
        self._means = means
        self._cursor = client.wanted.since or client.joined
        self._told: dict[str, str] = {}  # symbol -> the id of its last signal: a Redis rolled back may bring it again
        self._spoke_s = monotonic_s()
        self._judge = Judge(context, client.wanted)

    async def tell(self) -> None:
        """Go on until cancelled, or until the client doesn't take what it is sent."""
        try:
            await self._begin()
            while True:
                left_s = HEARTBEAT_S - (monotonic_s() - self._spoke_s)
                entry = await self._client.next(left_s) if left_s > 0 else None
                await (self._beat() if entry is None else self._consider(entry))
        except _NotTaken:
            self._client.end(TOO_SLOW)
        except Retryable:
            self._client.end(AWAY)

    async def _begin(self) -> None:
        wanted, settings = self._client.wanted, self._context.settings
        missed, complete = await backlog(self._context.pool, self._cursor, self._client.joined)
        hello = Hello(
            event_id=cursor_text(self._cursor),
            resumed=wanted.since is not None,
            complete=complete,
            equity=wanted.equity,
            currency=settings.account_currency,
            symbols=sorted(wanted.symbols),
            heartbeat_s=HEARTBEAT_S,
            timestamp=iso(self._context.wall_ms()),
            simulated=settings.simulated,
        )
        await self._say(hello)
        for entry in missed:
            await self._consider(entry)

    async def _beat(self) -> None:
        await self._say(Heartbeat(cursor_text(self._cursor), iso(self._context.wall_ms())))

    async def _consider(self, entry: Entry) -> None:
        """Send a signal if it may be acted on now."""
        signal, wanted, metrics = entry.signal, self._client.wanted, self._context.metrics
        self._cursor = entry.cursor
        if (wanted.symbols and signal.symbol not in wanted.symbols) or self._told.get(signal.symbol) == signal.id:
            return
        await self._taken()
        verdict, wall_ms = await self._judge.judge(signal)
        if isinstance(verdict, str):
            metrics.count("md_live_withheld_total", reason=verdict)
            return
        settings = self._context.settings
        view, currency = signal_view(verdict, settings.account_currency), settings.account_currency
        place, equity = cursor_text(entry.cursor), wanted.equity
        self._told[signal.symbol] = signal.id
        self._context.ledger.remember_served(signal)
        await self._say(SignalEvent(place, view, equity, currency, iso(wall_ms), settings.simulated))
        metrics.count("md_live_signals_total", transport=self._client.transport)

    async def _say(self, event: Event) -> None:
        await self._taken()
        await self._means.send(event)
        self._spoke_s = monotonic_s()

    async def _taken(self) -> None:
        try:
            async with asyncio.timeout(TAKEN_WITHIN_S):
                await self._means.line.drain()
        except TimeoutError as e:
            raise _NotTaken from e


class _NotTaken(Exception):
    """The client doesn't read."""

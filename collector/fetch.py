"""All of the collector's HTTP: one client per vendor, a deadline on the whole call, a cap on the body, no redirects.

Whatever goes wrong below HTTP becomes NoAnswerError with a detail that holds no secret; what the body says is for the
vendor's adapter to read.
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TypeVar

import httpx
import msgspec
import structlog

from collector.deadline import deadline
from collector.limits import Purpose
from collector.vendors.answers import without
from collector.vendors.base import Ask, Credentials, HistoryReading, Reading, Reply, Request, Vendor, Verdict
from common.clock import monotonic_s
from common.messages import RawQuote, Timeframe

log = structlog.get_logger()

BODY_LIMIT_BYTES = 8_000_000  # a month of 1-minute bars is a tenth of it
HISTORY_DEADLINES = 5  # bars are large replies: they may take so many times as long as a price
DETAIL_LIMIT = 200
TICKS_HEADER = "x-sim-ticks"
# The longest a call can take: itself, a renewed session token, itself again.
DEADLINES_PER_CALL = 3

_ticks_decoder = msgspec.json.Decoder(dict[str, int])

R = TypeVar("R", Reading, HistoryReading)

TOKENLESS_MS = 3_600_000  # trying for a token costs calls, and what keeps it from us rarely passes within minutes

Pay = Callable[[Request, Purpose], bool]
"""Takes a request's cost out of the budget; False: it must not be made."""


class NoAnswerError(Exception):
    """There is no reply to read: why, as a verdict, without secrets.

    unreachable: nothing at all came back (no address, no route, no connection, no TLS, silence), which may be our own
    network's fault. of_token: it was a session token that was asked for.
    """

    def __init__(
        self, verdict: Verdict, detail: str, retry_after_s: float | None = None, *, unreachable: bool = False,
        of_token: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(detail)
        self.verdict, self.detail, self.retry_after_s = verdict, detail, retry_after_s
        self.unreachable, self.of_token = unreachable, of_token


class UnpaidError(Exception):
    """The budget does not allow this request: it was not made."""


@dataclass(frozen=True)
class Access:
    """How to reach one vendor."""

    key: str = ""
    base_url: str = ""
    """In place of all of the vendor's hosts (each but the main one a path segment below); empty: its own."""
    hosts: Mapping[str, str] = field(default_factory=dict)
    """Base URLs in place of the vendor's of the same name."""
    deadline_s: float = 2.0
    """Of one request, connecting included; waiting for a free connection is not."""
    connections: int = 10
    """At most so many requests are under way at once; more wait for their turn."""
    simulated: bool = False
    """The header with the simulator's tick numbers counts."""


def make_client(access: Access, tls: ssl.SSLContext | None = None) -> httpx.AsyncClient:
    """Return a client that follows no redirect, reads no proxy or netrc setting, and keeps its cookies."""
    limits = httpx.Limits(max_connections=access.connections, max_keepalive_connections=access.connections)
    return httpx.AsyncClient(
        http2=False, follow_redirects=False, trust_env=False, timeout=None, limits=limits,  # noqa: S113  # one deadline
        verify=tls if tls is not None else True,
    )  # fmt: skip


class Fetcher:
    """One vendor over HTTP. It pays for each request before making it."""

    def __init__(
        self,
        vendor: Vendor,
        access: Access,
        client: httpx.AsyncClient,
        now_ms: Callable[[], int],
        pay: Pay,
    ) -> None:
        self.vendor = vendor
        self._access, self._client, self._now_ms, self._pay = access, client, now_ms, pay
        self._slots = asyncio.Semaphore(access.connections)
        self._token = ""
        self._token_lock = asyncio.Lock()
        self._tokenless_until_ms = 0
        """While prices are asked for without a token, because none could be had."""

    async def latest(self, asks: tuple[Ask, ...], purpose: Purpose = Purpose.REGULAR) -> tuple[Reading, int]:
        """Return what the vendor says of the latest prices, and when it came. NoAnswerError, UnpaidError."""
        plain = self.vendor.latest_without_token(asks)
        if plain is not None and self._now_ms() < self._tokenless_until_ms:
            request, reply, reading = await self._read_latest(plain, purpose)
        else:
            request, reply, reading = await self._latest_with_token(asks, plain, purpose)
        if self._access.simulated:
            reading = replace(reading, quotes=_numbered(reading.quotes, request, reply))
        return replace(reading, detail=self.redact(reading.detail)), reply.received_ms

    async def _latest_with_token(
        self, asks: tuple[Ask, ...], plain: Request | None, purpose: Purpose
    ) -> tuple[Request, Reply, Reading]:
        """Ask with a session token, a new one if need be. plain: what to ask instead where none can be had."""
        try:
            token = await self._token_after("", purpose)
            answer = await self._ask_latest(asks, token, purpose)
            if answer[2].verdict is not Verdict.BAD_SESSION:
                return answer
            token = await self._token_after(token, purpose)
        except NoAnswerError as e:
            if plain is None or not e.of_token or e.verdict is Verdict.RATE_LIMITED:
                raise
            answer = await self._read_latest(plain, purpose)
            self._tokenless_until_ms = self._now_ms() + TOKENLESS_MS
            log.warning("source.without_token", source=self.vendor.name, why=e.detail, for_s=TOKENLESS_MS // 1000)
            return answer
        answer = await self._ask_latest(asks, token, purpose)
        if answer[2].verdict is Verdict.BAD_SESSION:
            self._tokenless_until_ms = self._now_ms() + TOKENLESS_MS  # from the next call on
            detail = f"a new session token is refused as well: {self.redact(answer[2].detail)}"
            raise NoAnswerError(Verdict.OUTAGE, detail)
        return answer

    def history_requests(self, ask: Ask, timeframe: Timeframe, from_ms: int, to_ms: int) -> tuple[Request, ...]:
        """Return the requests for bars over [from_ms, to_ms); none if the vendor has no such history."""
        return self.vendor.history(ask, timeframe, from_ms, to_ms, self._credentials())

    async def history(self, request: Request, timeframe: Timeframe) -> HistoryReading:
        """Return the bars of one request, read in a thread: there may be 10,000. NoAnswerError, UnpaidError."""
        async with self._slots:
            reply = await self._get(request, self._access.deadline_s * HISTORY_DEADLINES, Purpose.BACKFILL)
        reading = await asyncio.to_thread(self.vendor.read_history, request, timeframe, reply)
        if reading.verdict is Verdict.BAD_SESSION:
            raise NoAnswerError(Verdict.OUTAGE, f"history asks for a session: {self.redact(reading.detail)}")
        return replace(reading, detail=self.redact(reading.detail))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def redact(self, text: str) -> str:
        """Return the text without the key, the token and the cookies, in any spelling, shortened."""
        cookies = (cookie.value or "" for cookie in self._client.cookies.jar)
        return without((self._access.key, self._token, *cookies), text)[:DETAIL_LIMIT]

    def _credentials(self) -> Credentials:
        return Credentials(self._access.key, self._token)

    async def _ask_latest(self, asks: tuple[Ask, ...], token: str, purpose: Purpose) -> tuple[Request, Reply, Reading]:
        return await self._read_latest(self.vendor.latest(asks, Credentials(self._access.key, token)), purpose)

    async def _read_latest(self, request: Request, purpose: Purpose) -> tuple[Request, Reply, Reading]:
        async with self._slots:
            started_s = monotonic_s()
            reply = await self._get(request, self._access.deadline_s, purpose)
            took_s = monotonic_s() - started_s
        return request, reply, replace(self.vendor.read_latest(request, reply), took_s=took_s)

    # -- session token -----------------------------------------------------------------------------

    async def _token_after(self, refused: str, purpose: Purpose) -> str:
        """Return a session token other than the refused one (any, if that is empty); empty if the vendor has none."""
        requests = self.vendor.token_requests()
        if not requests:
            return ""
        async with self._token_lock:  # who comes second uses what the first one got
            if not self._token or self._token == refused:
                self._token = ""
                self._token = await self._new_token(requests, purpose)
            return self._token

    async def _new_token(self, requests: tuple[Request, ...], purpose: Purpose) -> str:
        try:
            async with self._slots:
                reply = await self._last_of(requests, purpose)
        except NoAnswerError as e:
            e.of_token = True
            raise
        token = self.vendor.read_token(reply)
        if token is not None:
            return token
        why = self.vendor.read_latest(requests[-1], reply)
        verdict = why.verdict if why.verdict in (Verdict.RATE_LIMITED, Verdict.BAD_KEY) else Verdict.OUTAGE
        detail = f"no session token: {self.redact(why.detail)}"
        raise NoAnswerError(verdict, detail, why.retry_after_s, of_token=True)

    async def _last_of(self, requests: tuple[Request, ...], purpose: Purpose) -> Reply:
        end_s = monotonic_s() + self._access.deadline_s  # one for all of them
        for request in requests[:-1]:
            await self._get(request, end_s - monotonic_s(), purpose, redirect_ok=True)
        return await self._get(requests[-1], end_s - monotonic_s(), purpose)

    # -- HTTP --------------------------------------------------------------------------------------

    async def _get(self, request: Request, deadline_s: float, purpose: Purpose, *, redirect_ok: bool = False) -> Reply:
        """Pay for one exchange and make it. The caller has a slot: the wait for one is outside every deadline."""
        if not self._pay(request, purpose):
            raise UnpaidError
        answering = asyncio.Event()
        try:
            async with deadline(deadline_s):
                reply = await self._exchange(request, answering)
        except TimeoutError as e:
            raise self._no_answer(f"no complete reply within {deadline_s:.3g} s: {request.path}", answering) from e
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError) as e:
            raise self._no_answer(f"{type(e).__name__}: {e} ({request.path})", answering) from e
        if HTTPStatus.MULTIPLE_CHOICES <= reply.status < HTTPStatus.BAD_REQUEST and not redirect_ok:
            raise NoAnswerError(Verdict.OUTAGE, f"a redirect ({reply.status}), not followed: {request.path}")
        return reply

    def _no_answer(self, detail: str, answering: asyncio.Event) -> NoAnswerError:
        return NoAnswerError(Verdict.OUTAGE, self.redact(detail), unreachable=not answering.is_set())

    def _base(self, host: str) -> str:
        if not self._access.base_url:
            return self._access.hosts.get(host) or self.vendor.hosts[host]
        return f"{self._access.base_url}/{host}" if host else self._access.base_url

    async def _exchange(self, request: Request, answering: asyncio.Event) -> Reply:
        """Return the whole reply; `answering` is set as soon as its head has come."""
        base = self._base(request.host)
        headers = dict((*self.vendor.headers, *request.headers))
        params = httpx.QueryParams(request.params) if request.params else None
        async with self._client.stream("GET", f"{base}{request.path}", params=params, headers=headers) as response:
            answering.set()
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > BODY_LIMIT_BYTES:
                    raise NoAnswerError(Verdict.OUTAGE, f"a body of more than {BODY_LIMIT_BYTES} bytes: {request.path}")
            return Reply(response.status_code, dict(response.headers), bytes(body), self._now_ms())


def _numbered(quotes: tuple[RawQuote, ...], request: Request, reply: Reply) -> tuple[RawQuote, ...]:
    """Return the quotes with the simulator's tick numbers: its header maps the vendor's symbol to a number."""
    try:
        ticks = _ticks_decoder.decode(reply.headers.get(TICKS_HEADER, "{}"))
    except msgspec.DecodeError as e:
        raise NoAnswerError(Verdict.OUTAGE, f"{TICKS_HEADER}: {e}") from e
    at_vendor = {ask.symbol: ask.vendor_symbol for ask in request.asks}
    return tuple(msgspec.structs.replace(q, tick=ticks.get(at_vendor.get(q.symbol, ""))) for q in quotes)

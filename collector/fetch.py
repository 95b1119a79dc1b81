"""All of the collector's HTTP: one client per vendor, a deadline on the whole call, a cap on the body, no redirects.

Whatever goes wrong below HTTP becomes NoAnswerError with a detail that holds no secret; what the body says is for the
vendor's adapter to read.
"""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TypeVar

import httpx
import msgspec

from collector.vendors.base import Ask, Credentials, HistoryReading, Reading, Reply, Request, Vendor, Verdict
from common.messages import RawQuote, Timeframe

BODY_LIMIT_BYTES = 8_000_000  # a month of 1-minute bars is a tenth of it
HISTORY_DEADLINES = 5  # bars are large replies: they may take so many times as long as a price
DETAIL_LIMIT = 200
TICKS_HEADER = "x-sim-ticks"
# The longest a call can take: itself, a renewed session token, itself again.
DEADLINES_PER_CALL = 3

_ticks_decoder = msgspec.json.Decoder(dict[str, int])

R = TypeVar("R", Reading, HistoryReading)


class NoAnswerError(Exception):
    """There is no reply to read: why, as a verdict, without secrets."""

    def __init__(self, verdict: Verdict, detail: str, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.verdict, self.detail, self.retry_after_s = verdict, detail, retry_after_s


class UnpaidError(Exception):
    """The budget does not allow this request: it was not made."""


@dataclass(frozen=True)
class Access:
    """How to reach one vendor."""

    key: str = ""
    base_url: str = ""
    """In place of all of the vendor's hosts (each but the main one a path segment below); empty: its own."""
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
        pay: Callable[[int], bool],
    ) -> None:
        """`pay(credits)` takes a request's cost out of the budget; False: it must not be made."""
        self.vendor = vendor
        self._access, self._client, self._now_ms, self._pay = access, client, now_ms, pay
        self._slots = asyncio.Semaphore(access.connections)
        self._token = ""
        self._token_lock = asyncio.Lock()

    async def latest(self, asks: tuple[Ask, ...]) -> tuple[Reading, int]:
        """Return what the vendor says of the latest prices, and when it came. NoAnswerError, UnpaidError."""
        token = await self._token_after("")
        request, reply, reading = await self._ask_latest(asks, token)
        if reading.verdict is Verdict.BAD_SESSION:
            request, reply, reading = await self._ask_latest(asks, await self._token_after(token))
        if reading.verdict is Verdict.BAD_SESSION:
            raise NoAnswerError(
                Verdict.OUTAGE, f"a new session token is refused as well: {self.redact(reading.detail)}"
            )
        if self._access.simulated:
            reading = replace(reading, quotes=_numbered(reading.quotes, request, reply))
        return replace(reading, detail=self.redact(reading.detail)), reply.received_ms

    def history_requests(self, ask: Ask, timeframe: Timeframe, from_ms: int, to_ms: int) -> tuple[Request, ...]:
        """Return the requests for bars over [from_ms, to_ms); none if the vendor has no such history."""
        return self.vendor.history(ask, timeframe, from_ms, to_ms, self._credentials())

    async def history(self, request: Request, timeframe: Timeframe) -> HistoryReading:
        """Return the bars of one request, read in a thread: there may be 10,000. NoAnswerError, UnpaidError."""
        async with self._slots:
            reply = await self._get(request, self._access.deadline_s * HISTORY_DEADLINES)
        reading = await asyncio.to_thread(self.vendor.read_history, request, timeframe, reply)
        if reading.verdict is Verdict.BAD_SESSION:
            raise NoAnswerError(Verdict.OUTAGE, f"history asks for a session: {self.redact(reading.detail)}")
        return replace(reading, detail=self.redact(reading.detail))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def redact(self, text: str) -> str:
        """Return the text without the key and the token, shortened."""
        for secret in (self._access.key, self._token):
            if secret:
                text = text.replace(secret, "***")
        return text[:DETAIL_LIMIT]

    def _credentials(self) -> Credentials:
        return Credentials(self._access.key, self._token)

    async def _ask_latest(self, asks: tuple[Ask, ...], token: str) -> tuple[Request, Reply, Reading]:
        request = self.vendor.latest(asks, Credentials(self._access.key, token))
        async with self._slots:
            reply = await self._get(request, self._access.deadline_s)
        return request, reply, self.vendor.read_latest(request, reply)

    # -- session token -----------------------------------------------------------------------------

    async def _token_after(self, refused: str) -> str:
        """Return a session token other than the refused one (any, if that is empty); empty if the vendor has none."""
        requests = self.vendor.token_requests()
        if not requests:
            return ""
        async with self._token_lock:  # who comes second uses what the first one got
            if not self._token or self._token == refused:
                self._token = ""
                self._token = await self._new_token(requests)
            return self._token

    async def _new_token(self, requests: tuple[Request, ...]) -> str:
        async with self._slots:
            reply = await self._last_of(requests)
        token = self.vendor.read_token(reply)
        if token is not None:
            return token
        why = self.vendor.read_latest(requests[-1], reply)
        verdict = why.verdict if why.verdict in (Verdict.RATE_LIMITED, Verdict.BAD_KEY) else Verdict.OUTAGE
        raise NoAnswerError(verdict, f"no session token: {self.redact(why.detail)}", why.retry_after_s)

    async def _last_of(self, requests: tuple[Request, ...]) -> Reply:
        deadline_s = self._access.deadline_s
        try:
            async with asyncio.timeout(deadline_s):  # one for all of them
                for request in requests[:-1]:
                    await self._get(request, deadline_s, redirect_ok=True)
                return await self._get(requests[-1], deadline_s)
        except TimeoutError as e:
            raise NoAnswerError(Verdict.OUTAGE, f"no session token within {deadline_s:g} s") from e

    # -- HTTP --------------------------------------------------------------------------------------

    async def _get(self, request: Request, deadline_s: float, *, redirect_ok: bool = False) -> Reply:
        """Pay for one exchange and make it. The caller has a slot: the wait for one is outside every deadline."""
        if not self._pay(request.credits):
            raise UnpaidError
        try:
            async with asyncio.timeout(deadline_s):
                reply = await self._exchange(request)
        except TimeoutError as e:
            raise NoAnswerError(Verdict.OUTAGE, f"no complete reply within {deadline_s:g} s: {request.path}") from e
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError) as e:
            raise NoAnswerError(Verdict.OUTAGE, self.redact(f"{type(e).__name__}: {e} ({request.path})")) from e
        if HTTPStatus.MULTIPLE_CHOICES <= reply.status < HTTPStatus.BAD_REQUEST and not redirect_ok:
            raise NoAnswerError(Verdict.OUTAGE, f"a redirect ({reply.status}), not followed: {request.path}")
        return reply

    def _base(self, host: str) -> str:
        if not self._access.base_url:
            return self.vendor.hosts[host]
        return f"{self._access.base_url}/{host}" if host else self._access.base_url

    async def _exchange(self, request: Request) -> Reply:
        base = self._base(request.host)
        headers = dict((*self.vendor.headers, *request.headers))
        params = httpx.QueryParams(request.params) if request.params else None
        async with self._client.stream("GET", f"{base}{request.path}", params=params, headers=headers) as response:
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

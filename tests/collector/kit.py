"""A vendor of the tests' own, and a small HTTP server that misbehaves on demand."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from collector.events import Events
from collector.fetch import Access, Fetcher, Pay, make_client
from collector.limits import Plan
from collector.quota import Quota
from collector.source import Means, Source
from collector.usage import UsageFile
from collector.vendors.base import Ask, Credentials, HistoryReading, Reading, Reply, Request, Verdict
from common.breaker import Breaker, Rules
from common.messages import RawBar, RawQuote, Timeframe
from common.metrics import Metrics
from common.redis_link import Link
from common.symbols import Listing, SymbolTable

T0 = 1_763_992_800_000  # Monday 24 November 2025, 14:00 UTC: everything is open
KEY = "planted-key-3f9a77c1"


@dataclass
class PlainVendor:
    """Speaks a format of the tests' own: {"quotes": {vendor symbol: [market_ms, price]}} or {"error": verdict}."""

    name: str = "plain"
    needs_key: bool = False
    batch: int = 10
    headers: tuple[tuple[str, str], ...] = (("user-agent", "tests"),)
    hosts: Mapping[str, str] = field(default_factory=dict)
    tokens: bool = False
    tokenless: bool = False
    per_symbol: bool = False

    def latest(self, asks: Sequence[Ask], credentials: Credentials) -> Request:
        params = [("symbols", ",".join(a.vendor_symbol for a in asks))]
        if credentials.key:
            params.append(("key", credentials.key))
        if credentials.token:
            params.append(("token", credentials.token))
        return Request("/latest", tuple(asks), tuple(params), credits=len(asks) if self.per_symbol else 1)

    def latest_without_token(self, asks: Sequence[Ask]) -> Request | None:
        return Request("/plain", tuple(asks)) if self.tokenless else None

    def read_latest(self, request: Request, reply: Reply) -> Reading:
        body = _json(reply)
        if body is None:
            return Reading(Verdict.OUTAGE, detail=f"no JSON, status {reply.status}")
        if "error" in body:
            verdict = Verdict(body["error"])
            of_symbols = verdict in (Verdict.UNKNOWN_SYMBOL, Verdict.NOT_ENTITLED, Verdict.NO_DATA)
            refused = {a.symbol: verdict for a in request.asks} if of_symbols else {}
            after = body.get("retry_after_s")
            return Reading(verdict, refused=refused, detail=str(body.get("detail", "")), retry_after_s=after)
        quotes, refused = [], {}
        for ask in request.asks:
            found = body["quotes"].get(ask.vendor_symbol)
            if isinstance(found, list):
                quotes.append(RawQuote(ask.symbol, ask.source_class, market_ms=found[0], last=found[1]))
            else:
                refused[ask.symbol] = Verdict(found) if found else Verdict.NO_DATA
        verdict = Verdict.OK if quotes else next(iter(refused.values()))
        return Reading(verdict, tuple(quotes), refused, credits_left=body.get("left"))

    def history(
        self, ask: Ask, timeframe: Timeframe, from_ms: int, to_ms: int, credentials: Credentials
    ) -> tuple[Request, ...]:
        params = (("symbol", ask.vendor_symbol), ("from", str(from_ms)), ("to", str(to_ms)))
        return (Request("/history", (ask,), params, span=(from_ms, to_ms)),) if timeframe != "1s" else ()

    def read_history(self, request: Request, timeframe: Timeframe, reply: Reply) -> HistoryReading:
        body = _json(reply)
        if body is None:
            return HistoryReading(Verdict.OUTAGE, detail="no JSON")
        if "error" in body:
            return HistoryReading(Verdict(body["error"]), detail="refused")
        bars = tuple(RawBar(t, p, p, p, p) for t, p in body["bars"])
        further = Request(body["next"], request.asks) if body.get("next") else None
        return HistoryReading(Verdict.OK if bars else Verdict.NO_DATA, bars, next=further)

    def token_requests(self) -> tuple[Request, ...]:
        return (Request("/cookie", ()), Request("/token", ())) if self.tokens else ()

    def read_token(self, reply: Reply) -> str | None:
        body = _json(reply)
        return str(body["token"]) if body and "token" in body else None


def _json(reply: Reply) -> "dict | None":
    try:
        body = json.loads(reply.body)
    except ValueError:
        return None
    return body if isinstance(body, dict) and reply.status == 200 else None


@dataclass(frozen=True)
class Heard:
    """One request as the server saw it."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]


Behaviour = Callable[[Heard, asyncio.StreamWriter], Awaitable[None]]


async def silent(heard: Heard, writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    await asyncio.Event().wait()


class FaultServer:
    """A raw HTTP/1.1 server: `behave` writes whatever it likes to the socket, after each request."""

    def __init__(self) -> None:
        self.behave: Behaviour = ok({})
        self.heard: list[Heard] = []
        self.url = ""
        self.handlers: set[asyncio.Task[object]] = set()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.handlers.add(task)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                first, *rest = head.split("\r\n")
                target = urlsplit(first.split(" ")[1])
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in rest if line)}
                query = {k: v[0] for k, v in parse_qs(target.query).items()}
                heard = Heard(target.path, query, headers)
                self.heard.append(heard)
                await self.behave(heard, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.handlers.discard(task)
            writer.close()


@asynccontextmanager
async def fault_server() -> AsyncIterator[FaultServer]:
    """A server on the loopback."""
    fault = FaultServer()
    server = await asyncio.start_server(fault._handle, "127.0.0.1", 0)
    fault.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield fault
    finally:
        server.close()
        for handler in list(fault.handlers):
            handler.cancel()
        await asyncio.gather(*fault.handlers, return_exceptions=True)
        await asyncio.sleep(0)


def response(body: bytes, status: int = 200, content_type: str = "application/json", **headers: str) -> bytes:
    """A whole HTTP reply."""
    more = "".join(f"{k.replace('_', '-')}: {v}\r\n" for k, v in headers.items())
    head = f"HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


def ok(body: "dict") -> Behaviour:
    """Always this JSON."""
    return raw(response(json.dumps(body).encode()))


def raw(reply: bytes) -> Behaviour:
    """Always these bytes."""

    async def behave(heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(reply)

    return behave


def prices(market_ms: int, **by_symbol: float) -> Behaviour:
    """The symbols asked for, at these prices."""
    return ok({"quotes": {s: [market_ms, p] for s, p in by_symbol.items()}})


class Now:
    """A stream time that the test sets."""

    def __init__(self, at_ms: int = T0) -> None:
        self.at_ms = at_ms

    def __call__(self) -> int:
        return self.at_ms


def means_of(link: Link, folder: Path, now: Callable[[], int]) -> Means:
    """What a source needs of the process."""
    metrics = Metrics("collector")
    return Means(link, metrics, Events(metrics), UsageFile(folder, "test"), now)


def source_of(
    vendor: PlainVendor, url: str, means: Means, plan: Plan | None = None, *, key: str = "", configured: bool = True,
    deadline_s: float = 2.0, simulated: bool = False, table: SymbolTable | None = None,
) -> Source:  # fmt: skip
    """A source whose vendor lives at `url`, opened as on a first start."""
    access = Access(key=key, base_url=url, deadline_s=deadline_s, simulated=simulated)

    def make(pay: Pay) -> Fetcher:
        return Fetcher(vendor, access, make_client(access), means.now_ms, pay)

    quota = Quota(means.link, plan or Plan(vendor.name))
    listed = {}
    if table is not None:
        listed = {s.name: x for s in table.symbols.values() for x in s.feed() if x.vendor == vendor.name}
    source = Source(
        vendor, make, Breaker(means.link, vendor.name, Rules()), quota, means, listed, configured=configured
    )
    source.open(first_start=True)
    return source


def table_of(vendors: Sequence[str], symbols: Sequence[str] = ("EURUSD", "GBPUSD")) -> SymbolTable:
    """Symbols of one class, each at each of the vendors under its own name."""

    def symbol(name: str) -> "dict":
        return {
            "name": name, "title": name, "broker": name, "series": "fx_spot", "quote_currency": "USD",
            "tick_size": 0.00001, "digits": 5, "contract_size": 1.0, "lot_min": 0.01, "lot_step": 0.01, "lot_max": 1.0,
            "sources": [
                {"vendor": v, "symbol": name, "class": "fx_spot", "volume": "none", "delay_s": 0} for v in vendors
            ],
        }  # fmt: skip

    classes = {"fx_spot": {"title": "spot", "session": "fx"}}
    return SymbolTable.model_validate({"symbols": {n: symbol(n) for n in symbols}, "classes": classes})


def listing(vendor: str, symbol: str = "EURUSD") -> Listing:
    """One listing of the tests' class."""
    return Listing.model_validate(
        {"vendor": vendor, "symbol": symbol, "class": "fx_spot", "volume": "none", "delay_s": 0}
    )

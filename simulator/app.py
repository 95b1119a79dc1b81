"""The loopback server: vendors under their prefixes, and /sim for whoever steers the simulation."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast
from urllib.parse import parse_qsl

import structlog

from simulator import asgi
from simulator.admin import Admin
from simulator.alphavantage import AlphaVantage
from simulator.asgi import Receive, Scope, Send
from simulator.dialogue import Opening
from simulator.faults import Fault, Faults
from simulator.ledger import Ledger
from simulator.market import Market
from simulator.pace import Pace
from simulator.polygon import Polygon
from simulator.spelling import http_date
from simulator.streams import PREFIX, Handshake, Streams, stream_vendors
from simulator.twelvedata import TwelveData
from simulator.wire import Answer, Call, Vendor, encode
from simulator.yahoo import Yahoo, invalid_crumb

log = structlog.get_logger()

_METHODS = ("GET", "HEAD")
_COOKIE_PREFIX = "yahoo-cookie"
"""Stands for fc.yahoo.com."""


@dataclass
class Position:
    """Where the simulation stands."""

    cycle: int = 0


def vendors_of(market: Market, *, seed: int, real_limits: bool) -> dict[str, Vendor]:
    """Return the four vendors over one market."""
    own = {name: dict(market.listings.get(name, {})) for name in ("yahoo", "alphavantage", "twelvedata", "polygon")}
    return {
        "yahoo": Yahoo(own["yahoo"], seed=seed, real_limits=real_limits),
        "alphavantage": AlphaVantage(own["alphavantage"], real_limits=real_limits),
        "twelvedata": TwelveData(own["twelvedata"], real_limits=real_limits),
        "polygon": Polygon(own["polygon"], real_limits=real_limits),
    }


class App:
    """The ASGI application."""

    def __init__(self, market: Market, *, seed: int = 42, speed: float = 0.0, real_limits: bool = False) -> None:
        self.market = market
        self.position = Position()
        self.ledger = Ledger()
        self.faults = Faults()
        self._seed = seed
        self._vendors = vendors_of(market, seed=seed, real_limits=real_limits)
        pace = Pace(speed, time.monotonic)
        streaming = stream_vendors(market, real_limits=real_limits)
        self.streams = Streams(market, streaming, self._vendors, self.faults, self.ledger)
        self._admin = Admin(market, self.position, self.ledger, self.faults, pace, self.streams, tuple(self._vendors))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._stream(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = cast(str, scope["path"])
        prefix, _, rest = path.removeprefix("/").partition("/")
        params = _params(scope)
        if prefix == "sim":
            body = await asgi.read_body(receive)
            await asgi.send_whole(send, await self._admin.answer(cast(str, scope["method"]), f"/{rest}", params, body))
        elif prefix in self._vendors or prefix == _COOKIE_PREFIX:
            await self._vendor(scope, receive, send, params)
        else:
            known = ", ".join(f"/{name}" for name in ("sim", *self._vendors))
            await asgi.send_whole(send, Answer(404, encode({"error": f"expected a path under {known}, found {path}"})))

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a WebSocket: /vendor/stream/path."""
        name, _, rest = cast(str, scope["path"]).removeprefix("/").partition("/")
        prefix, _, path = rest.partition("/")
        vendor = name if f"/{prefix}" == PREFIX else ""
        opening = Opening(f"/{path}", _params(scope), _headers(scope))
        await self.streams.serve(Handshake(vendor, opening, scope, receive, send), self.position.cycle)

    async def _vendor(self, scope: Scope, receive: Receive, send: Send, params: Mapping[str, str]) -> None:
        prefix, _, rest = cast(str, scope["path"]).removeprefix("/").partition("/")
        name, path = ("yahoo", f"/cookie/{rest}") if prefix == _COOKIE_PREFIX else (prefix, f"/{rest}")
        cycle = self.position.cycle
        fault = self.faults.strike(name, path, cycle)
        view = self.market.view(cycle)
        if fault is not None and fault.order.fault == "wrong_price":
            view = replace(view, price_factor=fault.value)
        headers = _headers(scope)
        call = Call(path, params, headers, view, f"http://{headers.get('host', '')}/{prefix}")
        answer = self._answer(cast(str, scope["method"]), self._vendors[name], call)
        verdict = answer.verdict if fault is None else f"fault:{fault.order.fault}"
        self.ledger.add(
            cycle=cycle, now_ms=view.now_ms, vendor=name, path=path, verdict=verdict, status=answer.status,
            credits_=answer.credits,
        )  # fmt: skip
        if fault is None or fault.order.fault in ("wrong_price", "latency"):
            if fault is not None and fault.order.fault == "latency":
                await asyncio.sleep(fault.value)
            if answer.told:
                self.ledger.tell(name, answer.ticks.items())
            await asgi.send_whole(send, answer)
        else:
            await self._misbehave(scope, receive, send, fault, self._faulty(fault, name, call, answer))

    def _answer(self, method: str, vendor: Vendor, call: Call) -> Answer:
        """Return the vendor's reply with the headers that every one has."""
        if method not in _METHODS:
            return Answer(405, b"Method Not Allowed", "text/plain", verdict="bad_request")
        return _dated(vendor.answer(call), call)

    def _faulty(self, fault: Fault, name: str, call: Call, answer: Answer) -> Answer:
        """Return what is sent in place of the answer, as far as it is a complete reply."""
        vendor = self._vendors[name]
        match fault.order.fault:
            case "429":
                return _dated(vendor.rate_limited(call), call)
            case "500":
                return _dated(replace(vendor.server_error(call), status=int(fault.value)), call)
            case "401":
                return _dated(invalid_crumb(), call)
            case "garbage" | "html" | "redirect" | "wrong_content_type":
                return asgi.spoiled(answer, fault.order.fault, self._seed + fault.hits)
        return answer

    async def _misbehave(self, scope: Scope, receive: Receive, send: Send, fault: Fault, answer: Answer) -> None:
        match fault.order.fault:
            case "hang":
                await asgi.hang(receive)
            case "reset" | "outage":
                await asgi.reset(scope)
            case "truncate":
                await asgi.truncate(scope, send, answer)
            case "slow_drip":
                await asgi.slow_drip(receive, send, answer, fault.value)
            case _:
                await asgi.send_whole(send, answer)


def _params(scope: Scope) -> dict[str, str]:
    return dict(parse_qsl(cast(bytes, scope["query_string"]).decode("latin-1"), keep_blank_values=True))


def _headers(scope: Scope) -> dict[str, str]:
    raw = cast(list[tuple[bytes, bytes]], scope["headers"])
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in raw}


def _dated(answer: Answer, call: Call) -> Answer:
    """Return the answer with the simulated date, and the numbers of the ticks that it tells."""
    headers = (*answer.headers, ("date", http_date(call.view.now_ms)))
    if answer.ticks:
        headers = (*headers, ("x-sim-ticks", encode(answer.ticks).decode("ascii")))
    return replace(answer, headers=headers)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return

"""What the simulator's tests share: a client that calls the application directly, small markets, shapes of JSON."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from common.symbols import SymbolTable, load_symbols
from simulator.__main__ import DEFAULT_START, _start_ms
from simulator.app import App
from simulator.asgi import Message
from simulator.market import Market, generated, replayed

SYMBOLS = ("NAS100", "XAUUSD", "EURUSD", "GBPUSD", "US30", "US500")
START_MS = _start_ms(DEFAULT_START)
BROWSER = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64)"}


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def ticks(self) -> dict[str, int]:
        found: dict[str, int] = json.loads(self.headers["x-sim-ticks"])
        return found


class Client:
    """Calls the application without a network."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def send(self, method: str, url: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Reply:
        path, _, query = url.partition("?")
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body}

        async def take(message: Message) -> None:
            sent.append(message)

        names = [(k.encode(), v.encode()) for k, v in {**BROWSER, "host": "sim", **(headers or {})}.items()]
        scope: dict[str, object] = {
            "type": "http",
            "method": method,
            "path": unquote(path),
            "query_string": query.encode(),
            "headers": names,
        }
        await self.app(scope, receive, take)
        start, *parts = sent
        fields = {k.decode(): v.decode() for k, v in start["headers"]}  # type: ignore[attr-defined]
        return Reply(start["status"], fields, b"".join(part["body"] for part in parts))  # type: ignore[arg-type, misc]

    async def get(self, url: str, **headers: str) -> Reply:
        return await self.send("GET", url, headers={k.replace("_", "-"): v for k, v in headers.items()})

    async def go(self, cycle: int) -> int:
        """Move to a cycle; return its time."""
        reply = await self.get(f"/sim/clock?after={cycle - 1}")
        assert reply.json["cycle"] == cycle, reply.json
        return int(reply.json["now_ms"])

    async def fault(self, vendor: str, fault: str, **more: Any) -> None:
        order = {"vendor": vendor, "fault": fault, **more}
        reply = await self.send("POST", "/sim/faults", json.dumps(order).encode())
        assert reply.status == 201, reply.body

    async def quotes(self, *symbols: str, fields: str = "") -> Reply:
        """Ask Yahoo for quotes, with a fresh cookie and crumb."""
        page = await self.get("/yahoo-cookie/")
        cookie = page.headers["set-cookie"].split(";")[0]
        crumb = (await self.get("/yahoo/v1/test/getcrumb", cookie=cookie)).body.decode()
        listed = quote(",".join(symbols))
        return await self.get(f"/yahoo/v7/finance/quote?symbols={listed}&fields={fields}&crumb={crumb}", cookie=cookie)


def table(symbols: Sequence[str] = SYMBOLS) -> SymbolTable:
    return load_symbols(symbols)


def made(
    *,
    seed: int = 42,
    real: bool = False,
    interval_ms: int = 1000,
    start_ms: int = START_MS,
    symbols: Sequence[str] = SYMBOLS,
) -> Market:
    return generated(table(symbols), seed=seed, start_ms=start_ms, interval_ms=interval_ms, late=real)


def client_of(market: Market, *, real: bool = False) -> Client:
    return Client(App(market, real_limits=real))


def write(folder: Path, name: str, header: str, *rows: str) -> Path:
    file = folder / name
    file.write_text("\n".join((header, *rows)) + "\n")
    return file


def replay(
    paths: Sequence[Path], *, real: bool = False, interval_ms: int = 1000, start_ms: int | None = None
) -> Market:
    return replayed(table(), paths, interval_ms=interval_ms, late=real, start_ms=start_ms)


def shape(value: Any) -> Any:
    """Return the keys in order and the kinds of all values; of a list, the kinds of element it holds."""
    if isinstance(value, dict):
        return {key: shape(one) for key, one in value.items()}
    if isinstance(value, list):
        return sorted({repr(shape(one)) for one in value})
    return type(value).__name__


def keys(value: Any) -> list[str]:
    return list(value)

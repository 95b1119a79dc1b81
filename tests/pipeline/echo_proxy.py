"""A proxy between the collector and the simulator that can turn hostile: it echoes all it was sent, or sends it away.

It hears every request, so it knows each key, crumb and cookie that the collector ever used.
"""

import asyncio
import base64
import hashlib
import json
import re
import struct
import threading
from contextlib import closing, suppress
from typing import Literal, Self
from urllib.parse import unquote_plus

Mode = Literal["pass", "echo", "redirect"]

_VENDOR = re.compile(rb"^GET /(yahoo|alphavantage|twelvedata|polygon)[/-]")
_STATUSES = ("200 OK", "400 Bad Request", "401 Unauthorized", "403 Forbidden", "404 Not Found", "429 Too Many Requests",
             "500 Internal Server Error")  # fmt: skip
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_SECRETS = (
    re.compile(r"[?&](?:apikey|apiKey|crumb)=([^&\s]+)"),
    re.compile(r"(?im)^(?:authorization: \w+|cookie: \w+=|x-td-apikey:) ?([^;\s]+)"),
)


class EchoProxy:
    """Runs in a thread of its own. Use as a context manager."""

    def __init__(self, simulator_port: int) -> None:
        self._simulator_port = simulator_port
        self.mode: Mode = "pass"
        self.port = self.trap_port = 0
        self.trapped = 0
        """Connections to where redirects lead."""
        self.hostile: dict[str, int] = {}
        """How often each hostile answer was given, by vendor and kind."""
        self._heads: list[bytes] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready, self._stopping = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        servers = [await asyncio.start_server(serve, "127.0.0.1", 0) for serve in (self._serve, self._trap)]
        self.port, self.trap_port = (server.sockets[0].getsockname()[1] for server in servers)
        self._ready.set()
        await self._stopping.wait()
        for server in servers:
            server.close()

    def secrets(self) -> set[str]:
        """Return every key, crumb and cookie that was sent."""
        return {unquote_plus(value) for head in self._heads for value in _secrets_in(head.decode("latin-1"))}

    async def _trap(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.trapped += 1
        writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError), closing(writer):
            head = await reader.readuntil(b"\r\n\r\n")
            vendor = _VENDOR.match(head)
            if vendor is not None:
                self._heads.append(head)
            if vendor is None or self.mode == "pass":
                await self._pass(head, reader, writer)
            else:
                await self._turn(vendor[1].decode(), head, reader, writer)

    async def _pass(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        their_reader, their_writer = await asyncio.open_connection("127.0.0.1", self._simulator_port)
        if b"upgrade: websocket" not in head.lower():  # one request a connection, so that each is looked at
            head = re.sub(rb"(?i)\r\nconnection:[^\r]*", b"", head)[:-2] + b"Connection: close\r\n\r\n"
        with closing(their_writer):
            their_writer.write(head)
            await asyncio.gather(_copy(reader, their_writer), _copy(their_reader, writer))

    async def _turn(self, vendor: str, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        socket = b"upgrade: websocket" in head.lower()
        kind = f"{vendor} {'stream' if socket else 'rest'} {self.mode}"
        turn = self.hostile[kind] = self.hostile.get(kind, 0) + 1
        text = head.decode("latin-1")
        if self.mode == "redirect":
            place = f"http://localhost:{self.trap_port}{text.split(' ')[1]}"
            writer.write(f"HTTP/1.1 307 Moved\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n".encode("latin-1"))
        elif socket and turn % 2:
            await _echo_over_socket(vendor, text, reader, writer)
        else:
            body = _complaint(vendor, text)
            status = _STATUSES[turn % len(_STATUSES)]
            writer.write(
                f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
        await writer.drain()


def _secrets_in(text: str) -> list[str]:
    return [value for pattern in _SECRETS for value in pattern.findall(text)]


def _complaint(vendor: str, text: str) -> bytes:
    """Return an error in the vendor's own form, with all that was said to it: what is secret first, before any cut."""
    secrets = _secrets_in(text)
    said = " ".join([*secrets, *map(unquote_plus, secrets), text])
    bodies: dict[str, object] = {
        "yahoo": {"finance": {"result": None, "error": {"code": "Unauthorized", "description": said}}},
        "alphavantage": {"Information": f"Too bad, {said}"},
        "twelvedata": {"code": 401, "message": said, "status": "error"},
        "polygon": {"status": "ERROR", "error": said, "message": said},
    }
    return json.dumps(bodies[vendor]).encode()


async def _echo_over_socket(vendor: str, text: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Open the socket, hear the first frame, and give all of it back: as an error, and as the reason of the close."""
    key = re.search(r"(?im)^sec-websocket-key: *(\S+)", text)
    assert key is not None
    accept = base64.b64encode(hashlib.sha1(key[1].encode() + _MAGIC).digest()).decode()  # the protocol's
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        + f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
    )
    if vendor == "polygon":
        writer.write(_frame(1, b'[{"ev":"status","status":"connected","message":"Connected Successfully"}]'))
    said = " ".join([*_secrets_in(text), *map(unquote_plus, _secrets_in(text))])
    with suppress(TimeoutError):
        said += await asyncio.wait_for(_first_text(reader), 1)
    whole = json.dumps({"event": "error", "status": "error", "code": 401, "message": said}).encode()
    failed = json.dumps([{"ev": "status", "status": "auth_failed", "message": said}]).encode()
    writer.write(_frame(1, failed if vendor == "polygon" else whole))
    writer.write(_frame(8, struct.pack("!H", 1008) + said.encode("latin-1")[-120:]))


def _frame(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    length = bytes([size]) if size < 126 else b"\x7e" + struct.pack("!H", size)  # the protocol's
    return bytes([0x80 | opcode]) + length + payload


async def _first_text(reader: asyncio.StreamReader) -> str:
    """Return the client's first frame, unmasked."""
    _, size = await reader.readexactly(2)
    size &= 0x7F
    if size == 126:  # the protocol's
        (size,) = struct.unpack("!H", await reader.readexactly(2))
    mask, payload = await reader.readexactly(4), await reader.readexactly(size)
    return bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload)).decode()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    with suppress(OSError):
        writer.close()

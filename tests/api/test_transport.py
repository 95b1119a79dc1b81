"""The api as a process on a socket: the rules of the transport, hostile clients, Redis coming and going."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.api.test_posts import FILL
from tests.chaos.matrix import fault
from tests.conftest import RedisServer
from tests.support import free_port, wait_until
from tests.support_fork import fork

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Server:
    """A running api."""

    port: int
    process: "subprocess.Popen[bytes]"

    def connect(self) -> socket.socket:
        """Return a plain connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def exchange(self, request: bytes) -> "Raw":
        """Send bytes on a connection of their own and return the first reply."""
        with self.connect() as connection:
            connection.sendall(request)
            return read_reply(connection)


@dataclass(frozen=True)
class Raw:
    """A reply as it came."""

    status: int
    headers: dict[str, str]
    body: bytes


def read_reply(connection: socket.socket) -> Raw:
    """Return one reply; its length must be declared."""
    received = b""
    while b"\r\n\r\n" not in received:
        part = connection.recv(65536)
        assert part, f"closed after {received!r}"
        received += part
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers["content-length"]):
        body += connection.recv(65536)
    return Raw(int(first.split()[1]), headers, body)


def start(environment: dict[str, str], folder: Path) -> Server:
    """Start an api and wait until it answers."""
    port = free_port()
    values = {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "API_PORT": str(port), "STATE_DIR": str(folder),
        "DATABASE_PATH": str(folder / "history.db"), **environment,
    }  # fmt: skip
    server = Server(port, fork("api", folder=folder, log=folder / "api.log", environment=values))

    def answers() -> bool:
        try:
            return server.exchange(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").status == 200
        except OSError:
            return False

    wait_until(answers, 15, "the api to answer")
    return server


def stop(server: Server) -> int:
    """End it by SIGTERM and return its exit code."""
    server.process.send_signal(signal.SIGTERM)
    return server.process.wait(timeout=10)


@pytest.fixture(scope="module")
def server(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One api for this module."""
    running = start({"REDIS_PORT": str(redis_server.port)}, tmp_path_factory.mktemp("api"))
    yield running
    stop(running)


@pytest.mark.parametrize(
    "path", ["/", "/health", "/livez", "/readyz", "/metrics", "/metrics/json", "/api/signals", "/api/bars/EURUSD",
             "/api/features/EURUSD", "/api/sources", "/api/symbols", "/api/positions", "/openapi.json", "/nowhere"]
)  # fmt: skip
def test_every_reply_declares_its_length_and_sets_no_cookie(server: Server, path: str) -> None:
    reply = server.exchange(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    assert len(reply.body) == int(reply.headers["content-length"])
    assert not {"transfer-encoding", "set-cookie", "date", "server"} & reply.headers.keys()
    assert reply.body.isascii()


def test_a_get_that_carries_an_old_body_is_answered_and_the_rest_is_not_taken_for_a_request(server: Server) -> None:
    body = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n"
    request = b"GET /livez HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
    with server.connect() as connection:
        connection.sendall(request + body)
        reply = read_reply(connection)
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert connection.recv(1000) == b""


def test_a_get_that_announces_a_body_and_sends_none_is_answered_at_once(server: Server) -> None:
    """A client may send back the headers of an earlier reply, the length among them."""
    request = b"GET /livez HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 523\r\n\r\n"
    assert server.exchange(request).status == 200


@pytest.mark.parametrize("length", [len(FILL), len(FILL) + 100])
def test_a_post_is_answered_as_soon_as_its_object_is_complete(server: Server, length: int) -> None:
    head = f"POST /api/executions HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n"
    reply = server.exchange((head + FILL).encode())
    assert (reply.status, json.loads(reply.body)["status"]) == (200, "ok")
    assert ("connection" in reply.headers) == (length > len(FILL))


def test_a_chunked_post_is_taken(server: Server) -> None:
    chunks = f"{len(FILL):x}\r\n{FILL}\r\n0\r\n\r\n"
    head = "POST /api/executions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    assert server.exchange((head + chunks).encode()).status == 200


def test_a_post_without_its_body_is_given_up_in_time(server: Server) -> None:
    started = time.monotonic()
    reply = server.exchange(b"POST /api/events HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{")
    assert (reply.status, time.monotonic() - started < 5) == (408, True)


@pytest.mark.short
@fault(
    "F15",
    row="a URL of a megabyte, 20,000 headers, bytes that are no request, bad values",
    promise="a 4xx that says what was expected, never a 5xx",
    teeth="api/guard.py: LONGEST_URL = 2_000_000",
)
@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /api/signals?x=" + b"y" * 3_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n", 414),
        (b"GET /" + b"y" * 10_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n", 414),
        (b"GET /" + b"y" * 1_000_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"x-a: b\r\n" * 20_000, 431),
        (b"GET /%ff%00 HTTP/1.1\r\nhost: x\r\n\r\n", 404),
        (b"GET /api/bars/%ff%00 HTTP/1.1\r\nhost: x\r\n\r\n", 404),
        (b"DELETE /health HTTP/1.1\r\nhost: x\r\n\r\n", 405),
        (b"POST /health/ HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n", 404),
        (b"GET /api/signals?equity=%ff HTTP/1.1\r\nhost: x\r\n\r\n", 422),
        (b"GET /\xff HTTP/1.1\r\nhost: x\r\n\r\n", 400),
    ],
)
def test_what_is_no_request_of_ours_is_a_4xx(server: Server, request_bytes: bytes, status: int) -> None:
    reply = server.exchange(request_bytes)
    assert reply.status == status
    assert set(json.loads(reply.body)["error"]) == {"code", "message", "expected", "found"}


def memory_mb(server: Server) -> float:
    """Return the server's resident memory."""
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.short
@fault(
    "F15",
    row="500 connections that send their request byte by byte, and never end it",
    promise="others are served in time (median below 0.1 s); the slow ones are given up; memory bounded (20 MB more)",
    teeth="api/protocol.py: HEAD_WITHIN_S = 3000.0",
)
def test_five_hundred_dripping_clients_slow_nobody_else_down(server: Server, measured: Callable[..., None]) -> None:
    before_mb, latencies = memory_mb(server), []
    with ExitStack() as stack:
        slow = [stack.enter_context(server.connect()) for _ in range(500)]
        for connection in slow:
            connection.sendall(b"GET /api/sig")
        for round_ in range(20):
            slow[round_].sendall(b"n")
            started = time.monotonic()
            assert server.exchange(b"GET /api/signals HTTP/1.1\r\nhost: x\r\n\r\n").status == 200
            latencies.append(time.monotonic() - started)
        grown_mb = memory_mb(server) - before_mb
        slow[499].settimeout(10)
        assert slow[499].recv(100) == b""  # given up after its time for a head
    measured(median_ms=sorted(latencies)[10] * 1000, slowest_ms=max(latencies) * 1000, more_memory_mb=grown_mb)
    assert sorted(latencies)[10] < 0.1
    assert grown_mb < 20


def test_more_connections_than_the_limit_push_out_the_oldest_idle_one(server: Server) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(server.connect())
        for _ in range(1_050):
            stack.enter_context(server.connect())
        assert server.exchange(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").status == 200
        first.settimeout(2.0)  # sooner than its time for a head ends
        with suppress(ConnectionResetError):
            assert first.recv(100) == b""


def test_health_answers_and_everything_recovers_when_redis_is_silent(server: Server, redis_server: RedisServer) -> None:
    base = f"http://127.0.0.1:{server.port}"
    os.kill(redis_server.process.pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        health = httpx.get(f"{base}/health", timeout=5)
        assert time.monotonic() - started < 2.5
        assert (health.status_code, health.json()["components"]["redis"]["status"]) == (200, "unhealthy")
        for path in ("/api/signals", "/readyz"):
            assert httpx.get(base + path, timeout=5).status_code == 503
    finally:
        os.kill(redis_server.process.pid, signal.SIGCONT)
    wait_until(lambda: httpx.get(f"{base}/api/signals").status_code == 200, 10, "signals to be answered again")


def test_a_public_address_without_a_token_is_refused_at_start(tmp_path: Path, redis_server: RedisServer) -> None:
    values = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "API_HOST": "0.0.0.0", "STATE_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "api"]
    done = subprocess.run(command, check=False, env=values, cwd=tmp_path, capture_output=True, timeout=20)
    assert done.returncode == 1
    assert b"API_TOKEN" in done.stdout + done.stderr


def test_sigterm_ends_it_cleanly(redis_server: RedisServer, tmp_path: Path) -> None:
    assert stop(start({"REDIS_PORT": str(redis_server.port)}, tmp_path)) == 0


def test_a_wrong_method_is_told_which_one_is_right(server: Server) -> None:
    reply = server.exchange(b"GET /api/ticks HTTP/1.1\r\nhost: x\r\n\r\n")
    assert json.loads(reply.body)["error"] == {
        "code": "method_not_allowed", "message": "Method Not Allowed", "expected": "POST", "found": "GET /api/ticks",
    }  # fmt: skip

"""Planted keys after a run with every kind of failure: in nothing that the run left, said or showed."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import cast
from urllib.parse import quote

import pytest
import redis
from websockets.sync.client import connect

from api.paths import SOCKET, STREAM
from common import keys
from common.keys import FIELD
from tests.pipeline.echo_proxy import EchoProxy, Mode
from tests.pipeline.harness import ROOT, Pipeline
from tests.support import wait_until

PLANTED = {
    "ALPHAVANTAGE_API_KEY": "Planted/Alpha+71c9e2",
    "TWELVEDATA_API_KEY": "Planted~Twelve=5b30aa",
    "POLYGON_API_KEY": "Planted%Poly&d8f11",
    "API_TOKEN": 'Planted"Token\\e52f7a',
    "REDIS_PASSWORD": "Planted?Redis#9a0c4d",
}
VENDORS = ("yahoo", "alphavantage", "twelvedata", "polygon")
REST_FAULTS = (
    "500",
    "garbage",
    "html",
    "redirect",
    "truncate",
    "hang",
    "reset",
    "wrong_content_type",
    "slow_drip",
    "429",
)
STREAM_FAULTS = ("403", "429", "500", "redirect", "html", "hang", "reset", "close", "garbage", "truncate", "silent")
STEP = 4
"""Cycles from one fault to the next; half of them with it."""


class Secured(Pipeline):
    """A pipeline whose Redis asks for the planted password."""

    def client(self) -> "redis.Redis":
        """Return a client that knows it."""
        return redis.Redis(
            host=self.redis.host, port=self.redis.port, protocol=2, password=PLANTED["REDIS_PASSWORD"],
        )  # fmt: skip


def with_token(pipeline: Pipeline, path: str, token: str = "", method: str = "GET") -> bytes:
    """Return an answer of the api, headers and all, whatever its status."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"http://127.0.0.1:{pipeline.api_port}{path}", headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return str(reply.headers).encode() + bytes(reply.read())
    except urllib.error.HTTPError as e:
        return str(e.headers).encode() + e.read()


def beginning_of(pipeline: Pipeline, path: str) -> bytes:
    """Return the first event of a reply that has no end."""
    with urllib.request.urlopen(f"http://127.0.0.1:{pipeline.api_port}{path}", timeout=10) as reply:
        return str(reply.headers).encode() + b"".join(iter(reply.readline, b"event: hello\n")) + reply.readline()


def told_by_api(pipeline: Pipeline) -> dict[str, bytes]:
    """Return the answers of every GET route, with the token, without it, and with a wrong one in the URL."""
    token = PLANTED["API_TOKEN"]
    routes = [
        path for path, item in json.loads((ROOT / "api" / "openapi.json").read_text())["paths"].items()
        if "get" in item and path != STREAM
    ]  # fmt: skip
    assert {"/health", "/metrics", "/api/sources"} <= set(routes)
    found: dict[str, bytes] = {}
    for route in routes:
        path = route.replace("{symbol}", "EURUSD").replace("{name}", "yahoo")
        found[path] = with_token(pipeline, path, token)
        found[f"{path} without"] = with_token(pipeline, path)
        found[f"{path} wrong"] = with_token(pipeline, f"{path}?token={quote(token)}x")
    assert b"401" not in found["/health"][:20]
    found[STREAM] = beginning_of(pipeline, f"{STREAM}?token={quote(token)}")
    found[f"{STREAM} without"] = with_token(pipeline, STREAM)
    with connect(f"ws://127.0.0.1:{pipeline.api_port}{SOCKET}?token={quote(token)}") as socket:
        found[SOCKET] = str(socket.recv(timeout=10)).encode()
    found["nowhere"] = with_token(pipeline, f"/nowhere?token={quote(token)}", token)
    found["bad post"] = with_token(pipeline, "/api/ticks", token, "POST")
    return found


def redis_contents(client: "redis.Redis") -> bytes:
    """Return every key with its value."""
    read = {b"string": "GET", b"hash": "HGETALL", b"set": "SMEMBERS", b"stream": "XRANGE", b"list": "LRANGE"}
    ends = {b"stream": ("-", "+"), b"list": (0, -1)}
    found: list[object] = []
    for key in cast(list[bytes], client.keys("*")):
        kind = cast(bytes, client.type(key))
        value: object = client.execute_command(read[kind], key, *ends.get(kind, ()))  # type: ignore[no-untyped-call]
        found.append((key, value))
    assert len(found) > 10
    return repr(found).encode()


def left_on_disk(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file that the run left: logs, SQLite, dead letters, what Redis keeps, all others."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert {"collector.log", "api.log", "md.db"} <= set(found)
    return found


def shown_by_ps(pipeline: Pipeline) -> bytes:
    """Return the command lines of all processes of the run."""
    pids = [process.pid for process in pipeline.processes.values()]
    return b"\n".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids)


def spellings(secret: str) -> set[bytes]:
    """Return how a secret may stand in a text."""
    escaped = json.dumps(secret)[1:-1]
    texts = {
        secret,
        quote(secret),
        quote(secret, safe=""),
        secret.replace(" ", "+"),
        escaped,
        json.dumps(escaped)[1:-1],
    }
    return {text.encode() for text in texts}


def check_nothing_leaked(places: dict[str, bytes], secrets: set[str]) -> None:
    """AssertionError names the place, and a piece of what surrounds the secret."""
    for secret in secrets:
        for spelling in spellings(secret):
            for place, content in places.items():
                at = content.find(spelling)
                assert at < 0, f"{place}: {content[max(0, at - 100) : at + 100]!r}"


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[tuple[Secured, EchoProxy]]:
    """A running pipeline of all four vendors behind the proxy, with push, on made prices."""
    with ExitStack() as stack:
        pipeline = stack.enter_context(
            Secured(
                tmp_path, ("EURUSD", "XAUUSD"), BATCH_WRITE_INTERVAL="0.2", PUSH="on", REQUEST_TIMEOUT="0.2",
                BREAKER_FAILURES="1000", COLLECTION_INTERVAL="30", LOG_LEVEL="DEBUG",
                **PLANTED,
            )
        )  # fmt: skip
        pipeline.redis.client().config_set("requirepass", PLANTED["REDIS_PASSWORD"])
        pipeline.start_simulator("--speed", "0", "--seed", "3", "--interval", "30")
        proxy = stack.enter_context(EchoProxy(pipeline.sim_port))
        pipeline.environment["SIMULATOR_URL"] = f"http://127.0.0.1:{proxy.port}"
        yield pipeline, proxy


def order_faults(pipeline: Pipeline, rest: tuple[str, ...], stream: tuple[str, ...]) -> int:
    """Order every fault for every vendor, one after the other; return the cycle after the last.

    Before, some calls succeed, so that there is a session to lose. While calls fail all sockets are down, or nobody
    would call.
    """
    pushing = tuple(vendor for vendor in VENDORS if vendor != "alphavantage")
    order(pipeline, pushing, "outage", STEP * (1 + len(rest)), channel="stream")
    for place, fault in enumerate(rest):
        order(pipeline, VENDORS, fault, STEP // 2, channel="rest", from_cycle=STEP * (1 + place))
    cycle = STEP * (2 + len(rest))
    for place, fault in enumerate(stream):
        order(pipeline, pushing, fault, STEP // 2, channel="stream", from_cycle=cycle + STEP * place)
    cycle += STEP * len(stream)
    order(pipeline, ("yahoo",), "401", STEP // 2, from_cycle=cycle)
    return cycle + STEP


def order(
    pipeline: Pipeline, vendors: tuple[str, ...], fault: str, cycles: int, channel: str = "", from_cycle: int = 0
) -> None:
    """Order a fault at some vendors."""
    for vendor in vendors:
        body = {"vendor": vendor, "fault": fault, "cycles": cycles, "channel": channel, "from_cycle": from_cycle}
        accepted = pipeline.simulator("/sim/faults", body)
        assert "id" in accepted, accepted


def turn_hostile(pipeline: Secured, proxy: EchoProxy, mode: Mode) -> None:
    """Answer everybody in this mode until each vendor was asked, and some cycles more."""
    kinds = {f"{vendor} rest {mode}" for vendor in VENDORS}
    proxy.mode = mode
    wait_until(lambda: kinds <= set(proxy.hostile), 60, f"each vendor to be asked while the proxy answers {mode}")
    cycle = pipeline.cycle()
    wait_until(lambda: pipeline.cycle() >= cycle + 10, 60, "what comes of it")


def play(pipeline: Secured, proxy: EchoProxy, last: int) -> None:
    """Run the simulator's faults, which end with cycle `last`, then the proxy's."""
    wait_until(lambda: pipeline.cycle() >= last, 120, "all the simulator's faults")
    for mode in ("redirect", "echo"):
        turn_hostile(pipeline, proxy, mode)
    client = pipeline.client()
    client.xadd(keys.RAW.key(0), {FIELD: b"no message"})  # a dead letter
    proxy.mode = "pass"
    cycle = pipeline.cycle()
    wait_until(lambda: pipeline.cycle() >= cycle + 5, 30, "cycles in peace")
    wait_until(lambda: client.exists(keys.dead(0, "validator")) == 1, 30, "the dead letter")


def check_run(pipeline: Secured, proxy: EchoProxy, faults: tuple[str, ...]) -> None:
    """Look through everything, after a look at whether what was ordered came about."""
    struck = {vendor: {str(call["verdict"]) for call in pipeline.ledger(vendor)} for vendor in VENDORS}
    assert {f"fault:{fault}" for fault in faults} <= struck["yahoo"]
    assert all(any(verdict.startswith("fault:") for verdict in struck[vendor]) for vendor in VENDORS), struck
    secrets = {*PLANTED.values(), *proxy.secrets()}
    print(len(secrets), "secrets;", proxy.hostile)
    assert len(secrets) > len(PLANTED), "neither a crumb nor a cookie was ever sent: the run proves nothing of them"
    places = {f"api {path}": body for path, body in told_by_api(pipeline).items()}
    places |= {"redis": redis_contents(pipeline.client()), "ps": shown_by_ps(pipeline)}
    for stage in sorted(pipeline.processes.keys() - {"simulator"}):
        assert pipeline.processes[stage].poll() is None, f"{stage} has ended: {pipeline.log(stage)[-500:]}"
        pipeline.kill(stage, 15)
    places |= {f"file {name}": content for name, content in left_on_disk(pipeline.folder).items()}
    check_nothing_leaked(places, secrets)
    assert proxy.trapped == 0, "a redirect to another host was followed"


def test_no_secret_is_in_anything_after_hostile_answers(proxied: tuple[Secured, EchoProxy]) -> None:
    pipeline, proxy = proxied
    last = order_faults(pipeline, ("500", "reset"), ("403", "close"))
    pipeline.start("collector", "validator", "storer", "api")  # what vendors say of errors never gets to features
    play(pipeline, proxy, last)
    check_run(pipeline, proxy, ("500", "reset"))


@pytest.mark.long
@pytest.mark.timeout(600)
def test_no_secret_is_in_anything_after_every_kind_of_failure(proxied: tuple[Secured, EchoProxy]) -> None:
    pipeline, proxy = proxied
    last = order_faults(pipeline, REST_FAULTS, STREAM_FAULTS)
    pipeline.start()
    play(pipeline, proxy, last)
    proxy.mode = "redirect"
    sockets = {f"{vendor} stream redirect" for vendor in ("yahoo", "twelvedata", "polygon")}
    wait_until(lambda: bool(sockets & set(proxy.hostile)), 120, "a handshake to be redirected")
    check_run(pipeline, proxy, REST_FAULTS)

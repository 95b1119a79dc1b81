"""Each fault on demand, over real connections to a real server."""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection, IncompleteRead
from pathlib import Path
from typing import Any

import pytest

from tests.simulator.kit import BROWSER, client_of, made
from tests.support import free_port, wait_until
from tests.support_fork import ROOT, fork

URL = "/twelvedata/quote?symbol=EUR/USD&apikey=k"


class Server:
    """A simulator in its own process."""

    def __init__(self, port: int) -> None:
        self.port = port

    def call(
        self, method: str, url: str, body: Any = None, timeout_s: float = 5.0
    ) -> tuple[int, dict[str, str], bytes]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            connection.request(method, url, None if body is None else json.dumps(body), BROWSER)
            reply = connection.getresponse()
            return reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read()
        finally:
            connection.close()

    def fault(self, fault: str, vendor: str = "twelvedata", **more: Any) -> None:
        status, _, body = self.call("POST", "/sim/faults", {"vendor": vendor, "fault": fault, **more})
        assert status == 201, body

    def answers(self) -> bool:
        try:
            return self.call("GET", "/sim/stats")[0] == 200
        except OSError:
            return False


@pytest.fixture(scope="module")
def process() -> Iterator[Server]:
    server = Server(free_port())
    child = fork(
        "simulator", "--port", str(server.port), "--speed", "0", "--symbols", "EURUSD",
        folder=ROOT, log=Path(os.devnull), environment=os.environ,
    )  # fmt: skip
    wait_until(server.answers, 20, "the simulator to answer")
    yield server
    child.terminate()
    child.wait(10)


@pytest.fixture
def server(process: Server) -> Iterator[Server]:
    process.call("GET", "/sim/clock?after=9")
    yield process
    process.call("DELETE", "/sim/faults")


def told(server: Server) -> int:
    ticks = json.loads(server.call("GET", "/sim/stats")[2])["ticks"]
    return int(ticks.get("twelvedata", {}).get("EUR/USD", {}).get("distinct", 0))


def test_a_reset_breaks_the_connection(server: Server) -> None:
    server.fault("reset", count=1)
    with pytest.raises(ConnectionResetError):
        server.call("GET", URL)
    assert server.call("GET", URL)[0] == 200


def test_an_outage_lasts_until_it_is_taken_back(server: Server) -> None:
    server.fault("outage")
    for _ in range(3):
        with pytest.raises(ConnectionError):
            server.call("GET", URL)
    assert server.call("GET", "/polygon/v1/last_quote/currencies/EUR/USD?apiKey=k")[0] == 200
    assert json.loads(server.call("DELETE", "/sim/faults?vendor=twelvedata")[2]) == {"removed": 1}
    assert server.call("GET", URL)[0] == 200


def test_a_hang_says_nothing(server: Server) -> None:
    server.fault("hang", count=1)
    with pytest.raises(TimeoutError):
        server.call("GET", URL, timeout_s=0.3)
    assert server.call("GET", URL)[0] == 200


def test_a_truncated_body_is_shorter_than_announced(server: Server) -> None:
    whole = server.call("GET", URL)[2]
    server.fault("truncate", count=1)
    with pytest.raises(IncompleteRead) as error:
        server.call("GET", URL)
    assert error.value.partial == whole[: len(whole) // 2]


def test_a_slow_drip_comes_byte_by_byte(server: Server) -> None:
    server.fault("slow_drip", count=1, value=0.02)
    connection = HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.request("GET", URL, headers=BROWSER)
    reply = connection.getresponse()
    assert [reply.read1(100) for _ in range(3)] == [b"{", b'"', b"s"]
    connection.close()
    assert server.call("GET", URL)[0] == 200


def test_latency_delays_a_good_answer(server: Server) -> None:
    whole = server.call("GET", URL)[2]
    server.fault("latency", count=1, value=0.4)
    with pytest.raises(TimeoutError):
        server.call("GET", URL, timeout_s=0.1)
    server.fault("latency", count=1, value=0.05)
    assert server.call("GET", URL)[2] == whole


def test_garbage_html_redirect_and_wrong_content_type_are_complete_replies(server: Server) -> None:
    whole = server.call("GET", URL)[2]
    for fault in ("garbage", "html", "redirect", "wrong_content_type"):
        server.fault(fault, count=1)
    garbage, html, redirect, wrong = (server.call("GET", URL) for _ in range(4))
    with pytest.raises(ValueError, match=r".*"):
        json.loads(garbage[2])
    assert (html[0], html[1]["content-type"], html[2][:15]) == (200, "text/html; charset=utf-8", b"<!DOCTYPE html>")
    assert (redirect[0], redirect[1]["location"]) == (302, "http://127.0.0.1:9/elsewhere")
    assert (wrong[0], wrong[1]["content-type"], wrong[2]) == (200, "text/html; charset=utf-8", whole)


def test_a_wrong_price_is_wrong_by_the_factor_asked_for(server: Server) -> None:
    good = json.loads(server.call("GET", URL)[2])
    server.fault("wrong_price", count=1, value=2.0)
    assert float(json.loads(server.call("GET", URL)[2])["close"]) == round(float(good["close"]) * 2, 5)


def test_replies_that_never_arrive_whole_tell_no_tick(server: Server) -> None:
    before = told(server)
    server.call("GET", "/sim/clock?after=99")
    for fault in ("reset", "truncate", "garbage", "500"):
        server.fault(fault, count=1)
        with suppress(OSError, IncompleteRead):
            server.call("GET", URL)
    assert told(server) == before
    server.call("GET", URL)
    assert told(server) == before + 1


async def test_429_and_500_are_the_vendors_own() -> None:
    client = client_of(made())
    urls = {
        "yahoo": "/yahoo/v8/finance/chart/GC=F?interval=1m&range=1d",
        "alphavantage": "/alphavantage/query?function=GLOBAL_QUOTE&symbol=IBM&apikey=k",
        "twelvedata": URL,
        "polygon": "/polygon/v1/last_quote/currencies/EUR/USD?apiKey=k",
    }
    for vendor, url in urls.items():
        await client.fault(vendor, "429", count=1)
        await client.fault(vendor, "500", count=1, value=503)
        limited, broken, good = [await client.get(url) for _ in range(3)]
        assert (limited.status, broken.status, good.status) == (200 if vendor == "alphavantage" else 429, 503, 200)
        assert b"x-sim" not in limited.body
    assert b"per second" in (await _once(client, "alphavantage", urls["alphavantage"])).body


async def _once(client: Any, vendor: str, url: str) -> Any:
    await client.fault(vendor, "429", count=1)
    return await client.get(url)


async def test_a_fault_strikes_in_its_cycles_only() -> None:
    client = client_of(made())
    await client.fault("twelvedata", "500", from_cycle=3, cycles=2)
    statuses = []
    for cycle in range(1, 7):
        await client.go(cycle)
        statuses.append((await client.get(URL)).status)
    assert statuses == [200, 200, 500, 500, 200, 200]
    (fault,) = (await client.get("/sim/faults")).json
    assert (fault["id"], fault["hits"], fault["fault"]) == (1, 2, "500")


async def test_a_fault_may_strike_some_paths_only() -> None:
    client = client_of(made())
    await client.fault("yahoo", "500", path="/v8/")
    assert (await client.get("/yahoo/v8/finance/chart/GC=F?interval=1m&range=1d")).status == 500
    assert (await client.quotes("GC=F")).status == 200


async def test_a_crumb_can_be_made_stale() -> None:
    client = client_of(made())
    await client.fault("yahoo", "401", path="/v7/", count=1)
    assert (await client.quotes("GC=F")).json["finance"]["error"]["description"] == "Invalid Crumb"
    assert (await client.quotes("GC=F")).status == 200


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ({"vendor": "nobody", "fault": "500"}, "vendor: expected one of yahoo, alphavantage, twelvedata, polygon"),
        ({"vendor": "yahoo", "fault": "flood"}, "fault: expected one of latency, 429, 500, 401, hang"),
        ({"vendor": "polygon", "fault": "401"}, "expected 401 for yahoo only"),
        ({"vendor": "yahoo", "fault": "latency", "value": -1}, "value: expected 0 to 86400"),
        ({"vendor": "yahoo", "fault": "latency", "seconds": 1}, "seconds"),
        ([], "object"),
    ],
)
async def test_a_fault_that_is_not_understood_is_refused(order: Any, words: str) -> None:
    reply = await client_of(made()).send("POST", "/sim/faults", json.dumps(order).encode())
    assert reply.status == 400
    assert words in reply.json["error"]

"""The fetcher against a server that misbehaves: one deadline for all, a cap, no redirects, no secrets in any word."""

import asyncio
import gzip
import json
import time

import pytest

from collector.fetch import BODY_LIMIT_BYTES, Access, Fetcher, NoAnswerError, UnpaidError, make_client
from collector.limits import Purpose
from collector.vendors.base import Ask, Request, Verdict
from common.clock import monotonic_s
from tests.collector.kit import (
    KEY,
    T0,
    Behaviour,
    FaultServer,
    Heard,
    PlainVendor,
    fault_server,
    ok,
    prices,
    raw,
    response,
    silent,
)  # fmt: skip

ASKS = (Ask("EURUSD", "EURUSD", "fx_spot"),)
DEADLINE_S = 0.3


def fetcher(
    server: FaultServer, *, tokens: bool = False, simulated: bool = False, budget: int = 100,
    deadline_s: float = DEADLINE_S, connections: int = 10,
) -> Fetcher:  # fmt: skip
    left = [budget]

    def pay(request: Request, purpose: Purpose) -> bool:
        left[0] -= request.credits
        return left[0] >= 0

    access = Access(key=KEY, base_url=server.url, deadline_s=deadline_s, connections=connections, simulated=simulated)
    return Fetcher(PlainVendor(tokens=tokens), access, make_client(access), lambda: T0, pay)


async def refused(server: FaultServer, deadline_s: float = DEADLINE_S) -> NoAnswerError:
    ours = fetcher(server, deadline_s=deadline_s)
    started_s = monotonic_s()
    with pytest.raises(NoAnswerError) as caught:
        await ours.latest(ASKS)
    assert monotonic_s() - started_s < deadline_s + 1
    assert KEY not in str(caught.value) + repr(caught.value.__cause__)
    await ours.close()
    return caught.value


async def test_a_good_reply_is_read_with_the_time_it_came(server: FaultServer) -> None:
    server.behave = prices(T0 - 500, EURUSD=1.1)
    ours = fetcher(server, deadline_s=5)
    reading, received_ms = await ours.latest(ASKS)
    assert (reading.verdict, reading.quotes[0].last, received_ms) == (Verdict.OK, 1.1, T0)
    assert server.heard[0].query == {"symbols": "EURUSD", "key": KEY}
    assert server.heard[0].headers["user-agent"] == "tests"
    await ours.close()


async def test_connected_but_silent_ends_at_the_deadline(server: FaultServer) -> None:
    server.behave = silent
    assert (await refused(server)).detail == "no complete reply within 0.3 s: /latest"


def stands_still(then: Behaviour) -> Behaviour:
    """Have the whole process stand still beyond the deadline, as if it had been stopped or suspended."""

    async def behave(heard: Heard, writer: asyncio.StreamWriter) -> None:
        time.sleep(DEADLINE_S + 0.5)  # noqa: ASYNC251  # nothing runs meanwhile: that is the fault
        await then(heard, writer)

    return behave


async def test_time_in_which_our_process_stood_still_is_no_silence_of_the_vendors(server: FaultServer) -> None:
    server.behave = stands_still(prices(T0 - 500, EURUSD=1.1))
    ours = fetcher(server)
    reading, _ = await ours.latest(ASKS)
    assert (reading.verdict, reading.quotes[0].last) == (Verdict.OK, 1.1)
    await ours.close()


async def test_a_vendor_that_is_silent_after_that_as_well_has_not_answered(server: FaultServer) -> None:
    server.behave = stands_still(silent)
    ours = fetcher(server)
    with pytest.raises(NoAnswerError, match=r"no complete reply within 0\.3 s: /latest"):
        await ours.latest(ASKS)
    await ours.close()


async def test_a_slow_drip_ends_at_the_deadline_although_bytes_keep_coming(server: FaultServer) -> None:
    async def drip(heard: Heard, writer: asyncio.StreamWriter) -> None:
        for byte in response(b"x" * 2_000):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.01)

    server.behave = drip
    error = await refused(server)
    assert (error.verdict, error.detail) == (Verdict.OUTAGE, "no complete reply within 0.3 s: /latest")


async def test_a_reset_a_truncated_body_and_a_refused_connection_are_outages(server: FaultServer) -> None:
    async def reset(heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async def truncated(heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(response(b'{"quotes": {}}')[:-5])
        await writer.drain()
        writer.close()

    for behaviour in (reset, truncated):
        server.behave = behaviour
        assert (await refused(server)).verdict is Verdict.OUTAGE
    server.url = "http://127.0.0.1:1"
    assert (await refused(server)).verdict is Verdict.OUTAGE


async def test_a_huge_body_is_cut_off_also_when_it_is_small_on_the_wire(server: FaultServer) -> None:
    bomb = gzip.compress(b"0" * (BODY_LIMIT_BYTES + 100_000))
    server.behave = raw(response(bomb, content_encoding="gzip"))
    assert (await refused(server, deadline_s=10.0)).detail == f"a body of more than {BODY_LIMIT_BYTES} bytes: /latest"


async def test_a_redirect_to_another_host_is_not_followed_and_never_gets_the_key(server: FaultServer) -> None:
    async with fault_server() as elsewhere:
        server.behave = raw(response(b"", 302, location=f"{elsewhere.url}/latest?key={KEY}"))
        assert (await refused(server)).detail == "a redirect (302), not followed: /latest"
        assert elsewhere.heard == []


@pytest.mark.parametrize("body", [b"<html>Busy</html>", b"", b"\xff\xfe", b"[1,2", b"null"])
async def test_a_body_that_is_no_answer_is_an_outage_whatever_the_status_says(server: FaultServer, body: bytes) -> None:
    server.behave = raw(response(body, 200, "text/html"))
    ours = fetcher(server)
    reading, _ = await ours.latest(ASKS)
    assert reading.verdict is Verdict.OUTAGE
    await ours.close()


async def test_a_key_that_the_vendor_echoes_is_redacted(server: FaultServer) -> None:
    server.behave = ok({"error": "bad_key", "detail": f"the key {KEY} is not known"})
    ours = fetcher(server)
    reading, _ = await ours.latest(ASKS)
    assert (reading.verdict, reading.detail) == (Verdict.BAD_KEY, "the key *** is not known")
    await ours.close()


async def test_a_cookie_that_the_vendor_echoes_is_redacted(server: FaultServer) -> None:
    async def echo(heard: Heard, writer: asyncio.StreamWriter) -> None:
        body = json.dumps({"error": "outage", "detail": f"you said {heard.headers.get('cookie', 'nothing')}"})
        writer.write(response(body.encode(), set_cookie="A3=d=Cr0ss&S=51; Path=/"))

    server.behave = echo
    ours = fetcher(server)
    assert (await ours.latest(ASKS))[0].detail == "you said nothing"
    assert (await ours.latest(ASKS))[0].detail == "you said A3=***"
    await ours.close()


async def test_nothing_is_sent_that_is_not_paid_for(server: FaultServer) -> None:
    ours = fetcher(server, budget=0)
    with pytest.raises(UnpaidError):
        await ours.latest(ASKS)
    assert server.heard == []
    await ours.close()


async def test_tick_numbers_count_only_from_the_simulator(server: FaultServer) -> None:
    body = json.dumps({"quotes": {"EURUSD": [T0, 1.1]}}).encode()
    server.behave = raw(response(body, x_sim_ticks='{"EURUSD": 42}'))
    for simulated, tick in ((True, 42), (False, None)):
        ours = fetcher(server, simulated=simulated, deadline_s=5)
        reading, _ = await ours.latest(ASKS)
        assert reading.quotes[0].tick == tick
        await ours.close()


# -- session tokens -------------------------------------------------------------------------------


class TokenServer:
    """Gives out tokens, and takes only the newest one with the cookie."""

    def __init__(self) -> None:
        self.given = 0
        self.revoked = False
        self.refuse_tokens = False

    async def __call__(self, heard: Heard, writer: asyncio.StreamWriter) -> None:
        if heard.path == "/cookie":
            writer.write(response(b"no such page", 404, "text/html", set_cookie="A3=crumbs; Path=/"))
        elif "A3=crumbs" not in heard.headers.get("cookie", ""):
            writer.write(response(b"", 500))
        elif heard.path == "/token":
            self.given += not self.refuse_tokens
            body = b"Too Many Requests" if self.refuse_tokens else json.dumps({"token": f"t{self.given}"}).encode()
            writer.write(response(body))
        elif heard.query.get("token") == f"t{self.given}" and not self.revoked:
            writer.write(response(b'{"quotes": {"EURUSD": [1, 1.1]}}'))
        else:
            self.revoked = False
            writer.write(response(b'{"error": "bad_session"}'))


def paths(server: FaultServer) -> list[str]:
    return [heard.path for heard in server.heard]


async def test_a_token_is_got_once_and_renewed_once_when_refused(server: FaultServer) -> None:
    tokens = server.behave = TokenServer()
    ours = fetcher(server, tokens=True, deadline_s=5)
    for _ in range(2):
        assert (await ours.latest(ASKS))[0].verdict is Verdict.OK
    assert paths(server) == ["/cookie", "/token", "/latest", "/latest"]
    tokens.revoked = True
    assert (await ours.latest(ASKS))[0].verdict is Verdict.OK
    assert paths(server)[4:] == ["/latest", "/cookie", "/token", "/latest"]
    await ours.close()


async def test_calls_side_by_side_share_one_token(server: FaultServer) -> None:
    tokens = server.behave = TokenServer()
    ours = fetcher(server, tokens=True, deadline_s=5)
    readings = await asyncio.gather(*[ours.latest(ASKS) for _ in range(5)])
    assert {reading.verdict for reading, _ in readings} == {Verdict.OK}
    assert tokens.given == 1
    await ours.close()


async def test_no_token_is_an_outage_with_one_attempt(server: FaultServer) -> None:
    tokens = server.behave = TokenServer()
    tokens.refuse_tokens = True
    ours = fetcher(server, tokens=True, deadline_s=5)
    with pytest.raises(NoAnswerError) as caught:
        await ours.latest(ASKS)
    assert caught.value.verdict is Verdict.OUTAGE
    assert paths(server) == ["/cookie", "/token"]
    await ours.close()


# -- a free connection ----------------------------------------------------------------------------


def slow(seconds: float, body: bytes) -> Behaviour:
    """Each answer takes so long."""

    async def behave(heard: Heard, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(seconds)
        writer.write(response(body))

    return behave


async def test_waiting_for_a_free_connection_is_no_outage(server: FaultServer) -> None:
    server.behave = slow(0.15, b'{"quotes": {"EURUSD": [1, 1.1]}}')
    ours = fetcher(server, connections=1)
    readings = await asyncio.gather(*[ours.latest(ASKS) for _ in range(4)])  # twice the deadline, one by one
    assert {reading.verdict for reading, _ in readings} == {Verdict.OK}
    await ours.close()


async def test_a_token_can_wait_for_a_free_connection_too(server: FaultServer) -> None:
    tokens, history = TokenServer(), slow(DEADLINE_S + 0.2, b'{"bars": []}')

    async def behave(heard: Heard, writer: asyncio.StreamWriter) -> None:
        await (history if heard.path == "/history" else tokens)(heard, writer)

    server.behave = behave
    ours = fetcher(server, tokens=True, connections=1)
    (request,) = ours.history_requests(ASKS[0], "1m", 0, T0)
    (reading, _), bars = await asyncio.gather(ours.latest(ASKS), ours.history(request, "1m"))
    assert (reading.verdict, bars.verdict) == (Verdict.OK, Verdict.NO_DATA)
    history_first = asyncio.create_task(ours.history(request, "1m"))
    await asyncio.sleep(0)
    tokens.revoked = True
    assert (await ours.latest(ASKS))[0].verdict is Verdict.OK
    await history_first
    await ours.close()

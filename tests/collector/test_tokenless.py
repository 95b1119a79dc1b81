"""Where no session token can be had, prices are asked for in the way that needs none."""

import asyncio

import pytest

from collector.fetch import TOKENLESS_MS, Access, Fetcher, NoAnswerError, make_client
from collector.vendors.base import Ask, Verdict
from tests.collector.kit import FaultServer, Heard, Now, PlainVendor, response

ASKS = (Ask("EURUSD", "EURUSD", "fx_spot"),)
PRICE = response(b'{"quotes": {"EURUSD": [1, 1.1]}}')


def fetcher(server: FaultServer, now: Now, *, tokenless: bool = True) -> Fetcher:
    access = Access(base_url=server.url)
    vendor = PlainVendor(tokens=True, tokenless=tokenless)
    return Fetcher(vendor, access, make_client(access), now, lambda request, purpose: True)


def only_plain(token_page: bytes, latest: bytes = response(b"", 401)) -> object:
    async def behave(heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write({"/plain": PRICE, "/latest": latest}.get(heard.path, token_page))

    return behave


async def asked(ours: Fetcher, server: FaultServer) -> list[str]:
    server.heard.clear()
    reading, _ = await ours.latest(ASKS)
    assert (reading.verdict, reading.quotes[0].last) == (Verdict.OK, 1.1)
    return [heard.path for heard in server.heard]


async def test_a_token_that_is_not_given_is_not_asked_for_again_for_an_hour(server: FaultServer) -> None:
    now = Now()
    ours = fetcher(server, now)
    for page in (response(b"<html>consent</html>"), response(b"", 307, location="/elsewhere"), response(b"", 500)):
        server.behave = only_plain(page)  # type: ignore[assignment]
        assert await asked(ours, server) in (["/cookie", "/token", "/plain"], ["/cookie", "/plain"])
        assert await asked(ours, server) == ["/plain"]
        now.at_ms += TOKENLESS_MS
    await ours.close()


async def test_a_token_that_is_given_and_always_refused_is_done_without_from_the_next_call_on(
    server: FaultServer,
) -> None:
    ours = fetcher(server, Now())
    server.behave = only_plain(response(b'{"token": "t"}'), response(b'{"error": "bad_session"}'))  # type: ignore[assignment]
    with pytest.raises(NoAnswerError, match="refused as well"):
        await ours.latest(ASKS)
    assert await asked(ours, server) == ["/plain"]
    await ours.close()


async def test_a_block_is_not_gone_round(server: FaultServer) -> None:
    ours = fetcher(server, Now())
    server.behave = only_plain(response(b'{"error": "rate_limited"}'))  # type: ignore[assignment]
    for _ in range(2):
        with pytest.raises(NoAnswerError) as caught:
            await ours.latest(ASKS)
        assert caught.value.verdict is Verdict.RATE_LIMITED
    assert "/plain" not in [heard.path for heard in server.heard]
    await ours.close()

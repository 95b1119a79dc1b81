"""Where the vendor that has moved is asked, and where its socket is opened."""

from pathlib import Path

import httpx
import pytest

import collector.build
from collector.build import build_sources
from collector.push.build import build_push
from collector.vendors import STREAMS, VENDORS
from collector.vendors.base import Ask
from common.errors import Fatal
from common.redis_link import open_link
from common.symbols import load_symbols
from tests.collector.kit import Now, means_of
from tests.settings.proof import Given, proves

EURUSD = (Ask("EURUSD", "C:EURUSD", "fx_spot"),)


@proves("POLYGON_HOST")
@pytest.mark.parametrize(("host", "asked"), [("", "api.polygon.io"), ("api.massive.com", "api.massive.com")])
async def test_calls_go_to_the_host_that_is_set_and_other_vendors_stay_where_they_are(
    given: Given, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, host: str, asked: str
) -> None:
    heard: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        heard.append(str(request.url.copy_with(query=None)))
        return httpx.Response(200, json={})

    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    monkeypatch.setattr(collector.build, "make_client", lambda *_: client)
    settings = given(SYMBOLS="EURUSD", POLYGON_HOST=host, POLYGON_API_KEY="k" * 16, TWELVEDATA_API_KEY="k" * 16)
    link = open_link(settings)
    sources = build_sources(settings, VENDORS, load_symbols(("EURUSD",)), means_of(link, tmp_path, Now()))
    for name in ("polygon", "twelvedata"):
        sources[name].open(first_start=True)
        await sources[name].fetcher.latest(EURUSD)
    assert heard == [
        f"https://{asked}/v2/snapshot/locale/global/markets/forex/tickers", "https://api.twelvedata.com/quote",
    ]  # fmt: skip
    await client.aclose()
    link.close()


@proves("POLYGON_STREAM_HOST")
@pytest.mark.parametrize(
    ("host", "opened"), [("", "socket.polygon.io"), ("delayed.massive.com", "delayed.massive.com")]
)
async def test_sockets_are_opened_at_the_host_that_is_set(given: Given, tmp_path: Path, host: str, opened: str) -> None:
    settings = given(SYMBOLS="EURUSD", POLYGON_STREAM_HOST=host, POLYGON_API_KEY="k" * 16)
    link = open_link(settings)
    means = means_of(link, tmp_path, Now())
    push = build_push(
        settings, STREAMS, load_symbols(("EURUSD",)), ("EURUSD",), means, lambda _: "fx_spot", lambda *_: None
    )
    urls = {line.vendor.name: line._place.url for line in push.lines}
    assert urls["polygon"] == f"wss://{opened}/forex"
    assert urls["yahoo"] == "wss://streamer.finance.yahoo.com/?version=2"
    link.close()


@pytest.mark.parametrize("value", ["https://api.massive.com", "a/b", "a b", "k@host", ".com"])
def test_a_host_is_a_host_and_nothing_more(given: Given, value: str) -> None:
    with pytest.raises(Fatal, match="POLYGON_HOST: expected a host"):
        given(POLYGON_HOST=value)

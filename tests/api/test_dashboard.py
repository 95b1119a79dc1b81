"""GET /: the operator's page for a browser, the index for everybody else."""

import re

import httpx
import pytest

from api.context import Context
from api.dashboard import PAGE
from tests.api.world import World

Api = tuple[httpx.AsyncClient, Context]

# What Firefox and Chromium send when an address is opened.
FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
CHROMIUM = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,"
    "application/signed-exchange;v=b3;q=0.7"
)


@pytest.mark.parametrize("accept", [FIREFOX, CHROMIUM, "TEXT/HTML ; q=0.3"])
async def test_a_browser_gets_the_page(api: Api, accept: str) -> None:
    reply = await api[0].get("/", headers={"accept": accept})
    assert (reply.status_code, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert reply.content == PAGE.read_bytes()
    assert int(reply.headers["content-length"]) == len(reply.content)
    assert reply.headers["vary"] == "accept"
    assert not {"set-cookie", "transfer-encoding"} & set(reply.headers)


@pytest.mark.parametrize(
    "accept",
    ["*/*", "", "application/json", "text/*", "text/html;q=0", "text/html;q=x", "application/json,text/html;q=0.9"],
)
async def test_everybody_else_gets_the_index(api: Api, accept: str) -> None:
    reply = await api[0].get("/", headers={"accept": accept})
    assert (reply.headers["content-type"], reply.headers["vary"]) == ("application/json", "accept")
    assert "GET /health" in reply.json()["routes"]


async def test_a_client_without_an_accept_header_gets_the_index(api: Api) -> None:
    request = api[0].build_request("GET", "/")
    del request.headers["accept"]
    assert (await api[0].send(request)).headers["content-type"] == "application/json"


def test_the_page_loads_nothing_from_elsewhere_and_takes_nothing_for_html() -> None:
    text = PAGE.read_text("ascii")
    assert re.findall(r"https?:|\bsrc=|@import|url\(", text) == []
    assert re.findall(r'\bhref="([^"]*)"', text) == ["data:,"]
    assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|cookie|Storage", text) == []


async def test_the_browser_is_told_to_load_nothing_from_elsewhere_and_to_keep_the_address(api: Api) -> None:
    headers = (await api[0].get("/?token=x", headers={"accept": FIREFOX})).headers
    assert headers["content-security-policy"].startswith("default-src 'none';")
    assert headers["referrer-policy"] == "no-referrer"


async def test_every_path_that_the_page_asks_is_answered(world: World, api: Api) -> None:
    world.alive("EURUSD")
    world.lane("EURUSD", "1m")
    text = PAGE.read_text()
    fixed = re.findall(r'"(health|api/[^"]+)"', text)
    each = re.findall(r'askEach\(known, "(\w+)", "([^"]+)"', text)
    per_symbol = [f"api/{what}/EURUSD?{query}" for what, query in each]
    assert (len(fixed), len(per_symbol)) == (4, 2)
    codes = {path: (await api[0].get(f"/{path}")).status_code for path in fixed + per_symbol}
    # 503: there is no history in this world.
    assert codes == {path: 503 if path.startswith("api/bars") else 200 for path in codes}


def test_no_count_is_told_in_the_plural_whatever_it_is() -> None:
    assert re.findall(r"\$\{[^}]*\} (?:data points|signals|failures)\b", PAGE.read_text()) == []


def test_a_long_name_breaks_after_an_underscore() -> None:
    text = PAGE.read_text()
    pattern = re.search(r"const PIECES = /(.+)/g;", text)
    assert pattern is not None
    pieces = {name: re.findall(pattern[1], name) for name in ("comex_gold_future", "_a__b_", "open", "")}
    assert pieces == {
        "comex_gold_future": ["comex_", "gold_", "future"], "_a__b_": ["_", "a_", "_", "b_"], "open": ["open"], "": [],
    }  # fmt: skip
    assert re.findall(r'createElement\("(\w+)"\)', text) == ["wbr"]


async def test_the_page_recognises_the_signal_that_an_expired_one_is_withheld_for(world: World, api: Api) -> None:
    world.alive("EURUSD")
    signal = world.signal("EURUSD", expires_ms=world.wall.ms - 1)
    withheld = (await api[0].get("/api/signals")).json()["withheld"]
    pattern = re.search(r"const LAST_SIGNAL = /(.+)/;", PAGE.read_text())
    assert pattern is not None
    detail = next(item["detail"] for item in withheld if item["instrument"] == "EURUSD")
    found = re.search(pattern[1], detail)
    assert found is not None
    assert found.groups() == (signal.id, "EURUSD", "1m", "momentum_v3", str(signal.bar_open_ms))

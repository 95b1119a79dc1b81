"""The expert advisor of docs/mt5, compiled, against the real api: what it orders, refuses and reports."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import jsonschema_rs
import pytest
import pytest_asyncio
import redis

from tests.api.test_openapi import DOCUMENT
from tests.api.world import NOON_MS, World, serving, settings_for
from tests.conftest import RedisServer
from tests.mt5.terminal import COMPILER, Asked, Terminal, compiled, start

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
TOKEN = "open sesame"
INDEX = {
    "BID": 15004.5, "ASK": 15005.5, "POINT": 0.01, "TRADE_STOPS_LEVEL": 0, "VOLUME_MIN": 0.1, "VOLUME_MAX": 100,
    "VOLUME_STEP": 0.1, "TRADE_CONTRACT_SIZE": 1, "TRADE_TICK_SIZE": 0.01, "TRADE_TICK_VALUE": 0.01, "DIGITS": 2,
    "FILLING_MODE": 1,
}  # fmt: skip
STOP, TARGET = 14990.0, 15035.01  # of the world's signal on NAS100, in two digits


@dataclass
class Desk:
    """The advisor at its terminal, and the api that it talks to. away: paths that get no answer."""

    terminal: Terminal
    world: World
    client: httpx.AsyncClient
    away: set[str] = field(default_factory=set)
    """Paths of which no request arrives."""
    deaf: set[str] = field(default_factory=set)
    """Paths of which no reply arrives."""
    slow_ms: int = 0

    async def answer(self, asked: Asked) -> tuple[int, int, str]:
        """Pass a request on to the api."""
        path = asked.path.partition("?")[0]
        if path in self.away:
            return -1, 3_000, ""
        headers = dict(line.split(": ") for line in asked.headers.split("|") if line)
        reply = await self.client.request(asked.method, asked.path, content=asked.body, headers=headers)
        if path in self.deaf:
            return -1, 3_000, ""
        return reply.status_code, self.slow_ms, reply.text

    async def seconds(self, count: int) -> None:
        """Let time pass, with a timer each second."""
        for _ in range(count):
            self.world.wall.ms += 1_000
            self.world.alive("NAS100", "XAUUSD")
            await self.terminal.timers(1)

    async def positions(self) -> list[dict[str, object]]:
        """Return what the api knows of positions."""
        reply = await self.client.get("/api/positions", headers={"authorization": f"Bearer {TOKEN}"})
        return list(reply.json()["positions"])

    def posted(self, path: str) -> list[dict[str, object]]:
        """Return the bodies that were sent to a path."""
        return [json.loads(asked.body) for asked in self.terminal.asked if asked.path == path]


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The advisor, compiled."""
    return compiled(tmp_path_factory.mktemp("mt5"))


@pytest_asyncio.fixture
async def desk(
    redis_server: RedisServer, redis_client: "redis.Redis", tmp_path: Path, program: Path
) -> AsyncIterator[Desk]:
    """An advisor that trades NAS100, has an account of 10,000 and has not begun."""
    world = World(redis_client, settings_for(redis_server.port, tmp_path, api_token=TOKEN))
    world.alive("NAS100", "XAUUSD")
    async with serving(world) as (client, _):
        terminal = start(program)
        made = Desk(terminal, world, client)
        terminal.server = made.answer
        await terminal.symbol("US100.e", INDEX)
        await terminal.account(EQUITY=10_000.0, BALANCE=10_000.0, MARGIN_FREE=9_000.0)
        for name, value in {"InpToken": TOKEN, "InpSymbols": "US100.e", "InpTrade": "true"}.items():
            await terminal.tell(f"input {name} {value}")
        yield made
        terminal.stop()


def signal(desk: Desk, **changes: object) -> None:
    desk.world.signal("NAS100", **{"expires_ms": desk.world.wall.ms + 60_000, **changes})


async def test_a_start_tells_the_brokers_terms_and_an_end_says_goodbye(desk: Desk) -> None:
    assert "code 0" in await desk.terminal.tell("init")
    assert [asked.path for asked in desk.terminal.asked] == ["/health", "/api/broker/symbols"]
    shown = await desk.client.get("/api/broker/symbols", headers={"authorization": f"Bearer {TOKEN}"})
    nasdaq = next(symbol for symbol in shown.json()["symbols"] if symbol["symbol"] == "NAS100")
    assert (nasdaq["holds"], nasdaq["posted"]["margin_per_lot"]) == ("posted", 150.06)  # 15,005.5 / 100, half up
    await desk.terminal.tell("deinit")
    goodbye = {"event": "ea_shutdown", "reason": 1, "equity": 10000.0, "pnl": 0.0, "trades": 0}
    assert desk.posted("/api/events") == [goodbye]


async def test_a_signal_is_ordered_once_reported_and_its_end_too(desk: Desk) -> None:
    await desk.terminal.tell("init")
    signal(desk)
    await desk.seconds(10)
    # By hand: 100 USD at risk, 15 points: 6.66 lots, in tenths 6.6. At the ask.
    assert desk.terminal.orders == [f"order US100.e BUY 6.6 15005.5 {STOP:.0f} {TARGET:.0f}"]
    (held,) = await desk.positions()
    assert (held["status"], held["lots"], held["stop_loss"]) == ("open", 6.6, STOP)
    assert held["signal_id"] == f"NAS100|1m|momentum_v3|{NOON_MS - 60_000}"
    await desk.terminal.tell("close 500 14990.0 4 -102.3")
    await desk.seconds(2)
    (held,) = await desk.positions()
    assert (held["status"], held["presumed"], held["exit_reason"], held["exit_price"]) == ("closed", False, "SL", STOP)
    assert len(desk.terminal.orders) == 1


async def test_what_is_lost_on_the_way_is_sent_until_it_is_taken_and_meanwhile_nothing_is_ordered(desk: Desk) -> None:
    await desk.terminal.tell("init")
    signal(desk)
    desk.away = {"/api/executions"}
    await desk.seconds(5)
    asked = len([a for a in desk.terminal.asked if a.path.startswith("/api/signals")])
    assert (len(desk.terminal.orders), asked, await desk.positions()) == (1, 1, [])
    desk.away, desk.deaf = set(), {"/api/executions"}
    await desk.seconds(3)
    desk.deaf = set()
    await desk.seconds(3)
    assert (len(desk.terminal.orders), len(await desk.positions())) == (1, 1)
    assert len(desk.posted("/api/executions")) >= 8


async def test_a_restart_orders_nothing_again_and_reports_what_was_lost(desk: Desk) -> None:
    await desk.terminal.tell("init")
    signal(desk)
    desk.away = {"/api/executions"}
    await desk.seconds(2)
    await desk.terminal.tell("forget")
    await desk.terminal.tell("close 500 15035.0 5 198.0")
    await desk.terminal.tell("forget")
    desk.away = set()
    await desk.terminal.tell("init")
    await desk.seconds(5)
    (held,) = await desk.positions()
    assert (held["status"], held["exit_reason"], held["alpha_id"]) == ("closed", "TP1", "momentum_v3")
    assert len(desk.terminal.orders) == 1


async def test_a_signal_that_was_ordered_is_never_ordered_again_though_the_server_serves_it_and_knows_nothing(
    desk: Desk,
) -> None:
    await desk.terminal.tell("init")
    signal(desk)
    await desk.seconds(1)
    await desk.terminal.tell("close 500 15006.0 0 1.0")
    await desk.terminal.tell("forget")  # the reports are gone; the server serves the signal again
    await desk.seconds(5)
    assert len(desk.terminal.orders) == 1
    assert any("done" in line for line in desk.terminal.said)


@pytest.mark.parametrize(
    ("market", "changes", "why"),
    [
        ({"BID": 14990.0, "ASK": 14990.5}, {}, "the market is at the stop"),
        ({"BID": 15034.0, "ASK": 15035.01}, {}, "the market is at the target"),
        ({"BID": 15008.0, "ASK": 15008.1}, {}, "further from the entry"),  # 3.1 of 15 points: more than a fifth
        ({"TRADE_STOPS_LEVEL": 1500}, {}, "the market is at the stop"),  # 15 points away from 15004.5
        ({"BID": 0.0, "ASK": 0.0}, {}, "no market"),
        ({"BID": 15005.5, "ASK": 15004.5}, {}, "no market"),
        ({}, {"confidence": 0.49}, "confidence"),
        ({}, {"symbol": "XAUUSD"}, "not in InpSymbols"),
    ],
)
async def test_what_does_not_fit_is_refused_and_never_moved(
    desk: Desk, market: dict[str, float], changes: dict[str, object], why: str
) -> None:
    await desk.terminal.tell("init")
    await desk.terminal.symbol("US100.e", market)
    if "symbol" in changes:
        desk.world.signal("XAUUSD", expires_ms=desk.world.wall.ms + 60_000)
    else:
        signal(desk, **changes)
    await desk.seconds(3)
    assert desk.terminal.orders == []
    assert [line for line in desk.terminal.said if why in line]


@pytest.mark.parametrize("terms", [{"VOLUME_STEP": 0.5}, {"VOLUME_MIN": 7.0}, {"VOLUME_MAX": 6.0}, {"VOLUME_STEP": 0}])
async def test_lots_that_the_broker_would_not_take_are_refused(desk: Desk, terms: dict[str, float]) -> None:
    """The broker has changed its terms since the start: 6.6 lots were right by those."""
    await desk.terminal.tell("init")
    await desk.terminal.symbol("US100.e", terms)
    signal(desk)
    await desk.seconds(2)
    assert desk.terminal.orders == []
    assert [line for line in desk.terminal.said if "lot" in line]


async def test_a_signal_that_expired_on_the_way_is_refused(desk: Desk) -> None:
    await desk.terminal.tell("init")
    desk.slow_ms = 2_500
    signal(desk, expires_ms=desk.world.wall.ms + 3_000)
    await desk.seconds(1)  # 2,000 ms are left when the server answers
    assert desk.terminal.orders == []
    assert [line for line in desk.terminal.said if "expired" in line]


async def test_a_sell_is_sold_at_the_bid(desk: Desk) -> None:
    await desk.terminal.tell("init")
    signal(desk, action="SELL", stop_loss=15020.0, take_profit_1=14975.0, take_profit_2=14960.0)
    await desk.terminal.tell("input InpSecondTarget true")
    await desk.seconds(2)
    assert desk.terminal.orders == ["order US100.e SELL 6.6 15004.5 15020 14960"]


async def test_without_leave_to_trade_it_only_says_what_it_would_do(desk: Desk) -> None:
    await desk.terminal.tell("input InpTrade false")
    await desk.terminal.tell("init")
    signal(desk)
    await desk.seconds(3)
    assert desk.terminal.orders == []
    assert [line for line in desk.terminal.said if "would BUY 6.60 US100.e" in line]


async def test_each_body_is_as_documented_and_no_call_carries_what_another_left(desk: Desk) -> None:
    await desk.terminal.tell("init")
    signal(desk)
    await desk.seconds(6)
    await desk.terminal.tell("close 500 15020.0 0 100.0")
    await desk.seconds(1)
    await desk.terminal.tell("deinit")
    for asked in desk.terminal.asked:
        assert asked.headers == f"Content-Type: application/json|Authorization: Bearer {TOKEN}|"
        if asked.method == "POST":
            content = DOCUMENT["paths"][asked.path]["post"]["requestBody"]["content"]["application/json"]
            schema = {**content["schema"], "components": DOCUMENT["components"]}
            jsonschema_rs.validate(schema, json.loads(asked.body))
        else:
            assert asked.body == ""
    beats = desk.posted("/api/heartbeat")
    assert beats[0] == {"equity": 10000.0, "balance": 10000.0, "free_margin": 9000.0, "positions": 0}
    assert len(beats) == 2


GOOD = '{"signals":[{"a":-0.5,"b":[],"c":{},"d":"x"}],"ok":true,"none":null}'


@pytest.mark.parametrize(
    "text",
    ["[1]x", '{"a":01}', '{"a":1.}', '{"a":.5}', '{"a":+1}', '{"a":nan}',
     '{"a":"b}', '{"a":1,}', "[1,]", "[1 2]", '{"a" 1}', "{a:1}", "", "{", "[", '{"a":tru}', '{"a":True}',
     '{"a":-}', '{"a":1}{"b":2}', '"', "<html>", '{"a":--1}'],
)  # fmt: skip
async def test_the_reader_refuses_what_it_does_not_understand(desk: Desk, text: str) -> None:
    if text:
        assert (await desk.terminal.tell(f"parse {text}"))[0].startswith("parsed no ")
    with pytest.raises(ValueError, match="line"):
        json.loads(text)


@pytest.mark.parametrize(
    "text",
    ['{"a":1,"a":2}', '{"a":1e5}', '{"a":"\\n"}', "[[[[[[[[[[1]]]]]]]]]]", "[" + "1," * 2_000 + "1]", "x" * 300_000],
)
async def test_the_reader_refuses_what_is_beyond_its_bounds(desk: Desk, text: str) -> None:
    assert (await desk.terminal.tell(f"parse {text}"))[0].startswith("parsed no ")


async def test_the_reader_takes_the_apis_reply_and_no_mutilated_one(desk: Desk) -> None:
    """What it takes of a mutilated reply, a full parser takes too."""
    signal(desk)
    reply = (await desk.client.get(f"/api/signals?equity=1000&token={TOKEN.replace(' ', '+')}")).text
    assert reply.startswith('{"signals":[{"symbol":"US100.e"')
    for text in (reply, GOOD):
        assert await desk.terminal.tell(f"parse {text}") == ["parsed yes "]
    for at in range(0, len(reply), 3):
        for text in (reply[:at], reply[:at] + reply[at + 1 :], reply[:at] + "," + reply[at:]):
            if text and (await desk.terminal.tell(f"parse {text}"))[0].startswith("parsed yes"):
                json.loads(text)

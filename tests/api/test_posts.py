"""The POST routes: what is accepted, what it leads to, and that nothing accepted is lost."""

from pathlib import Path
from typing import cast

import httpx
import pytest

from api.context import Context
from api.journal import Journal, Report
from api.reports import FOLLOWS_WITHIN_MS
from common import keys
from common.messages import ClientEvent, Execution, decode
from tests.api.world import NOON_MS, World, serving, settings_for
from tests.chaos.matrix import fault
from tests.conftest import start_valkey

Api = tuple[httpx.AsyncClient, Context]

# As the expert advisor writes it (MetaTrader's time, price units with five decimals).
FILL = (
    '{"trade_id":"123456","symbol":"US100.e","action":"BUY","entry_price":15005.00000,"lots":0.10,"stop_loss":14990.00000,'
    '"take_profit":15030.00000,"timestamp":"2025.11.03 14:02","latency_ms":1000,"spread":1.50000,"slippage":0.25000,'
    '"alpha_id":"momentum_v3","regime":"trend","q_star":7.50}'
)
CLOSE = '{"trade_id":"123456","exit_price":15030.0,"exit_reason":"TP1","pnl":2.5,"timestamp":"2025-11-03T14:10:00Z"}'
STOP = '{"event":"ea_shutdown","reason":1,"equity":1000.00,"pnl":0.00,"trades":0}'


def bodies(world: World, stream: keys.Stream) -> list[bytes]:
    """Return what stands in a stream's entries."""
    rows = cast(list[tuple[bytes, dict[bytes, bytes]]], world.redis.xrange(stream.key(0)))
    return [fields[keys.FIELD] for _, fields in rows]


def entries(world: World, stream: keys.Stream) -> list[Execution | ClientEvent]:
    found = [decode(body) for body in bodies(world, stream)]
    assert all(isinstance(message, Execution | ClientEvent) for message in found)
    return found  # type: ignore[return-value]  # asserted above


async def position_of(client: httpx.AsyncClient) -> dict[str, object]:
    found: dict[str, object] = (await client.get("/api/positions")).json()["positions"][0]
    return found


async def test_a_fill_is_kept_once_however_often_it_is_sent(world: World, api: Api) -> None:
    world.alive("NAS100")
    replies = [await api[0].post("/api/executions", content=FILL) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [200, 200, 200]
    assert [reply.json()["duplicate"] for reply in replies] == [False, True, True]
    await api[1].publisher.publish()
    assert {message.id for message in entries(world, keys.EXECUTIONS)} == {"open:123456"}
    first = entries(world, keys.EXECUTIONS)[0]
    assert isinstance(first, Execution)
    assert (first.symbol, first.received_ms, first.body["entry_price"]) == ("NAS100", NOON_MS, 15005.0)


async def test_an_open_position_silences_its_symbol_until_a_close_is_reported(world: World, api: Api) -> None:
    world.alive("NAS100", "EURUSD")
    world.signal("NAS100", published_ms=NOON_MS + 1)
    await api[0].post("/api/executions", content=FILL)
    reply = (await api[0].get("/api/signals?equity=100000")).json()
    assert [w["reason"] for w in reply["withheld"] if w["instrument"] == "NAS100"] == ["position_open"]
    assert (await position_of(api[0]))["status"] == "open"
    assert (await api[0].post("/api/executions/close", content=CLOSE)).json()["position"] == "closed"
    assert (await api[0].get("/api/signals?equity=100000")).json()["count"] == 1
    shown = await position_of(api[0])
    assert (shown["status"], shown["presumed"], shown["exit_reason"]) == ("closed", False, "TP1")


async def test_reports_survive_a_restart_and_reach_redis_when_it_comes_back(world: World) -> None:
    world.alive("NAS100")
    async with serving(world) as (client, _):
        await client.post("/api/executions", content=FILL)
    world.redis.flushall()
    world.alive("NAS100")
    world.signal("NAS100")
    async with serving(world) as (client, _):
        assert (await position_of(client))["trade_id"] == "123456"
        assert (await client.get("/api/signals?equity=100000")).json()["count"] == 0
        assert (await client.post("/api/executions", content=FILL)).json()["duplicate"] is True
    assert "open:123456" in {message.id for message in entries(world, keys.EXECUTIONS)}


async def test_no_signal_is_served_before_the_journal_is_delivered(world: World, api: Api) -> None:
    world.alive("EURUSD")
    world.signal("EURUSD")
    api[1].pool.losses += 1
    reply = (await api[0].get("/api/signals")).json()
    assert {w["reason"] for w in reply["withheld"] if w["instrument"] == "EURUSD"} == {"journal_not_delivered"}
    await api[1].publisher.publish()
    assert (await api[0].get("/api/signals")).json()["count"] == 1


async def test_a_flushed_redis_gets_the_reports_again(world: World, api: Api) -> None:
    world.redis.set(keys.incarnation(0), "one")
    await api[0].post("/api/events", content=STOP)
    await api[1].publisher.publish()
    world.redis.flushall()
    world.redis.set(keys.incarnation(0), "two")
    await api[1].publisher.publish()
    assert entries(world, keys.EVENTS)[0].body["event"] == "ea_shutdown"


async def test_an_equal_event_within_a_minute_is_the_same_and_later_another(world: World, api: Api) -> None:
    first = (await api[0].post("/api/events", content=STOP)).json()
    again = (await api[0].post("/api/events", content=STOP)).json()
    world.wall.ms += 60_000
    later = (await api[0].post("/api/events", content=STOP)).json()
    assert (first["duplicate"], again["duplicate"], later["duplicate"]) == (False, True, False)
    assert first["id"] == again["id"] != later["id"]


async def test_a_report_is_taken_while_redis_is_away_and_delivered_when_it_is_back(tmp_path: Path) -> None:
    server = start_valkey(tmp_path)
    world = World(server.client(), settings_for(server.port, tmp_path))
    async with serving(world) as (client, context):
        server.process.kill()
        server.process.wait()
        assert (await client.post("/api/executions", content=FILL)).status_code == 200
        refused = await client.get("/api/signals")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "redis_away")
        assert not context.publisher.delivered
        again = start_valkey(tmp_path, server.port)
        await context.publisher.publish()
        assert (await client.get("/api/signals")).status_code == 200
        assert {message.id for message in entries(world, keys.EXECUTIONS)} == {"open:123456"}
    again.process.kill()
    again.process.wait()


@pytest.mark.parametrize(
    "body",
    [
        FILL + '"spread":1.5}',  # the tail of a longer body before it
        "\ufeff  " + FILL + "\0",
        FILL.replace("1.50000", "nan").replace("0.25000", "-nan(ind)"),
        FILL.replace("1.50000", "inf"),
        FILL.replace('"123456"', "123456"),
        FILL.replace('"trend"', '"' + "x" * 60_000 + '"'),
        FILL.replace("1000", "9" * 400),
        FILL.replace("1.50000", "1e999"),
        FILL.replace("US100.e", "UNKNOWN"),
        FILL.replace('"trend"', "{}"),
    ],
)
@pytest.mark.parametrize("content_type", ["application/json", "text/html; charset=x", "multipart/form-data"])
async def test_odd_but_usable_bodies_are_taken(api: Api, body: str, content_type: str) -> None:
    reply = await api[0].post("/api/executions", content=body.encode(), headers={"content-type": content_type})
    assert (reply.status_code, reply.json()["trade_id"]) == (200, "123456")


async def test_a_body_in_the_ansi_code_page_is_taken(api: Api) -> None:
    reply = await api[0].post("/api/executions", content=FILL.replace("trend", "größer").encode("cp1252"))
    assert reply.status_code == 200


@pytest.mark.short
@fault(
    "F15",
    row="bodies that are no JSON, cut off, nested ten thousand deep, too large, with values that can't be",
    promise="a 4xx that says what was expected, never a 5xx",
    teeth="api/body.py: LARGEST_BODY = 64 * 1024 * 1024",
)
@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("", 400),
        ("{", 400),
        ('{"trade_id":', 400),
        ("[1]", 400),
        ("[{}]", 422),
        ("null", 400),
        ("[" * 100_000, 413),
        ('{"a":' * 10_000 + "}", 400),
        ('{"x":"\\ud800"}', 422),
        ("{}", 422),
        (FILL.replace("BUY", "HOLD"), 422),
        (FILL.replace("0.10", "0"), 422),
        (FILL.replace("0.10", "true"), 422),
        (FILL.replace("0.10", '"0.1"'), 422),
        (FILL.replace("15005.00000", "NaN"), 422),
        (FILL.replace('"123456"', '""'), 422),
        (FILL.replace('"123456"', "true"), 422),
        (FILL.replace('"123456"', '"' + "1" * 65 + '"'), 422),
        (FILL.replace("trend", "x" * 70_000), 413),
    ],
)
async def test_unusable_bodies_are_refused_with_what_was_expected(api: Api, body: str, status: int) -> None:
    reply = await api[0].post("/api/executions", content=body.encode())
    assert reply.status_code == status
    assert set(reply.json()["error"]) == {"code", "message", "expected", "found"}
    assert reply.content.isascii()


@pytest.mark.parametrize("changed", [("TP1", "BREAKFAST"), ("15030.0", "-1"), ('"123456"', "null"), ("2.5", '"much"')])
async def test_a_wrong_close_is_refused(api: Api, changed: tuple[str, str]) -> None:
    assert (await api[0].post("/api/executions/close", content=CLOSE.replace(*changed))).status_code == 422


async def test_a_close_that_comes_before_its_fill_still_closes_it(world: World, api: Api) -> None:
    assert (await api[0].post("/api/executions/close", content=CLOSE)).status_code == 200
    assert (await api[0].post("/api/executions", content=FILL)).json()["position"] == "closed"


async def test_a_fill_remembers_the_last_target_of_the_signal_that_was_served(world: World, api: Api) -> None:
    world.alive("NAS100")
    signal = world.signal("NAS100")
    await api[0].get("/api/signals?equity=100000")
    reply = (await api[0].post("/api/executions", content=FILL)).json()
    assert reply["signal_id"] == signal.id
    assert (await position_of(api[0]))["take_profit"] == signal.take_profit_2


async def test_a_fill_that_came_long_after_a_signal_keeps_its_own_target(world: World, api: Api) -> None:
    world.alive("NAS100")
    world.signal("NAS100")
    await api[0].get("/api/signals?equity=100000")
    world.wall.ms += 3_000 + FOLLOWS_WITHIN_MS + 1
    reply = (await api[0].post("/api/executions", content=FILL)).json()
    assert reply["signal_id"] == ""
    assert (await position_of(api[0]))["take_profit"] == 15030.0


async def test_a_fill_beyond_the_last_target_of_a_signal_did_not_follow_it(world: World, api: Api) -> None:
    """Its target would be crossed from the first price on, and its symbol be free while it is open."""
    world.alive("NAS100")
    signal = world.signal("NAS100")
    await api[0].get("/api/signals?equity=100000")
    beyond = f'"entry_price":{signal.take_profit_2 + 1:.2f}'
    reply = (await api[0].post("/api/executions", content=FILL.replace('"entry_price":15005.00000', beyond))).json()
    assert reply["signal_id"] == ""


async def test_a_full_disk_is_a_503_and_the_report_may_be_sent_again(world: World, api: Api) -> None:
    api[1].journal.close()
    reply = await api[0].post("/api/executions", content=FILL)
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "journal_away")


def test_the_journal_forgets_after_two_days_and_not_before(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    old = Report("a", NOON_MS, "events", 0, b"{}", b"")
    assert journal.add(old)
    journal.forget(NOON_MS + 48 * 3_600_000)
    assert journal.all() == [old]
    journal.forget(NOON_MS + 48 * 3_600_000 + 1)
    assert journal.all() == []
    journal.close()

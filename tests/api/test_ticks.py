"""POST /api/ticks: what a terminal sends, what of it reaches the stream, and what is wrong where something is."""

import json
from collections.abc import AsyncIterator
from typing import NoReturn, cast

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr

from api import tick_desk
from api.context import Context
from common import keys
from common.messages import TerminalTick, TerminalTicks, decode
from common.symbols.table import BUILTIN
from tests.api.test_posts import bodies
from tests.api.world import NOON_MS, World, serving

Api = tuple[httpx.AsyncClient, Context]
HOUR_MS = 3_600_000
OFFSET_S = 7_200
BROKER_MS = NOON_MS + OFFSET_S * 1000
"""What the broker's clock shows at noon UTC."""


def tick(symbol: str = "US100.e", time_msc: object = BROKER_MS, **changes: object) -> dict[str, object]:
    return {"symbol": symbol, "time_msc": time_msc, "bid": 15_004.9, "ask": 15_005.1, "last": 0, "volume": 0} | changes


def body(*ticks: object, **changes: object) -> dict[str, object]:
    whole = {"account": "5012345", "gmt_offset_s": OFFSET_S, "symbols": ["US100.e", "XAUUSD"], "ticks": list(ticks)}
    return {name: value for name, value in (whole | changes).items() if value is not ...}


def sent(world: World, partition: int = 0) -> list[TerminalTicks]:
    rows = cast(list[tuple[bytes, dict[bytes, bytes]]], world.redis.xrange(keys.TICKS.key(partition)))
    found = [decode(fields[keys.FIELD]) for _, fields in rows]
    assert all(isinstance(message, TerminalTicks) for message in found)
    return found  # type: ignore[return-value]  # asserted above


@pytest_asyncio.fixture
async def alive(world: World) -> AsyncIterator[Api]:
    """The api over a pipeline whose clock says noon."""
    world.clock()
    async with serving(world) as pair:
        yield pair


async def post(api: Api, content: object) -> httpx.Response:
    reply = await api[0].post("/api/ticks", content=content if isinstance(content, str) else json.dumps(content))
    await api[1].tick_publisher.publish()
    return reply


async def refusal(api: Api, content: object, status: int = 422) -> dict[str, str]:
    reply = await post(api, content)
    assert reply.status_code == status, reply.text
    error: dict[str, str] = reply.json()["error"]
    return error


# -- what is accepted -----------------------------------------------------------------------------


async def test_a_batch_reaches_its_stream_in_utc_under_generic_names(world: World, alive: Api) -> None:
    reply = await post(
        alive, body(tick(), tick("XAUUSD", BROKER_MS + 50, bid=2350.4, ask=2350.6, last=2350.5, volume=3))
    )
    assert reply.status_code == 200
    assert reply.json() | {"id": ""} == {
        "status": "ok", "id": "", "duplicate": False, "ticks": 2, "symbols": ["NAS100", "XAUUSD"],
        "gmt_offset_s": OFFSET_S,
    }  # fmt: skip
    (message,) = sent(world)
    assert message.ticks == (
        TerminalTick("NAS100", NOON_MS, 15_004.9, 15_005.1),
        TerminalTick("XAUUSD", NOON_MS + 50, 2350.4, 2350.6, 2350.5, 3.0),
    )
    assert (message.account, message.received_ms, message.present) == ("5012345", NOON_MS, ("NAS100", "XAUUSD"))


async def test_generic_names_are_understood_too(world: World, alive: Api) -> None:
    assert (await post(alive, body(tick("NAS100"), symbols=["GBPUSD"]))).status_code == 200
    assert sent(world)[0].present == ("NAS100", "GBPUSD")


async def test_a_batch_without_ticks_is_a_sign_of_life_and_needs_no_offset(world: World, alive: Api) -> None:
    reply = await post(alive, body(gmt_offset_s=...))
    assert (reply.status_code, reply.json()["gmt_offset_s"]) == (200, None)
    assert sent(world)[0].present == ("NAS100", "XAUUSD")
    assert sent(world)[0].ticks == ()


@pytest.mark.parametrize(
    ("server_ms", "gmt_ms", "offset_s"),
    [
        (BROKER_MS + 700, NOON_MS + 900, OFFSET_S),
        (NOON_MS + 3 * HOUR_MS - 300_000, NOON_MS, 10_800),  # the last tick is five minutes old
        (NOON_MS + 20_700_000, NOON_MS + 30, 20_700),  # 5:45, as in Nepal
        (NOON_MS - 5 * HOUR_MS, NOON_MS, -18_000),
        (NOON_MS + 2, NOON_MS, 0),
    ],
)
async def test_without_an_offset_it_is_measured_by_the_terminals_two_clocks(
    world: World, alive: Api, server_ms: int, gmt_ms: int, offset_s: int
) -> None:
    reply = await post(alive, body(tick(time_msc=server_ms), gmt_offset_s=..., time_gmt_msc=gmt_ms))
    assert reply.json()["gmt_offset_s"] == offset_s
    assert sent(world)[0].ticks[0].market_ms == server_ms - offset_s * 1000


async def test_the_servers_own_clock_measures_it_where_no_tick_is_fresh(world: World, alive: Api) -> None:
    old = tick(time_msc=BROKER_MS - 40 * HOUR_MS)
    measured = body(old, gmt_offset_s=..., time_gmt_msc=NOON_MS, time_server_msc=BROKER_MS)
    assert (await post(alive, measured)).json()["gmt_offset_s"] == OFFSET_S
    error = await refusal(alive, body(old, gmt_offset_s=..., time_gmt_msc=NOON_MS))
    assert error["message"] == "gmt_offset_s can't be measured"
    assert "time_server_msc" in error["expected"]


# -- once, and kept -------------------------------------------------------------------------------


async def test_a_batch_that_is_sent_again_is_the_same_one(world: World, alive: Api) -> None:
    first = await post(alive, body(tick(), batch="b-1"))
    world.wall.ms += 60_000
    again = await post(alive, body(tick(), batch="b-1"))
    assert (first.json()["duplicate"], again.json()["duplicate"]) == (False, True)
    assert len(sent(world)) == 1


async def test_a_counter_that_begins_again_hides_no_ticks(world: World, alive: Api) -> None:
    await post(alive, body(tick(), batch="1"))
    assert (await post(alive, body(tick(time_msc=BROKER_MS + 5), batch="1"))).json()["duplicate"] is False
    assert len(sent(world)) == 2


async def test_an_unchanged_price_without_a_name_is_a_sign_of_life_again_every_ten_seconds(
    world: World, alive: Api
) -> None:
    for _ in range(30):
        assert (await post(alive, body(tick()))).status_code == 200
        world.wall.ms += 1_000
        world.clock()
    assert [message.received_ms - NOON_MS for message in sent(world)] == [0, 10_000, 20_000]


async def test_what_was_kept_is_sent_on_after_a_restart_and_after_a_flush(world: World) -> None:
    world.clock()
    async with serving(world) as api:
        await post(api, body(tick(), batch="b-1"))
    first = bodies(world, keys.TICKS)
    world.redis.flushall()
    async with serving(world) as api:
        await api[1].tick_publisher.publish()
        assert bodies(world, keys.TICKS) == first
        assert api[1].publisher.delivered


async def test_without_redis_ticks_are_kept_and_sent_on_later(world: World, alive: Api) -> None:
    pool = alive[1].pool
    before, pool._connect = pool._connect, _no_connection
    await pool.close()
    reply = await alive[0].post("/api/ticks", content=json.dumps(body(tick())))
    assert reply.status_code == 200
    pool._connect = before
    await alive[1].tick_publisher.publish()
    assert len({message.id for message in sent(world)}) == 1  # the reader tells a tick that it knows


async def _no_connection() -> NoReturn:
    raise ConnectionRefusedError("the test says no")


async def test_ticks_are_forgotten_after_minutes_and_never_take_the_room_of_fills(world: World, alive: Api) -> None:
    await post(alive, body(tick()))
    journals = {path.name for path in world.settings.state_dir.iterdir() if path.suffix == ".db"}
    assert journals == {"api-journal.db", "api-ticks.db"}
    assert len(await alive[1].ticks.every_report()) == 1
    await alive[1].ticks.forget(world.wall.ms + 600_001)
    assert await alive[1].ticks.every_report() == []


async def test_each_partition_gets_its_own_symbols(world: World) -> None:
    world.clock()
    split = World(world.redis, world.settings.model_copy(update={"stream_partitions": 2}), world.wall)
    every = ("NAS100", "XAUUSD", "EURUSD", "GBPUSD", "US30", "US500")
    async with serving(split) as api:
        assert (await post(api, body(*(tick(name) for name in every), symbols=[]))).status_code == 200
        for partition in (0, 1):
            table = api[1].table.in_partition(partition, 2)
            (message,) = sent(world, partition)
            assert message.present == tuple(symbol.name for symbol in table)
            assert {found.symbol for found in message.ticks} == set(message.present)


# -- what is refused ------------------------------------------------------------------------------


async def test_a_wrong_token_is_refused(world: World) -> None:
    locked = World(world.redis, world.settings.model_copy(update={"api_token": SecretStr("secret")}), world.wall)
    async with serving(locked) as (client, _):
        content = json.dumps(body(tick()))
        assert (await client.post("/api/ticks", content=content)).status_code == 401
        assert (await client.post("/api/ticks?token=guess", content=content)).status_code == 401
        assert (await client.post("/api/ticks?token=secret", content=content)).status_code == 200
        headers = {"authorization": "Bearer secret"}
        assert (await client.post("/api/ticks", content=content, headers=headers)).status_code == 200


async def test_what_is_no_json_is_refused(alive: Api) -> None:
    assert (await refusal(alive, '{"account": "1", "ticks": [', 400))["code"] == "bad_json"
    assert (await refusal(alive, "[{}]"))["expected"] == "a JSON object"


@pytest.mark.parametrize(
    ("content", "message", "found"),
    [
        (body(tick("BTCUSD")), "ticks[0].symbol is not a symbol that the terminal feeds here", "BTCUSD"),
        (body(symbols=["US100.e", 7]), "symbols[1] is not a symbol that the terminal feeds here", "7"),
        (body(tick(), tick(bid="1.5")), "ticks[1].bid is wrong", "1.5"),
        (body(tick(bid=0)), "ticks[0].bid is wrong", "0"),
        (body(tick(ask=None)), "ticks[0].ask is wrong", "nothing"),
        (body(tick(ask=True)), "ticks[0].ask is wrong", "True"),
        (body(tick(last=-1)), "ticks[0].last is wrong", "-1"),
        (body(tick(volume="many")), "ticks[0].volume is wrong", "many"),
        (body(tick(time_msc=NOON_MS // 1000)), "ticks[0].time_msc is wrong", str(NOON_MS // 1000)),
        (body(tick(time_msc="2026.06.17 14:00")), "ticks[0].time_msc is wrong", "2026.06.17 14:00"),
        (body("a tick"), "ticks[0] is wrong", "a tick"),
        (body(ticks="none"), "ticks is wrong", "none"),
        (body(ticks=...), "ticks is wrong", "nothing"),
        (body(symbols="US100.e"), "symbols is wrong", "US100.e"),
        (body(symbols=[]), "ticks and symbols are both empty", "neither"),
        (body(tick(), gmt_offset_s=...), "gmt_offset_s is missing", "neither"),
        (body(tick(), gmt_offset_s=2), "gmt_offset_s is wrong", "2"),
        (body(tick(), gmt_offset_s=90_000), "gmt_offset_s is wrong", "90000"),
        (body(tick(), gmt_offset_s="+2"), "gmt_offset_s is wrong", "+2"),
        (body(tick(), gmt_offset_s=..., time_gmt_msc="now"), "time_gmt_msc is wrong", "now"),
        (body(tick(), account="a b"), "account is wrong", "a b"),
        (body(tick(), batch=[]), "batch is wrong", "[]"),
    ],
)
async def test_what_is_wrong_is_named(world: World, alive: Api, content: object, message: str, found: str) -> None:
    error = await refusal(alive, content)
    assert (error["message"], error["found"]) == (message, found)
    assert error["expected"]
    assert sent(world) == []


async def test_too_much_at_once_is_refused(alive: Api) -> None:
    error = await refusal(alive, body(*[tick()] * 501))
    assert (error["message"], error["found"]) == ("ticks is too long", "501 ticks")
    assert (await refusal(alive, body(tick(), more="x" * 70_000), 413))["code"] == "body_too_large"


async def test_a_symbol_whose_terminal_listing_was_removed_is_refused(world: World) -> None:
    table = "\n".join(line for line in BUILTIN.read_text().splitlines() if 'symbol = "US30.e"' not in line)
    file = world.settings.state_dir.parent / "symbols.toml"
    file.write_text(table)
    world.clock()
    changed = World(world.redis, world.settings.model_copy(update={"symbols_file": file}), world.wall)
    async with serving(changed) as api:
        error = await refusal(api, body(tick("US30.e")))
        assert "US30" not in error["expected"]
        assert (await post(api, body(tick()))).status_code == 200


async def test_more_batches_a_minute_than_any_terminal_sends_are_refused(
    world: World, alive: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tick_desk, "NEW_PER_MINUTE", 2)
    replies = [await post(alive, body(tick(time_msc=BROKER_MS + n))) for n in range(3)]
    assert [reply.status_code for reply in replies] == [200, 200, 429]
    assert replies[2].headers["retry-after"] == "60"
    monkeypatch.setattr(tick_desk, "KEPT_BYTES", 10)
    world.wall.ms += 60_000
    assert (await refusal(alive, body(tick()), 429))["code"] == "journal_full"

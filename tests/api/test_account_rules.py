"""The account's rules in the advice: a limit stops it until its reset, also over a restart, and says so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from api import background
from api.context import Context, make_context
from common import keys
from common.errors import Fatal
from tests.api.history import write_nothing
from tests.api.test_posts import CLOSE, FILL, entries
from tests.api.world import NOON_MS, World, serving, settings_for

FAR = {"expires_ms": NOON_MS + 100 * 3_600_000}


@asynccontextmanager
async def ruled(world: World, folder: Path, **changes: object) -> AsyncIterator[tuple[httpx.AsyncClient, Context]]:
    """The api under rules, over the same Redis."""
    values = {"account_rules": "ftmo_2step", "account_start_balance": 100_000.0, **changes}
    own = World(world.redis, settings_for(world.settings.redis_port, folder, **values), world.wall)
    write_nothing(own.settings.database_path)
    async with serving(own) as pair:
        yield pair


async def asked(client: httpx.AsyncClient, equity: float | None) -> tuple[float | str, str]:
    """Return the lots on EURUSD, or the reason and detail why there are none."""
    reply = (await client.get("/api/signals" + ("" if equity is None else f"?equity={equity:.2f}"))).json()
    if reply["signals"]:
        return reply["signals"][0]["lots"], ""
    return next((w["reason"], w["detail"]) for w in reply["withheld"] if w["instrument"] == "EURUSD")


def trading(world: World, at_ms: int = NOON_MS) -> None:
    world.wall.ms = at_ms
    world.alive("EURUSD", "NAS100")
    world.signal("EURUSD", **FAR)


async def test_near_the_daily_limit_size_shrinks_and_at_it_there_is_none_until_the_reset(
    world: World, tmp_path: Path
) -> None:
    trading(world)
    async with ruled(world, tmp_path) as (client, _):
        # By hand: 109 USD a lot at the stop; 1 % of 100,000 is 1,000: 9.17 lots.
        assert (await asked(client, 100_000))[0] == 9.17
        # 400 are left to 95,000, half of it is 200: 1.83 lots.
        assert (await asked(client, 95_400))[0] == 1.83
        assert (await asked(client, 95_000))[0] == "daily_loss"
        reason, detail = await asked(client, 95_000)
        assert (reason, "until 2026-06-17T22:00:00Z" in detail) == ("daily_loss", True)
    async with ruled(world, tmp_path) as (client, _):
        assert (await asked(client, 99_000))[0] == "daily_loss"
        trading(world, NOON_MS + 8 * 3_600_000)  # midnight in Prague
        # 99,000 now, and 95,000 as the balance of the day before: the limit is 94,000 by the higher of both.
        assert (await asked(client, 99_000))[0] == 9.08


async def test_the_account_shows_its_limits_and_the_history_has_what_was_reached(world: World, tmp_path: Path) -> None:
    trading(world)
    async with ruled(world, tmp_path) as (client, context):
        assert (await client.get("/api/account")).json()["state"] is None
        for _ in range(2):
            await asked(client, 94_000)
        shown = (await client.get("/api/account")).json()
        assert shown["rules"]["title"] == "FTMO, 2-Step"
        assert shown["limits"] == [
            {"reason": "daily_loss", "level": 95_000.0, "room": -1_000.0, "reached": True,
             "until": "2026-06-17T22:00:00.000Z"},
            {"reason": "total_loss", "level": 90_000.0, "room": 4_000.0, "reached": False, "until": None},
        ]  # fmt: skip
        async with asyncio.timeout(5):
            while context.account.reached:
                await context.publisher.publish()
        await context.publisher.publish()
        reached = [m for m in entries(world, keys.EVENTS) if m.id.startswith("limit:")]
    assert [m.body["reason"] for m in reached] == ["daily_loss"]


@pytest.mark.parametrize("rules", ["ftmo_2step", "ftmo_1step"])
@pytest.mark.parametrize("wrong", [1_000.0, 1e9])
async def test_one_wrong_number_as_the_very_first_ends_no_account(
    world: World, tmp_path: Path, rules: str, wrong: float
) -> None:
    trading(world)
    async with ruled(world, tmp_path, account_rules=rules) as (client, context):
        for equity in (wrong, 100_000, 100_000):
            await asked(client, equity)
        state = context.account.state
    assert state is not None
    assert not {"total_loss", "trailing_loss"} & state.blocked.keys()


async def test_another_account_begins_anew(world: World, tmp_path: Path) -> None:
    trading(world)
    async with ruled(world, tmp_path) as (client, _):
        for _ in range(2):
            await asked(client, 89_000)
        assert (await asked(client, 100_000))[0] == "daily_loss"
    async with ruled(world, tmp_path, account_id="second") as (client, _):
        assert (await asked(client, 100_000))[0] == 9.17


async def test_without_any_observed_equity_nothing_is_advised(world: World, tmp_path: Path) -> None:
    trading(world)
    async with ruled(world, tmp_path) as (client, _):
        assert (await asked(client, None))[0] == "account_unknown"
        await asked(client, 95_000)
        assert (await asked(client, None))[0] == "daily_loss"


async def test_after_the_reset_nothing_is_advised_until_an_equity_of_the_new_day_is_told(
    world: World, tmp_path: Path
) -> None:
    trading(world)
    async with ruled(world, tmp_path, default_equity=100_000.0) as (client, _):
        await asked(client, 104_000)
        trading(world, NOON_MS + 8 * 3_600_000 - 1)
        assert (await asked(client, None))[0] == 9.17
        trading(world, NOON_MS + 8 * 3_600_000)  # midnight in Prague
        assert (await asked(client, None))[0] == "account_unknown"
        await asked(client, 104_000)
        assert (await asked(client, None))[0] == 9.17


async def test_what_open_positions_may_lose_is_taken_off(world: World, tmp_path: Path) -> None:
    trading(world)
    async with ruled(world, tmp_path, account_leverage=500) as (client, _):
        # The Nasdaq stands at 15,005, the stop at 14,990: 20 lots may lose 300 of the 400 left; half of 100 is 50.
        await client.post("/api/executions", content=FILL.replace('"lots":0.10', '"lots":20'))
        assert (await asked(client, 95_400))[0] == 0.45
        assert (await asked(client, 95_300))[0] == "daily_loss"


async def test_an_open_position_may_lose_what_the_brokers_tick_value_says_where_that_is_more(
    world: World, tmp_path: Path
) -> None:
    trading(world)
    # A tick of a hundredth is worth 0.02: two dollars a point, as sizes are reckoned with, too.
    terms = {
        "symbol": "US100.e", "contract_size": 1, "lot_min": 0.1, "lot_step": 0.1, "lot_max": 100, "tick_size": 0.01,
        "digits": 2, "quote_currency": "USD", "tick_value": 0.02,
    }  # fmt: skip
    async with ruled(world, tmp_path, account_leverage=500) as (client, _):
        await client.post("/api/broker/symbols", json={"symbols": [terms]})
        await client.post("/api/executions", content=FILL.replace('"lots":0.10', '"lots":10'))
        # 10 lots may lose 300 of the 400 left; half of 100 is 50.
        assert (await asked(client, 95_400))[0] == 0.45


async def test_a_position_without_a_stop_leaves_nothing_to_risk(world: World, tmp_path: Path) -> None:
    trading(world)
    async with ruled(world, tmp_path) as (client, _):
        await client.post("/api/executions", content=FILL.replace('"stop_loss":14990.00000', '"stop_loss":0'))
        assert (await asked(client, 100_000))[0] == "open_risk"


async def test_under_rules_a_reply_has_one_signal(world: World, tmp_path: Path) -> None:
    trading(world)
    world.signal("NAS100", **FAR)
    for rules, count in (("none", 2), ("ftmo_2step", 1)):
        async with ruled(world, tmp_path / rules, account_rules=rules) as (client, _):
            assert (await client.get("/api/signals?equity=100000&limit=9")).json()["count"] == count


@pytest.mark.parametrize("equity", ["0", "-500", "nan", "inf", "1e308", "much", ""])
async def test_an_equity_that_is_none_is_no_observation(world: World, tmp_path: Path, equity: str) -> None:
    trading(world)
    async with ruled(world, tmp_path) as (client, context):
        assert (await client.get(f"/api/signals?equity={equity}")).status_code == 422
        assert (context.account.state, context.sightings.equity) == (None, None)


async def test_after_a_loss_its_symbol_rests(world: World, tmp_path: Path) -> None:
    trading(world)
    fill = FILL.replace("US100.e", "EURUSD").replace("momentum_v3", "other")
    async with ruled(world, tmp_path, account_rules="none") as (client, _):
        await client.post("/api/executions", content=fill)
        await client.post("/api/executions/close", content=CLOSE.replace("2.5", "-2.5"))
        assert (await asked(client, 100_000))[0] == "cooldown"
        trading(world, NOON_MS + 299_999)
        assert (await asked(client, 100_000))[0] == "cooldown"
        trading(world, NOON_MS + 300_000)
        assert (await asked(client, 100_000))[0] == 9.17


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("max_positions = 1", "max_positions"), ("sessions = ['08:00-13:00']", "account_session"),
        ("flat_times = ['13:30-14:30']", "flat_time"), ("", ""),
    ],
)  # fmt: skip
async def test_each_rule_of_a_file_of_ones_own_is_named(
    world: World, tmp_path: Path, content: str, reason: str
) -> None:
    trading(world)
    file = tmp_path / "rules.toml"
    file.write_text(content)
    async with ruled(world, tmp_path, account_rules=str(file), account_leverage=500) as (client, _):
        await client.post("/api/executions", content=FILL)
        assert (await asked(client, 100_000))[0] == (reason or 9.17)


def test_rules_without_a_start_balance_stop_the_start(world: World, tmp_path: Path) -> None:
    with pytest.raises(Fatal, match="ACCOUNT_START_BALANCE"):
        make_context(settings_for(world.settings.redis_port, tmp_path, account_rules="ftmo_2step"))


async def test_a_journal_that_is_away_ends_none_of_the_background_work(world: World, tmp_path: Path) -> None:
    trading(world)
    values = settings_for(world.settings.redis_port, tmp_path, account_rules="ftmo_2step", account_start_balance=1e5)
    context = make_context(values, world.wall)
    context.account.take_up([])
    context.sightings.equity = 90_000.0
    for _ in range(2):
        context.account.observe(90_000.0, NOON_MS, None, flat=True)
    context.journal.close()
    task = asyncio.create_task(background.run(context))
    done, _ = await asyncio.wait({task}, timeout=1.0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await context.pool.close()
    context.ticks.close()
    assert (done, context.account.reached) == (set(), ["daily_loss", "total_loss"])


async def test_keeping_the_account_ends_when_it_is_cancelled_though_the_journal_is_away(
    world: World, tmp_path: Path
) -> None:
    trading(world)
    values = settings_for(world.settings.redis_port, tmp_path, account_rules="ftmo_2step", account_start_balance=1e5)
    context = make_context(values, world.wall)
    context.account.take_up([])
    context.account.observe(90_000.0, NOON_MS, None, flat=True)
    context.journal.close()
    task = asyncio.create_task(context.memory.keep(world.wall.ms))
    await asyncio.sleep(0)  # it waits for Redis
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    await context.pool.close()
    context.ticks.close()

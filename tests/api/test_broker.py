"""The broker's terms: what a terminal posts goes before the table, once, and for good."""

import json
from pathlib import Path

import httpx
import pytest

from api.context import Context
from common import keys
from tests.api.test_posts import FILL, entries
from tests.api.world import NOON_MS, World, serving, settings_for

Api = tuple[httpx.AsyncClient, Context]
TERMS: dict[str, object] = {
    "symbol": "US100.e", "contract_size": 10, "lot_min": 0.01, "lot_step": 0.01, "lot_max": 5.0, "tick_size": 0.1,
    "digits": 1, "quote_currency": "USD", "tick_value": 1.0, "margin_per_lot": 1500.0,
}  # fmt: skip


def posted(**changes: object) -> str:
    return json.dumps({"symbols": [TERMS | changes]})


async def lots(client: httpx.AsyncClient, equity: int = 100_000) -> float | str:
    """Return the size on the Nasdaq, or why there is none."""
    reply = (await client.get(f"/api/signals?equity={equity}")).json()
    if reply["signals"]:
        return float(reply["signals"][0]["lots"])
    return str(next(w["reason"] for w in reply["withheld"] if w["instrument"] == "NAS100"))


async def test_posted_terms_hold_from_then_on_and_over_a_restart(world: World) -> None:
    world.alive("NAS100")
    world.signal("NAS100", expires_ms=NOON_MS + 60_000)
    async with serving(world) as (client, context):
        assert await lots(client) == 66.6  # 1,000 USD / 15.005 points / 1 USD, in tenths
        reply = (await client.post("/api/broker/symbols", content=posted())).json()
        assert (reply["duplicate"], reply["symbols"], reply["unknown"]) == (False, 1, [])
        # By hand: the stop is at 14990.0 now, 15 points away: 1,000 / 150 = 6.66; the broker's maximum is 5.
        assert await lots(client) == 5.0
        assert await lots(client, 10_000) == 0.66
        await context.publisher.publish()
        context.journal.forget(world.wall.ms + 10 * 86_400_000)
    sent = [message.id for message in entries(world, keys.EVENTS)]
    assert [one for one in sent if not one.startswith("equity:")] == [reply["id"]]
    async with serving(world) as (client, _):
        assert await lots(client, 10_000) == 0.66


async def test_the_same_terms_again_change_nothing_and_other_ones_do(world: World, api: Api) -> None:
    ids = [(await api[0].post("/api/broker/symbols", content=posted())).json()["duplicate"] for _ in range(2)]
    world.wall.ms += 1
    changed = (await api[0].post("/api/broker/symbols", content=posted(lot_max=4.0))).json()["duplicate"]
    world.wall.ms += 1
    back = (await api[0].post("/api/broker/symbols", content=posted())).json()["duplicate"]
    assert (ids, changed, back) == ([False, True], False, False)
    shown = (await api[0].get("/api/broker/symbols")).json()["symbols"]
    nasdaq = next(s for s in shown if s["symbol"] == "NAS100")
    assert (nasdaq["holds"], nasdaq["table"]["lot_max"], nasdaq["posted"]["lot_max"]) == ("posted", 100.0, 5.0)
    assert {s["holds"] for s in shown if s["symbol"] != "NAS100"} == {"table"}


@pytest.mark.parametrize(
    "changes",
    [
        {"lot_step": 0}, {"lot_step": -0.1}, {"lot_min": None}, {"lot_max": "5"}, {"lot_max": 0.001}, {"digits": 2.5},
        {"digits": True}, {"digits": 11}, {"quote_currency": "usd"}, {"quote_currency": None}, {"symbol": "a b "},
        {"contract_size": 1e13}, {"tick_value": -1}, {"margin_per_lot": "x"},
    ],
)  # fmt: skip
async def test_wrong_terms_are_refused_with_their_place(api: Api, changes: dict[str, object]) -> None:
    reply = await api[0].post("/api/broker/symbols", content=posted(**changes))
    assert reply.status_code == 422
    assert reply.json()["error"]["message"] == f"symbols[0].{next(iter(changes))} is wrong"
    assert {s["holds"] for s in (await api[0].get("/api/broker/symbols")).json()["symbols"]} == {"table"}


@pytest.mark.parametrize("body", ["{}", '{"symbols":[]}', '{"symbols":1}', '{"symbols":[1]}'])
async def test_a_body_without_symbols_is_refused(api: Api, body: str) -> None:
    assert (await api[0].post("/api/broker/symbols", content=body)).status_code == 422


async def test_what_was_expected_and_found_is_told_apart(api: Api) -> None:
    wrong = (await api[0].post("/api/broker/symbols", content=posted(digits=2.5))).json()["error"]
    missing = (await api[0].post("/api/broker/symbols", content="{}")).json()["error"]
    assert (wrong["expected"], wrong["found"]) == ("a whole number from 0 to 10", "2.5")
    assert missing["found"] == "nothing"


async def test_the_margin_of_a_lot_is_the_brokers(world: World, api: Api) -> None:
    world.alive("NAS100")
    world.signal("NAS100")
    # By hand: half of 1,000 is allowed; at 5,000 a lot 0.1 lots, where the risk allows 10 / 150 = 0.06.
    await api[0].post("/api/broker/symbols", content=posted(margin_per_lot=5_000))
    assert await lots(api[0], 1_000) == 0.06
    await api[0].post("/api/broker/symbols", content=posted(margin_per_lot=12_500))
    assert await lots(api[0], 1_000) == 0.04
    await api[0].post("/api/broker/symbols", content=posted(margin_per_lot=60_000))
    assert await lots(api[0], 1_000) == "margin"


async def test_a_tick_value_tells_the_worth_of_a_point(world: World, api: Api) -> None:
    world.alive("NAS100")
    world.signal("NAS100")
    # By hand: 2 USD a tick of 0.1 are 20 USD a point; 100 / (15 x 20) = 0.33.
    await api[0].post("/api/broker/symbols", content=posted(tick_value=2.0))
    assert await lots(api[0], 10_000) == 0.33


async def test_a_tick_value_that_contradicts_the_contract_gives_no_size(world: World, tmp_path: Path) -> None:
    world.alive("NAS100", "EURUSD")
    world.signal("NAS100")
    own = World(world.redis, settings_for(world.settings.redis_port, tmp_path, account_currency="EUR"), world.wall)
    async with serving(own) as (client, _):
        # A point of a lot is 10 USD, EUR 9.194; a tick of 0.1 EUR 0.9194.
        await client.post("/api/broker/symbols", content=posted(tick_value=0.90))
        # EUR 100 are 108.765 USD; 15 points of 10 USD: 0.725 lots.
        assert await lots(client, 10_000) == 0.72
        await client.post("/api/broker/symbols", content=posted(tick_value=2.0))
        assert await lots(client, 10_000) == "terms"


async def test_a_brokers_name_may_have_blanks_inside_and_its_fill_silences_it(world: World, api: Api) -> None:
    """As "Volatility 75 Index" or "Wall Street 30" of some brokers."""
    client, context = api
    named = context.table.symbols["NAS100"].model_copy(update={"broker": "US Tech 100"})
    context.table.symbols["NAS100"] = named
    world.alive("NAS100")
    fill = FILL.replace("US100.e", "US Tech 100")
    assert (await client.post("/api/executions", content=fill)).status_code == 200
    assert (await client.get("/api/positions")).json()["positions"][0]["instrument"] == "NAS100"
    reply = (await client.post("/api/broker/symbols", content=posted(symbol="US Tech 100"))).json()
    assert reply["unknown"] == []


@pytest.mark.parametrize("symbol", [" US100", "US100 ", "", "US\t100", "U" * 65])
async def test_other_blanks_are_no_part_of_a_symbols_name(api: Api, symbol: str) -> None:
    fill = json.dumps(json.loads(FILL) | {"symbol": symbol})
    assert (await api[0].post("/api/executions", content=fill)).status_code == 422

"""The equity that a caller gives: a size can be computed from it, or the refusal says why; never anything else."""

from pathlib import Path

import httpx
import pytest

from api.context import Context
from tests.api.world import World, serving, settings_for
from tests.conftest import start_valkey

Api = tuple[httpx.AsyncClient, Context]

REFUSED = [
    # none, or less
    "0", "0.0", "00", "-0", "-500", "-1", "-0.01", "1e-400",
    # no number
    "nan", "NaN", "inf", "-inf", "Infinity", "", "abc", "null", "true", "%5B1000%5D", "%7B%7D",
    # beyond all sense
    "1e308", "1e999", "1e13", "1000000000000.01", "1" * 500,
    # written as no decimal number is
    "1,000", "1.000,00", "1_000", "1'000", "%201000%20", "1000%20", "%091000", "1000%0A", "1000%00", "+1000", "%2B1000",
    "0x3e8", "0x1p3", "0b11", "1e", "1e+", "e3", ".5", ".", "1.2.3", "1000;", "$1000", "1000USD", "10%25", "1e3e3",
    # other scripts' digits: Arabic-Indic, full-width, mathematical, superscript
    "%D9%A1%D9%A0%D9%A0%D9%A0", "%EF%BC%91000", "%F0%9D%9F%99000", "%C2%B2", "%FF", "1000%FF",
    # given twice, the same or not
    "1000&equity=1000", "1000&equity=2", "1000&equity=", "&equity=1000",
]  # fmt: skip
TAKEN = [
    # By hand: the stop of the signal is 109 dollars a lot away. 1 % of 1,000 is 10: 0.0917 lots, in hundredths 0.09.
    ("1000", 1_000.0, 0.09), ("1000.00", 1_000.0, 0.09), ("1000.", 1_000.0, 0.09), ("01000", 1_000.0, 0.09),
    ("1e3", 1_000.0, 0.09), ("1E3", 1_000.0, 0.09), ("1.0e%2B3", 1_000.0, 0.09),
    # 1.09 dollars are the minimum of 0.01 lots: 1 % of 109.
    ("109.01", 109.01, 0.01), ("108.99", 108.99, None), ("0.01", 0.01, None), ("1e-300", 1e-300, None),
    ("1000000000000", 1e12, 100.0), ("1e12", 1e12, 100.0),
]  # fmt: skip


@pytest.mark.parametrize("equity", REFUSED)
async def test_an_equity_that_is_none_is_refused_and_nothing_is_advised(world: World, api: Api, equity: str) -> None:
    world.alive("EURUSD")
    world.signal("EURUSD")
    reply = await api[0].get(f"/api/signals?equity={equity}")
    assert reply.status_code == 422
    assert reply.content.isascii()
    error = reply.json()["error"]
    assert (error["code"], error["message"].split()[0], set(reply.json())) == ("invalid_input", "equity", {"error"})
    assert error["expected"] in ("a decimal number above 0, at most 1000000000000, such as 1000.00", "one value")


@pytest.mark.parametrize(("equity", "read_as", "lots"), TAKEN)
async def test_an_equity_is_read_as_the_decimal_number_that_it_is(
    world: World, api: Api, equity: str, read_as: float, lots: float | None
) -> None:
    world.alive("EURUSD")
    world.signal("EURUSD")
    reply = (await api[0].get(f"/api/signals?equity={equity}")).json()
    assert (reply["equity"], [signal["lots"] for signal in reply["signals"]]) == (
        read_as,
        [] if lots is None else [lots],
    )
    if lots is None:
        assert [w["reason"] for w in reply["withheld"] if w["instrument"] == "EURUSD"] == ["size_below_minimum"]


async def test_a_parameter_without_a_value_is_no_missing_one(world: World, api: Api) -> None:
    assert (await api[0].get("/api/signals?equity")).status_code == 422


async def test_a_missing_equity_means_the_default(world: World, api: Api) -> None:
    world.alive("EURUSD")
    world.signal("EURUSD")
    reply = (await api[0].get("/api/signals")).json()
    assert (reply["equity"], reply["signals"][0]["lots"]) == (1000.0, 0.09)


async def test_a_refused_equity_is_no_observation(world: World, tmp_path: Path) -> None:
    """One of 0 would end an account with rules."""
    changes = {"account_rules": "ftmo_2step", "account_start_balance": 100_000.0}
    own = World(world.redis, settings_for(world.settings.redis_port, tmp_path, **changes), world.wall)
    world.alive("EURUSD")
    async with serving(own) as (client, context):
        for equity in ("0", "-500", "nan", "inf", "1e308"):
            for _ in range(3):
                await client.get(f"/api/signals?equity={equity}")
                await client.post("/api/heartbeat", content=f'{{"equity":{equity}}}')
        assert (await client.get("/api/account")).json()["state"] is None
        assert context.sightings.equity is None


async def test_a_wrong_equity_is_told_even_while_redis_is_away(tmp_path: Path) -> None:
    server = start_valkey(tmp_path)
    async with serving(World(server.client(), settings_for(server.port, tmp_path))) as (client, _):
        server.process.kill()
        server.process.wait()
        assert (await client.get("/api/signals?equity=0")).status_code == 422
        assert (await client.get("/api/signals?equity=1000")).status_code == 503


@pytest.mark.parametrize(
    "equity",
    ["0", "0.0", "-0.0", "-500", "null", "nan", "-nan(ind)", "inf", "-inf", "NaN", "Infinity", "1e308", "1e999", "1e13",
     '"1000"', '"abc"', '""', "true", "[1000]", "{}", "1" * 400],
)  # fmt: skip
async def test_a_heartbeat_with_an_equity_that_is_none_is_refused(api: Api, equity: str) -> None:
    reply = await api[0].post("/api/heartbeat", content=f'{{"equity":{equity},"positions":0}}')
    assert reply.status_code == 422
    assert reply.json()["error"]["message"] == "equity is wrong"
    assert api[1].sightings.equity is None


async def test_a_heartbeat_without_an_equity_is_refused(api: Api) -> None:
    assert (await api[0].post("/api/heartbeat", content='{"positions":0}')).status_code == 422

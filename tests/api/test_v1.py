"""/api/v1: the same facts as /api, under one name for one thing."""

import json
from decimal import Decimal

import httpx
import pytest

from api.context import Context
from api.reshape import Shape, reshaped, within
from tests.api.history import write_bars
from tests.api.test_data import cache, minutes
from tests.api.test_posts import CLOSE, FILL
from tests.api.world import World

Api = tuple[httpx.AsyncClient, Context]


async def both(client: httpx.AsyncClient, path: str) -> tuple[dict, dict]:
    """Return what stands under /api and under /api/v1 at the same instant (the test's clock stands)."""
    first, second = await client.get(f"/api{path}"), await client.get(f"/api/v1{path}")
    assert (first.status_code, second.status_code) == (200, 200)
    return first.json(), second.json()


def told(signal: dict) -> tuple[object, ...]:
    """Return a signal of /api/signals as v1 is to tell it."""
    return (
        signal["id"], signal["instrument"], signal["symbol"], signal["action"].lower(), signal["entry"],
        signal["stop_loss"], [signal["take_profit_1"], signal["take_profit_2"]], Decimal(str(signal["lots"])),
        signal["es95"], signal["confidence"], signal["q_star"], signal["alpha_id"], signal["regime"],
        signal["timeframe"], signal["bar_time"], signal["published"], signal["expires"], signal["expires_in_ms"],
        signal["data_age_ms"], signal["source"], signal["source_class"], signal["reasons"], signal["features"],
        signal["atr"],
    )  # fmt: skip


def told_by_v1(signal: dict) -> tuple[object, ...]:
    data = signal["data"]
    return (
        signal["id"], signal["symbol"], signal["broker_symbol"], signal["side"], signal["entry"],
        signal["stop_loss"], signal["targets"], Decimal(str(signal["lots"])),
        signal["risk"]["expected_shortfall_95"], signal["confidence"], signal["quality"], signal["strategy"],
        signal["regime"], signal["timeframe"], signal["bar_opened_at"], signal["published_at"], signal["expires_at"],
        signal["expires_in_ms"], data["age_ms"], data["source"], data["source_class"], signal["reasons"],
        signal["indicators"], signal["atr"],
    )  # fmt: skip


@pytest.mark.parametrize("equity", ["", "1000.00", "777.77", "250000"])
async def test_signals_have_the_values_that_api_signals_has_at_that_instant(
    world: World, api: Api, equity: str
) -> None:
    world.alive("EURUSD", "GBPUSD", "NAS100", "XAUUSD")
    world.signal("EURUSD", quality=9.123, confidence=0.49999)
    world.signal("GBPUSD", quality=5.0, stop_loss=1.26871349, data_score=0.9, spread=0.0001)
    world.signal("NAS100", quality=7.0, atr=9.5)
    world.wall.ms += 700
    world.clock()
    query = f"?limit=100&equity={equity}" if equity else "?limit=100"
    old, new = await both(api[0], f"/signals{query}")
    assert [told_by_v1(signal) for signal in new["signals"]] == [told(signal) for signal in old["signals"]]
    assert (new["count"], new["equity"], new["currency"]) == (old["count"], old["equity"], old["currency"])
    assert [(w["symbol"], w["broker_symbol"], w["code"], w["detail"]) for w in new["withheld"]] == [
        (w["instrument"], w["broker"], w["reason"], w["detail"]) for w in old["withheld"]
    ]
    assert old["count"] > 0
    assert {signal["age_ms"] for signal in new["signals"]} == {700}


async def test_the_risk_is_what_the_lots_lose_at_the_stop(world: World, api: Api) -> None:
    world.alive("EURUSD")
    world.signal("EURUSD", data_score=0.875, spread=0.00012)
    signal = (await api[0].get("/api/v1/signals?equity=1000")).json()["signals"][0]
    # 0.09 lots of 100,000 over 1.08765 - 1.08656 = 0.00109: 9.81 USD.
    assert (signal["lots"], signal["risk"]["amount"], signal["risk"]["currency"]) == (0.09, 9.81, "USD")
    assert (signal["data"]["score"], signal["data"]["spread"]) == (0.875, 0.00012)


async def test_all_signals_come_unless_a_limit_says_less(world: World, api: Api) -> None:
    world.alive("EURUSD", "GBPUSD")
    world.signal("EURUSD", quality=5.0)
    world.signal("GBPUSD", quality=9.0)
    every = (await api[0].get("/api/v1/signals?equity=100000")).json()["signals"]
    first = (await api[0].get("/api/v1/signals?equity=100000&limit=1")).json()["signals"]
    assert ([s["symbol"] for s in every], [s["symbol"] for s in first]) == (["GBPUSD", "EURUSD"], ["GBPUSD"])


async def test_what_is_refused_is_refused_in_the_same_words(api: Api) -> None:
    for path in ("/signals?equity=0", "/bars/NOPE", "/features/EURUSD", "/gaps?state=none"):
        old, new = await api[0].get(f"/api{path}"), await api[0].get(f"/api/v1{path}")
        assert (new.status_code, new.content) == (old.status_code, old.content)
        assert old.status_code >= 400


async def test_positions_and_executions_have_the_names_of_signals(world: World, api: Api) -> None:
    world.alive("NAS100")
    assert (await api[0].post("/api/v1/executions", content=FILL)).status_code == 200
    assert (await api[0].post("/api/v1/executions/close", content=CLOSE)).json()["position"] == "closed"
    old, new = await both(api[0], "/positions")
    was, found = old["positions"][0], new["positions"][0]
    assert (found["symbol"], found["side"], found["strategy"]) == ("NAS100", "buy", was["alpha_id"])
    assert (found["entry"], found["target"]) == (was["entry_price"], was["take_profit"])
    assert (found["opened_at"], found["closed_at"]) == (was["opened"], was["closed"])
    _, executions = await both(api[0], "/executions")
    assert {(e["symbol"], e["received_at"]) for e in executions["executions"]} == {("NAS100", was["closed"])}
    reports = {e["kind"]: e["report"] for e in executions["executions"]}
    assert reports["open"] == json.loads(FILL)  # as it was received
    _, performance = await both(api[0], "/performance")
    assert {group["symbol"] for group in performance["by"]} == {"NAS100", None}


async def test_bars_say_in_what_unit_they_tell_when_they_opened(world: World, api: Api) -> None:
    world.alive("EURUSD")
    world.lane("EURUSD", "1m")
    write_bars(world.settings.database_path, minutes(0, 3))
    cache(world, minutes(0, 30))
    old, new = await both(api[0], "/bars/EURUSD?limit=30&forming=1")
    assert [bar["open_ms"] for bar in new["bars"]] == [bar["time"] for bar in old["bars"]]
    assert (new["forming"]["open_ms"], new["broker_symbol"]) == (old["forming"]["time"], old["broker"])
    assert [bar["close"] for bar in new["bars"]] == [bar["close"] for bar in old["bars"]]


async def test_a_route_is_counted_and_guarded_as_any_other(world: World, api: Api) -> None:
    await api[0].get("/api/v1/bars/EURUSD")
    routes = {sample.labels.get("route") for sample in api[1].metrics.snapshot().counters}
    assert "/api/v1/bars/{symbol}" in routes


def test_a_shape_changes_what_it_names_and_leaves_the_rest_to_the_byte() -> None:
    body = b'{"a":1.50,"b":[{"a":"X"},null,{"c":{"a":2}}],"c":null,"d":{"a":1}}'
    shape: Shape = {"a": "z", "b": ("b", within({"a": ("y", bytes.lower)})), "c": ("c", within({"a": "y"}))}
    assert reshaped(body, shape) == b'{"z":1.50,"b":[{"y":"x"},null,{"c":{"a":2}}],"c":null,"d":{"a":1}}'

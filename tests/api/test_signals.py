"""GET /api/signals: what is served, what is withheld and why, and the size for the caller's equity."""

import httpx
import pytest

from api.context import Context
from tests.api.world import NOON_MS, PRICES, World

Api = tuple[httpx.AsyncClient, Context]


async def reasons(client: httpx.AsyncClient) -> dict[str, str]:
    reply = (await client.get("/api/signals?equity=1000")).json()
    return {item["instrument"]: item["reason"] for item in reply["withheld"]}


async def test_a_current_signal_is_served_in_the_documented_shape(world: World, api: Api) -> None:
    world.alive("EURUSD")
    world.signal("EURUSD")
    reply = await api[0].get("/api/signals?equity=1000.00")
    assert reply.status_code == 200
    # 1 % of 1,000 is 10 USD; the stop is 0.00109 away (1.08765 - 1.08656), 109 USD a lot: 0.0917 lots, floored to 0.09.
    assert reply.text.startswith(
        '{"signals":[{"symbol":"EURUSD","action":"BUY","confidence":0.7100,"q_star":7.50,"es95":'
    )
    first = reply.json()["signals"][0]
    assert (first["stop_loss"], first["take_profit_1"], first["take_profit_2"]) == (1.08656, 1.08983, 1.09092)
    assert (first["lots"], first["alpha_id"], first["regime"]) == (0.09, "momentum_v3", "trend")
    assert first["features"] == {"rsi_14": 55.25, "tiny": 1.5e-9}
    assert "0.0000000015" in reply.text
    assert reply.json()["timestamp"] == "2026-06-17T14:00:00.000Z"
    assert reply.json()["count"] == 1


async def test_one_signal_by_default_the_best_first_and_more_on_request(world: World, api: Api) -> None:
    world.alive("EURUSD", "GBPUSD", "NAS100")
    world.signal("EURUSD", quality=5.0)
    world.signal("GBPUSD", quality=9.0)
    world.signal("NAS100", quality=7.0)
    one = (await api[0].get("/api/signals?equity=100000")).json()
    many = (await api[0].get("/api/signals?equity=100000&limit=2")).json()
    assert [s["symbol"] for s in one["signals"]] == ["GBPUSD"]
    assert [s["symbol"] for s in many["signals"]] == ["GBPUSD", "US100.e"]


async def test_without_a_clock_entry_everything_is_withheld(world: World, api: Api) -> None:
    assert set((await reasons(api[0])).values()) == {"collector_silent"}


@pytest.mark.parametrize(("age_ms", "served"), [(2_900, 1), (3_001, 0)])
async def test_a_clock_older_than_three_seconds_withholds_every_signal(
    world: World, api: Api, age_ms: int, served: int
) -> None:
    world.alive("EURUSD")
    world.signal("EURUSD", expires_ms=NOON_MS + 60_000)
    world.engine(wall_ms=NOON_MS + age_ms, clock_ms=NOON_MS + age_ms)
    world.wall.ms += age_ms
    assert (await api[0].get("/api/signals")).json()["count"] == served


async def test_a_signal_expires_by_the_apis_own_clock_though_the_stream_stands_still(world: World, api: Api) -> None:
    world.alive("EURUSD")
    world.signal("EURUSD", expires_ms=NOON_MS + 1_500)
    world.wall.ms += 1_499
    assert (await api[0].get("/api/signals")).json()["count"] == 1
    world.wall.ms += 1
    assert (await reasons(api[0]))["EURUSD"] == "expired"


async def test_stream_time_runs_on_at_the_streams_speed(world: World, api: Api) -> None:
    world.alive("EURUSD")
    world.clock(speed=60.0)
    world.signal("EURUSD", expires_ms=NOON_MS + 3_000)
    world.wall.ms += 49
    assert (await api[0].get("/api/signals")).json()["count"] == 1
    world.wall.ms += 2
    assert (await reasons(api[0]))["EURUSD"] == "expired"


async def test_each_condition_that_fails_is_named(world: World, api: Api) -> None:
    world.alive("NAS100", "XAUUSD", "EURUSD", "GBPUSD", "US30")
    world.lane("NAS100", delay_ms=600_000)
    world.lane("XAUUSD", age_ms=31_000)
    world.status("GBPUSD", "withheld", "no source, withheld")
    world.signal("EURUSD", source_class="other")
    assert await reasons(api[0]) == {
        "NAS100": "delayed_class",
        "XAUUSD": "data_stale",
        "EURUSD": "wrong_class",
        "GBPUSD": "no_source",
        "US30": "no_signal",
        "US500": "no_data",
    }


async def test_at_the_weekend_sessions_are_closed_and_nothing_is_called_stale(world: World, api: Api) -> None:
    world.wall.ms += 3 * 86_400_000  # Saturday
    world.alive("EURUSD", "NAS100")
    world.signal("EURUSD")
    assert set((await reasons(api[0])).values()) == {"session_closed"}


async def test_an_engine_that_stopped_or_lags_is_not_believed(world: World, api: Api) -> None:
    world.alive("EURUSD")
    world.signal("EURUSD")
    world.engine(wall_ms=NOON_MS - 2_001)
    assert (await reasons(api[0]))["EURUSD"] == "engine_not_current"
    world.engine(clock_ms=NOON_MS - 2_001)
    assert (await reasons(api[0]))["EURUSD"] == "engine_not_current"


@pytest.mark.parametrize(
    "changes",
    [
        {"stop_loss": PRICES["EURUSD"] + 0.001},
        {"take_profit_1": PRICES["EURUSD"] - 0.001},
        {"take_profit_2": PRICES["EURUSD"] + 0.0001},
        {"stop_loss": PRICES["EURUSD"] - 0.000001},
        {"action": "SELL"},
        {"stop_loss": -1.0},
    ],
)
async def test_a_stop_or_target_on_the_wrong_side_is_never_served(
    world: World, api: Api, changes: dict[str, object]
) -> None:
    world.alive("EURUSD")
    world.signal("EURUSD", **changes)
    assert (await reasons(api[0]))["EURUSD"] == "wrong_side"


async def test_a_market_beyond_the_target_withholds_the_signal(world: World, api: Api) -> None:
    world.alive("EURUSD")
    world.signal("EURUSD", entry=1.07, stop_loss=1.06, take_profit_1=1.08, take_profit_2=1.09)
    assert (await reasons(api[0]))["EURUSD"] == "wrong_side"


async def test_a_size_below_the_minimum_is_no_signal(world: World, api: Api) -> None:
    world.alive("EURUSD")
    world.signal("EURUSD")
    reply = (await api[0].get("/api/signals?equity=100")).json()
    assert reply["count"] == 0
    assert [w["reason"] for w in reply["withheld"] if w["instrument"] == "EURUSD"] == ["size_below_minimum"]


async def test_an_unreadable_signal_of_another_release_is_no_signal(world: World, api: Api) -> None:
    world.alive("EURUSD")
    world.redis.hset("{0}:newest_signals", "EURUSD", b'{"kind":"signal","id":1}')
    assert (await reasons(api[0]))["EURUSD"] == "no_signal"

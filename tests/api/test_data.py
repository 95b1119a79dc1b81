"""Bars, features, symbols and sources: what is served, from where, and how far it can be relied on."""

from collections.abc import Sequence
from pathlib import Path

import httpx
import msgspec
import pytest

from api.context import Context
from common import keys
from common.bars import pack
from common.features import FormingSet
from common.messages import Bar
from common.sources import PushReport, QuotaWindow, SourceReport, encode_report
from tests.api.history import write_bars
from tests.api.world import NOON_MS, World, serving

Api = tuple[httpx.AsyncClient, Context]
MINUTE_MS = 60_000


def minutes(first: int, count: int) -> list[Bar]:
    """Return bars of EURUSD, numbered from `first`; number n opens n minutes after noon."""
    return [
        Bar("EURUSD", "1m", at, 1.0 + n, 1.5 + n, 0.5 + n, 1.25 + n, 3.0, "ticks", 7, "yahoo", "fx_spot")
        for n, at in ((n, NOON_MS + n * MINUTE_MS) for n in range(first, first + count))
    ]


def cache(world: World, bars: Sequence[Bar]) -> None:
    """Put bars where the engine puts them."""
    world.redis.rpush(keys.bar_cache(0, "EURUSD", "1m"), *(pack(bar) for bar in bars))


async def times(client: httpx.AsyncClient, limit: int) -> tuple[list[int], str]:
    reply = (await client.get(f"/api/bars/EURUSD?timeframe=1m&limit={limit}")).json()
    return [(bar["time"] - NOON_MS) // MINUTE_MS for bar in reply["bars"]], reply["served_from"]


async def test_bars_come_from_the_cache_and_count_as_a_hit(world: World, api: Api) -> None:
    world.alive("EURUSD")
    cache(world, minutes(0, 5))
    reply = (await api[0].get("/api/bars/EURUSD?timeframe=1m&limit=2")).json()
    assert reply["served_from"] == "cache"
    assert reply["bars"][1] == {
        "time": NOON_MS + 4 * MINUTE_MS, "open": 5.0, "high": 5.5, "low": 4.5, "close": 5.25, "volume": 3.0,
        "volume_kind": "ticks", "ticks": 7, "source": "yahoo", "origin": "built", "complete": True,
        "repaired": False,
    }  # fmt: skip
    counters = (await api[0].get("/metrics/json")).json()
    assert counters["gauges"]["cache_hit_rate"] == 1.0


async def test_what_the_cache_lacks_comes_from_sqlite_without_a_seam(world: World, api: Api) -> None:
    cache(world, minutes(10, 3))
    write_bars(world.settings.database_path, minutes(0, 12))
    assert await times(api[0], 3) == ([10, 11, 12], "cache")
    assert await times(api[0], 6) == ([7, 8, 9, 10, 11, 12], "cache+sqlite")
    assert (await api[0].get("/metrics/json")).json()["gauges"]["cache_hit_rate"] == 0.5


async def test_an_empty_cache_is_served_from_sqlite(world: World, api: Api) -> None:
    write_bars(world.settings.database_path, minutes(0, 4))
    assert await times(api[0], 2) == ([2, 3], "sqlite")


async def test_a_cache_of_another_layout_counts_as_empty(world: World, api: Api) -> None:
    """After an upgrade the api may start before the engine, which drops such a cache."""
    world.redis.rpush(keys.bar_cache(0, "EURUSD", "1m"), *(pack(one)[:60] for one in minutes(0, 4)))
    write_bars(world.settings.database_path, minutes(0, 4))
    assert await times(api[0], 2) == ([2, 3], "sqlite")
    reply = await api[0].get("/api/indicators/EURUSD?name=sma_20&timeframe=1m")
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "no_bars")


async def test_without_cache_and_history_it_says_so(world: World, api: Api) -> None:
    reply = await api[0].get("/api/bars/EURUSD")
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "history_away")


async def test_the_forming_bar_is_opt_in(world: World, api: Api) -> None:
    world.alive("EURUSD")
    world.lane("EURUSD", "1m")
    cache(world, minutes(0, 1))
    assert (await api[0].get("/api/bars/EURUSD?limit=1")).json()["forming"] is None
    forming = (await api[0].get("/api/bars/EURUSD?limit=1&forming=1")).json()["forming"]
    assert (forming["time"], forming["close"]) == (NOON_MS - 1000, 1.08765)


async def test_all_that_the_cache_keeps_may_be_asked_for(world: World, api: Api) -> None:
    world.alive("EURUSD")
    cache(world, minutes(0, 6_000))
    reply = (await api[0].get("/api/bars/EURUSD?timeframe=1m&limit=6000")).json()
    assert (reply["count"], reply["served_from"]) == (6_000, "cache")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/bars/EURUSD?limit=0", 422),
        ("/api/bars/EURUSD?limit=6001", 422),  # the cache keeps 5,000, and 1,000 for the anchors
        ("/api/bars/EURUSD?limit=1.5", 422),
        ("/api/bars/EURUSD?timeframe=2m", 422),
        ("/api/bars/EURUSD?forming=maybe", 422),
        ("/api/bars/eurusd", 404),
        ("/api/features/NOPE", 404),
        ("/api/features/EURUSD", 404),
    ],
)
async def test_what_is_not_there_is_refused_with_what_is(api: Api, path: str, status: int) -> None:
    reply = await api[0].get(path)
    assert reply.status_code == status
    assert reply.json()["error"]["message"]


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ("x", "limit is no whole number"),
        ("", "limit is no whole number"),
        ("1.5", "limit is no whole number"),
        ("%D9%A3", "limit is no whole number"),  # an Arabic 3
        ("0", "limit is out of range"),
        ("-1", "limit is out of range"),
        ("99999999999", "limit is out of range"),
    ],
)
async def test_a_limit_that_is_no_number_is_told_from_one_out_of_range(api: Api, limit: str, message: str) -> None:
    error = (await api[0].get(f"/api/executions?limit={limit}")).json()["error"]
    assert (error["message"], error["expected"]) == (message, "a whole number from 1 to 1000")


@pytest.mark.parametrize(
    ("word", "status"),
    [("1", 200), ("true", 200), ("True", 200), ("0", 200), ("false", 200), ("yes", 422), ("no", 422), ("", 422)],
)
async def test_only_1_0_true_and_false_say_whether_the_forming_bar_is_wanted(
    world: World, api: Api, word: str, status: int
) -> None:
    world.lane("EURUSD", "1m")
    reply = await api[0].get(f"/api/features/EURUSD?forming={word}")
    assert reply.status_code == status
    if status == 422:
        error = reply.json()["error"]
        found = (error["message"], error["expected"], error["found"])
        assert found == ("forming is neither true nor false", "one of 1, true, 0, false", word)


async def test_the_brokers_name_works_too(world: World, api: Api) -> None:
    world.lane("NAS100", "1m")
    assert (await api[0].get("/api/features/US100.e")).json()["symbol"] == "NAS100"


@pytest.mark.parametrize(("age_ms", "current"), [(0, True), (2_000, True), (2_001, False), (86_400_000, False)])
async def test_values_never_vanish_but_stop_being_current(world: World, api: Api, age_ms: int, current: bool) -> None:
    world.alive("EURUSD")
    world.lane("EURUSD", "1m", age_ms=500)
    world.wall.ms += age_ms
    reply = (await api[0].get("/api/features/EURUSD?timeframe=1m")).json()
    assert (reply["current"], reply["values"]["rsi_14"]) == (current, 52.5)
    assert (reply["engine_lag_ms"], reply["data_age_ms"]) == (age_ms, age_ms + 200)


async def test_chosen_names_only_and_unknown_ones_refused(world: World, api: Api) -> None:
    world.lane("EURUSD", "1m")
    reply = (await api[0].get("/api/features/EURUSD?names=rsi_14,obv")).json()
    assert (reply["values"], reply["not_ready"]) == ({"rsi_14": 52.5, "obv": None}, {"obv": "no volume"})
    refused = await api[0].get("/api/features/EURUSD?names=obv,rsi_99,x")
    error = refused.json()["error"]
    assert (refused.status_code, error["found"]) == (422, "rsi_99, x")
    assert error["message"] == "EURUSD 1m has no value 'rsi_99'; did you mean rsi_14?"


async def test_what_is_not_ready_is_null_with_the_reason_beside(world: World, api: Api) -> None:
    why = {"volume_sma_20": "no volume", "obv": "no volume"}
    forming = FormingSet(NOON_MS, 1.0, 1.0, 1.0, 1.0, 0.0, 1, {"rsi_14": 51.0, "volume_sma_20": 0.0})
    world.lane("EURUSD", "1m", values={"rsi_14": 52.5, "volume_sma_20": 0.0}, not_ready=why, forming=forming)
    reply = (await api[0].get("/api/features/EURUSD?forming=1")).json()
    assert (reply["values"], reply["not_ready"]) == ({"rsi_14": 52.5, "volume_sma_20": None, "obv": None}, why)
    assert reply["forming"]["values"] == {"rsi_14": 51.0, "volume_sma_20": None, "obv": None}
    reply = (await api[0].get("/api/features/EURUSD?forming=1&names=obv")).json()
    assert (reply["values"], reply["forming"]["values"]) == ({"obv": None}, {"obv": None})


async def test_symbols_tell_their_session_and_its_next_change(world: World, api: Api) -> None:
    world.alive("EURUSD", "XAUUSD")
    world.lane("XAUUSD", age_ms=31_000)
    found = {s["symbol"]: s for s in (await api[0].get("/api/symbols")).json()["symbols"]}
    assert (found["EURUSD"]["session_open"], found["EURUSD"]["stale"], found["XAUUSD"]["stale"]) == (True, False, True)
    # Spot foreign exchange closes on Friday at 17:00 in New York.
    assert found["EURUSD"]["next_close"] == "2026-06-19T21:00:00.000Z"


async def test_sources_show_breaker_quota_and_who_has_no_source(world: World, api: Api) -> None:
    world.alive("EURUSD")
    world.status("XAUUSD", "withheld", "no source, withheld")
    back_ms = NOON_MS + 3_600_000
    quota = {"day": QuotaWindow(25, 20, 5, back_ms, 5, NOON_MS, back_ms)}
    report = SourceReport("alphavantage", NOON_MS, NOON_MS, True, 20, 19, 1, 0.95, 120.0, 80.0, True, quota=quota)
    report = msgspec.structs.replace(report, next_turn_ms=back_ms, round_ms=4_320_000)
    world.redis.set(keys.source_report("alphavantage"), encode_report(report))
    opened: dict[str, str | int] = {
        "state": "OPEN",
        "failures": 5,
        "opened_at_ms": NOON_MS - 10_000,
        "retry_at_ms": NOON_MS + 50_000,
        "last_error": "timeout",
    }
    world.hash(keys.breaker("alphavantage"), opened)
    reply = (await api[0].get("/api/sources")).json()
    shown = reply["sources"]["alphavantage"]
    assert shown["quota"]["day"] == {
        "limit": 25, "used": 20, "remaining": 5, "reserve": 5, "resets_at": "2026-06-17T15:00:00.000Z",
        "runs_out_at": "2026-06-17T14:00:00.000Z", "back_at": "2026-06-17T15:00:00.000Z",
    }  # fmt: skip
    assert (shown["next_turn_at"], shown["round_seconds"]) == ("2026-06-17T15:00:00.000Z", 4320.0)
    assert shown["breaker"] == {
        "state": "OPEN", "failures": 5, "opened_at": "2026-06-17T13:59:50.000Z", "retry_in_seconds": 50.0,
        "last_error": "timeout", "reason": None, "changed_at": None, "openings": 0, "forced": None,
    }  # fmt: skip
    never = reply["sources"]["yahoo"]
    assert (never["is_healthy"], never["breaker"]["state"]) == (None, "HALF_OPEN")
    assert reply["symbols"]["XAUUSD"]["detail"] == "no source, withheld"


async def test_sources_show_their_push_connections(world: World, api: Api) -> None:
    push = PushReport(
        "live",
        NOON_MS - 60_000,
        250,
        1,
        2,
        ("EURUSD",),
        {"XAUUSD": "not_entitled"},
        "closed with 1006: connection lost",
    )
    report = SourceReport("twelvedata", NOON_MS, NOON_MS, True, push=push)
    world.redis.set(keys.source_report("twelvedata"), encode_report(report))
    sources = (await api[0].get("/api/sources")).json()["sources"]
    assert sources["twelvedata"]["push"] == {
        "state": "live", "since": "2026-06-17T13:59:00.000Z", "last_price_age_ms": 250, "connections": 1,
        "reconnects": 2, "pushed": ["EURUSD"], "refused": {"XAUUSD": "not_entitled"},
        "detail": "closed with 1006: connection lost",
    }  # fmt: skip
    assert sources["yahoo"]["push"] is None


async def test_everything_says_when_it_is_simulated(world: World, tmp_path: Path) -> None:
    settings = world.settings.model_copy(update={"simulator_url": "http://127.0.0.1:1"})
    world.alive("EURUSD")
    world.lane("EURUSD", "1m")
    cache(world, minutes(0, 1))
    async with serving(World(world.redis, settings, world.wall)) as (client, _):
        for path in ("signals", "bars/EURUSD?limit=1", "features/EURUSD", "sources", "symbols", "positions"):
            assert (await client.get(f"/api/{path}")).json()["simulated"] is True
        assert (await client.get("/health")).json()["simulated"] is True

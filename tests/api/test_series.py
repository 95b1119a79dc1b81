"""Another class feeds a series: the api serves that class alone, says which it is, and advises nothing meanwhile."""

from typing import cast

import httpx
import msgspec

from api.context import Context
from api.position_watch import Watch
from common import keys
from common.bars import pack
from common.messages import Bar
from common.sources import SourceReport, SymbolReport, encode_report
from tests.api.history import write_bars
from tests.api.test_posts import FILL
from tests.api.world import NOON_MS, World

Api = tuple[httpx.AsyncClient, Context]
TERMINAL, OWN = "terminal_index", "cme_nq_future"
WARMING = "series changed to terminal_index; warming"


async def withheld(api: Api) -> dict[str, str]:
    """Why there is no signal on NAS100."""
    found = (await api[0].get("/api/signals?equity=1000.00")).json()
    (why,) = (item for item in found["withheld"] if item["instrument"] == "NAS100")
    return cast(dict[str, str], {name: why[name] for name in ("reason", "detail")})


def changed(world: World, **lane: object) -> None:
    """The terminal feeds NAS100, and the engine has followed."""
    world.alive("NAS100")
    world.status("NAS100", source_class=TERMINAL)
    world.lane("NAS100", source_class=TERMINAL, **lane)  # type: ignore[arg-type]  # fields of a FeatureSet


def bar(minute: int, price: float, source_class: str) -> Bar:
    open_ms = NOON_MS - 600_000 + minute * 60_000
    return Bar("NAS100", "1m", open_ms, price, price, price, price, 1.0, "ticks", 4, "mt5", source_class)


async def test_a_signal_of_the_class_before_is_not_served_while_the_engine_lags_behind(world: World, api: Api) -> None:
    world.alive("NAS100")
    world.signal("NAS100")
    assert (await api[0].get("/api/signals?equity=1000.00")).json()["count"] == 1
    world.status("NAS100", source_class=TERMINAL)
    assert await withheld(api) == {"reason": "series_changed", "detail": WARMING}


async def test_nothing_is_advised_while_the_new_class_warms_up(world: World, api: Api) -> None:
    changed(world, warming=WARMING)
    world.signal("NAS100", source_class=TERMINAL)
    assert await withheld(api) == {"reason": "series_changed", "detail": WARMING}


async def test_a_signal_of_the_new_class_is_served_and_one_of_the_old_never(world: World, api: Api) -> None:
    changed(world)
    world.signal("NAS100")
    assert (await withheld(api))["reason"] == "wrong_class"
    world.signal("NAS100", source_class=TERMINAL, source="mt5")
    (served,) = (await api[0].get("/api/signals?equity=1000.00")).json()["signals"]
    assert (served["source"], served["source_class"]) == ("mt5", TERMINAL)


async def test_a_class_that_may_not_feed_the_series_is_not_believed(world: World, api: Api) -> None:
    world.alive("NAS100")
    world.status("NAS100", source_class="ndx_cash")
    world.signal("NAS100", source_class="ndx_cash")
    assert (await withheld(api))["reason"] == "wrong_class"


async def test_symbols_tell_the_series_the_class_that_feeds_it_and_those_that_may(world: World, api: Api) -> None:
    changed(world)
    symbols = {s["symbol"]: s for s in (await api[0].get("/api/symbols")).json()["symbols"]}
    told = {name: symbols["NAS100"][name] for name in ("series", "source_class", "may_feed", "session")}
    assert told == {"series": OWN, "source_class": TERMINAL, "may_feed": [TERMINAL, OWN], "session": "cme"}
    assert symbols["EURUSD"]["source_class"] == symbols["EURUSD"]["series"] == "fx_spot"


async def test_bars_are_of_one_class_from_the_cache_and_from_history(world: World, api: Api) -> None:
    changed(world)
    world.lane("NAS100", "1m", source_class=TERMINAL)
    history = [bar(n, 15_000.0 + n, TERMINAL) for n in range(4)] + [bar(n, 99.0, OWN) for n in range(9)]
    write_bars(world.settings.database_path, history)
    world.redis.rpush(keys.bar_cache(0, "NAS100", "1m"), *(pack(bar(n, 15_000.0 + n, TERMINAL)) for n in (4, 5)))
    reply = (await api[0].get("/api/bars/NAS100?timeframe=1m&limit=6")).json()
    assert reply["source_class"] == TERMINAL
    assert reply["served_from"] == "cache+sqlite"
    assert [row["close"] for row in reply["bars"]] == [15_000.0 + n for n in range(6)]


async def test_bars_say_the_class_that_the_cache_is_of_though_the_collector_is_ahead(world: World, api: Api) -> None:
    world.alive("NAS100")
    world.lane("NAS100", "1m")
    world.status("NAS100", source_class=TERMINAL)
    world.redis.rpush(keys.bar_cache(0, "NAS100", "1m"), pack(bar(0, 15_000.0, OWN)))
    reply = (await api[0].get("/api/bars/NAS100?timeframe=1m&limit=1")).json()
    assert (reply["source_class"], reply["count"]) == (OWN, 1)


async def test_a_position_is_not_presumed_stopped_by_the_prices_of_another_instrument(world: World, api: Api) -> None:
    """Opened while the terminal fed the series; the future that feeds it later lies far below the stop."""
    changed(world)
    assert (await api[0].post("/api/executions", content=FILL)).status_code == 200
    world.wall.ms += 60_000
    world.alive("NAS100")  # its own class again
    low = msgspec.structs.replace(bar(0, 14_000.0, OWN), timeframe="1s", open_ms=world.wall.ms - 5_000)
    world.redis.rpush(keys.bar_cache(0, "NAS100", "1s"), pack(low))
    await _watched(api)
    assert (await api[0].get("/api/positions")).json()["positions"][0]["status"] == "open"

    world.status("NAS100", source_class=TERMINAL)
    world.lane("NAS100", source_class=TERMINAL)
    await _watched(api)
    closed = (await api[0].get("/api/positions")).json()["positions"][0]
    assert (closed["status"], closed["outcome"]) == ("closed", "stop"), "the prices at which it is traded do tell"


async def _watched(api: Api) -> None:
    await Watch().look(api[1])


async def test_the_terminal_is_a_source_without_breaker_and_quota(world: World, api: Api) -> None:
    world.clock()
    symbols = {"NAS100": SymbolReport(TERMINAL, last_market_ms=NOON_MS, served=7, published=7, present=True)}
    report = SourceReport("mt5", NOON_MS, NOON_MS, True, 3, 3, is_healthy=True, account="5012345", symbols=symbols)
    world.redis.set(keys.source_report("mt5"), encode_report(report))
    for view in (
        (await api[0].get("/api/sources")).json()["sources"]["mt5"],
        (await api[0].get("/health")).json()["data_sources"]["mt5"],
    ):
        assert (view["breaker"], view["quota"], view["account"], view["is_healthy"]) == (None, {}, "5012345", True)
        assert (view["symbols"]["NAS100"]["present"], view["symbols"]["NAS100"]["last_market_ms"]) == (True, NOON_MS)

"""When a position that nobody closes is presumed closed."""

from dataclasses import replace

import httpx
import pytest

from api.context import Context
from api.position_watch import Watch
from api.positions import Closing, Position, Positions, PriceRange, presumed_closing
from common import keys
from common.bars import pack
from common.messages import Bar
from tests.api.test_posts import FILL, bodies
from tests.api.world import NOON_MS, World

Api = tuple[httpx.AsyncClient, Context]

BUY = Position("1", "NAS100", "m", "BUY", 0.1, 15005.0, 14990.0, 15050.0, NOON_MS, NOON_MS)
SELL = replace(BUY, action="SELL", stop=15020.0, target=14960.0)
DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("position", "high", "low", "outcome"),
    [
        (BUY, 15049.9, 14990.1, None),
        (BUY, 15000.0, 14990.0, "stop"),
        (BUY, 15050.0, 15000.0, "target"),
        (BUY, 15060.0, 14980.0, "stop"),
        (SELL, 15019.9, 14960.1, None),
        (SELL, 15020.0, 15000.0, "stop"),
        (SELL, 15000.0, 14960.0, "target"),
        (replace(BUY, stop=0.0, target=0.0), 1e9, 1e-9, None),
    ],
)
def test_prices_that_cross_the_stop_or_last_target_end_it(
    position: Position, high: float, low: float, outcome: str | None
) -> None:
    closing = presumed_closing(position, [PriceRange(NOON_MS, high, low)], NOON_MS + 1000, NOON_MS + 1000)
    assert (None if closing is None else closing.outcome) == outcome


def test_prices_from_before_the_fill_say_nothing() -> None:
    assert presumed_closing(BUY, [PriceRange(NOON_MS - 1, 1e9, 1.0)], NOON_MS, NOON_MS) is None


@pytest.mark.parametrize(("age_ms", "ended"), [(DAY_MS, False), (DAY_MS + 1, True)])
def test_after_a_day_it_is_presumed_closed_and_counts_as_a_loss(age_ms: int, ended: bool) -> None:
    closing = presumed_closing(BUY, [], NOON_MS + age_ms, NOON_MS)
    assert (closing is not None) == ended
    if closing is not None:
        assert (closing.presumed, closing.counts_as_loss, closing.price) == (True, True, None)


def test_a_reported_end_replaces_a_presumed_one_and_never_the_reverse() -> None:
    positions = Positions()
    positions.add(BUY)
    presumed = Closing(NOON_MS, "stop", 14990.0)
    reported = Closing(NOON_MS + 1, "reported", 15050.0, "TP2")
    positions.close("1", presumed, 0)
    positions.close("1", reported, 0)
    positions.close("1", presumed, 0)
    found = positions.get("1")
    assert found is not None
    assert found.closing == reported


async def test_bars_of_our_own_end_a_position_and_the_report_says_presumed(world: World, api: Api) -> None:
    world.alive("NAS100")
    await api[0].post("/api/executions", content=FILL)
    second = NOON_MS + 1000
    bar = Bar("NAS100", "1s", second, 15000.0, 15001.0, 14989.0, 14995.0, 0.0, "none", 4, "yahoo", "cme_nq_future")
    world.redis.rpush(keys.bar_cache(0, "NAS100", "1s"), pack(bar))
    await Watch().look(api[1])
    shown = (await api[0].get("/api/positions")).json()["positions"][0]
    assert (shown["status"], shown["presumed"], shown["outcome"]) == ("closed", True, "stop")
    assert (shown["exit_price"], shown["counts_as_loss"]) == (14990.0, True)
    await api[1].publisher.publish()
    assert b"position_presumed_closed" in bodies(world, keys.EVENTS)[0]

"""Closed is not stale, open and silent is: what the api says around the ends of trading sessions."""

from collections.abc import Iterator
from datetime import datetime

import httpx
import pytest

from api.context import Context
from tests.api.world import World

Api = tuple[httpx.AsyncClient, Context]
SECOND, MINUTE = 1_000, 60_000


def utc(text: str) -> int:
    """Return "2026-05-25 17:00:00" as epoch milliseconds."""
    return int(datetime.fromisoformat(text + "+00:00").timestamp()) * 1000


async def said(world: World, api: Api, now: str, newest: str, symbol: str, delay_s: int = 0) -> tuple[object, object]:
    """Return (session open, stale) of a symbol whose newest price is of that time."""
    world.wall.ms = utc(now)
    world.clock()
    world.engine()
    world.lane(symbol, age_ms=utc(now) - utc(newest), delay_ms=delay_s * SECOND)
    rows = (await api[0].get("/api/symbols")).json()["symbols"]
    (row,) = (row for row in rows if row["symbol"] == symbol)
    health = (await api[0].get("/health")).json()["components"]["data_pipeline"]
    assert (symbol in health["open_symbols"]) is row["session_open"]
    assert (symbol in health["silent_symbols"]) is bool(row["stale"])
    return row["session_open"], row["stale"]


@pytest.fixture(autouse=True)
def _real_time_again(world: World) -> Iterator[None]:
    before = world.wall.ms
    yield
    world.wall.ms = before


@pytest.mark.parametrize(
    ("now", "newest", "symbol", "delay_s", "expected"),
    [
        # Memorial Day 2026: index futures halt at 13:00 New York (17:00 UTC) and open again at 18:00 (22:00 UTC);
        # COMEX metals at 14:30 (18:30 UTC). Published by CME, and so traded in the recorded prices.
        ("2026-05-25 16:59:59", "2026-05-25 16:59:58", "NAS100", 0, (True, False)),
        ("2026-05-25 16:59:59", "2026-05-25 16:59:00", "NAS100", 0, (True, True)),
        ("2026-05-25 17:00:00", "2026-05-25 16:59:00", "NAS100", 0, (False, None)),
        ("2026-05-25 21:59:59", "2026-05-25 16:59:59", "NAS100", 0, (False, None)),
        ("2026-05-25 18:29:59", "2026-05-25 18:20:00", "XAUUSD", 600, (True, False)),
        ("2026-05-25 18:29:59", "2026-05-25 18:19:00", "XAUUSD", 600, (True, True)),
        ("2026-05-25 18:30:00", "2026-05-25 18:19:00", "XAUUSD", 600, (False, None)),
        # From the opening on a source has as long for its first quote as for any other: half a minute and its delay.
        ("2026-05-25 22:00:00", "2026-05-25 16:59:59", "NAS100", 0, (True, False)),
        ("2026-05-25 22:00:29", "2026-05-25 16:59:59", "NAS100", 0, (True, False)),
        ("2026-05-25 22:00:30", "2026-05-25 16:59:59", "NAS100", 0, (True, True)),
        ("2026-05-25 22:10:29", "2026-05-25 18:29:59", "XAUUSD", 600, (True, False)),
        ("2026-05-25 22:10:30", "2026-05-25 18:29:59", "XAUUSD", 600, (True, True)),
        # A weekend of currencies: Friday 17:00 to Sunday 17:00 New York.
        ("2026-05-22 21:00:00", "2026-05-22 20:50:00", "EURUSD", 0, (False, None)),
        ("2026-05-24 20:59:59", "2026-05-22 20:59:59", "EURUSD", 0, (False, None)),
        ("2026-05-24 21:00:29", "2026-05-22 20:59:59", "EURUSD", 0, (True, False)),
        ("2026-05-24 21:00:30", "2026-05-22 20:59:59", "EURUSD", 0, (True, True)),
        # The Friday after Thanksgiving: index futures until 13:15 New York (18:15 UTC).
        ("2026-11-27 18:14:59", "2026-11-27 18:14:58", "US500", 0, (True, False)),
        ("2026-11-27 18:15:00", "2026-11-27 18:14:00", "US500", 0, (False, None)),
    ],
)
async def test_closed_is_not_stale_and_silence_counts_from_the_opening(
    world: World, api: Api, now: str, newest: str, symbol: str, delay_s: int, expected: tuple[object, object]
) -> None:
    assert await said(world, api, now, newest, symbol, delay_s) == expected


async def test_a_symbol_that_never_had_a_price_is_silent_only_after_the_grace(world: World, api: Api) -> None:
    for now, silent in (("2026-05-24 21:00:29", False), ("2026-05-24 21:00:30", True)):
        world.wall.ms = utc(now)
        world.clock()
        world.engine()
        health = (await api[0].get("/health")).json()["components"]["data_pipeline"]
        assert ("EURUSD" in health["silent_symbols"]) is silent

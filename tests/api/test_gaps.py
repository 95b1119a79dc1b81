"""The gap ledger over HTTP: every bar that was to be expected is accounted for, and /health says what is missing."""

from itertools import pairwise
from urllib.parse import quote

import httpx
import pytest

from api.context import Context
from tests.api.history import write_bars, write_check, write_gap
from tests.api.test_data import minutes
from tests.api.test_health import health, working
from tests.api.world import NOON_MS, World

Api = tuple[httpx.AsyncClient, Context]
MINUTE = 60_000
EURUSD, GOLD = ("EURUSD", "fx_spot", "1m"), ("XAUUSD", "comex_gold_future", "5m")


def at(minute: int) -> int:
    return NOON_MS + minute * MINUTE


async def gaps(client: httpx.AsyncClient, query: str = "") -> dict:
    reply = await client.get(f"/api/gaps{query}")
    assert reply.status_code == 200, reply.text
    return reply.json()


def spans(reply: dict) -> list[tuple[int, int, str]]:
    return [((g["from_ms"] - NOON_MS) // MINUTE, (g["to_ms"] - NOON_MS) // MINUTE, g["state"]) for g in reply["gaps"]]


@pytest.fixture
def ledger(world: World) -> World:
    """A ledger that began ten minutes before noon, with gaps of every kind."""
    world.alive("EURUSD", "XAUUSD")
    world.wall.ms = at(20)
    world.clock()
    path = world.settings.database_path
    write_check(path, EURUSD, at(-10), at(18))
    write_check(path, GOLD, at(-10), at(15))
    write_bars(path, minutes(-10, 12) + minutes(4, 10))
    write_gap(path, EURUSD, at(2), at(4), "repaired")
    write_gap(path, EURUSD, at(6), at(7), "no_trade")
    write_gap(path, EURUSD, at(14), at(17), "missing", detail="yahoo: outage: 503")
    write_gap(path, GOLD, at(5), at(10), "unrepairable", bars=1, source="", detail="older than any vendor's history")
    return world


async def test_the_ledger_is_listed_oldest_first_with_each_lanes_summary(ledger: World, api: Api) -> None:
    reply = await gaps(api[0])
    assert spans(reply) == [(2, 4, "repaired"), (5, 10, "unrepairable"), (6, 7, "no_trade"), (14, 17, "missing")]
    assert reply["gaps"][0] == {
        "symbol": "EURUSD", "source_class": "fx_spot", "timeframe": "1m", "from_ms": at(2), "to_ms": at(4), "bars": 2,
        "state": "repaired", "partial": False, "attempts": 1, "found_ms": at(4), "next_attempt_ms": None,
        "closed_ms": at(4) + 5_000, "source": "yahoo", "detail": "",
    }  # fmt: skip
    assert (reply["count"], reply["next"]) == (4, None)
    assert reply["lanes"][0] == {
        "symbol": "EURUSD", "source_class": "fx_spot", "timeframe": "1m", "feeds_series": True, "begun_ms": at(-10),
        "checked_ms": at(18), "bars": {"missing": 3, "repaired": 2, "no_trade": 1, "unrepairable": 0},
        "oldest_missing_ms": at(14), "next_attempt_ms": at(17) + 10_000,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?symbol=XAUUSD", ["unrepairable"]),
        ("?timeframe=1m", ["repaired", "no_trade", "missing"]),
        ("?state=missing,no_trade", ["no_trade", "missing"]),
        (f"?from={at(3)}&to={at(6)}", ["repaired", "unrepairable"]),
        ("?from=2026-06-17T14:13:00Z", ["missing"]),
        ("?to=1000", []),
    ],
)
async def test_the_list_is_narrowed_by_what_is_asked(ledger: World, api: Api, query: str, expected: list[str]) -> None:
    assert [gap["state"] for gap in (await gaps(api[0], query))["gaps"]] == expected


async def test_pages_bring_each_row_once(ledger: World, api: Api) -> None:
    reply = await gaps(api[0], "?limit=1")
    found = spans(reply)
    while reply["next"] is not None:
        reply = await gaps(api[0], f"?limit=1&after={quote(reply['next'])}")
        found += spans(reply)
    assert [first for first, _, _ in found] == [2, 5, 6, 14]


EVERY = "missing,repaired,no_trade,unrepairable,present,closed,pending,not_watched"


async def test_with_all_states_a_lane_is_told_without_a_seam(ledger: World, api: Api) -> None:
    reply = await gaps(api[0], f"?symbol=EURUSD&timeframe=1m&state={EVERY}&from={at(-12)}&to={at(20)}")
    assert spans(reply) == [
        (-12, -10, "not_watched"), (-10, 2, "present"), (2, 4, "repaired"), (4, 6, "present"), (6, 7, "no_trade"),
        (7, 14, "present"), (14, 17, "missing"), (17, 20, "pending"),
    ]  # fmt: skip
    assert [gap["bars"] for gap in reply["gaps"]] == [2, 12, 2, 2, 1, 7, 3, 3]


async def test_closed_time_is_told_as_closed(ledger: World, api: Api) -> None:
    friday, monday = "2026-06-19T20:00:00Z", "2026-06-22T00:00:00Z"  # foreign exchange closes and opens at 21:00 UTC
    reply = await gaps(api[0], f"?symbol=EURUSD&timeframe=1m&state=closed,pending&from={friday}&to={monday}")
    assert [(gap["state"], gap["to_ms"] - gap["from_ms"]) for gap in reply["gaps"]] == [
        ("pending", 60 * MINUTE), ("closed", 48 * 60 * MINUTE), ("pending", 180 * MINUTE),
    ]  # fmt: skip
    assert all(first["to_ms"] == second["from_ms"] for first, second in pairwise(reply["gaps"]))


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("?state=lost", 422), ("?from=yesterday", 422), ("?from=2&to=1", 422), ("?limit=0", 422), ("?limit=1001", 422),
        ("?after=x", 422), ("?after=1|a|b", 422), ("?state=present", 422), ("?timeframe=2m", 422),
        ("?symbol=NOPE", 404),
        ("?symbol=EURUSD&timeframe=1m&state=present&from=2026-01-01T00:00:00Z", 422), ("?from=2026-06-17", 422),
        ("?symbol=XAUUSD&timeframe=1h&state=closed&from=99999990000000&to=99999999999999", 422),
        ("?symbol=EURUSD&timeframe=1h&state=closed&from=0001-01-01T00:00:00Z&to=0001-01-02T00:00:00Z", 422),
    ],
)  # fmt: skip
async def test_what_can_not_be_answered_is_refused(ledger: World, api: Api, query: str, status: int) -> None:
    reply = await api[0].get(f"/api/gaps{query}")
    assert (reply.status_code, bool(reply.json()["error"]["message"])) == (status, True)


async def test_without_a_ledger_it_says_so(world: World, api: Api) -> None:
    assert (await api[0].get("/api/gaps")).json()["error"]["code"] == "history_away"


async def test_health_tells_what_is_missing_now_and_where_most(world: World, api: Api) -> None:
    working(world)
    path = world.settings.database_path
    write_check(path, EURUSD, at(-60), at(-1))
    write_gap(path, EURUSD, at(-10), at(-5), "missing")
    write_gap(path, EURUSD, at(-40), at(-30), "repaired")
    found = (await health(api[0]))["components"]["gaps"]
    assert (found["status"], found["message"]) == ("healthy", "5 bars are missing, being repaired")
    assert [found[state] for state in ("missing", "repaired", "no_trade", "unrepairable")] == [5, 10, 0, 0]
    assert found["worst_lane"] == {
        "symbol": "EURUSD", "source_class": "fx_spot", "timeframe": "1m", "missing": 5,
        "oldest": "2026-06-17T13:50:00.000Z", "next_attempt": "2026-06-17T13:55:10.000Z",
    }  # fmt: skip


async def test_what_is_missing_for_long_makes_health_degraded(world: World, api: Api) -> None:
    working(world)
    path = world.settings.database_path
    write_check(path, EURUSD, at(-60), at(-1))
    write_gap(path, EURUSD, at(-50), at(-31), "missing")
    found = await health(api[0])
    assert (found["status"], found["components"]["gaps"]["message"]) == (
        "degraded", "missing for more than 30 minutes: EURUSD 1m",
    )  # fmt: skip


async def test_a_class_that_feeds_no_series_now_is_not_missed(world: World, api: Api) -> None:
    working(world)
    path = world.settings.database_path
    resting = ("EURUSD", "terminal_fx", "1m")
    write_check(path, resting, at(-60), at(-1))
    write_gap(path, resting, at(-50), at(-31), "missing")
    assert (await health(api[0]))["components"]["gaps"]["missing"] == 0
    assert [lane["feeds_series"] for lane in (await gaps(api[0]))["lanes"]] == [False]

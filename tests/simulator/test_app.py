"""The clock, the figures, and what the server does with anything else."""

import asyncio
import json
from pathlib import Path

import pytest

from simulator.app import App
from simulator.csv_source import BAR_HEADER
from simulator.pace import Pace
from tests.simulator.kit import START_MS, Client, client_of, made, replay, write


@pytest.fixture
def client() -> Client:
    return client_of(made())


async def test_the_clock_gives_the_next_cycle_and_moves_there(client: Client) -> None:
    reply = await client.get("/sim/clock?after=0")
    assert reply.json == {"cycle": 1, "now_ms": START_MS + 1000, "speed": 0.0}
    assert (await client.get("/sim/stats")).json["cycle"] == 1


async def test_a_cycle_that_is_asked_for_again_is_the_same_with_the_same_ticks(client: Client) -> None:
    await client.go(50)
    first = await client.quotes("EURUSD=X", "NQ=F")
    await client.go(51)
    await client.go(50)
    again = await client.quotes("EURUSD=X", "NQ=F")
    assert (again.body, again.ticks) == (first.body, first.ticks)


async def test_time_may_go_forward_over_many_cycles_at_once(client: Client) -> None:
    assert await client.go(100_000) == START_MS + 100_000_000


@pytest.mark.parametrize("after", ["", "x", "-1", "1.5", "9" * 20, "%C2%B2"])
async def test_a_clock_asked_wrongly_says_what_it_wants(client: Client, after: str) -> None:
    reply = await client.get(f"/sim/clock?after={after}")
    assert reply.status == 400
    assert "after: expected the number of the last cycle" in reply.json["error"]


async def test_the_clock_is_done_when_the_data_have_ended(tmp_path: Path) -> None:
    rows = ("1642374000,10,10,10,10,4", "1642374060,10,10,10,10,4")
    client = client_of(replay([write(tmp_path, "NAS100_M1.csv", BAR_HEADER, *rows)]))
    cycle = 0
    while True:
        found = (await client.get(f"/sim/clock?after={cycle}")).json
        if found.get("done"):
            break
        cycle = found["cycle"]
    assert found["now_ms"] == 1642374130_000  # the last bar is complete at :120, and 10 s are left to close it
    assert found["cycle"] == cycle


async def test_every_tick_that_a_reply_tells_is_counted_charts_apart(client: Client) -> None:
    last = 0
    for cycle in range(1, 21):
        await client.go(cycle)
        last = (await client.quotes("EURUSD=X")).ticks["EURUSD=X"]
    await client.get("/yahoo/v8/finance/chart/GC=F?interval=1m&range=1d")
    stats = (await client.get("/sim/stats")).json
    assert stats["ticks"]["yahoo"] == {"EURUSD=X": {"highest": last, "distinct": last}}
    assert stats["calls"]["yahoo"]["ok"] == 21


@pytest.mark.parametrize(
    ("method", "url", "status"),
    [
        ("GET", "/", 404), ("GET", "/nobody/x", 404), ("GET", "/sim/none", 404), ("POST", "/sim/clock", 404),
        ("POST", "/yahoo/v8/finance/chart/GC=F", 405), ("GET", "/sim/ledger?after=x", 400),
    ],
)  # fmt: skip
async def test_other_paths_and_methods_are_refused(client: Client, method: str, url: str, status: int) -> None:
    assert (await client.send(method, url)).status == status


async def test_replies_are_dated_with_simulated_time(client: Client) -> None:
    await client.go(90)
    reply = await client.get("/twelvedata/quote?symbol=EUR/USD&apikey=k")
    assert reply.headers["date"] == "Wed, 10 Jun 2026 14:31:30 GMT"


async def test_before_the_first_cycle_prices_stand_at_the_start(client: Client) -> None:
    assert (await client.get("/twelvedata/quote?symbol=EUR/USD&apikey=k")).ticks == {"EUR/USD": 0}


class Time:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))
        self.now_s += seconds


async def test_time_goes_at_most_at_the_speed_asked_for() -> None:
    time = Time()
    pace = Pace(10.0, lambda: time.now_s, time.sleep)
    for cycle in range(5):
        await pace.release(cycle * 1000)
    assert time.slept == [0.1] * 4


async def test_a_stall_is_not_caught_up_with() -> None:
    time = Time()
    pace = Pace(1.0, lambda: time.now_s, time.sleep)
    await pace.release(0)
    time.now_s += 30
    await pace.release(1000)
    await pace.release(2000)
    assert time.slept == [1.0]


async def test_small_delays_are_caught_up_with() -> None:
    time = Time()
    pace = Pace(1.0, lambda: time.now_s, time.sleep)
    for cycle in range(4):
        await pace.release(cycle * 1000)
        time.now_s += 0.2
    assert time.slept == [0.8] * 3


async def test_a_cycle_asked_for_again_is_due_at_once_and_speed_0_never_waits() -> None:
    time = Time()
    pace = Pace(1.0, lambda: time.now_s, time.sleep)
    await pace.release(1000)
    await pace.release(1000)
    await Pace(0.0, lambda: time.now_s, time.sleep).release(9999)
    assert time.slept == []


async def test_the_position_stays_until_the_next_cycle_is_due() -> None:
    client = Client(App(made(), speed=5.0))
    await client.go(1)
    waiting = asyncio.create_task(client.get("/sim/clock?after=1"))
    await asyncio.sleep(0)
    assert json.loads((await client.get("/sim/stats")).body)["cycle"] == 1
    assert (await waiting).json["cycle"] == 2


async def test_time_can_go_on_while_nobody_collects() -> None:
    client = Client(App(made(), speed=5.0))
    await client.go(3)
    before_ms = (await client.get("/sim/stats")).json["now_ms"]
    reply = await client.send("POST", "/sim/skip?seconds=1800")
    assert reply.status == 200
    moment = (await client.get("/sim/clock?after=3")).json  # at once, though at this speed it were six minutes
    assert moment["now_ms"] == before_ms + 1_800_000
    assert (await client.get(f"/sim/clock?after={moment['cycle']}")).json["cycle"] == moment["cycle"] + 1


@pytest.mark.parametrize("seconds", ["", "0", "-1", "x", "99999999"])
async def test_a_leap_that_is_none_is_refused(client: Client, seconds: str) -> None:
    assert (await client.send("POST", f"/sim/skip?seconds={seconds}")).status == 400


async def test_a_cycle_waited_for_before_a_leap_holds_back_none_after_it() -> None:
    time = Time()
    pace = Pace(1.0, lambda: time.now_s, time.sleep)
    await pace.release(0)

    async def leap(seconds: float) -> None:
        time.slept.append(seconds)
        pace.rebase()

    pace._sleep = leap
    await pace.release(1_000)
    await pace.release(1_800_000)
    assert time.slept == [1.0]

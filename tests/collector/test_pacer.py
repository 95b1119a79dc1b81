"""The pace: aligned to the wall clock without drift; missed ticks are counted, never made up for."""

import asyncio
import json

import pytest

from collector.fetch import Access, make_client
from collector.pacer import SimPacer, Tick, WallPacer
from collector.times import StreamTime
from common.errors import Fatal
from tests.collector.kit import T0, FaultServer, Heard, ok, response


class Wall:
    """A clock whose sleep moves it, a little too far each time."""

    def __init__(self, at_ms: float, overshoot_ms: float = 0.0) -> None:
        self.at_ms, self.overshoot_ms = at_ms, overshoot_ms

    def ms(self) -> int:
        return int(self.at_ms)

    async def sleep(self, seconds: float) -> None:
        self.at_ms += seconds * 1000 + self.overshoot_ms


async def test_an_hour_of_ticks_does_not_drift() -> None:
    wall = Wall(T0 + 337, overshoot_ms=3.7)
    pacer = WallPacer(1.0, wall.ms, wall.sleep)
    ticks = []
    for n in range(3_600):
        ticks.append(await pacer.next(n))
        wall.at_ms += 120  # what the cycle takes
    assert [t.now_ms for t in ticks] == [T0 + 1_000 * n for n in range(1, 3_601)]
    assert [t.cycle for t in ticks] == list(range(1, 3_601))
    assert sum(t.skipped for t in ticks) == 0


async def test_a_cycle_of_three_and_a_half_seconds_skips_three_ticks_and_bunches_none() -> None:
    wall = Wall(T0)
    pacer = WallPacer(1.0, wall.ms, wall.sleep)
    await pacer.next(0)
    wall.at_ms += 3_500
    late = await pacer.next(1)
    assert (late.now_ms, late.skipped) == (T0 + 5_000, 3)
    assert (await pacer.next(2)).now_ms == T0 + 6_000


async def test_a_clock_set_back_an_hour_does_not_stop_the_ticks_for_an_hour() -> None:
    wall = Wall(T0)
    pacer = WallPacer(1.0, wall.ms, wall.sleep)
    await pacer.next(0)
    wall.at_ms -= 3_600_000
    tick = await pacer.next(1)
    assert (tick.now_ms, tick.skipped) == (T0 + 1_000 - 3_600_000 + 1_000, 0)


def test_the_streams_time_never_goes_back() -> None:
    wall = Wall(T0)
    time = StreamTime(wall.ms, stepped=False)
    assert time.now_ms() == T0
    wall.at_ms -= 5_000
    assert time.now_ms() == T0
    wall.at_ms += 5_001
    assert time.now_ms() == T0 + 1


def test_stepped_time_is_what_it_was_told() -> None:
    time = StreamTime(lambda: T0 * 2, stepped=True)
    time.advance(T0)
    assert time.now_ms() == T0


# -- the simulator's pace -------------------------------------------------------------------------


class SimClock:
    """Answers like the simulator, from a list."""

    def __init__(self, *bodies: "dict | bytes") -> None:
        self.bodies = list(bodies)
        self.after: list[str] = []

    async def __call__(self, heard: Heard, writer: asyncio.StreamWriter) -> None:
        self.after.append(heard.query["after"])
        body = self.bodies.pop(0) if len(self.bodies) > 1 else self.bodies[0]
        writer.write(body if isinstance(body, bytes) else response(json.dumps(body).encode()))


async def no_sleep(seconds: float) -> None:
    await asyncio.sleep(0)


async def test_the_simulator_says_when_and_waits_until_it_is_up(server: FaultServer) -> None:
    client = make_client(Access())
    clock = server.behave = SimClock(response(b"", 503), {"cycle": 8, "now_ms": T0, "speed": 60.0})
    tick = await SimPacer(server.url, client, no_sleep).next(7)
    assert tick == Tick(8, T0, 60.0, stepped=True)
    assert clock.after == ["7", "7"]
    await client.aclose()


async def test_at_the_end_of_the_data_it_idles_and_goes_on_when_there_is_more(server: FaultServer) -> None:
    client = make_client(Access())
    clock = server.behave = SimClock({"done": True}, {"done": True}, {"cycle": 8, "now_ms": T0, "speed": 0.0})
    tick = await SimPacer(server.url, client, no_sleep).next(7)
    assert (tick.cycle, len(clock.after)) == (8, 3)
    await client.aclose()


async def test_a_cycle_that_was_committed_already_is_fatal(server: FaultServer) -> None:
    client = make_client(Access())
    server.behave = ok({"cycle": 7, "now_ms": T0})
    with pytest.raises(Fatal, match="expected cycle 8, found 7"):
        await SimPacer(server.url, client, no_sleep).next(7)
    await client.aclose()


async def test_cycles_that_went_by_while_nobody_collected_are_left_out(server: FaultServer) -> None:
    client = make_client(Access())
    server.behave = ok({"cycle": 10, "now_ms": T0})
    assert (await SimPacer(server.url, client, no_sleep).next(7)).cycle == 10
    await client.aclose()


async def test_time_goes_on_where_redis_has_forgotten_it(server: FaultServer) -> None:
    client = make_client(Access())
    clock = server.behave = SimClock({"cycle": 8, "now_ms": T0}, {"cycle": 8, "now_ms": T0})
    pacer = SimPacer(server.url, client, no_sleep)
    await pacer.next(7)
    await pacer.next(0)
    assert clock.after == ["7", "7"]
    await client.aclose()


async def test_a_simulator_that_answers_nonsense_is_waited_for(server: FaultServer) -> None:
    client = make_client(Access())
    server.behave = SimClock(raw_bytes(b"not json"), {"cycle": 1, "now_ms": T0})
    assert (await SimPacer(server.url, client, no_sleep).next(0)).cycle == 1
    await client.aclose()


def raw_bytes(body: bytes) -> bytes:
    return response(body)

"""One budget, several who use it: two collectors with a partition each, and a program that is not ours."""

import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from collector.budget import Budget
from collector.choose import SourceView, choose
from collector.events import Events
from collector.kind_of_run import claim
from collector.limits import Plan, Purpose, Window, load_limits
from collector.pace import Course
from collector.quota import Quota, Terms, asked_ms
from collector.usage import UsageFile
from collector.vendors.base import Ask, Credentials, Reply, Request, Verdict
from collector.vendors.twelvedata import TwelveData
from common import keys
from common.breaker import BreakerView, Rules, State
from common.errors import Fatal
from common.metrics import Metrics
from common.redis_link import Link, flat_pairs
from tests.collector.kit import T0, Now, listing
from tests.conftest import RedisServer
from tests.simulator.kit import client_of, made

PLAN = Plan("v", "p", (Window("minute", 60_000, 6, reserve=2), Window("forty_minutes", 2_400_000, 36, reserve=6)))
SESSIONS = {"EURUSD": "fx", "GBPUSD": "fx"}


class Collector:
    """One process's side of one source's budget."""

    def __init__(self, link: Link, folder: Path, now: Now, symbol: str) -> None:
        self.link, self.now, self.symbol = link, now, symbol
        course = Course(SESSIONS, 50, foreign=frozenset(SESSIONS.keys() - {symbol}))
        usage = UsageFile(folder, symbol)
        self.budget = Budget(Quota(link, PLAN), course, usage, Events(Metrics("collector")), now)
        self.budget.open(first_start=True)
        self.calls_ms: list[int] = []

    def cycle(self) -> None:
        stored = flat_pairs(self.link.call("HGETALL", keys.quota("v")))
        left, pace = self.budget.view(stored, self.now())
        closed = BreakerView(state=State.CLOSED)
        view = SourceView("v", True, closed, Rules(), left, self.budget.course, pace, {}, asked_ms(stored))
        choice = choose({self.symbol: [listing("v", self.symbol)]}, {"v": view}, {}, self.now())
        for group in choice.groups:
            if self.budget.pay(Request("/", group.asks), group.purpose):
                self.calls_ms.append(self.now())


def most_in_any(window_ms: int, times_ms: list[int]) -> int:
    return max(sum(start <= t < start + window_ms for t in times_ms) for start in times_ms)


@pytest.mark.parametrize("first", ["EURUSD", "GBPUSD"])
def test_two_collectors_overrun_no_window_together_and_neither_starves(
    redis_server: RedisServer, tmp_path: Path, first: str
) -> None:
    redis_server.client().flushall()
    now = Now()
    both = [Collector(redis_server.link(), tmp_path, now, symbol) for symbol in sorted(SESSIONS, key=first.__ne__)]
    for second in range(2_700):
        now.at_ms = T0 + second * 1_000
        for ours in both:  # always the same one first
            ours.cycle()
    times = sorted(t for ours in both for t in ours.calls_ms)
    assert most_in_any(60_000, times) <= 4
    assert 28 <= most_in_any(2_400_000, times) <= 30, "the regular share, and all of it"
    assert abs(len(both[0].calls_ms) - len(both[1].calls_ms)) <= 1


def test_a_process_whose_partner_is_dead_loses_two_seconds_a_turn_at_most(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    redis_server.client().flushall()
    now = Now()
    alone = Collector(redis_server.link(), tmp_path, now, "EURUSD")
    for second in range(1_000):
        now.at_ms = T0 + second * 1_000
        alone.cycle()
    gaps = [b - a for a, b in zip(alone.calls_ms, alone.calls_ms[1:], strict=False)]
    assert max(gaps) <= 84_000  # a turn comes each 81.4 s


# -- somebody else with the same key --------------------------------------------------------------

ASKS = (Ask("EURUSD", "EUR/USD", "fx_spot"),)


@pytest.mark.parametrize("greed", [1, 3, 5])
async def test_what_another_program_uses_is_left_to_it(link: Link, greed: int) -> None:
    """The other one takes its share in the first second of each minute; we take a credit as often as we may."""
    vendor, client = TwelveData(), client_of(made(real=True), real=True)
    plan = load_limits()["twelvedata"]
    quota = Quota(link, plan)
    quota.establish({}, await client.go(1))
    ours = 0
    for cycle in range(2, 600):
        now_ms = await client.go(cycle)
        if datetime.fromtimestamp(now_ms / 1000, UTC).second == 0:
            for _ in range(greed):
                await client.get("/twelvedata/quote?symbol=GBP/USD&apikey=shared")
        if not quota.reserve(1, now_ms, Terms(Purpose.REGULAR)).granted:
            continue
        request = vendor.latest(ASKS, Credentials("shared"))
        told = await client.send("GET", "/twelvedata/quote?symbol=EUR/USD", headers=dict(request.headers))
        reading = vendor.read_latest(request, Reply(told.status, told.headers, told.body, now_ms))
        assert reading.verdict is Verdict.OK, reading.detail
        assert reading.credits_left is not None
        quota.correct(reading.credits_left, now_ms, now_ms)
        ours += 1
    assert ours >= 8 * (6 - greed), "of the regular 6 a minute, what it leaves is used"


def test_random_shares_of_another_program_cost_one_refusal_a_minute_at_most(link: Link) -> None:
    from simulator.limits import Windows

    rng = random.Random(3)
    vendor = Windows((("minute", 60_000, 8),), count_refused=True)
    quota = Quota(link, Plan("v", "p", (Window("minute", 60_000, 8, reserve=2),), reported="minute"))
    quota.establish({}, T0)
    refused: list[int] = []
    blocked_until_ms = T0
    for second in range(3_600):
        now_ms = T0 + second * 1_000
        vendor.admit(now_ms, 0)
        if rng.random() < 0.1 and vendor.used[0] < 8:
            vendor.admit(now_ms, 1)
        if now_ms < blocked_until_ms or not quota.reserve(1, now_ms).granted:
            continue
        if vendor.admit(now_ms, 1) is not None:
            refused.append(now_ms // 60_000)
            blocked_until_ms = (now_ms // 60_000 + 1) * 60_000
        quota.correct(max(0, 8 - vendor.used[0]), now_ms, now_ms)
    assert len(refused) == len(set(refused)), "after a refusal the rest of the minute is left alone"
    assert len(refused) <= 6, "only what is used between two of our calls is not known to us"


# -- one kind of data -----------------------------------------------------------------------------


def test_a_database_takes_live_data_or_simulated_data_never_both(new_link: Callable[[], Link]) -> None:
    link = new_link()
    claim(link, simulated=True)
    claim(new_link(), simulated=True)
    with pytest.raises(Fatal, match=r"REDIS_DB: .* holds the data of a simulated run, and this is a live one"):
        claim(link, simulated=False)
    link.call("FLUSHALL")
    claim(link, simulated=False)

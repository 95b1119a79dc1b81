"""The vendors' free allowances, in simulated time, and the ledger that proves them."""

from collections import Counter

import pytest

from simulator.ledger import Ledger
from simulator.limits import Block, Paced, Unlimited, Windows
from tests.simulator.kit import START_MS, Client, client_of, made

MINUTE_MS = 60_000
DAY_MS = 86_400_000


def test_a_pause_between_calls_and_an_allowance_a_day() -> None:
    limit = Paced(1000, 3)
    times = (0, 500, 1000, 2000, 3000, DAY_MS)
    assert [limit.admit(at) for at in times] == [None, "second", None, None, "day", None]


def test_refused_credits_count_where_the_vendor_counts_them() -> None:
    counting = Windows((("minute", MINUTE_MS, 8), ("day", DAY_MS, 20)), count_refused=True)
    assert [counting.admit(0, 6), counting.admit(1, 6)] == [None, "minute"]
    assert counting.used == [12, 12]
    assert [counting.admit(MINUTE_MS, 8), counting.admit(2 * MINUTE_MS, 1)] == [None, "day"]
    forgiving = Windows((("minute", MINUTE_MS, 5),), count_refused=False)
    assert [forgiving.admit(0) for _ in range(7)] == [None] * 5 + ["minute"] * 2
    assert forgiving.used == [5]


def test_a_window_does_not_begin_again_when_time_steps_back() -> None:
    limit = Windows((("minute", MINUTE_MS, 1),), count_refused=False)
    assert [limit.admit(MINUTE_MS), limit.admit(MINUTE_MS - 1000), limit.admit(MINUTE_MS)] == [None, "minute", "minute"]


def test_too_many_calls_block_the_address_for_a_while() -> None:
    limit = Block(40, 40 * MINUTE_MS, 16 * MINUTE_MS)
    assert [limit.admit(n * 30_000) for n in range(41)] == [None] * 40 + ["blocked"]
    blocked_ms = 40 * 30_000
    assert limit.admit(blocked_ms + 15 * MINUTE_MS) == "blocked"
    assert limit.admit(blocked_ms + 16 * MINUTE_MS) is None


def test_calls_a_minute_apart_are_never_blocked() -> None:
    limit = Block(40, 40 * MINUTE_MS, 16 * MINUTE_MS)
    assert {limit.admit(n * MINUTE_MS) for n in range(500)} == {None}
    assert Unlimited().admit(0) is None


@pytest.fixture
def real() -> Client:
    return client_of(made(real=True, interval_ms=20_000), real=True)


async def entries(client: Client, vendor: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = (await client.get(f"/sim/ledger?vendor={vendor}")).json
    return found


async def test_yahoo_blocks_after_forty_calls_and_opens_again(real: Client) -> None:
    url = "/yahoo/v8/finance/chart/EURUSD=X?interval=1m&range=1d"
    statuses = []
    for cycle in range(1, 95):
        await real.go(cycle)
        statuses.append((await real.get(url)).status)
    assert statuses == [200] * 40 + [429] * 48 + [200] * 6  # 48 cycles of 20 s are 16 minutes
    calls = await entries(real, "yahoo")
    good = [int(str(call["now_ms"])) for call in calls if call["verdict"] == "ok"]
    for at in good:
        assert sum(at - 40 * MINUTE_MS < other <= at for other in good if other <= at) <= 46


async def test_the_ledger_shows_that_no_minute_had_more_than_the_allowance(real: Client) -> None:
    for cycle in range(1, 31):
        await real.go(cycle)
        await real.get("/twelvedata/quote?symbol=EUR/USD,GBP/USD,XAU/USD&apikey=k")
        await real.get("/polygon/v2/aggs/ticker/C:EURUSD/range/1/minute/2026-06-09/2026-06-09?limit=1&apiKey=k")
        await real.get("/polygon/v2/aggs/ticker/C:EURUSD/range/1/minute/2026-06-09/2026-06-09?limit=1&apiKey=k")
    credits_: Counter[int] = Counter()
    for call in await entries(real, "twelvedata"):
        if call["verdict"] == "ok":
            credits_[int(str(call["now_ms"])) // MINUTE_MS] += int(str(call["credits"]))
    assert max(credits_.values()) == 6  # a third call of three credits would make nine
    calls = Counter(
        int(str(call["now_ms"])) // MINUTE_MS for call in await entries(real, "polygon") if call["verdict"] == "ok"
    )
    assert max(calls.values()) == 5


async def test_without_limits_there_are_none() -> None:
    client = client_of(made())
    await client.go(1)
    for _ in range(60):
        assert (await client.get("/alphavantage/query?function=GOLD_SILVER_SPOT&symbol=GOLD&apikey=k")).json["price"]
        assert (await client.get("/yahoo/v8/finance/chart/GC=F?interval=1h&range=1d")).status == 200


async def test_every_call_is_in_the_ledger_without_its_key(real: Client) -> None:
    await real.go(3)
    await real.get("/twelvedata/quote?symbol=EUR/USD,NDX&apikey=secretkey")
    (entry,) = await entries(real, "twelvedata")
    assert entry == {
        "number": 1, "cycle": 3, "now_ms": START_MS + 60_000, "vendor": "twelvedata", "path": "/quote",
        "verdict": "ok", "status": 200, "credits": 2,
    }  # fmt: skip
    assert b"secretkey" not in (await real.get("/sim/stats")).body


def test_told_ticks_are_counted_once_and_their_memory_is_a_bit_each() -> None:
    ledger = Ledger()
    for number in (1, 2, 2, 9, 100_000, 0):
        ledger.tell("yahoo", [("GC=F", number)])
    served = ledger.served["yahoo"]["GC=F"]
    assert (served.highest, served.distinct) == (100_000, 4)

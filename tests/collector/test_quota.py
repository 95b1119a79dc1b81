"""Budgets: never exceeded in any stretch of time, shared by all clients, never guessed when the counter is lost."""

import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from collector.limits import DAY_MS, FILE, Plan, Purpose, Window, load_limits, plan_of, unlimited
from collector.quota import Quota, QuotaView, Terms, Usage, asked_ms, view_of
from collector.usage import UsageFile, starting_usage
from common import keys
from common.errors import Fatal
from common.redis_link import Link, flat_pairs
from tests.collector.kit import T0

LinkFactory = Callable[[], Link]
PLAN = Plan("v", "p", (Window("minute", 60_000, 8), Window("day", DAY_MS, 100, "UTC")), reported="minute")


@pytest.fixture
def quota(link: Link) -> Quota:
    quota = Quota(link, PLAN)
    quota.establish({}, T0)
    return quota


def view(quota: Quota, link: Link, now_ms: int) -> QuotaView:
    return view_of(quota.plan, flat_pairs(link.call("HGETALL", keys.quota("v"))), now_ms)


def usage(quota: Quota, link: Link, now_ms: int, window: str = "minute") -> Usage:
    return next(u for u in view(quota, link, now_ms).usages if u.window.name == window)


def spend(quota: Quota, times_ms: list[int]) -> list[int]:
    """Return the times at which a credit was granted."""
    return [at for at in times_ms if quota.reserve(1, at).granted]


def most_in_any(window_ms: int, times_ms: list[int]) -> int:
    """Count by brute force: the most credits in any half-open stretch of that length."""
    return max(sum(1 for t in times_ms if start <= t < start + window_ms) for start in times_ms)


def test_no_minute_wherever_it_begins_holds_more_than_its_credits(quota: Quota) -> None:
    rng = random.Random(7)
    times = [T0]
    for _ in range(600):
        times.append(times[-1] + rng.choice([1, 40, 900, 3_000, 59_000, 1_800_000]))
    granted = spend(quota, times)
    assert most_in_any(60_000, granted) <= 8
    by_day: dict[int, int] = {}
    for at in granted:
        by_day[at // DAY_MS] = by_day.get(at // DAY_MS, 0) + 1
    assert max(by_day.values()) == 100, "it must not refuse what there is room for"


def test_a_spent_minute_comes_back_within_two_percent_of_a_minute(quota: Quota) -> None:
    assert spend(quota, [T0] * 9) == [T0] * 8
    assert not quota.reserve(1, T0 + 59_999).granted
    assert quota.reserve(1, T0 + 61_000).granted


def test_all_or_nothing_for_a_call_of_several_credits(quota: Quota, link: Link) -> None:
    assert quota.reserve(6, T0).granted
    refused = quota.reserve(3, T0 + 1)
    assert (refused.granted, refused.window) == (False, "minute")
    assert usage(quota, link, T0 + 1).used == 6
    assert quota.reserve(2, T0 + 2).granted


def test_concurrent_clients_never_exceed_it_together(new_link: LinkFactory) -> None:
    Quota(new_link(), PLAN).establish({}, T0)
    quotas = [Quota(new_link(), PLAN) for _ in range(8)]
    barrier, granted = threading.Barrier(8), []

    def client(quota: Quota) -> None:
        barrier.wait()
        granted.extend(spend(quota, [T0 + i for i in range(10)]))

    threads = [threading.Thread(target=client, args=(q,)) for q in quotas]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(granted) == 8


def test_a_zone_window_begins_again_at_midnight_there_also_when_clocks_change() -> None:
    window = Window("day", DAY_MS, 5, "America/New_York")
    plan = Plan("v", "p", (window,))
    # 2 November 2025: New York's day of 25 hours, from 04:00 UTC to 05:00 UTC of the 3rd.
    noon = int(datetime(2025, 11, 2, 17, tzinfo=UTC).timestamp() * 1000)
    begin = int(datetime(2025, 11, 2, 4, tzinfo=UTC).timestamp() * 1000)
    end = int(datetime(2025, 11, 3, 5, tzinfo=UTC).timestamp() * 1000)
    stored = {b"since": b"1", f"w:day:{begin}".encode(): b"5"}
    assert view_of(plan, stored, noon).usages[0].resets_at_ms() == end
    assert view_of(plan, stored, end - 1).left(Purpose.REGULAR) == 0
    assert view_of(plan, stored, end).left(Purpose.REGULAR) == 5


def test_the_view_says_when_there_is_room_again(quota: Quota, link: Link) -> None:
    spend(quota, [T0, T0 + 10_000, *[T0 + 20_000] * 6])
    seen = view(quota, link, T0 + 20_001)
    assert seen.left(Purpose.REGULAR) == 0
    assert seen.turn_ms is not None
    assert T0 + 60_000 <= seen.turn_ms <= T0 + 62_000
    assert view(quota, link, seen.turn_ms).left(Purpose.REGULAR) == 1


def test_the_vendors_own_count_corrects_upwards_only_and_every_window(quota: Quota, link: Link) -> None:
    quota.reserve(2, T0)
    quota.correct(3, T0 + 10, T0)
    assert [usage(quota, link, T0 + 10, name).used for name in ("minute", "day")] == [5, 5]
    quota.correct(8, T0 + 20, T0)
    assert usage(quota, link, T0 + 20).used == 5


def test_what_a_vendor_says_of_the_minute_before_is_not_counted_in_this_one(quota: Quota, link: Link) -> None:
    quota.reserve(6, T0 - 200)
    quota.correct(2, T0 + 200, T0 - 200)
    assert [usage(quota, link, T0 + 200, name).used for name in ("minute", "day")] == [6, 6]
    quota.correct(1, T0 + 900, T0 + 500)
    assert [usage(quota, link, T0 + 900, name).used for name in ("minute", "day")] == [13, 13], "7 are another's"


def test_what_we_used_in_the_clock_minute_before_does_not_hide_what_others_use_now(quota: Quota, link: Link) -> None:
    quota.reserve(6, T0 - 10_000)
    quota.reserve(1, T0 + 5_000)
    # Of the 8 of the minute that began at T0 one is ours, 4 are somebody else's.
    quota.correct(3, T0 + 5_001, T0 + 5_000)
    assert usage(quota, link, T0 + 5_001).used == 6 + 1 + 4
    assert quota.reserve(3, T0 + 55_000).granted, "our 6 no longer count, 5 of this minute do"
    assert not quota.reserve(1, T0 + 55_000).granted


def test_a_turn_puts_off_the_next_one_and_lateness_does_not_add_up(quota: Quota, link: Link) -> None:
    assert view(quota, link, T0).turn_ms == 0
    for at_ms, next_ms in ((T0, 20_000), (T0 + 21_000, 40_000), (T0 + 200_000, 220_000)):
        assert quota.reserve(2, at_ms, Terms(spacing_ms=10_000)).granted
        assert view(quota, link, at_ms).turn_ms == T0 + next_ms


def test_who_was_asked_for_is_known_to_every_collector(quota: Quota, link: Link) -> None:
    quota.reserve(1, T0, Terms(symbols=("EURUSD", "GBPUSD")))
    quota.reserve(1, T0 + 7, Terms(symbols=("GBPUSD",)))
    assert asked_ms(flat_pairs(link.call("HGETALL", keys.quota("v")))) == {"EURUSD": T0, "GBPUSD": T0 + 7}


def test_old_buckets_do_not_pile_up(quota: Quota, link: Link) -> None:
    for n in range(200):
        quota.reserve(1, T0 + n * 61_000)
    assert len(flat_pairs(link.call("HGETALL", keys.quota("v")))) < 70


def test_a_clock_put_back_by_a_year_does_not_block_for_a_year(quota: Quota) -> None:
    spend(quota, [T0] * 8)
    assert quota.reserve(1, T0 - 365 * DAY_MS).granted


def test_a_missing_counter_counts_as_spent(link: Link, quota: Quota) -> None:
    link.call("DEL", keys.quota("v"))
    assert quota.reserve(1, T0).window == "missing"
    assert view(quota, link, T0).left(Purpose.FAILOVER) == 0
    assert view(quota, link, T0).turn_ms is None


def test_unlimited_asks_nobody(link: Link) -> None:
    quota = Quota(link, unlimited(PLAN))
    assert all(quota.reserve(50, T0).granted for _ in range(20))
    assert view(quota, link, T0).left(Purpose.REGULAR) is None


# -- what a counter begins with -------------------------------------------------------------------


def test_a_first_start_begins_with_everything(link: Link, tmp_path: Path) -> None:
    usage, how = starting_usage(Quota(link, PLAN), UsageFile(tmp_path, "a"), first_start=True, now_ms=T0)
    assert (usage, how) == ({}, "first_start")


def test_after_a_flush_it_is_rebuilt_from_what_all_collectors_here_spent(link: Link, tmp_path: Path) -> None:
    quota = Quota(link, PLAN)
    quota.establish({}, T0)
    first, second = UsageFile(tmp_path, "a"), UsageFile(tmp_path, "b")
    for usage, at in ((first, T0), (second, T0 + 1), (first, T0 + 2)):
        assert quota.reserve(2, at).granted
        usage.note(quota, 2, at)
    link.call("FLUSHALL")
    known, how = starting_usage(quota, UsageFile(tmp_path, "a"), first_start=True, now_ms=T0 + 3)
    assert how == "rebuilt"
    assert quota.establish(known, T0 + 3)
    assert view(quota, link, T0 + 3).usages[0].used == 6
    assert len(spend(quota, [T0 + 4] * 5)) == 2


def test_a_counter_lost_without_a_trace_is_spent_until_its_windows_have_passed(link: Link, tmp_path: Path) -> None:
    quota = Quota(link, PLAN)
    usage, how = starting_usage(quota, UsageFile(tmp_path, "a"), first_start=False, now_ms=T0)
    assert how == "spent"
    quota.establish(usage, T0)
    assert not quota.reserve(1, T0 + 61_000).granted, "the minute is back, the day is not"
    assert quota.reserve(1, (T0 // DAY_MS + 1) * DAY_MS).granted


def test_a_damaged_usage_file_is_not_taken_for_nothing_spent(link: Link, tmp_path: Path) -> None:
    (tmp_path / "usage-a.json").write_bytes(b'{"v": {"w:minu')
    assert starting_usage(Quota(link, PLAN), UsageFile(tmp_path, "b"), first_start=True, now_ms=T0)[1] == "spent"


def test_what_no_window_counts_any_more_leaves_the_usage_file(link: Link, tmp_path: Path) -> None:
    quota, usage = Quota(link, PLAN), UsageFile(tmp_path, "a")
    for n in range(50):
        usage.note(quota, 1, T0 + n * 120_000)
    known = usage.known("v")
    assert known is not None
    assert len([name for name in known if name.startswith("w:minute:")]) == 1
    assert sum(n for name, n in known.items() if name.startswith("w:day:")) == 50


def test_establishing_twice_keeps_what_was_counted(quota: Quota, link: Link) -> None:
    quota.reserve(3, T0)
    assert not quota.establish({}, T0 + 1)
    assert usage(quota, link, T0 + 1).used == 3


# -- the table ------------------------------------------------------------------------------------


def test_the_free_plans_are_those_of_the_facts() -> None:
    plans = load_limits()
    figures = {name: {w.name: w.credits for w in plan.windows} for name, plan in plans.items()}
    assert figures == {
        "yahoo": {"minute": 6, "forty_minutes": 36},
        "alphavantage": {"second": 1, "day": 25},
        "twelvedata": {"minute": 8, "day": 800},
        "polygon": {"minute": 5},
    }
    assert {name for name, plan in plans.items() if plan.per_symbol} == {"twelvedata"}


def test_every_plan_keeps_a_reserve_in_its_longest_window() -> None:
    for plan in load_limits().values():
        longest = max(plan.windows, key=lambda window: window.length_ms)
        assert 0.1 <= longest.reserve / longest.credits <= 0.2, plan.vendor


def test_a_vendor_that_the_limits_do_not_name_is_not_unlimited() -> None:
    plans = {"yahoo": Plan("yahoo")}
    assert plan_of("yahoo", plans, limits="real") == Plan("yahoo")
    with pytest.raises(Fatal, match=r"limits\.toml: expected a table \[twelvedata\]"):
        plan_of("twelvedata", plans, limits="real")
    assert plan_of("twelvedata", plans, limits="none") == Plan("twelvedata")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("credits = 25, reserve = 5", "credits = 25, reserve = 25"),
        ("credits = 25, reserve = 5", "credits = 25, reserve = -1"),
    ],
)
def test_a_reserve_that_leaves_nothing_is_refused(tmp_path: Path, change: str, found: str) -> None:
    path = tmp_path / "limits.toml"
    path.write_text(FILE.read_text().replace(change, found))
    with pytest.raises(Fatal, match=r"limits\.toml"):
        load_limits(path)

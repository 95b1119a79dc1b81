"""How budgets are spread over open hours, and what is foretold of them. Expected numbers are worked out by hand."""

from datetime import UTC, datetime

import pytest

from collector.limits import DAY_MS, HOUR_MS, Plan, Purpose, Window
from collector.pace import Course, Forecast, Pace, forecast, horizon_ms, kept_of, pace_of
from collector.quota_model import QuotaView, Usage

UTC_DAY = Window("day", DAY_MS, 800, "UTC", 80)
SLIDING_DAY = Window("day", DAY_MS, 25, reserve=5)
FORTY = Window("forty_minutes", 2_400_000, 36, reserve=6)
FX = Course({"EURUSD": "fx", "GBPUSD": "fx"}, 8, per_symbol=True)
FX_BATCH = Course({"EURUSD": "fx", "GBPUSD": "fx"}, 50)
CASH = Course({"US500": "us_cash"}, 1)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


TUESDAY = at("2026-06-09T00:00")
"""Currencies trade all day; cash indices from 13:30 to 20:00."""


def view(window: Window, used: int = 0, since_ms: int = TUESDAY, of_reserve: int = 0) -> QuotaView:
    return QuotaView((Usage(window, ((since_ms, used, of_reserve),) if used else ()),))


def test_work_is_what_asking_for_every_open_symbol_costs() -> None:
    assert FX.work(TUESDAY, TUESDAY + HOUR_MS) == 2 * HOUR_MS
    assert FX_BATCH.work(TUESDAY, TUESDAY + HOUR_MS) == HOUR_MS
    assert CASH.work(TUESDAY, TUESDAY + DAY_MS) == 6.5 * HOUR_MS
    assert FX.work(at("2026-06-13T00:00"), at("2026-06-14T21:00")) == 0, "a weekend"
    mixed = Course({"EURUSD": "fx", "GBPUSD": "fx", "US500": "us_cash"}, 2)
    assert mixed.work(TUESDAY, TUESDAY + DAY_MS) == 24 * HOUR_MS + 6.5 * HOUR_MS, "a second call for the third symbol"


def test_a_fresh_day_is_spread_over_its_open_hours_without_the_reserve() -> None:
    # 24 hours of two symbols for 720 credits: 240 s from one call to the next for a symbol, 120 s a credit.
    assert pace_of(view(UTC_DAY), FX, TUESDAY) == Pace(120_000, 240_000, round(1 / (1 / 240_000 + 80 / HOUR_MS / 2)))


def test_what_is_left_of_a_day_is_spread_over_what_is_left_of_its_open_hours() -> None:
    noon = TUESDAY + 12 * HOUR_MS
    assert pace_of(view(UTC_DAY, 360), FX, noon).round_ms == 240_000
    assert pace_of(view(UTC_DAY, 540), FX, noon).round_ms == 480_000
    sunday = at("2026-06-14T00:00")  # currencies open at 21:00 UTC: three hours for 720 credits
    assert pace_of(view(UTC_DAY), FX, sunday).round_ms == 30_000


def test_a_day_in_another_zone_ends_at_its_own_midnight_also_when_clocks_change() -> None:
    new_york = Window("day", DAY_MS, 100, "America/New_York")
    before_change = at("2026-03-08T12:00")  # New York's day of 23 hours, which ends at 04:00 UTC
    assert horizon_ms(new_york, before_change) == at("2026-03-09T04:00")
    # Currencies open at 17:00 New York time, 21:00 UTC by then: seven hours.
    assert pace_of(view(new_york), FX, before_change).round_ms == 2 * 7 * HOUR_MS // 100


def test_a_sliding_window_is_spread_over_its_length_and_a_bucket() -> None:
    assert pace_of(view(FORTY), FX_BATCH, TUESDAY).round_ms == 81_334  # 2,440 s for 30 calls, rounded up
    # Cash indices: 6.5 hours in any 24 of the working week, for 20 credits.
    for hour in (14, 17, 19):
        assert pace_of(view(SLIDING_DAY), CASH, TUESDAY + hour * HOUR_MS).round_ms == pytest.approx(1_170_000, rel=0.07)


def test_nothing_is_spread_over_a_weekend() -> None:
    friday = at("2026-06-12T18:00")  # three hours before the close
    saturday = at("2026-06-13T12:00")
    assert pace_of(view(UTC_DAY, 630), FX, friday).round_ms == 2 * 3 * HOUR_MS // 90
    assert pace_of(view(UTC_DAY), FX, saturday).round_ms == 1, "no work, so no pace to keep"


def test_in_failover_the_rest_of_the_reserve_goes_on_top_and_slows_down_as_it_shrinks() -> None:
    full, half = (pace_of(view(UTC_DAY, 360 + n, of_reserve=n), FX, TUESDAY + 12 * HOUR_MS) for n in (0, 40))
    assert full.round_ms == half.round_ms == 240_000, "the reserve is no part of the regular pace"
    assert full.hurried_ms < half.hurried_ms < 240_000


def test_history_leaves_the_regular_share_while_a_market_opens_within_the_window() -> None:
    plan = Plan("v", "p", (FORTY, UTC_DAY))
    saturday = at("2026-06-13T12:00")
    assert kept_of(plan, FX, TUESDAY, pushed=False) == {"forty_minutes": 30, "day": 720}
    assert kept_of(plan, FX, TUESDAY, pushed=True) == {"forty_minutes": 15, "day": 360}
    assert kept_of(plan, FX, saturday, pushed=False) == {"forty_minutes": 0, "day": 0}
    assert kept_of(plan, FX, saturday + 32 * HOUR_MS, pushed=False) == {"forty_minutes": 0, "day": 720}, "Sunday"


def test_an_unlimited_source_has_no_pace() -> None:
    assert pace_of(QuotaView(), FX, TUESDAY) == Pace(0, 0, 0)


# -- forecasts ------------------------------------------------------------------------------------


def test_a_budget_that_is_used_as_planned_lasts() -> None:
    for hour in range(1, 24):
        now_ms = TUESDAY + hour * HOUR_MS
        spread = Usage(UTC_DAY, tuple((TUESDAY + h * HOUR_MS, 30, 0) for h in range(hour)))
        assert forecast(spread, FX, now_ms) == Forecast()


def test_a_budget_that_is_used_faster_says_when_it_runs_out_and_is_back() -> None:
    now_ms = TUESDAY + 10 * HOUR_MS
    used = Usage(UTC_DAY, ((TUESDAY, 300, 0), (now_ms - HOUR_MS + 1, 140, 0)))  # 280 regular ones left: two hours
    assert forecast(used, FX, now_ms) == Forecast(now_ms + 2 * HOUR_MS, TUESDAY + DAY_MS)


def test_closed_hours_use_nothing() -> None:
    friday = at("2026-06-12T20:00")
    used = Usage(UTC_DAY, ((friday - HOUR_MS + 1, 500, 0),))  # 220 left at 500 an hour, but the market closes in one
    assert forecast(used, FX, friday) == Forecast(friday + 27 * 60_000, at("2026-06-13T00:00"))
    nearly = Usage(UTC_DAY, ((friday - HOUR_MS + 1, 355, 0),))
    assert forecast(nearly, FX, friday) == Forecast()


def test_a_spent_budget_has_run_out_now() -> None:
    assert forecast(Usage(UTC_DAY, ((TUESDAY, 720, 0),)), FX, TUESDAY + HOUR_MS) == Forecast(
        TUESDAY + HOUR_MS, TUESDAY + DAY_MS
    )
    full = Usage(FORTY, ((TUESDAY, 10, 0), (TUESDAY + 400_000, 20, 0)))
    assert full.left(Purpose.REGULAR) == 0
    assert forecast(full, FX, TUESDAY + 500_000) == Forecast(TUESDAY + 500_000, TUESDAY + 2_440_000)

from datetime import UTC, date, datetime

import numpy as np
import pytest

from simulator.sessions import is_open, newest_session, open_mask, sessions_between


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


# 2026: New York is UTC-4 from 8 March to 1 November, UTC-5 otherwise. The hours are those of FACTS: FX Sunday 17:00 to
# Friday 17:00; COMEX and CME 18:00 to 17:00 next day; cash 09:30 to 16:00.
@pytest.mark.parametrize(
    ("kind", "at", "expected"),
    [
        ("fx", "2026-06-07 20:59", False), ("fx", "2026-06-07 21:00", True), ("fx", "2026-06-10 21:30", True),
        ("fx", "2026-06-12 20:59", True), ("fx", "2026-06-12 21:00", False), ("fx", "2026-01-11 21:59", False),
        ("fx", "2026-01-11 22:00", True), ("cme", "2026-06-10 20:59", True), ("cme", "2026-06-10 21:00", False),
        ("cme", "2026-06-10 22:00", True), ("cme", "2026-06-07 21:59", False), ("cme", "2026-06-07 22:00", True),
        ("metals", "2026-06-12 20:59", True), ("metals", "2026-06-12 22:00", False),
        ("us_cash", "2026-06-10 13:29", False), ("us_cash", "2026-06-10 13:30", True),
        ("us_cash", "2026-06-10 19:59", True), ("us_cash", "2026-06-10 20:00", False),
        ("us_cash", "2026-01-14 14:29", False), ("us_cash", "2026-01-14 14:30", True),
    ],
)  # fmt: skip
def test_markets_open_and_close_by_new_york_time(kind: str, at: str, expected: bool) -> None:
    assert is_open(kind, ms(at)) is expected


def test_all_six_symbols_trade_at_the_default_start() -> None:
    assert all(is_open(kind, ms("2026-06-10 14:30")) for kind in ("fx", "metals", "cme", "us_cash"))


def test_the_newest_session_at_the_weekend_is_fridays() -> None:
    assert newest_session("us_cash", ms("2026-06-14 12:00")).day == date(2026, 6, 12)


def test_sessions_in_a_range_are_in_order_and_skip_the_weekend() -> None:
    found = sessions_between("us_cash", ms("2026-06-11 15:00"), ms("2026-06-15 15:00"))
    assert [s.day.day for s in found] == [11, 12, 15]


def test_buckets_that_reach_into_a_session_count_as_open() -> None:
    hours = np.array([ms("2026-06-10 12:00"), ms("2026-06-10 13:00"), ms("2026-06-10 19:00"), ms("2026-06-10 20:00")])
    assert open_mask("us_cash", hours, 3_600_000).tolist() == [False, True, True, False]

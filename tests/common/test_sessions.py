"""Trading sessions against published holidays, clock changes, and the times at which real instruments traded."""

import csv
import gzip
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from common.sessions import SESSIONS, after_open_time, expected_opens, is_open, next_close_ms, next_open_ms

ROOT = Path(__file__).resolve().parents[2]
MINUTE = 60_000


def utc(text: str) -> int:
    """Return "2022-01-16 23:00" as epoch milliseconds."""
    return int(datetime.fromisoformat(text + "+00:00").timestamp()) * 1000


def opened(session: str, text: str) -> bool:
    return is_open(session, utc(text))


@pytest.mark.parametrize(
    ("session", "opens", "closes"),
    [
        # New York is UTC-5 in winter and UTC-4 in summer: in 2026 it changed on 8 March and 1 November.
        ("fx", "2022-01-16 22:00", "2022-01-21 22:00"),
        ("fx", "2026-03-01 22:00", "2026-03-06 22:00"),
        ("fx", "2026-03-08 21:00", "2026-03-13 21:00"),
        ("fx", "2026-10-25 21:00", "2026-10-30 21:00"),
        ("fx", "2026-11-01 22:00", "2026-11-06 22:00"),
        ("cme", "2022-01-17 23:00", "2022-01-18 22:00"),
        ("cme", "2026-03-08 22:00", "2026-03-09 21:00"),
        ("metals", "2026-03-08 22:00", "2026-03-09 21:00"),
        ("metals", "2026-11-01 23:00", "2026-11-02 22:00"),
        ("us_cash", "2026-03-06 14:30", "2026-03-06 21:00"),
        ("us_cash", "2026-03-09 13:30", "2026-03-09 20:00"),
    ],
)
def test_session_opens_and_closes_on_the_minute(session: str, opens: str, closes: str) -> None:
    start, end = utc(opens), utc(closes)
    assert [is_open(session, at) for at in (start - 1, start, end - 1, end)] == [False, True, True, False]
    assert (next_open_ms(session, start - 1), next_close_ms(session, start)) == (start, end)
    assert next_close_ms(session, start - 1) == end
    assert next_open_ms(session, start) > end


@pytest.mark.parametrize(
    ("session", "at", "expected"),
    [
        # NYSE's published calendar for 2026: closed 3 April, 19 June, 3 July; 13:00 on 27 November and 24 December.
        ("us_cash", "2026-04-03 15:00", False),
        ("us_cash", "2026-06-19 15:00", False),
        ("us_cash", "2026-07-03 15:00", False),
        ("us_cash", "2026-07-06 15:00", True),
        ("us_cash", "2026-11-27 17:59", True),
        ("us_cash", "2026-11-27 18:00", False),
        ("us_cash", "2025-01-09 15:00", False),  # day of mourning
        # Globex: halts at 13:00 New York on American holidays, closed on Good Friday, Christmas and New Year's Day.
        ("cme", "2026-01-19 17:59", True),
        ("cme", "2026-01-19 18:00", False),
        ("cme", "2026-01-19 23:00", True),
        ("cme", "2026-06-19 16:59", True),
        ("cme", "2026-06-19 17:00", False),
        ("cme", "2026-04-03 15:00", False),
        ("cme", "2025-12-25 15:00", False),
        ("cme", "2025-12-25 23:00", True),
        ("cme", "2026-01-01 15:00", False),
        ("metals", "2026-05-25 18:29", True),
        ("metals", "2026-05-25 18:30", False),
        ("metals", "2026-04-03 15:00", False),
        ("fx", "2026-04-03 15:00", True),
        ("fx", "2025-12-24 21:59", True),
        ("fx", "2025-12-24 22:00", False),
        ("fx", "2025-12-25 22:00", True),
        ("fx", "2026-01-01 12:00", False),
        ("fx", "2022-12-25 22:00", True),  # a Sunday: the week opens as always
    ],
)
def test_holidays_and_early_closes(session: str, at: str, expected: bool) -> None:
    assert opened(session, at) is expected


def test_next_opening_after_a_long_weekend_crosses_the_year() -> None:
    assert next_open_ms("us_cash", utc("2026-12-31 21:00")) == utc("2027-01-04 14:30")
    assert next_open_ms("fx", utc("2027-12-31 23:00")) == utc("2028-01-02 22:00")
    assert next_close_ms("cme", utc("2026-12-31 22:30")) == utc("2027-01-04 22:00")


def test_openings_and_closings_alternate_through_the_years() -> None:
    for session in SESSIONS:
        at = utc("2024-12-20 00:00")
        while at < utc("2027-01-20 00:00"):
            opens = next_open_ms(session, at)
            closes = next_close_ms(session, opens)
            assert at < opens < closes
            assert (is_open(session, opens - 1), is_open(session, opens), is_open(session, closes)) == (
                False,
                True,
                False,
            )
            assert closes - opens <= 5 * 86_400_000
            at = closes


def test_unknown_session_is_an_error() -> None:
    with pytest.raises(KeyError, match="moon"):
        is_open("moon", 0)


def test_the_library_of_calendars_is_imported_only_for_a_year_that_the_table_lacks() -> None:
    code = (
        "import sys\nfrom common.sessions import is_open\n"
        "is_open('cme', 1_700_000_000_000)\nassert 'pandas' not in sys.modules\n"
        "is_open('fx', 2_300_000_000_000)\nassert 'pandas' not in sys.modules\n"
        "is_open('cme', 2_300_000_000_000)\nassert 'pandas' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize("session", SESSIONS)
@pytest.mark.parametrize("bar_minutes", [1, 5, 15, 60])
def test_expected_bars_are_those_that_hold_an_open_minute(session: str, bar_minutes: int) -> None:
    from_ms, to_ms = utc("2026-07-02 12:00"), utc("2026-07-06 16:00")  # a holiday's eve, the holiday and a weekend
    bar_ms = bar_minutes * MINUTE
    expected = sorted({at // bar_ms * bar_ms for at in range(from_ms, to_ms, MINUTE) if is_open(session, at)})
    assert list(expected_opens(session, bar_ms, from_ms, to_ms)) == expected


@pytest.mark.parametrize(
    ("session", "start", "hours", "end"),
    [
        ("fx", "2026-06-17 10:00", 3, "2026-06-17 13:00"),
        ("fx", "2026-06-19 20:00", 3, "2026-06-21 23:00"),  # an hour before the weekend, two after it
        ("fx", "2026-06-20 12:00", 1, "2026-06-21 22:00"),  # asked while closed
        ("cme", "2026-06-17 20:00", 2, "2026-06-17 23:00"),  # the daily break
        ("us_cash", "2026-06-17 13:30", 13, "2026-06-18 20:00"),  # six and a half hours a day
    ],
)
def test_open_time_goes_by_only_while_the_market_trades(session: str, start: str, hours: int, end: str) -> None:
    assert after_open_time(session, utc(start), hours * 60 * MINUTE) == utc(end)


def bar_times(path: Path) -> list[int]:
    with gzip.open(path, "rt") as file:
        return [int(row[0]) * 1000 for row in list(csv.reader(file))[1:]]


@pytest.mark.parametrize(
    ("name", "session"),
    [
        ("NAS100_M1_2022-01", "cme"),
        ("US500_M1_2022-01", "cme"),
        ("US30_M1_2022-01", "cme"),
        ("NAS100_M5_2026-05_07", "cme"),
        ("EURUSD_M1_2022-01_02", "fx"),
        ("GBPUSD_M1_2021-01_03", "fx"),
        ("EURUSD_M1_2020-04_06", "fx"),
        ("EURUSD_M5_2026-01_07_vendorB", "fx"),
        ("XAUUSD_M1_2026-03_05", "metals"),
        ("XAUUSD_M1_2020-05_08", "metals"),
    ],
)
def test_every_real_bar_lies_in_an_open_session(shared: Path, name: str, session: str) -> None:
    closed = [at for at in bar_times(shared / "market" / f"{name}.csv.gz") if not is_open(session, at)]
    assert [datetime.fromtimestamp(at / 1000, UTC).isoformat() for at in closed] == []


def test_real_futures_trade_in_every_open_minute(shared: Path) -> None:
    # The other direction: two weeks with Martin Luther King Day, on which trading stopped at 13:00 New York.
    times = bar_times(shared / "market" / "NAS100_M1_2022-01.csv.gz")
    minutes = range(times[0], times[-1] + MINUTE, MINUTE)
    assert sorted(set(times)) == [at for at in minutes if is_open("cme", at)]

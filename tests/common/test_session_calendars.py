"""Trading sessions against exchange_calendars' own schedules, CME's published holiday hours, and recorded trading.

Times of the day are New York's unless they say UTC.
"""

import csv
import gzip
import warnings
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from common.sessions import is_open, next_close_ms, next_open_ms
from common.symbols import load_symbols

NEW_YORK = ZoneInfo("America/New_York")
DAY = timedelta(days=1)
YEARS = (2023, 2027)
SIX = ("NAS100", "XAUUSD", "EURUSD", "GBPUSD", "US30", "US500")


def utc(text: str) -> int:
    """Return "2026-05-25 17:00" as epoch milliseconds."""
    return int(datetime.fromisoformat(text + "+00:00").timestamp()) * 1000


def hours_of(session: str, day: date) -> list[tuple[str, str]]:
    """Return when the session is open on a New York day, as ("00:00", "13:00"); "24:00" is its end."""
    begins = datetime(day.year, day.month, day.day, tzinfo=NEW_YORK)
    after = day + DAY
    ends_ms = int(datetime(after.year, after.month, after.day, tzinfo=NEW_YORK).timestamp()) * 1000
    at_ms = int(begins.timestamp()) * 1000
    found = []
    while at_ms < ends_ms:
        if not is_open(session, at_ms):
            at_ms = next_open_ms(session, at_ms)
            continue
        closes_ms = min(next_close_ms(session, at_ms), ends_ms)
        found.append((_clock(at_ms), "24:00" if closes_ms == ends_ms else _clock(closes_ms)))
        at_ms = closes_ms
    return found


def _clock(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, NEW_YORK).strftime("%H:%M")


@cache
def schedule(name: str) -> dict[date, tuple[int, int]]:
    """Return exchange_calendars' own schedule: day -> opening and closing in epoch milliseconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import exchange_calendars

        calendar = exchange_calendars.get_calendar(name, start=f"{YEARS[0]}-01-01", end=f"{YEARS[1]}-12-31")
        rows = zip(calendar.sessions, calendar.opens, calendar.closes, strict=True)
        return {
            day.date(): (int(opens.timestamp()) * 1000, int(closes.timestamp()) * 1000) for day, opens, closes in rows
        }


def weekdays() -> list[date]:
    first, last = date(YEARS[0], 1, 1), date(YEARS[1], 12, 31)
    return [d for n in range((last - first).days + 1) if (d := first + n * DAY).weekday() < 5]


def test_cash_sessions_are_those_of_the_new_york_stock_exchange_to_the_minute() -> None:
    published = schedule("XNYS")
    for day, (opens_ms, closes_ms) in published.items():
        around = [is_open("us_cash", at) for at in (opens_ms - 1, opens_ms, closes_ms - 1, closes_ms)]
        assert around == [False, True, True, False], day
        assert next_close_ms("us_cash", opens_ms) == closes_ms
    for day in weekdays():
        assert (hours_of("us_cash", day) != []) == (day in published), day


def test_futures_trade_on_the_days_of_the_cme_calendar() -> None:
    published, cash = schedule("CMES"), schedule("XNYS")
    # CME's own notices: on a Good Friday with a jobs report equity futures trade until 09:15; on the day of mourning
    # of 2025-01-09 until 09:30, metals as always. That calendar lists all of these as closed.
    jobs_reports = {date(2023, 4, 7), date(2026, 4, 3)}
    mourning = {date(2025, 1, 9)}
    for day in weekdays():
        morning = [span for span in hours_of("cme", day) if span[0] == "00:00"]
        metals = [span for span in hours_of("metals", day) if span[0] == "00:00"]
        if day in jobs_reports:
            assert (morning, metals) == ([("00:00", "09:15")], []), day
        elif day in mourning:
            assert (morning, metals) == ([("00:00", "09:30")], [("00:00", "17:00")]), day
        elif day not in published:
            assert (morning, metals) == ([], []), day
        elif day in cash and cash[day][1] == _regular_close(day):
            assert (morning, metals) == ([("00:00", "17:00")], [("00:00", "17:00")]), day
        else:
            assert morning in ([("00:00", "13:00")], [("00:00", "13:15")]), day


def _regular_close(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, 16, tzinfo=NEW_YORK).timestamp()) * 1000


FULL = [("00:00", "17:00"), ("18:00", "24:00")]
FRIDAY = [("00:00", "17:00")]


@pytest.mark.parametrize(
    ("day", "cme", "metals"),
    [
        # CME's holiday hours of 2026 for equity indices and for COMEX metals, as published.
        ("2026-01-01", [("18:00", "24:00")], [("18:00", "24:00")]),
        ("2026-01-19", [("00:00", "13:00"), ("18:00", "24:00")], [("00:00", "14:30"), ("18:00", "24:00")]),
        ("2026-02-16", [("00:00", "13:00"), ("18:00", "24:00")], [("00:00", "14:30"), ("18:00", "24:00")]),
        ("2026-04-02", FULL, FRIDAY),  # Good Friday's index session opens in the evening, metals don't
        ("2026-04-03", [("00:00", "09:15")], []),
        ("2026-05-25", [("00:00", "13:00"), ("18:00", "24:00")], [("00:00", "14:30"), ("18:00", "24:00")]),
        ("2026-06-19", [("00:00", "13:00")], [("00:00", "13:00")]),
        ("2026-07-03", [("00:00", "13:00")], [("00:00", "13:00")]),
        ("2026-09-07", [("00:00", "13:00"), ("18:00", "24:00")], [("00:00", "14:30"), ("18:00", "24:00")]),
        ("2026-11-26", [("00:00", "13:00"), ("18:00", "24:00")], [("00:00", "14:30"), ("18:00", "24:00")]),
        ("2026-11-27", [("00:00", "13:15")], [("00:00", "14:45")]),
        ("2026-12-24", [("00:00", "13:15")], [("00:00", "13:45")]),
        ("2026-12-25", [], []),
        ("2026-12-31", FRIDAY, FRIDAY),  # a Thursday; New Year's Day is a Friday, and nothing opens before Sunday
        # Christmas within the week: closed all day, open again in the evening (a broker's published hours of 2023,
        # "23:01 open" in UTC, for gold, copper and the indices alike).
        ("2023-12-25", [("18:00", "24:00")], [("18:00", "24:00")]),
        ("2024-12-24", [("00:00", "13:15")], [("00:00", "13:45")]),
        ("2024-12-25", [("18:00", "24:00")], [("18:00", "24:00")]),
        ("2024-07-03", [("00:00", "13:15"), ("18:00", "24:00")], FULL),
        # Weekends and ordinary days.
        ("2026-06-10", FULL, FULL),
        ("2026-06-12", FRIDAY, FRIDAY),
        ("2026-06-13", [], []),
        ("2026-06-14", [("18:00", "24:00")], [("18:00", "24:00")]),
    ],
)
def test_futures_and_metals_keep_the_published_hours(
    day: str, cme: list[tuple[str, str]], metals: list[tuple[str, str]]
) -> None:
    on = date.fromisoformat(day)
    assert (hours_of("cme", on), hours_of("metals", on)) == (cme, metals)


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("2026-06-10", [("00:00", "24:00")]),
        ("2026-06-12", [("00:00", "17:00")]),
        ("2026-06-13", []),
        ("2026-06-14", [("17:00", "24:00")]),
        ("2026-04-03", [("00:00", "17:00")]),  # Good Friday
        ("2026-11-26", [("00:00", "24:00")]),  # Thanksgiving
        ("2026-11-27", [("00:00", "17:00")]),
        ("2023-12-25", [("17:00", "24:00")]),  # a broker's published hours: "FX 22:01 open" in UTC
        ("2024-12-24", [("00:00", "17:00")]),
        ("2024-12-25", [("17:00", "24:00")]),
        ("2024-12-31", [("00:00", "17:00")]),
        ("2025-01-01", [("17:00", "24:00")]),
        ("2026-12-25", []),  # a Friday
        ("2027-12-24", [("00:00", "17:00")]),  # the exchanges' holiday; Christmas is a Saturday
    ],
)
def test_currencies_trade_around_the_clock_but_for_weekends_christmas_and_new_year(
    day: str, expected: list[tuple[str, str]]
) -> None:
    assert hours_of("fx", date.fromisoformat(day)) == expected


@pytest.mark.parametrize(
    ("session", "before", "after"),
    [
        # In UTC. America changes on 8 March and 1 November 2026, Europe on 29 March and 25 October.
        ("fx", ("2026-03-06 22:00", "2026-03-08 21:00"), ("2026-10-30 21:00", "2026-11-01 22:00")),
        ("cme", ("2026-03-06 22:00", "2026-03-08 22:00"), ("2026-10-30 21:00", "2026-11-01 23:00")),
        ("metals", ("2026-03-06 22:00", "2026-03-08 22:00"), ("2026-10-30 21:00", "2026-11-01 23:00")),
        ("us_cash", ("2026-03-06 21:00", "2026-03-09 13:30"), ("2026-10-30 20:00", "2026-11-02 14:30")),
    ],
)
def test_weekends_in_which_america_changes_its_clocks(
    session: str, before: tuple[str, str], after: tuple[str, str]
) -> None:
    for closes, opens in (before, after):
        assert next_close_ms(session, utc(closes) - 1) == utc(closes)
        assert next_open_ms(session, utc(closes)) == utc(opens)


@pytest.mark.parametrize(
    ("session", "closes", "opens"),
    [
        ("fx", "2026-03-27 21:00", "2026-03-29 21:00"),
        ("cme", "2026-03-27 21:00", "2026-03-29 22:00"),
        ("metals", "2026-03-27 21:00", "2026-03-29 22:00"),
        ("us_cash", "2026-03-27 20:00", "2026-03-30 13:30"),
        ("fx", "2026-10-23 21:00", "2026-10-25 21:00"),
        ("cme", "2026-10-23 21:00", "2026-10-25 22:00"),
        ("us_cash", "2026-10-23 20:00", "2026-10-26 13:30"),
    ],
)
def test_weekends_in_which_only_europe_changes_its_clocks(session: str, closes: str, opens: str) -> None:
    assert next_close_ms(session, utc(closes) - 1) == utc(closes)
    assert next_open_ms(session, utc(closes)) == utc(opens)


def test_every_class_of_every_symbol_has_the_hours_of_what_it_quotes() -> None:
    table = load_symbols(SIX)
    expected = {
        "fx_spot": "fx", "gold_spot": "metals", "comex_gold_future": "metals", "cme_nq_future": "cme",
        "cbot_ym_future": "cme", "cme_es_future": "cme", "ndx_cash": "us_cash", "dji_cash": "us_cash",
        "spx_cash": "us_cash", "terminal_fx": "fx", "terminal_metals": "metals", "terminal_index": "cme",
    }  # fmt: skip
    found = {c: table.session_of(name, c) for name, symbol in table.symbols.items() for c in symbol.classes()}
    assert found == expected
    # Wednesday 2026-06-10 in UTC: all open; the break of metals and futures; before New York's cash opens.
    open_at = {
        at: {name for name, symbol in table.symbols.items() for c in symbol.may_feed()[:1]
             if is_open(table.session_of(name, c), utc(at))}
        for at in ("2026-06-10 15:00", "2026-06-10 21:30", "2026-06-10 13:00", "2026-06-13 12:00")
    }  # fmt: skip
    assert open_at == {
        "2026-06-10 15:00": set(SIX), "2026-06-10 21:30": {"EURUSD", "GBPUSD"}, "2026-06-10 13:00": set(SIX),
        "2026-06-13 12:00": set(),
    }  # fmt: skip


# -- recorded trading ------------------------------------------------------------------------------


def recorded(path: Path, bar_s: int) -> list[int]:
    """Return the open times of the bars, in milliseconds; each must be `bar_s` long."""
    with gzip.open(path, "rt") as file:
        times = [int(row[0]) for row in list(csv.reader(file))[1:]]
    assert all(at % bar_s == 0 for at in times)
    return [at * 1000 for at in times]


@pytest.mark.parametrize(
    ("name", "bar_s", "days"),
    [
        ("NAS100_M5_2026-05_07", 300, ("2026-05-25", "2026-06-19", "2026-07-03")),
        ("US30_M5_2026-05_07", 300, ("2026-05-25", "2026-06-19", "2026-07-03")),
        ("US500_M3_2026-01_07", 180, ("2026-04-03", "2026-05-25", "2026-06-19")),
        ("NAS100_M1_2022-01", 60, ("2022-01-17",)),
    ],
)
def test_indices_traded_on_holidays_from_the_first_to_the_last_minute(
    shared: Path, name: str, bar_s: int, days: tuple[str, ...]
) -> None:
    times = recorded(shared / "market" / f"{name}.csv.gz", bar_s)
    for text in days:
        day = date.fromisoformat(text)
        begins = datetime(day.year, day.month, day.day, tzinfo=NEW_YORK).timestamp() * 1000
        traded = {at for at in times if begins <= at < begins + 86_400_000}
        opened = {at for at in range(int(begins), int(begins) + 86_400_000, bar_s * 1000) if is_open("cme", at)}
        assert len(opened) >= 185 * 180 // bar_s  # 00:00 to 09:15 at least
        assert traded == opened, text


def test_gold_stopped_on_memorial_day_and_on_good_friday(shared: Path) -> None:
    times = recorded(shared / "market" / "XAUUSD_M1_2026-03_05.csv.gz", 60)
    closed = [at for at in times if not is_open("metals", at)]
    assert [datetime.fromtimestamp(at / 1000, UTC).isoformat() for at in closed] == []
    memorial_day = [at for at in times if utc("2026-05-25 04:00") <= at < utc("2026-05-25 22:00")]
    assert memorial_day[-1] == utc("2026-05-25 18:29")
    assert not [at for at in times if utc("2026-04-02 22:00") <= at < utc("2026-04-05 22:00")]

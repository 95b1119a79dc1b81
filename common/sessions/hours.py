"""Trading sessions as lists of [open, close) in epoch milliseconds, one list per session and year.

A trading day is named by the New York date on which it closes; it may open on the evening before.

Weekly hours, New York time:
  fx       Sunday 17:00 to Friday 17:00
  metals   Sunday 18:00 to Friday 17:00, closed daily 17:00-18:00 (spot gold and silver)
  cme      the same (Globex index and metal futures)
  us_cash  weekdays 09:30 to 16:00
Days off (for the futures CMES knows only a full day, 13:00 and closed; the rest is what CME publishes):
  fx       Christmas and New Year's Day
  us_cash  XNYS
  cme      closed where CMES is, but open until 09:15 on a Good Friday with an American jobs report (the first Friday of
           April), and until 09:30 on a day of mourning; 13:00 where XNYS is closed; 13:15 where XNYS closes early
  metals   closed where CMES is, but for days of mourning; 14:30 where XNYS is closed, 13:00 if that is a Friday (then
           no evening follows); 14:45 on the Friday after Thanksgiving, 13:45 on Christmas Eve
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

from common.sessions.holidays import CLOSED, NEW_YORK, short_days

HOUR = 60


@dataclass(frozen=True)
class _Week:
    """Minutes of the New York day; an opening that isn't before the closing is on the evening before."""

    open_minute: int
    close_minute: int


_WEEKS = {
    "fx": _Week(17 * HOUR, 17 * HOUR),
    "metals": _Week(18 * HOUR, 17 * HOUR),
    "cme": _Week(18 * HOUR, 17 * HOUR),
    "us_cash": _Week(9 * HOUR + 30, 16 * HOUR),
}
SESSIONS = tuple(_WEEKS)
CME_HOLIDAY = 13 * HOUR
CME_HALF_DAY = 13 * HOUR + 15
CME_JOBS_REPORT = 9 * HOUR + 15
CME_MOURNING = 9 * HOUR + 30
METALS_HOLIDAY = 14 * HOUR + 30
METALS_HOLIDAY_FRIDAY = 13 * HOUR
METALS_HALF_DAYS = {11: 14 * HOUR + 45, 12: 13 * HOUR + 45}
"""By month: the Friday after Thanksgiving, Christmas Eve. On 3 July they trade as always."""
FRIDAY, SATURDAY = 4, 5
# Longer than any closure, so that the next opening or closing is always in the list of the year that is asked.
MARGIN = timedelta(days=15)


def is_open(session: str, at_ms: int) -> bool:
    """Return whether the session trades at that time. KeyError for an unknown session."""
    opens, closes = _spans(session, _year(at_ms))
    i = bisect_right(opens, at_ms) - 1
    return i >= 0 and at_ms < closes[i]


def next_open_ms(session: str, at_ms: int) -> int:
    """Return the first opening after that time: of the next span where the session is open."""
    opens, _ = _spans(session, _year(at_ms))
    return opens[bisect_right(opens, at_ms)]


def next_close_ms(session: str, at_ms: int) -> int:
    """Return the first closing after that time: of the next span where the session is closed."""
    _, closes = _spans(session, _year(at_ms))
    return closes[bisect_right(closes, at_ms)]


def _year(at_ms: int) -> int:
    return datetime.fromtimestamp(at_ms // 1000, UTC).year


@lru_cache(maxsize=32)
def _spans(session: str, year: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return openings and closings, ascending, that cover the UTC year and MARGIN on both sides."""
    opens: list[int] = []
    closes: list[int] = []
    for open_ms, close_ms in _trading_days(session, date(year, 1, 1) - MARGIN, date(year, 12, 31) + MARGIN):
        if closes and closes[-1] == open_ms:  # fx trades through the night
            closes[-1] = close_ms
        else:
            opens.append(open_ms)
            closes.append(close_ms)
    return tuple(opens), tuple(closes)


def _trading_days(session: str, first: date, last: date) -> Iterator[tuple[int, int]]:
    week = _WEEKS[session]
    evening_before = week.open_minute >= week.close_minute
    for n in range(first.toordinal(), last.toordinal() + 1):
        day = date.fromordinal(n)
        close_minute = _close_minute(session, day)
        if close_minute != CLOSED:
            yield _ms(day - timedelta(days=evening_before), week.open_minute), _ms(day, close_minute)


def _close_minute(session: str, day: date) -> int:
    regular = _WEEKS[session].close_minute
    if day.weekday() >= SATURDAY:
        return CLOSED
    if session == "fx":
        return CLOSED if (day.month, day.day) in ((1, 1), (12, 25)) else regular
    cash = short_days("XNYS", day.year).get(day.toordinal(), _WEEKS["us_cash"].close_minute)
    if session == "us_cash":
        return cash
    if short_days("CMES", day.year).get(day.toordinal(), regular) == CLOSED:
        return _close_where_closed(session, day)
    if cash == CLOSED:
        friday = day.weekday() == FRIDAY
        return CME_HOLIDAY if session == "cme" else METALS_HOLIDAY_FRIDAY if friday else METALS_HOLIDAY
    if cash < _WEEKS["us_cash"].close_minute:
        return CME_HALF_DAY if session == "cme" else METALS_HALF_DAYS.get(day.month, regular)
    return regular


def _close_where_closed(session: str, day: date) -> int:
    """Return when the session closes on a day that CMES lists as closed."""
    new_year_or_christmas = (day.month, day.day) >= (12, 24) or (day.month, day.day) <= (1, 2)
    good_friday = day.weekday() == FRIDAY and day.month in (3, 4)
    if new_year_or_christmas:
        return CLOSED
    if good_friday:
        jobs_report = day.month == 4 and day.day <= 7
        return CME_JOBS_REPORT if session == "cme" and jobs_report else CLOSED
    return CME_MOURNING if session == "cme" else _WEEKS[session].close_minute


def _ms(day: date, minute: int) -> int:
    local = datetime.combine(day, time(minute // HOUR, minute % HOUR), NEW_YORK)
    return int(local.timestamp()) * 1000

"""What exchange_calendars says of short days. It brings pandas (0.7 s and 55 MB), so nothing else imports it.

XNYS is the New York Stock Exchange, CMES the CME Globex calendar.
"""

import warnings
from datetime import date
from typing import Literal
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
CLOSED = 0
"""In place of a minute of the day: no trading on that day."""

Calendar = Literal["XNYS", "CMES"]


def looked_up(calendar: Calendar, year: int) -> dict[date, int]:
    """Return the weekdays without trading, or with an early close -> CLOSED, or the minute of the New York day."""
    first, last = date(year, 1, 1), date(year, 12, 31)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations between that package and pandas: nothing we can act on
        import exchange_calendars  # heavy: see above

        days = exchange_calendars.get_calendar(calendar, start=first.isoformat(), end=last.isoformat())
        early = {session.date() for session in days.early_closes}
        closes = {session.date(): close for session, close in days.closes.items()}
    weekdays = [
        day for n in range(first.toordinal(), last.toordinal() + 1) if (day := date.fromordinal(n)).weekday() < 5
    ]
    found = {}
    for day in weekdays:
        if day not in closes:
            found[day] = CLOSED
        elif day in early:
            local = closes[day].astimezone(NEW_YORK)
            found[day] = local.hour * 60 + local.minute
    return found

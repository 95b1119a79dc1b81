"""Days on which the American markets are closed or close early, as plain integers.

All come from exchange_calendars: XNYS is the New York Stock Exchange, CMES the CME Globex calendar. It brings
pandas (0.6 s, 60 MB), so it is imported only here and only when a year is first asked for.
"""

import warnings
from datetime import date
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
CLOSED = 0
"""In place of a minute of the day: no trading on that day."""

Calendar = Literal["XNYS", "CMES"]


@lru_cache(maxsize=32)
def short_days(calendar: Calendar, year: int) -> dict[int, int]:
    """Return weekday (as date.toordinal) -> minute of the New York day at which it closes early, or CLOSED."""
    first, last = date(year, 1, 1), date(year, 12, 31)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations between that package and pandas: nothing we can act on
        import exchange_calendars  # heavy: see above

        days = exchange_calendars.get_calendar(calendar, start=first.isoformat(), end=last.isoformat())
        early = {session.toordinal() for session in days.early_closes}
        closes = list(days.closes.items())
    found = {n: CLOSED for n in range(first.toordinal(), last.toordinal() + 1) if date.fromordinal(n).weekday() < 5}
    for session, close in closes:
        if session.toordinal() in early:
            local = close.astimezone(NEW_YORK)
            found[session.toordinal()] = local.hour * 60 + local.minute
        else:
            found.pop(session.toordinal(), None)
    return found

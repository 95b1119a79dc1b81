"""Days on which the American markets are closed or close early, as plain integers.

All come from exchange_calendars: XNYS is the New York Stock Exchange, CMES the CME Globex calendar. That package
brings pandas (0.5 s, 70 MB), so it is imported only here, only when a year is first asked for, and nothing of it is kept.
"""

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
    import exchange_calendars  # noqa: PLC0415  # heavy: see above

    first, last = date(year, 1, 1), date(year, 12, 31)
    days = exchange_calendars.get_calendar(calendar, start=first.isoformat(), end=last.isoformat())
    found = {n: CLOSED for n in range(first.toordinal(), last.toordinal() + 1) if date.fromordinal(n).weekday() < 5}
    early = {session.toordinal() for session in days.early_closes}
    for session, close in days.closes.items():
        if session.toordinal() in early:
            local = close.astimezone(NEW_YORK)
            found[session.toordinal()] = local.hour * 60 + local.minute
        else:
            found.pop(session.toordinal(), None)
    return found

"""Days on which the American markets are closed or close early, as plain integers.

They stand in short_days.json beside this file, made from exchange_calendars by `make sessions`: a process that asks it
itself waits 0.7 s for the first answer. Of years that the table lacks it is asked.
"""

import json
from collections.abc import Mapping
from datetime import date
from functools import cache, lru_cache
from pathlib import Path

from common.sessions.exchanges import CLOSED, NEW_YORK, Calendar, looked_up

__all__ = ["CLOSED", "NEW_YORK", "TABLE", "Calendar", "short_days"]

TABLE = Path(__file__).with_name("short_days.json")


@lru_cache(maxsize=32)
def short_days(calendar: Calendar, year: int) -> dict[int, int]:
    """Return weekday (as date.toordinal) -> minute of the New York day at which it closes early, or CLOSED."""
    known = _table()[calendar].get(str(year))
    if known is None:
        return {day.toordinal(): minute for day, minute in looked_up(calendar, year).items()}
    return {date.fromisoformat(f"{year}-{day}").toordinal(): minute for day, minute in known.items()}


@cache
def _table() -> Mapping[Calendar, Mapping[str, Mapping[str, int]]]:
    """Return calendar -> year -> month and day -> minute."""
    found: Mapping[Calendar, Mapping[str, Mapping[str, int]]] = json.loads(TABLE.read_text())
    return found

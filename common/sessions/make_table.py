"""Write short_days.json anew from exchange_calendars: `make sessions`, after that package has a new version."""

import json
from typing import get_args

from common.sessions.exchanges import Calendar, looked_up
from common.sessions.holidays import TABLE

YEARS = range(2000, 2036)


def table() -> dict[str, dict[str, dict[str, int]]]:
    """Return calendar -> year -> month and day -> minute of the New York day, or 0."""
    return {name: {str(year): of_year(name, year) for year in YEARS} for name in get_args(Calendar)}


def of_year(calendar: Calendar, year: int) -> dict[str, int]:
    """Return month and day -> minute."""
    return {f"{day:%m-%d}": minute for day, minute in looked_up(calendar, year).items()}


def text(made: dict[str, dict[str, dict[str, int]]]) -> str:
    """Return the file's text: a line for each year."""
    calendars = []
    for name, years in made.items():
        lines = ",\n".join(f'    "{year}": {json.dumps(days)}' for year, days in years.items())
        calendars.append(f'  "{name}": {{\n{lines}\n  }}')
    return "{\n" + ",\n".join(calendars) + "\n}\n"


if __name__ == "__main__":
    TABLE.write_text(text(table()))

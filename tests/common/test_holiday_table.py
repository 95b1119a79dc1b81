"""The table of short days that comes with the project, against exchange_calendars itself."""

import json
from datetime import date
from typing import get_args

import pytest

from common.sessions.exchanges import Calendar, looked_up
from common.sessions.holidays import TABLE, short_days
from common.sessions.make_table import YEARS, of_year, text

TOLD = json.loads(TABLE.read_text())


def test_the_table_has_all_years_and_is_written_as_it_is_made() -> None:
    assert tuple(TOLD) == get_args(Calendar)
    assert all(list(years) == [str(year) for year in YEARS] for years in TOLD.values())
    assert TABLE.read_text() == text(TOLD)


@pytest.mark.parametrize("calendar", get_args(Calendar))
@pytest.mark.parametrize("year", [2001, 2014, 2022, 2026])
def test_a_year_of_the_table_is_what_the_library_says(calendar: Calendar, year: int) -> None:
    assert TOLD[calendar][str(year)] == of_year(calendar, year)  # else `make sessions` is due
    assert short_days(calendar, year) == {day.toordinal(): at for day, at in looked_up(calendar, year).items()}


@pytest.mark.long
@pytest.mark.parametrize("calendar", get_args(Calendar))
def test_every_year_of_the_table_is_what_the_library_says(calendar: Calendar) -> None:
    assert TOLD[calendar] == {str(year): of_year(calendar, year) for year in YEARS}


@pytest.mark.parametrize("year", [YEARS.start - 1, YEARS.stop])
def test_a_year_that_the_table_lacks_is_asked_of_the_library(year: int) -> None:
    christmas = date(year, 12, 25) if date(year, 12, 25).weekday() < 5 else date(year, 12, 24)
    assert short_days("XNYS", year)[christmas.toordinal()] == 0

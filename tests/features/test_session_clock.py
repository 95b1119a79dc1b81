"""Which session a moment belongs to, in the markets that there are; the hours are those of common/sessions/hours.py."""

from datetime import datetime
from functools import partial
from zoneinfo import ZoneInfo

import pytest

from common.indicators import SessionClock, parse_plan
from common.sessions import after_open_time, next_open_ms
from features.lane import Lane, LaneSetup
from tests.features.support import bar

MINUTE = 60_000
NEW_YORK = ZoneInfo("America/New_York")


def clock(session: str) -> SessionClock:
    return SessionClock(partial(next_open_ms, session), partial(after_open_time, session))


def at_ms(moment: str) -> int:
    """Return a moment of New York in June 2026: the 14th is a Sunday, the 19th a holiday of gold from 13:00 on."""
    return int(datetime.fromisoformat(f"2026-06-{moment}:00").replace(tzinfo=NEW_YORK).timestamp()) * 1000


@pytest.mark.parametrize(
    ("session", "moment", "began"),
    [
        # Gold and futures rest from 17:00 to 18:00.
        ("metals", "17 16:59", "16 18:00"),
        ("metals", "17 17:00", "16 18:00"),
        ("metals", "17 17:59", "16 18:00"),
        ("metals", "17 18:00", "17 18:00"),
        ("cme", "17 17:30", "16 18:00"),
        # The weekend, with the evenings at which the day would roll.
        ("metals", "21 17:59", "18 18:00"),
        ("metals", "21 18:00", "21 18:00"),
        ("fx", "12 17:00", "11 17:00"),
        ("fx", "13 17:30", "11 17:00"),
        ("fx", "14 16:59", "11 17:00"),
        ("fx", "14 17:00", "14 17:00"),
        # Currencies trade through the night: their day rolls.
        ("fx", "16 16:59", "15 17:00"),
        ("fx", "16 17:00", "16 17:00"),
        ("us_cash", "17 17:30", "17 09:30"),
        ("us_cash", "18 09:29", "17 09:30"),
        ("us_cash", "18 09:30", "18 09:30"),
    ],
)
def test_a_break_belongs_to_the_session_before_it(session: str, moment: str, began: str) -> None:
    moment_ms, began_ms = at_ms(moment), at_ms(began)

    assert clock(session).start_ms(moment_ms) == began_ms
    asked_before = clock(session)
    asked_before.start_ms(moment_ms - 6 * 60 * MINUTE)
    assert asked_before.start_ms(moment_ms) == began_ms


def test_a_price_in_the_daily_break_is_no_session_of_its_own() -> None:
    """Else the next session's pivots are all that one price."""
    plan = parse_plan('[indicators]\npivots = { function = "PIVOT_CLASSIC" }', "pivots")
    tested = Lane(LaneSetup("XAUUSD", "1m", MINUTE, 500, 100, plan.program("XAUUSD", "1m")), clock("metals"))
    for moment, price in (("16 18:00", 100.0), ("17 09:00", 130.0), ("17 16:59", 110.0), ("17 17:00", 110.0)):
        tested.append(bar(at_ms(moment), price))

    tested.append(bar(at_ms("17 18:00"), 111.0))

    # H = 130, L = 100, C = 110: P = 340 / 3, R1 = 2P - L, S1 = 2P - H
    assert tested.values[:2] == pytest.approx([340 / 3, 680 / 3 - 100])
    assert tested.values[4] == pytest.approx(680 / 3 - 130)

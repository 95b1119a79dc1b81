"""When each kind of market trades, by simple New York rules without holidays."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
DAY_MS = 86_400_000

_HOURS: dict[str, tuple[int, time, time]] = {
    # kind: day of the open relative to the trading day, open, close
    "fx": (-1, time(17), time(17)),
    "metals": (-1, time(18), time(17)),
    "cme": (-1, time(18), time(17)),
    "us_cash": (0, time(9, 30), time(16)),
}


@dataclass(frozen=True)
class Session:
    """One trading day of a kind of market: [open_ms, close_ms)."""

    day: date
    open_ms: int
    close_ms: int


def _ms(day: date, at: time) -> int:
    return int(datetime.combine(day, at, NEW_YORK).timestamp() * 1000)


@lru_cache(maxsize=8192)
def session_of(kind: str, day: date) -> Session:
    """Return the session of trading day `day`, which must be a weekday."""
    before, opens, closes = _HOURS[kind]
    return Session(day, _ms(day + timedelta(days=before), opens), _ms(day, closes))


def earlier(day: date) -> date:
    """Return the trading day before `day`."""
    return day - timedelta(days={0: 3, 6: 2}.get(day.weekday(), 1))


def later(day: date) -> date:
    """Return the trading day after `day`."""
    return day + timedelta(days={4: 3, 5: 2}.get(day.weekday(), 1))


@lru_cache(maxsize=4096)
def _newest(kind: str, at_minute: int) -> Session:
    at_ms = at_minute * 60_000
    day = datetime.fromtimestamp(at_ms / 1000, UTC).date() + timedelta(days=2)
    while True:
        day = earlier(day)
        session = session_of(kind, day)
        if session.open_ms <= at_ms:
            return session


def newest_session(kind: str, at_ms: int) -> Session:
    """Return the session that is open at `at_ms`, or the last one before it."""
    return _newest(kind, at_ms // 60_000)


def is_open(kind: str, at_ms: int) -> bool:
    """Return whether this kind of market trades at `at_ms`."""
    return at_ms < newest_session(kind, at_ms).close_ms


def sessions_between(kind: str, from_ms: int, to_ms: int) -> list[Session]:
    """Return the sessions that overlap [from_ms, to_ms), oldest first."""
    found: list[Session] = []
    session = newest_session(kind, to_ms - 1)
    while session.close_ms > from_ms:
        found.append(session)
        session = session_of(kind, earlier(session.day))
    return found[::-1]

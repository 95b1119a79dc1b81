"""When each kind of market trades, by simple New York rules without holidays."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

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


def open_mask(kind: str, times_ms: npt.NDArray[np.int64], width_ms: int = 1) -> npt.NDArray[np.bool_]:
    """Return which of the buckets [time, time + width), sorted, have a part in a session."""
    if not len(times_ms):
        return np.zeros(0, dtype=bool)
    sessions = sessions_between(kind, int(times_ms[0]), int(times_ms[-1]) + width_ms)
    if not sessions:
        return np.zeros(len(times_ms), dtype=bool)
    opens = np.array([s.open_ms for s in sessions], dtype=np.int64)
    closes = np.array([s.close_ms for s in sessions], dtype=np.int64)
    place = np.searchsorted(opens, times_ms + width_ms - 1, "right") - 1
    return np.asarray((place >= 0) & (times_ms < closes[np.maximum(place, 0)]))

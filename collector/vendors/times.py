"""Times as vendors spell them, to UTC epoch milliseconds."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from collector.vendors.bodies import Json

_FIRST_S = 631_152_000  # 1990: nothing older is a quote or an intraday bar
_LAST_S = 4_102_444_800  # 2100
_PER_SECOND = (1, 1_000, 1_000_000, 1_000_000_000)
_DAY_MS = 86_400_000
_MINUTE_MS = 60_000
_STAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_CLOCK_SKEW_S = 1.0  # our clock may run ahead of the vendor's: an early call would be refused, and counted


def epoch_ms(value: Json) -> int | None:
    """Return the moment in ms, whether the value counts s, ms, us or ns since 1970; None if it is no plausible one.

    The unit is told by the magnitude: the ranges of the four between 1990 and 2100 do not touch.
    """
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 19:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    for per_second in _PER_SECOND:
        if _FIRST_S * per_second <= value < _LAST_S * per_second:
            return int(value * 1_000) if per_second == 1 else int(value // (per_second // 1_000))
    return None


def utc_ms(stamp: Json) -> int | None:
    """Return the moment of "YYYY-MM-DD HH:MM:SS" in UTC; None if the value is anything else."""
    if not isinstance(stamp, str) or not _STAMP.fullmatch(stamp):
        return None
    try:
        moment = datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    return epoch_ms(int(moment.timestamp()))


def utc_stamp(at_ms: int) -> str:
    """Return the second of the moment as "YYYY-MM-DD HH:MM:SS" in UTC."""
    return datetime.fromtimestamp(at_ms // 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def until_next_minute_s(now_ms: int) -> float:
    """Return how long it is to the next clock minute, with room for clocks that disagree."""
    return (_MINUTE_MS - now_ms % _MINUTE_MS) / 1_000 + _CLOCK_SKEW_S


def until_next_day_s(now_ms: int) -> float:
    """Return how long it is to 00:00 UTC, with room for clocks that disagree."""
    return (_DAY_MS - now_ms % _DAY_MS) / 1_000 + _CLOCK_SKEW_S


def is_weekend(at_ms: int) -> bool:
    """Tell whether the moment lies on a Saturday or Sunday, UTC."""
    return datetime.fromtimestamp(at_ms // 1_000, UTC).weekday() >= 5


def retry_after_s(header: str, now_ms: int) -> float | None:
    """Return the wait that a Retry-After header asks for (seconds, or an HTTP date); None if it says nothing sound.

    More than a day is taken as a day: a vendor that is wrong about it must not be lost for good.
    """
    wait_s = float(header) if header.isascii() and header.isdecimal() and len(header) <= 9 else _wait_to(header, now_ms)
    return None if wait_s is None or wait_s < 0 else min(wait_s, _DAY_MS / 1_000)


def _wait_to(http_date: str, now_ms: int) -> float | None:
    try:
        return parsedate_to_datetime(http_date).timestamp() - now_ms / 1_000
    except (ValueError, TypeError, IndexError, OverflowError, OSError):
        return None

"""Read what each vendor allows (limits.toml), and say which stretch of time a window counts."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from common.errors import Fatal

FILE = Path(__file__).with_name("limits.toml")

# A sliding window is counted in so many buckets: a credit comes back at most one bucket late, never early.
BUCKETS = 60
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
DEFAULT_WAIT_S = 60


class Purpose(StrEnum):
    """What a call is for. It decides whether the call may take of the reserve."""

    REGULAR = "regular"
    """A price, in its source's turn."""
    CHECK = "check"
    """A price that is pushed as well, to compare the two; in its source's turn."""
    FAILOVER = "failover"
    """A price out of turn, because the sources that are preferred to this one fail. Takes of the reserve."""
    SESSION = "session"
    """What has to be asked before a price can be: a session token. Takes of the reserve."""
    BACKFILL = "backfill"
    """History. Takes of the reserve, and of what regular asking can't use."""

    @property
    def of_reserve(self) -> bool:
        """Whether its credits are counted against the reserve first."""
        return self not in (Purpose.REGULAR, Purpose.CHECK)


@dataclass(frozen=True)
class Window:
    """At most `credits` in any stretch of `length_ms`, or in each calendar day of `zone`."""

    name: str
    length_ms: int
    credits: int
    zone: str = ""
    """Empty: it slides."""
    reserve: int = 0
    """Credits that regular asking leaves."""

    @property
    def bucket_ms(self) -> int:
        """The width of the buckets in which a sliding window is counted."""
        return max(1, self.length_ms // BUCKETS)


@dataclass(frozen=True)
class Counted:
    """The part of the past that a window counts at one moment, in buckets by their start."""

    bucket_ms: int
    """The bucket of now."""
    oldest_ms: int
    """The oldest bucket that still counts."""
    newest_ms: int
    """Buckets after this were written before the clock was put back by more than a window: they do not count."""


@dataclass(frozen=True)
class Plan:
    """What one vendor allows under the plan in force."""

    vendor: str
    name: str = "unlimited"
    windows: tuple[Window, ...] = ()
    """Empty: nothing limits it."""
    per_symbol: bool = False
    """One credit buys a symbol, not a call."""
    wait_ms: int = DEFAULT_WAIT_S * 1000
    reported: str = ""
    """The window that the vendor's own count speaks of; empty: none."""

    @property
    def longest_ms(self) -> int:
        """The longest that a turn can be away; 0: unlimited."""
        return max((w.length_ms + w.bucket_ms for w in self.windows), default=0)


def counted(window: Window, now_ms: int) -> Counted:
    """Return which buckets of the window count at `now_ms`."""
    if window.zone:
        begin, end = _day(window.zone, now_ms // 1000 // 900 * 900)
        return Counted(max(begin, now_ms // HOUR_MS * HOUR_MS), begin, end - 1)
    width = window.bucket_ms
    return Counted(now_ms // width * width, now_ms - window.length_ms - width + 1, now_ms + window.length_ms)


def frees_at(window: Window, bucket_ms: int) -> int:
    """Return the first moment at which the bucket no longer counts."""
    if window.zone:
        return _day(window.zone, bucket_ms // 1000 // 900 * 900)[1]
    return bucket_ms + window.length_ms + window.bucket_ms


@lru_cache(maxsize=256)
def _day(zone: str, at_s: int) -> tuple[int, int]:
    # Zones are offset by quarters of an hour at most, so the caller's rounding keeps the cache small.
    local = datetime.fromtimestamp(at_s, ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    following = (local + timedelta(days=1)).replace(fold=0)
    return tuple(int(d.astimezone(UTC).timestamp() * 1000) for d in (local, following))  # type: ignore[return-value]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _WindowRow(_Strict):
    name: str
    seconds: int = Field(gt=0)
    credits: int = Field(gt=0)
    reserve: int = Field(default=0, ge=0)
    zone: str = ""


class _PlanRow(_Strict):
    per: str = Field(pattern="^(call|symbol)$")
    wait_s: int = Field(gt=0)
    windows: tuple[_WindowRow, ...] = Field(min_length=1)
    reported: str = ""
    fact: str = Field(min_length=1)


def load_limits(path: Path = FILE) -> dict[str, Plan]:
    """Return each vendor's plan in force. Fatal with the file, the place and the reason if it is wrong."""
    try:
        content = tomllib.loads(path.read_text())
        return {vendor: _plan(vendor, table) for vendor, table in content.items()}
    except (OSError, tomllib.TOMLDecodeError, ValidationError, KeyError, ValueError) as e:
        raise Fatal(f"{path}: {e}") from e


def unlimited(plan: Plan) -> Plan:
    """Return the plan without its windows."""
    return replace(plan, name="unlimited", windows=(), reported="")


def plan_of(vendor: str, plans: Mapping[str, Plan], *, limits: str) -> Plan:
    """Return the vendor's plan under LIMITS. Fatal if it has none: a name that is written wrong lifts no limit."""
    if limits == "none":
        return unlimited(plans.get(vendor, Plan(vendor)))
    if vendor not in plans:
        raise Fatal(f"{FILE}: expected a table [{vendor}], found {', '.join(sorted(plans)) or 'none'}")
    return plans[vendor]


def _plan(vendor: str, table: dict[str, object]) -> Plan:
    name = str(table["plan"])
    row = _PlanRow.model_validate(table[name])
    windows = tuple(Window(w.name, w.seconds * 1000, w.credits, w.zone, w.reserve) for w in row.windows)
    if any(w.zone and w.length_ms != DAY_MS for w in windows):
        raise ValueError(f"{vendor}.{name}: a window with a zone lasts 86400 seconds")
    if any(w.reserve >= w.credits for w in windows):
        raise ValueError(f"{vendor}.{name}: a reserve leaves at least one credit of its window")
    if row.reported and row.reported not in {w.name for w in windows}:
        raise ValueError(f"{vendor}.{name}: reported = {row.reported!r} is none of its windows")
    return Plan(vendor, name, windows, row.per == "symbol", row.wait_s * 1000, row.reported)

"""Budgets of calls, in one Redis hash per source: reserved before the call, shared by all collectors.

Fields of the hash: `since` (when counting began), `next_ms` (when an even spread allows the next call), one
`w:<window>:<bucket>` per bucket of a window, and what collector/blocks.py keeps. A hash without `since` was lost, and
counts as spent until it is rebuilt (collector/usage.py keeps what is needed for that) or every window has passed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from collector.limits import Plan, Window, counted, frees_at
from common import keys
from common.breaker import Caller
from common.sources import QuotaWindow

# Per window five arguments: name, bucket of now, oldest and newest bucket that count, limit.
_SUMS = """
local key = KEYS[1]
local used, gone = {}, {}
local windows = {}
for i = 4, #ARGV, 5 do
  windows[#windows + 1] = {name = ARGV[i], bucket = ARGV[i + 1], oldest = tonumber(ARGV[i + 2]),
    newest = tonumber(ARGV[i + 3]), limit = tonumber(ARGV[i + 4])}
end
if redis.call('HEXISTS', key, 'since') == 0 then return {'missing'} end
local all = redis.call('HGETALL', key)
for i = 1, #all, 2 do
  for _, w in ipairs(windows) do
    local prefix = 'w:' .. w.name .. ':'
    if string.sub(all[i], 1, #prefix) == prefix then
      local start = tonumber(string.sub(all[i], #prefix + 1))
      if start < w.oldest or start > w.newest then gone[#gone + 1] = all[i]
      else used[w.name] = (used[w.name] or 0) + tonumber(all[i + 1]) end
    end
  end
end
"""

_RESERVE = (
    _SUMS
    + """
local now, credits, spacing = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local longest = 0
for _, w in ipairs(windows) do
  if (used[w.name] or 0) + credits > w.limit then return {'refused', w.name} end
end
for _, field in ipairs(gone) do redis.call('HDEL', key, field) end
for _, w in ipairs(windows) do redis.call('HINCRBY', key, 'w:' .. w.name .. ':' .. w.bucket, credits) end
local next_ms = tonumber(redis.call('HGET', key, 'next_ms') or '0')
if next_ms < now or next_ms > now + spacing * 1000 then next_ms = now end
redis.call('HSET', key, 'next_ms', string.format('%.0f', next_ms + credits * spacing))
return {'granted'}
"""
)

_CORRECT = (
    _SUMS
    + """
local w = windows[1]
local unseen = w.limit - tonumber(ARGV[2]) - (used[w.name] or 0)
if unseen > 0 then redis.call('HINCRBY', key, 'w:' .. w.name .. ':' .. w.bucket, string.format('%.0f', unseen)) end
return {'corrected'}
"""
)

_ESTABLISH = """
if redis.call('HEXISTS', KEYS[1], 'since') == 1 then return {'kept'} end
for i = 1, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
return {'established'}
"""


@dataclass(frozen=True)
class Reservation:
    """Whether a call may be made."""

    granted: bool
    window: str = ""
    """Which window refused it; "missing": the counter itself is lost."""


@dataclass(frozen=True)
class QuotaView:
    """A source's budget at one moment."""

    windows: Mapping[str, QuotaWindow]
    next_ms: int = 0
    """When an even spread allows the next call; 0: at once."""
    room_ms: int | None = 0
    """When one credit is free in every window; 0: now. None: the counter is lost."""

    @property
    def remaining(self) -> int | None:
        """Credits that can be spent now; None: unlimited."""
        if self.room_ms is None:
            return 0
        return min((w.remaining for w in self.windows.values()), default=None)


class Quota:
    """One source's budget, as this process uses it. It holds no state of its own."""

    def __init__(self, link: Caller, plan: Plan) -> None:
        self._link = link
        self._key = keys.quota(plan.vendor)
        self.plan = plan

    def reserve(self, cost: int, now_ms: int) -> Reservation:
        """Take one call's credits out of every window, or out of none."""
        if not self.plan.windows:
            return Reservation(granted=True)
        word, *rest = self._run(_RESERVE, now_ms, cost, self.plan.spacing_ms, *self._arguments(now_ms))
        return Reservation(word == "granted", rest[0] if rest else "missing" if word == "missing" else "")

    def correct(self, credits_left: int, now_ms: int) -> None:
        """Count what the vendor says was used beyond our own count (another program with the same key), never less."""
        reported = [w for w in self.plan.windows if w.name == self.plan.reported]
        if reported:
            self._run(_CORRECT, now_ms, credits_left, 0, *_window_arguments(reported[0], now_ms))

    def establish(self, usage: Mapping[str, int], now_ms: int) -> bool:
        """Begin to count, with the usage given (hash field -> credits). False: it is counted already."""
        fields: list[str | int] = ["since", now_ms]
        for name, used in usage.items():
            fields += [name, used]
        return self._run(_ESTABLISH, *fields) == ["established"]

    def buckets(self, cost: int, now_ms: int) -> dict[str, int]:
        """Return the hash fields that a reservation of `cost` credits at `now_ms` adds to."""
        return {f"w:{w.name}:{counted(w, now_ms).bucket_ms}": cost for w in self.plan.windows}

    def spent(self, now_ms: int) -> dict[str, int]:
        """Return usage that leaves nothing in any window: what a lost counter has to be taken for."""
        return {f"w:{w.name}:{counted(w, now_ms).bucket_ms}": w.credits for w in self.plan.windows}

    def _arguments(self, now_ms: int) -> list[str | int]:
        return [argument for w in self.plan.windows for argument in _window_arguments(w, now_ms)]

    def _run(self, script: str, *arguments: str | int) -> list[str]:
        reply = cast(list[bytes], self._link.call("EVAL", script, 1, self._key, *arguments))
        return [item.decode() for item in reply]


def _window_arguments(window: Window, now_ms: int) -> list[str | int]:
    span = counted(window, now_ms)
    return [window.name, span.bucket_ms, span.oldest_ms, span.newest_ms, window.credits]


def view_of(plan: Plan, stored: Mapping[bytes, bytes], now_ms: int) -> QuotaView:
    """Return the budget that a hash holds (HGETALL as a dict)."""
    if not plan.windows:
        return QuotaView({})
    if b"since" not in stored:
        lost = {w.name: QuotaWindow(w.credits, w.credits, 0) for w in plan.windows}
        return QuotaView(lost, room_ms=None)
    next_ms = int(stored.get(b"next_ms", b"0"))
    if next_ms > now_ms + plan.spacing_ms * 1000:  # the clock was put back
        next_ms = 0
    per_window = {w.name: _used_buckets(w, stored, now_ms) for w in plan.windows}
    rooms = [_room_ms(w, per_window[w.name]) for w in plan.windows]
    figures = {w.name: _figures(w, per_window[w.name]) for w in plan.windows}
    return QuotaView(figures, next_ms if next_ms > now_ms else 0, max(rooms))


def _used_buckets(window: Window, stored: Mapping[bytes, bytes], now_ms: int) -> list[tuple[int, int]]:
    """Return (bucket start, credits used) of the buckets that count, oldest first."""
    span = counted(window, now_ms)
    prefix = f"w:{window.name}:".encode()
    buckets = ((int(field[len(prefix) :]), int(n)) for field, n in stored.items() if field.startswith(prefix))
    return sorted((start, n) for start, n in buckets if span.oldest_ms <= start <= span.newest_ms)


def _room_ms(window: Window, buckets: list[tuple[int, int]]) -> int:
    over = sum(n for _, n in buckets) + 1 - window.credits
    if over <= 0:
        return 0
    for start, n in buckets:
        over -= n
        if over <= 0:
            return frees_at(window, start)
    return frees_at(window, buckets[-1][0])


def _figures(window: Window, buckets: list[tuple[int, int]]) -> QuotaWindow:
    used = sum(n for _, n in buckets)
    resets = frees_at(window, buckets[0][0]) if buckets else None
    return QuotaWindow(window.credits, used, max(0, window.credits - used), resets)

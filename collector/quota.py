"""Budgets of calls, in one Redis hash per source: reserved before the call, shared by all collectors.

The rules, and what the hash holds, are in collector/quota_model.py; the scripts here are the same in Lua.
collector/usage.py keeps what is needed to rebuild a hash that was lost.
"""

from collections.abc import Mapping
from typing import cast

from collector.limits import Plan, Purpose, Window, counted
from collector.quota_model import (
    MISSING,
    QuotaView,
    Reservation,
    Terms,
    Usage,
    asked_ms,
    buckets_of,
    reported_since_ms,
    view_of,
)
from common import keys
from common.breaker import Caller

__all__ = ["MISSING", "Quota", "QuotaView", "Reservation", "Terms", "Usage", "asked_ms", "view_of"]

# Three arguments and the symbols' names, then per window seven: name, bucket of now, oldest and newest bucket that
# count, limit, reserve, credits kept for regular asking.
_SUMS = """
local key = KEYS[1]
local used, reserved, gone, windows = {}, {}, {}, {}
local first = 7 + tonumber(ARGV[6])
for i = first, #ARGV, 7 do
  windows[#windows + 1] = {name = ARGV[i], bucket = ARGV[i + 1], oldest = tonumber(ARGV[i + 2]),
    newest = tonumber(ARGV[i + 3]), limit = tonumber(ARGV[i + 4]), reserve = tonumber(ARGV[i + 5]),
    kept = tonumber(ARGV[i + 6])}
  used[ARGV[i]], reserved[ARGV[i]] = 0, 0
end
if redis.call('HEXISTS', key, 'since') == 0 then return {'missing'} end
local all = redis.call('HGETALL', key)
local since = tonumber(ARGV[4])
for i = 1, #all, 2 do
  for _, w in ipairs(windows) do
    for prefix, sums in pairs({['w:' .. w.name .. ':'] = used, ['r:' .. w.name .. ':'] = reserved}) do
      if string.sub(all[i], 1, #prefix) == prefix then
        local start = tonumber(string.sub(all[i], #prefix + 1))
        if start < w.oldest or start > w.newest then gone[#gone + 1] = all[i]
        elseif start >= since then sums[w.name] = sums[w.name] + tonumber(all[i + 1]) end
      end
    end
  end
end
local function text(n) return string.format('%.0f', n) end
"""

_RESERVE = (
    _SUMS
    + """
local now, cost, takes, purpose, longest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[5], 0
local of_reserve = purpose ~= 'regular' and purpose ~= 'check'
for _, w in ipairs(windows) do
  local left = w.limit - used[w.name]
  if not of_reserve then left = left - math.max(0, w.reserve - reserved[w.name])
  elseif purpose == 'backfill' and w.reserve > 0 then
    left = left - math.max(0, w.kept - (used[w.name] - reserved[w.name]))
  end
  if left < cost then return {'refused', w.name} end
end
for _, field in ipairs(gone) do redis.call('HDEL', key, field) end
for _, w in ipairs(windows) do
  redis.call('HINCRBY', key, 'w:' .. w.name .. ':' .. w.bucket, cost)
  if of_reserve then redis.call('HINCRBY', key, 'r:' .. w.name .. ':' .. w.bucket, cost) end
end
if not of_reserve then
  local due = tonumber(redis.call('HGET', key, 'next_ms') or '0')
  if due < now - takes or due > now + tonumber(ARGV[first - 1]) then due = now end
  redis.call('HSET', key, 'next_ms', text(due + takes))
end
for i = 7, first - 2 do redis.call('HSET', key, 'asked:' .. ARGV[i], text(now)) end
return {'granted'}
"""
)

_CORRECT = (
    _SUMS
    + """
local unseen = windows[1].limit - tonumber(ARGV[2]) - used[windows[1].name]
if unseen > 0 then
  for _, w in ipairs(windows) do redis.call('HINCRBY', key, 'w:' .. w.name .. ':' .. w.bucket, text(unseen)) end
end
return {'corrected'}
"""
)

_ESTABLISH = """
if redis.call('HEXISTS', KEYS[1], 'since') == 1 then return {'kept'} end
for i = 1, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
return {'established'}
"""


class Quota:
    """One source's budget, as this process uses it. It holds no state of its own."""

    def __init__(self, link: Caller, plan: Plan) -> None:
        self._link = link
        self._key = keys.quota(plan.vendor)
        self.plan = plan

    def reserve(self, cost: int, now_ms: int, terms: Terms = Terms()) -> Reservation:  # noqa: B008  # it is frozen
        """Take one call's credits out of every window, or out of none."""
        if not self.plan.windows:
            return Reservation(granted=True)
        named: list[str | int] = [*terms.symbols, self.plan.longest_ms]
        takes_ms = cost * terms.spacing_ms
        windows = [a for w in self.plan.windows for a in _window_arguments(w, now_ms, terms.kept.get(w.name, 0))]
        word, *rest = self._run(_RESERVE, now_ms, cost, takes_ms, 0, terms.purpose, len(named), *named, *windows)
        return Reservation(word == "granted", rest[0] if rest else MISSING if word == "missing" else "")

    def correct(self, credits_left: int, now_ms: int, asked_ms: int) -> None:
        """Count what the vendor says was used beyond our own count (another program with the same key), never less.

        asked_ms: when it was asked. Where its window has begun since, it may speak of the one before.
        """
        windows = sorted(self.plan.windows, key=lambda w: w.name != self.plan.reported)  # the one it speaks of first
        if not windows or windows[0].name != self.plan.reported:
            return
        begins_ms = reported_since_ms(windows[0], now_ms)
        if asked_ms >= begins_ms:
            counted_now = [a for w in windows for a in _window_arguments(w, now_ms, 0)]
            self._run(_CORRECT, now_ms, credits_left, 0, begins_ms, "", 0, *counted_now)

    def establish(self, usage: Mapping[str, int], now_ms: int) -> bool:
        """Begin to count, with the usage given (hash field -> credits). False: it is counted already."""
        fields: list[str | int] = ["since", now_ms]
        for name, used in usage.items():
            fields += [name, used]
        return self._run(_ESTABLISH, *fields) == ["established"]

    def buckets(self, cost: int, now_ms: int, purpose: Purpose = Purpose.REGULAR) -> dict[str, int]:
        """Return the hash fields that a reservation of `cost` credits at `now_ms` adds to."""
        return buckets_of(self.plan, cost, now_ms, purpose)

    def spent(self, now_ms: int) -> dict[str, int]:
        """Return usage that leaves nothing in any window: what a lost counter has to be taken for."""
        return {f"w:{w.name}:{counted(w, now_ms).bucket_ms}": w.credits for w in self.plan.windows}

    def _run(self, script: str, *arguments: str | int) -> list[str]:
        reply = cast(list[bytes], self._link.call("EVAL", script, 1, self._key, *arguments))
        return [item.decode() for item in reply]


def _window_arguments(window: Window, now_ms: int, kept: int) -> list[str | int]:
    span = counted(window, now_ms)
    return [window.name, span.bucket_ms, span.oldest_ms, span.newest_ms, window.credits, window.reserve, kept]

"""A circuit breaker per source, in one Redis hash, with transitions that are atomic over all processes.

The rules, and why a result may be ignored, are in common/breaker_model.py; the scripts here are the same in Lua.
Deadlines are stored values that are compared with the caller's clock: a lost hash means HALF_OPEN, never CLOSED.
"""

from typing import Protocol, cast

from common import keys
from common.breaker_model import Admission, BreakerView, Rules, State, Transition, view_of
from common.redis_link import Reply, flat_pairs

__all__ = ["Admission", "Breaker", "BreakerView", "Rules", "State", "Transition", "view_of"]

# Long enough to name a host and an errno, short enough for a dashboard's cell.
_LONGEST_ERROR = 200

_PRELUDE = """
local key = KEYS[1]
local state = redis.call('HGET', key, 'state') or 'HALF_OPEN'
local function number(field) return tonumber(redis.call('HGET', key, field) or '0') or 0 end
local function text(n) return string.format('%.0f', n) end
local now = tonumber(ARGV[1])
local transitions = number('transitions')
local function ahead(deadline, longest) return now < deadline and deadline <= now + longest end
local function change(after, failures, err, opened_at, retry_at)
  transitions = transitions + 1
  redis.call('HSET', key, 'state', after, 'transitions', text(transitions), 'opened_at_ms', text(opened_at),
    'retry_at_ms', text(retry_at), 'lease_until_ms', '0', 'last_error', err, 'failures', text(failures),
    'changed_at_ms', text(now), 'before', state)
  local reply = {state, after, text(now), text(transitions), text(failures), err}
  state = after
  return reply
end
local function counts()
  if tonumber(ARGV[2]) ~= transitions then return false end
  if state == 'HALF_OPEN' then
    return number('lease_until_ms') > 0 and tonumber(ARGV[3]) == number('lease')
  end
  return state == 'CLOSED'
end
"""

_ADMIT = (
    _PRELUDE
    + """
local open_ms, lease_ms = tonumber(ARGV[2]), tonumber(ARGV[3])
if state == 'CLOSED' then return {'1', '0', state, text(transitions), '0'} end
if state == 'OPEN' and ahead(number('retry_at_ms'), open_ms) or
   state == 'HALF_OPEN' and ahead(number('lease_until_ms'), lease_ms) then
  return {'0', '0', state, text(transitions), '0'}
end
local changed = {}
if state == 'OPEN' then
  changed = change('HALF_OPEN', number('failures'), redis.call('HGET', key, 'last_error') or '', 0, 0)
end
local lease = number('lease') + 1
redis.call('HSET', key, 'state', state, 'transitions', text(transitions), 'lease', text(lease),
  'lease_until_ms', text(now + lease_ms))
local reply = {'1', '1', state, text(transitions), text(lease)}
for _, item in ipairs(changed) do reply[#reply + 1] = item end
return reply
"""
)

_SUCCEED = (
    _PRELUDE
    + """
if not counts() then return {} end
if state == 'CLOSED' then
  redis.call('HSET', key, 'failures', '0')
  return {}
end
return change('CLOSED', 0, '', 0, 0)
"""
)

_FAIL = (
    _PRELUDE
    + """
if not counts() then return {} end
local failures = number('failures') + 1
if state == 'CLOSED' and failures < tonumber(ARGV[5]) then
  redis.call('HSET', key, 'failures', text(failures), 'last_error', ARGV[4])
  return {}
end
return change('OPEN', failures, ARGV[4], now, now + tonumber(ARGV[6]))
"""
)

_GIVE_BACK = (
    _PRELUDE
    + """
if state == 'HALF_OPEN' and counts() then redis.call('HSET', key, 'lease_until_ms', '0') end
return {}
"""
)


class Caller(Protocol):
    """What a breaker needs of a connection: one command, its raw reply."""

    def call(self, *command: str | bytes | float) -> Reply:
        """Return the reply to one command."""
        ...


class Breaker:
    """One source's breaker, as this process uses it. It holds no state of its own."""

    def __init__(self, link: Caller, source: str, rules: Rules) -> None:
        self._link = link
        self._key = keys.breaker(source)
        self.rules = rules

    def admit(self, now_ms: int) -> Admission:
        """Return whether a call may be made now. A probe is held by a lease: report its result, or give it back."""
        fields = self._run(_ADMIT, now_ms, self.rules.open_ms, self.rules.lease_ms)
        allowed, is_probe, state, generation, lease = fields[:5]
        return Admission(
            allowed == "1", is_probe == "1", State(state), int(generation), int(lease), _transition(fields[5:])
        )

    def record_success(self, admission: Admission, now_ms: int) -> Transition | None:
        """Note that the source answered (a refusal is an answer). Return the change of state, if it made one."""
        if not admission.allowed:
            return None
        return _transition(self._run(_SUCCEED, now_ms, admission.generation, admission.lease))

    def record_failure(self, admission: Admission, now_ms: int, error: str) -> Transition | None:
        """Note an outage. Return the change of state, if it made one."""
        if not admission.allowed:
            return None
        rules, error = self.rules, error[:_LONGEST_ERROR]
        ours = (admission.generation, admission.lease, error, rules.failures_to_open, rules.open_ms)
        return _transition(self._run(_FAIL, now_ms, *ours))

    def give_back(self, admission: Admission) -> None:
        """Free the probe of a call that was admitted but not made, or whose end nobody waited for."""
        if admission.is_probe:
            self._run(_GIVE_BACK, 0, admission.generation, admission.lease)

    def read(self) -> BreakerView:
        """Return the breaker as it is stored."""
        return view_of(flat_pairs(self._link.call("HGETALL", self._key)))

    def _run(self, script: str, *arguments: str | int) -> list[str]:
        reply = cast(list[bytes], self._link.call("EVAL", script, 1, self._key, *arguments))
        return [item.decode(errors="replace") for item in reply]


def _transition(fields: list[str]) -> Transition | None:
    if not fields:
        return None
    before, after, at_ms, number, failures, error = fields
    return Transition(State(before), State(after), int(at_ms), int(number), int(failures), error)

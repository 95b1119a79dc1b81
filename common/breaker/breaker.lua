-- A breaker's rules as common/breaker/model.py has them, made atomic. KEYS[1]: the breaker's hash.
-- ARGV: command, now, then failures_to_open, open, lease, window_calls, failure and slow percent, bucket,
-- longest factor, stretch limit, calm, tolerance, then what the command takes.
-- Fields that hold a list of values separate them by the ASCII unit separator.
local key, command, now = KEYS[1], ARGV[1], tonumber(ARGV[2])
local rules = {}
for i, name in ipairs({'failures', 'open', 'lease', 'calls', 'failed', 'slow', 'bucket', 'factor', 'stretch', 'calm',
    'tolerance'}) do
  rules[name] = tonumber(ARGV[2 + i])
end
local given = {unpack(ARGV, 14)}
local BUCKETS, LOG, SEPARATOR = 6, 16, '\31'

local function stored(field) return redis.call('HGET', key, field) or '' end
local function number(field) return tonumber(stored(field)) or 0 end
local function text(n) return string.format('%.0f', n) end
local state = redis.call('HGET', key, 'state') or 'HALF_OPEN'
local force = redis.call('HGET', key, 'force') or 'auto'
local transitions = number('transitions')

local function ahead(deadline, longest) return now < deadline and deadline <= now + longest + rules.tolerance end
local function open_for(openings, stretch)
  local factor = math.min(2 ^ (math.min(openings, rules.factor) - 1), rules.factor)
  return math.floor(rules.open * factor * (1000 + stretch) / 1000)
end

local function change(after, failures, err, reason, by, why, opened_at, retry_at)
  transitions = transitions + 1
  local born = number('born_ms')
  if born == 0 then born = now end
  local entry = table.concat({text(transitions), text(now), state, after, text(failures), reason, text(born), by, why,
    err}, SEPARATOR)
  for i = 0, BUCKETS - 1 do redis.call('HDEL', key, 'w' .. text(i)) end
  redis.call('HSET', key, 'state', after, 'transitions', text(transitions), 'opened_at_ms', text(opened_at),
    'retry_at_ms', text(retry_at), 'lease_until_ms', '0', 'last_error', err, 'failures', text(failures),
    'changed_at_ms', text(now), 'born_ms', text(born), 'reason', reason, 'c' .. text(transitions % LOG), entry)
  state = after
  return entry
end

local function open(failures, err, reason, openings, stretch)
  redis.call('HSET', key, 'openings', text(openings))
  return change('OPEN', failures, err, reason, '', '', now, now + open_for(openings, stretch))
end

local function counts(generation, lease)
  if generation ~= transitions then return false end
  if state == 'HALF_OPEN' then return number('lease_until_ms') > 0 and lease == number('lease') end
  return state == 'CLOSED'
end

local function buckets()
  local found = {}
  for i = 0, BUCKETS - 1 do
    local bucket = {}
    for part in string.gmatch(stored('w' .. text(i)), '%d+') do bucket[#bucket + 1] = tonumber(part) end
    if #bucket == 4 then found[i] = bucket end
  end
  return found
end

local function note(failed, slow)
  local this, all = math.floor(now / rules.bucket), buckets()
  local place = this % BUCKETS
  local bucket = all[place]
  if not bucket or bucket[1] ~= this then bucket = {this, 0, 0, 0} end
  bucket = {this, bucket[2] + 1, bucket[3] + failed, bucket[4] + slow}
  all[place] = bucket
  redis.call('HSET', key, 'w' .. text(place),
    table.concat({text(bucket[1]), text(bucket[2]), text(bucket[3]), text(bucket[4])}, SEPARATOR))
  local sum = {calls = 0, failed = 0, slow = 0}
  for _, b in pairs(all) do
    if b[1] > this - BUCKETS and b[1] <= this + 1 then
      sum.calls, sum.failed, sum.slow = sum.calls + b[2], sum.failed + b[3], sum.slow + b[4]
    end
  end
  return sum
end

local function why_open(sum, failures, failed, slow)
  local enough = sum.calls >= rules.calls
  if failed == 1 and failures >= rules.failures then return 'failures_in_a_row' end
  if failed == 1 and enough and sum.failed * 100 >= rules.failed * sum.calls then return 'failure_rate' end
  if slow == 1 and enough and sum.slow * 100 >= rules.slow * sum.calls then return 'slow_calls' end
end

local commands = {}

function commands.admit()
  if state == 'CLOSED' then return {'1', '0', state, text(transitions), '0', ''} end
  if force == 'open' or state == 'OPEN' and ahead(number('retry_at_ms'), open_for(rules.factor, rules.stretch)) or
     state == 'HALF_OPEN' and ahead(number('lease_until_ms'), rules.lease) then
    return {'0', '0', state, text(transitions), '0', ''}
  end
  local entry = ''
  if state == 'OPEN' then
    entry = change('HALF_OPEN', number('failures'), stored('last_error'), 'probe_due', '', '', 0, 0)
  end
  local lease = number('lease') + 1
  redis.call('HSET', key, 'state', state, 'transitions', text(transitions), 'lease', text(lease),
    'lease_until_ms', text(now + rules.lease))
  return {'1', '1', state, text(transitions), text(lease), entry}
end

-- generation, lease, failed, slow, error, stretch
function commands.record()
  if not counts(tonumber(given[1]), tonumber(given[2])) then return {''} end
  local failed, slow, err, stretch = tonumber(given[3]), tonumber(given[4]), given[5], tonumber(given[6])
  local failures = failed == 1 and number('failures') + 1 or 0
  if state == 'HALF_OPEN' then
    if failed == 1 then return {open(failures, err, 'probe_failed', number('openings') + 1, stretch)} end
    return {change('CLOSED', 0, '', 'answered', '', '', 0, 0)}
  end
  local sum = note(failed, slow)
  redis.call('HSET', key, 'failures', text(failures))
  if failed == 1 then redis.call('HSET', key, 'last_error', err) end
  local reason = force ~= 'closed' and why_open(sum, failures, failed, slow)
  if not reason then return {''} end
  local calm = now - number('changed_at_ms') >= rules.calm
  return {open(failures, err, reason, calm and 1 or math.max(1, number('openings')), stretch)}
end

-- generation, lease
function commands.give_back()
  if state == 'HALF_OPEN' and counts(tonumber(given[1]), tonumber(given[2])) then
    redis.call('HSET', key, 'lease_until_ms', '0')
  end
  return {''}
end

-- auto, open or closed; by; why
function commands.force()
  local wanted, by, why = given[1], given[2], given[3]
  local reason = ({auto = 'reset', open = 'forced_open', closed = 'forced_closed'})[wanted]
  if stored('reason') == reason and stored('forced_by') == by and stored('forced_why') == why then return {''} end
  local after = ({open = 'OPEN', closed = 'CLOSED'})[wanted]
  local failures = number('failures')
  if not after then after = state == 'CLOSED' and failures < rules.failures and 'CLOSED' or 'HALF_OPEN' end
  if after == 'CLOSED' then failures = 0 end
  redis.call('HSET', key, 'force', wanted, 'forced_by', by, 'forced_why', why, 'forced_at_ms', text(now),
    'openings', '0')
  return {change(after, failures, stored('last_error'), reason, by, why, after == 'OPEN' and now or 0, 0)}
end

return commands[command]()

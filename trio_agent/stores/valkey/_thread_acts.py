"""What begins and ends in threads in Valkey: functions of the scripts that do it.

A thread's hash is `thread:DIGEST`, where the digest stands for its owner and its name. It has the
fields `name`, `owner` (a digest, if somebody's), `head`, `active`, `turns` (how many), `size`,
`touched` (when a run in it last began or ended), and of each turn `turn:RUN` and, if that follows
another, `follows:RUN`. What a turn has beyond a piece (`_turns`) is in `turn:RUN`, a hash; then
`pieces:RUN` is how many more there are, and `large:DIGEST` has the run. `threaded:DIGEST` has its
runs, as `index` has all of a partition; `leaving:DIGEST` has those that a removed thread of that
name has left. Each owner's threads are in `threads:OWNER` (`threads:-` are nobody's), by
`TOUCHED:NAME`, a zero byte and the digest. `idle` and what goes with it are of the threads in which
no run is active what `finished`, `sizes`, `owned` and `shares` are of runs: servers of former
versions count those.

A run's hash has `thread` (its thread's digest), `thread_name` and `follows`, beside its `record`,
which former versions could not read with more in it; and while it is a draft, `head`.

**Names of keys are made here**, from the tag of a key that is named by the caller. Who appends an
end knows only the run, and would have to ask for its thread first. It is sound in a cluster, for
one tag is one slot, which is on one node: where the script runs, there are the keys. While a slot
moves key by key, the server refuses before it begins a call that names one which isn't there: of
each script that changes a run one is not (its draft or the run; `leases`; `gone`).

What a server that evicts keys has lost of a thread is as if it had not been: a run that is gone
keeps nobody away, a turn whose predecessor is lost is a first one, and one of a run that another
has replaced is not taken.
"""

from typing import Final

ACTS: Final = """
local function count_end(finished, sizes, owned, shares, owner, ended, size, id)
    redis.call('ZADD', finished, ended, id)
    redis.call('HSET', sizes, id, size)
    redis.call('HINCRBY', sizes, '', size)
    if owner then
        redis.call('ZADD', owned, 0, member_of(owner, ended, size, id))
        redis.call('ZINCRBY', shares, size, owner)
    end
end
local function uncount_end(finished, sizes, owned, shares, owner, size, id)
    local ended = redis.call('ZSCORE', finished, id)
    if owner and ended and size then
        disown(owned, shares, member_of(owner, ended, size, id))
    end
    redis.call('ZREM', finished, id)
    uncount(sizes, id)
end
local function beside(key, kind, name)
    return string.match(key, '^(.-})') .. ':' .. kind .. (name and ':' .. name or '')
end
local function idle_keys(key)
    return beside(key, 'idle'), beside(key, 'idle_sizes'), beside(key, 'idle_owned'),
        beside(key, 'idle_shares')
end
local function active_in(thread)
    local id = redis.call('HGET', thread, 'active')
    return id and redis.call('HGET', beside(thread, 'run', id), 'closed') == '0' and id
end
local function place_of(touched, name, digest)
    return string.format('%016.0f', touched) .. ':' .. name .. '\\0' .. digest
end
local function thread_of(run)
    local known = redis.call('HMGET', run, 'thread', 'thread_name', 'owner', 'follows', 'head')
    if not known[1] then return nil end
    local key = beside(run, 'thread', known[1])
    return {key = key, digest = known[1], name = known[2], owner = known[3],
        follows = known[4], head = known[5], active = active_in(key)}
end
local function unlist(thread)
    local known = redis.call('HMGET', thread.key, 'touched', 'size')
    if known[1] then
        redis.call('ZREM', beside(thread.key, 'threads', thread.owner or '-'),
            place_of(known[1], thread.name, thread.digest))
    end
    local idle, sizes, owned, shares = idle_keys(thread.key)
    uncount_end(idle, sizes, owned, shares, thread.owner, known[2], thread.digest)
end
local function remove_thread(thread)
    unlist(thread)
    local large = beside(thread.key, 'large', thread.digest)
    for _, id in ipairs(redis.call('SMEMBERS', large)) do
        redis.call('UNLINK', beside(thread.key, 'turn', id))
    end
    redis.call('UNLINK', large, thread.key)
end
local function touch(thread, active)
    unlist(thread)
    local time = now()
    redis.call('HSET', thread.key, 'name', thread.name, 'touched', time)
    if thread.owner then redis.call('HSET', thread.key, 'owner', thread.owner) end
    redis.call('ZADD', beside(thread.key, 'threads', thread.owner or '-'), 0,
        place_of(time, thread.name, thread.digest))
    if active then
        redis.call('HSET', thread.key, 'active', active)
    else
        redis.call('HDEL', thread.key, 'active')
        local size = redis.call('HGET', thread.key, 'size') or '0'
        local idle, sizes, owned, shares = idle_keys(thread.key)
        count_end(idle, sizes, owned, shares, thread.owner, time, size, thread.digest)
    end
end
local function refusal(thread)
    if thread.active then return 'busy', thread.active end
    local head = redis.call('HGET', thread.key, 'head') or ''
    if head ~= thread.head then return 'moved', head end
end
local function begin_in(thread, run, id, member)
    redis.call('HDEL', run, 'head')
    redis.call('ZADD', beside(run, 'threaded', thread.digest), 0, member)
    touch(thread, id)
end
local function end_in(thread, id, turn, staged)
    if thread.active and thread.active ~= id then return end
    if turn ~= '' then
        redis.call('HSET', thread.key, 'head', id, 'turn:' .. id, turn)
        local follows = thread.follows
        if follows and redis.call('HEXISTS', thread.key, 'turn:' .. follows) == 1 then
            redis.call('HSET', thread.key, 'follows:' .. id, follows)
        end
        local size = #turn
        if staged then
            local known = redis.call('HMGET', staged, 'size', 'pieces')
            local rest = beside(thread.key, 'turn', id)
            redis.call('RENAME', staged, rest)
            redis.call('PERSIST', rest)
            redis.call('SADD', beside(thread.key, 'large', thread.digest), id)
            redis.call('HSET', thread.key, 'pieces:' .. id, known[2])
            size = known[1]
        end
        redis.call('HINCRBY', thread.key, 'turns', 1)
        redis.call('HINCRBY', thread.key, 'size', size)
    end
    if redis.call('HEXISTS', thread.key, 'head') == 1 then
        touch(thread)
    else
        remove_thread(thread)
    end
end
"""
"""Functions that scripts have behind those that all have.

`count_end` and `uncount_end` are for runs and threads alike. `thread_of` reads, from a run's hash
or its draft, which thread it is in, before any of it is changed."""

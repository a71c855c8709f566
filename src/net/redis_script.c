/*
 * The scripts. Redis runs a script alone and with time standing still (expiry included), so each is one atomic step.
 *
 * TAKE first looks whether the node may vote at all (core/fitness.c): what it answers, and what its certificate says of
 * it, are of one moment. It looks at all keys before it writes: a key in the way, or one of another type (GET fails
 * then), leaves all as it was. One key to be acquired is the common case, and one call. A ttl is only ever raised: an
 * extension that fails on other nodes must not cut what was valid before it. A key that has our value and no ttl at all
 * has nothing to be raised.
 *
 * RELEASE goes through all keys whatever one of them answers: a key of another type is not ours and thus gone; any
 * other error is returned, since the value may still be there, but only at the end. What is deleted is announced on the
 * key's channel, to whoever listens; that is only help, so an error of it is none.
 *
 * RENEW and PLANT go through all keys, too: each for itself.
 *
 * A key's fence stands beside it, under a name of its own (REDIS_FENCE_PREFIX): see core/fence.h. Lua's numbers are
 * exact up to 2^53. What stands there and is no number, or one that no clock will make, is nobody's fence: it is
 * written over, whatever its type.
 *
 * BATCH is TAKE and RELEASE of one key, many times: an error is that of its own key's line.
 *
 * PEEK writes nothing. It tells what INFO says of the node's fitness, where the node lets us ask.
 *
 * The node's time is read before anything is written: node_ms is never later than the moment of the writing.
 *
 * A cycle's time is spent in these scripts, so they do without what Lua and Redis are slow at (measured in
 * tests/bench/README.md): an answer that is a table, a number that has to become a text ('PX' has its time in quotes, a
 * proposal that stands is stored as it came), an argument that says only what is usual.
 */
#include "redlockd/net/redis_script.h"

#include "redlockd/base/mem.h"
#include "redlockd/net/redis_hello.h"

#include <assert.h>
#include <errno.h>

#define SCRIPT_ARGS_MAX (7 + 4 * KEYS_PER_ROUND_MAX)
_Static_assert(SCRIPT_ARGS_MAX <= REDIS_ARGS_MAX, "a command of the most keys can be encoded");

#define FENCE_STEP_TEXT "1024"
_Static_assert(FENCE_STEP == 1024, "the scripts' step is the engine's");
#define SLACK_USUAL_TEXT "10000" /* where the longest ttl is 40 s or more */
#define FENCE_KEPT_TEXT  "86400000"
_Static_assert(FENCE_KEPT_MS == 86400000, "... and how long they keep it");
#define FENCE_STORED_MAX_TEXT "(2^53 - 2^40)"
_Static_assert(FENCE_STORED_MAX == (UINT64_C(1) << 53) - (UINT64_C(1) << 40), "... and what is none of his");

#define ANSWER_DIGITS_MAX 19 /* of a number: it is below 2^64 then */
#define ANSWER_DIGITS_N   3  /* 0 to 2: of what there is a digit for each key */

/* The node's time, in every answer: as TIME gives it, since to make a text of a number takes as long as a command. */
#define SCRIPT_TIME "t[1] .. ' ' .. t[2]"

/*
 * Of a key that was just taken: its fence, in decimal, from the proposal `text`, to be stored under `name`.
 *
 * It is kept for a day from now, and from when the node's clock comes to it. To leave an expiry alone costs half as
 * much as to set it: a fence of this minute of the clock that follows one of this minute has that one's, which is a
 * minute less at most.
 */
#define SCRIPT_FENCE                                                                                                   \
        "    local stored, proposal = tonumber(redis.pcall('GET', name)), text + 0\n"                                  \
        "    local kept = stored and stored >= minute and stored < next_minute\n"                                      \
        "    if not (stored and stored >= least and stored < " FENCE_STORED_MAX_TEXT ") then stored = least end\n"     \
        "    local fence = proposal\n"                                                                                 \
        "    if fence > most then fence = most end\n"                                                                  \
        "    if fence < stored + " FENCE_STEP_TEXT " then fence = stored + " FENCE_STEP_TEXT " end\n"                  \
        "    if fence ~= proposal then text = string.format('%.0f', fence) end\n"                                      \
        "    if kept and fence < next_minute then\n"                                                                   \
        "      r = call('SET', name, text, 'KEEPTTL')\n"                                                               \
        "    else\n"                                                                                                   \
        "      local kept_ms = '" FENCE_KEPT_TEXT "'\n"                                                                \
        "      if fence >= next_minute then kept_ms = string.format('%.0f', fence / " FENCE_STEP_TEXT                  \
        " - now + kept_ms) end\n"                                                                                      \
        "      r = call('SET', name, text, 'PX', kept_ms)\n"                                                           \
        "    end\n"

#define SCRIPT_FENCE_BOUNDS                                                                                            \
        "local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"                                                          \
        "local least, most = (now - slack) * " FENCE_STEP_TEXT ", (now + slack) * " FENCE_STEP_TEXT "\n"               \
        "local minute = (now - now % 60000) * " FENCE_STEP_TEXT "\n"                                                   \
        "local next_minute = minute + 60000 * " FENCE_STEP_TEXT "\n"

/*
 * A key that has our value `value` is deleted: `what` is its digit, `failed` an error or false. Who listens for what
 * was deleted is asked, and told, once all of that is done: `done[i]` is the digit of key i, or the line that ends with
 * it, and `heard` is 1 where this host itself listens.
 */
#define SCRIPT_RELEASE                                                                                                 \
        "    local r, what = call('GET', key), '0'\n"                                                                  \
        "    if r == value then r = call('DEL', key) end\n"                                                            \
        "    if r == 1 then\n"                                                                                         \
        "      what = '1'\n"                                                                                           \
        "      channels[#channels + 1], places[#channels + 1] = '" REDIS_CHANNEL_PREFIX "' .. key, i\n"                \
        "    elseif type(r) == 'table' and not string.find(r.err, '^WRONGTYPE') then\n"                                \
        "      failed = r\n"                                                                                           \
        "    end\n"

#define SCRIPT_ANNOUNCE(heard, told)                                                                                   \
        "if channels[1] then\n"                                                                                        \
        "  local listeners = call('PUBSUB', 'NUMSUB', unpack(channels))\n"                                             \
        "  for j = 1, #channels do\n"                                                                                  \
        "    local i, ears = places[j], listeners[2 * j] or 0\n"                                                       \
        "    if ears > 0 then\n"                                                                                       \
        "      call('PUBLISH', channels[j], ears)\n"                                                                   \
        "      if ears > " heard " then done[i] = '" told "' end\n"                                                    \
        "    end\n"                                                                                                    \
        "  end\n"                                                                                                      \
        "end\n"

/* A key that has our value: its ttl and its fence are raised to these, in decimal, where they are below. */
#define SCRIPT_RAISE                                                                                                   \
        "local function raise(key, ttl, fence)\n"                                                                      \
        "  local left = redis.call('PTTL', key)\n"                                                                     \
        "  if left >= 0 and left < ttl + 0 then redis.call('PEXPIRE', key, ttl) end\n"                                 \
        "  local name, kept_ms = '" REDIS_FENCE_PREFIX "' .. key, '" FENCE_KEPT_TEXT "'\n"                             \
        "  local stored, wanted = tonumber(redis.pcall('GET', name)), fence + 0\n"                                     \
        "  local stands = stored and stored >= wanted and stored < " FENCE_STORED_MAX_TEXT "\n"                        \
        "  local ahead_ms = (stands and stored or wanted) / " FENCE_STEP_TEXT " - t[1] * 1000\n"                       \
        "  if ahead_ms > 0 then kept_ms = string.format('%.0f', ahead_ms + kept_ms) end\n"                             \
        "  if stands then\n"                                                                                           \
        "    redis.call('PEXPIRE', name, kept_ms)\n"                                                                   \
        "  else\n"                                                                                                     \
        "    redis.call('SET', name, fence, 'PX', kept_ms)\n"                                                          \
        "  end\n"                                                                                                      \
        "end\n"

/* clang-format off */
static const char *const script_texts[REDIS_SCRIPTS_N] = {
        [COMMAND_TAKE] =
                "local call, keys, args, n = redis.call, KEYS, ARGV, #KEYS\n"
                "local ttl, certificate, t = args[1], args[2], call('TIME')\n"
                "if certificate ~= '' and call('GET', 'redlockd:cert') ~= certificate then\n"
                "  return '2 ' .. " SCRIPT_TIME "\n"
                "end\n"
                "local acquire_n, slack = (args[2 * n + 3] or n) + 0, (args[2 * n + 4] or " SLACK_USUAL_TEXT ") + 0\n"
                "local alone = n == 1 and acquire_n == 1 and call('SET', keys[1], args[3], 'PX', ttl, 'NX')\n"
                "if not alone then\n"
                "  local held, any, longest, forever = '', false, 0, false\n"
                "  for i = 1, n do\n"
                "    if call('GET', keys[i]) == (i > acquire_n and args[2 * i + 1]) then\n"
                "      held = held .. '0'\n"
                "    else\n"
                "      local left = call('PTTL', keys[i])\n"
                "      if left == -1 then forever = true end\n"
                "      if left > longest then longest = left end\n"
                "      held, any = held .. '1', true\n"
                "    end\n"
                "  end\n"
                "  if forever then longest = 0 end\n"
                "  if any then return '0 ' .. " SCRIPT_TIME " .. string.format(' %.0f ', longest) .. held end\n"
                "end\n"
                SCRIPT_FENCE_BOUNDS
                "local fences, r = '', false\n"
                "for i = 1, acquire_n do\n"
                "  if not alone then call('SET', keys[i], args[2 * i + 1], 'PX', ttl) end\n"
                "  local name, text = '" REDIS_FENCE_PREFIX "' .. keys[i], args[2 * i + 2]\n"
                SCRIPT_FENCE
                "  fences = fences .. ' ' .. text\n"
                "end\n"
                "if acquire_n < n then\n"
                SCRIPT_RAISE
                "  for i = acquire_n + 1, n do raise(keys[i], ttl, args[2 * i + 2]) end\n"
                "end\n"
                "return '1 ' .. " SCRIPT_TIME " .. fences\n",
        [COMMAND_RELEASE] =
                "local call, keys, args, n = redis.pcall, KEYS, ARGV, #KEYS\n"
                "local t, done, failed, channels, places = redis.call('TIME'), {}, false, {}, {}\n"
                "for i = 1, n do\n"
                "  local key, value = keys[i], args[i]\n"
                SCRIPT_RELEASE
                "  done[i] = what\n"
                "end\n"
                SCRIPT_ANNOUNCE("(tonumber(string.sub(args[n + 1] or '', i, i)) or 0)", "2")
                "return failed or '1 ' .. " SCRIPT_TIME " .. ' ' .. table.concat(done)\n",
        [COMMAND_RENEW] =
                "local t, done = redis.call('TIME'), ''\n"
                "if ARGV[1] ~= '' and redis.call('GET', 'redlockd:cert') ~= ARGV[1] then return '2 ' .. " SCRIPT_TIME " end\n"
                SCRIPT_RAISE
                "for i, key in ipairs(KEYS) do\n"
                "  if redis.pcall('GET', key) == ARGV[3 * i - 1] then\n"
                "    raise(key, ARGV[3 * i], ARGV[3 * i + 1])\n"
                "    done = done .. '1'\n"
                "  else\n"
                "    done = done .. '0'\n"
                "  end\n"
                "end\n"
                "return '1 ' .. " SCRIPT_TIME " .. ' ' .. done\n",
        [COMMAND_PLANT] =
                "local t, done = redis.call('TIME'), ''\n"
                SCRIPT_RAISE
                "for i, key in ipairs(KEYS) do\n"
                "  if redis.call('SET', key, ARGV[3 * i - 2], 'PX', ARGV[3 * i - 1], 'NX') or\n"
                "     redis.pcall('GET', key) == ARGV[3 * i - 2] then\n"
                "    raise(key, ARGV[3 * i - 1], ARGV[3 * i])\n"
                "    done = done .. '1'\n"
                "  else\n"
                "    done = done .. '0'\n"
                "  end\n"
                "end\n"
                "return '1 ' .. " SCRIPT_TIME " .. ' ' .. done\n",
        [COMMAND_PEEK] =
                "local t = redis.call('TIME')\n"
                "local r, what = redis.pcall('GET', KEYS[1]), 2\n"
                "if not r then what = 0 elseif r == ARGV[1] then what = 1 end\n"
                "if type(r) == 'table' then\n"
                "  if not string.find(r.err, '^WRONGTYPE') then return r end\n"
                "  what = 3\n"
                "end\n"
                "local left = math.max(0, redis.call('PTTL', KEYS[1]))\n"
                "local done = what .. ' ' .. " SCRIPT_TIME " .. string.format(' %.0f', left)\n"
                "local info = redis.pcall('INFO')\n"
                "for _, name in ipairs({'role', 'connected_slaves', 'maxmemory', 'maxmemory_policy', 'aof_enabled'}) do\n"
                "  local value = type(info) == 'string' and string.match(info, '\\n' .. name .. ':([%w-]+)')\n"
                "  if value then done = done .. ' ' .. name .. ':' .. value end\n"
                "end\n"
                "return done\n",
        [REDIS_SCRIPT_BATCH] =
                "local call, keys, args = redis.pcall, KEYS, ARGV\n"
                "local certificate, slack, letters, at = args[1], args[2] + 0, args[3], 4\n"
                "local t = redis.call('TIME')\n"
                SCRIPT_FENCE_BOUNDS
                "local certified = certificate == '' or call('GET', 'redlockd:cert') == certificate\n"
                "local done, channels, places = {}, {}, {}\n"
                "for i = 1, #keys do\n"
                "  local key, value, letter, line, failed = keys[i], args[at], string.byte(letters, i), '2', false\n"
                "  if letter ~= 116 then\n"
                SCRIPT_RELEASE
                "    line, at = '1 ' .. what, at + 1\n"
                "  else\n"
                "    local r = certified and call('SET', key, value, 'PX', args[at + 1], 'NX')\n"
                "    if r and not r.err then\n"
                "      local name, text = '" REDIS_FENCE_PREFIX "' .. key, args[at + 2]\n"
                SCRIPT_FENCE
                "      line = '1 ' .. text\n"
                "    elseif certified and not r then\n"
                "      r = call('GET', key)\n"
                "      if type(r) ~= 'table' then r = call('PTTL', key) end\n"
                "      if type(r) ~= 'table' then line = string.format('0 %.0f 1', math.max(0, r)) end\n"
                "    end\n"
                "    failed, at = type(r) == 'table' and r.err and r, at + 3\n"
                "  end\n"
                "  if failed then line = '-' .. string.gsub(string.sub(failed.err, 1, 200), '[\\r\\n]', ' ') end\n"
                "  done[i] = line\n"
                "end\n"
                SCRIPT_ANNOUNCE("string.byte(letters, i) - 48", "1 2")
                "return " SCRIPT_TIME " .. '\\n' .. table.concat(done, '\\n')\n",
};

const char redis_script_certify[] =
        "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\n"
        "if not string.find(redis.call('INFO', 'server'), 'run_id:' .. ARGV[2], 1, true) then return 0 end\n"
        "redis.call('SET', KEYS[1], ARGV[3])\n"
        "return 1\n";
/* clang-format on */

const char *redis_script_text(unsigned script)
{
        return script_texts[script];
}

bool redis_script_name(const struct redis_script *known, unsigned script, struct text ret_args[2])
{
        const bool by_text = known->by_text || known->sha[0] == '\0';

        ret_args[0] = text_of(by_text ? "EVAL" : "EVALSHA");
        ret_args[1] = text_of(by_text ? script_texts[script] : known->sha);
        return by_text;
}

int redis_script_keys(const struct command_item *items, unsigned items_n, const char *key_prefix, struct text *ret_keys,
                      char **ret_block)
{
        const struct text prefix = text_of(key_prefix);
        size_t total = 0;
        const struct text *key;
        char *block = NULL, *at;
        unsigned i;

        for (i = 0; i < items_n; ++i)
                total += prefix.len + items[i].key.len;
        if (prefix.len > 0) {
                block = mem_zalloc(total);
                if (!block)
                        return -ENOMEM;
        }
        for (i = 0, at = block; i < items_n; ++i) {
                key = &items[i].key;
                ret_keys[i] = *key;
                if (!block)
                        continue;
                memcpy(at, prefix.data, prefix.len);
                if (key->len > 0)
                        memcpy(at + prefix.len, key->data, key->len);
                ret_keys[i] = (struct text){ at, prefix.len + key->len };
                at += ret_keys[i].len;
        }
        *ret_block = block;
        return 0;
}

int redis_script_encode(struct buffer *output, const struct redis_script *script, const char *key_prefix,
                        const char *certificate, const struct command *command, bool *ret_by_text)
{
        char keys_digits[NUMBER_TEXT_MAX], acquire_digits[NUMBER_TEXT_MAX], ttl_digits[NUMBER_TEXT_MAX], *block;
        char own_digits[KEYS_PER_ROUND_MAX][NUMBER_TEXT_MAX], fence_digits[KEYS_PER_ROUND_MAX][NUMBER_TEXT_MAX];
        char slack_digits[NUMBER_TEXT_MAX], heard[KEYS_PER_ROUND_MAX];
        struct text args[SCRIPT_ARGS_MAX], slack = text_of_number(slack_digits, command->fence_slack_ms);
        const bool by_text = redis_script_name(script, command->kind, args);
        bool any_heard = false;
        size_t n = 2;
        unsigned i;
        int r;

        assert(command->items_n > 0 && command->items_n <= KEYS_PER_ROUND_MAX);
        args[n++] = text_of_number(keys_digits, command->items_n);
        r = redis_script_keys(command->items, command->items_n, key_prefix, &args[n], &block);
        if (r < 0)
                return r;
        n += command->items_n;
        if (command->kind == COMMAND_TAKE)
                args[n++] = text_of_number(ttl_digits, command->ttl_ms);
        if (command->kind == COMMAND_TAKE || command->kind == COMMAND_RENEW)
                args[n++] = text_of(certificate);
        for (i = 0; i < command->items_n; ++i) {
                const struct command_item *item = &command->items[i];

                args[n++] = text_of(item->value);
                if (command->kind == COMMAND_RENEW || command->kind == COMMAND_PLANT)
                        args[n++] = text_of_number(own_digits[i], item->ttl_ms);
                if (command->kind != COMMAND_RELEASE && command->kind != COMMAND_PEEK)
                        args[n++] = text_of_number(fence_digits[i], item->fence);
                heard[i] = item->heard ? '1' : '0';
                any_heard |= item->heard;
        }
        /* What is as usual is left out: each argument is 2 % of a script. */
        assert(command->acquire_n <= command->items_n);
        if (command->kind == COMMAND_TAKE &&
            (command->acquire_n < command->items_n || !text_equal(slack, text_of(SLACK_USUAL_TEXT)))) {
                args[n++] = text_of_number(acquire_digits, command->acquire_n);
                args[n++] = slack;
        } else if (command->kind == COMMAND_RELEASE && any_heard) {
                args[n++] = (struct text){ heard, command->items_n };
        }
        r = redis_encode(output, args, n);
        mem_free(block);
        if (r < 0)
                return r;
        *ret_by_text = by_text;
        return 0;
}

/* The next number of an answer, and the space after it if more follows. */
static int answer_number(struct text *rest, uint64_t *ret_number)
{
        uint64_t number = 0;
        size_t i;

        for (i = 0; i < rest->len && rest->data[i] >= '0' && rest->data[i] <= '9'; ++i) {
                if (i == ANSWER_DIGITS_MAX)
                        return -EPROTO;
                number = number * 10 + (uint64_t)(rest->data[i] - '0');
        }
        if (i == 0)
                return -EPROTO;
        if (i < rest->len && (rest->data[i++] != ' ' || i == rest->len))
                return -EPROTO;
        *rest = (struct text){ rest->data + i, rest->len - i };
        *ret_number = number;
        return 0;
}

/* A digit for each key, at most `digit_max`, and nothing else. Bit i of ret_keys[d]: the digit of item i is d. */
static int answer_digits(struct text rest, unsigned items_n, unsigned digit_max, uint64_t ret_keys[ANSWER_DIGITS_N])
{
        unsigned i, digit;

        if (rest.len != items_n)
                return -EPROTO;
        memset(ret_keys, 0, ANSWER_DIGITS_N * sizeof(*ret_keys));
        for (i = 0; i < items_n; ++i) {
                digit = (unsigned)(unsigned char)rest.data[i] - '0';
                if (digit > digit_max)
                        return -EPROTO;
                ret_keys[digit] |= UINT64_C(1) << i;
        }
        return 0;
}

static int answer_fences(struct text rest, unsigned n, uint64_t *ret_fences)
{
        unsigned i;

        for (i = 0; i < n; ++i)
                if (answer_number(&rest, &ret_fences[i]) < 0 || ret_fences[i] >= FENCE_MAX)
                        return -EPROTO;
        return rest.len == 0 ? 0 : -EPROTO;
}

/* The facts are borrowed from the value: a NUL follows it. */
static int answer_peek(struct text rest, uint64_t what, struct answer *answer)
{
        if (what > PEEK_OTHER_TYPE || answer_number(&rest, &answer->number) < 0)
                return -EPROTO;
        answer->peek = (enum peek_value)what;
        answer->facts = rest.data;
        return 0;
}

/* The digit that an answer begins with, and what follows the time; of one that is none to a PEEK. */
static int answer_verdict(struct text rest, uint64_t verdict, enum command_kind kind, unsigned items_n,
                          unsigned acquire_n, uint64_t *ret_fences, struct answer *answer)
{
        uint64_t keys[ANSWER_DIGITS_N];

        if (verdict == 2 && (kind == COMMAND_TAKE || kind == COMMAND_RENEW)) {
                answer->verdict = ANSWER_UNCERTIFIED;
                return rest.len == 0 ? 0 : -EPROTO;
        }
        if (verdict == 0 && kind == COMMAND_TAKE) {
                if (answer_number(&rest, &answer->number) < 0 || answer_digits(rest, items_n, 1, keys) < 0)
                        return -EPROTO;
                answer->taken = keys[1];
                answer->verdict = ANSWER_HELD;
                return answer->taken ? 0 : -EPROTO;
        }
        if (verdict != 1)
                return -EPROTO;
        if (kind == COMMAND_TAKE) {
                answer->fences = ret_fences;
                return answer_fences(rest, acquire_n, ret_fences);
        }
        if (answer_digits(rest, items_n, kind == COMMAND_RELEASE ? 2 : 1, keys) < 0)
                return -EPROTO;
        if (kind == COMMAND_RELEASE) {
                answer->number = (unsigned)__builtin_popcountll(keys[1] | keys[2]);
                answer->taken = keys[2];
        } else if (keys[0]) {
                answer->taken = keys[0];
                answer->verdict = ANSWER_HELD;
        }
        return 0;
}

int redis_script_read_time(struct text *rest, uint64_t *ret_node_ms)
{
        uint64_t seconds, us;

        if (answer_number(rest, &seconds) < 0 || answer_number(rest, &us) < 0)
                return -EPROTO;
        if (seconds > INT64_MAX / 1000 - 1 || us >= 1000000)
                return -EPROTO;
        *ret_node_ms = seconds * 1000 + us / 1000;
        return 0;
}

int redis_script_read_rest(struct text rest, enum command_kind kind, unsigned items_n, unsigned acquire_n,
                           uint64_t *ret_fences, struct answer *answer)
{
        uint64_t verdict;

        if (answer_number(&rest, &verdict) < 0)
                return -EPROTO;
        return answer_verdict(rest, verdict, kind, items_n, acquire_n, ret_fences, answer);
}

int redis_script_decode(const struct redis_value *value, enum command_kind kind, unsigned items_n, unsigned acquire_n,
                        uint64_t *ret_fences, struct answer *ret_answer)
{
        struct answer answer = { .verdict = ANSWER_GRANTED };
        struct text rest = value->text;
        uint64_t first;
        int r;

        if (value->kind != REDIS_VALUE_STRING)
                return -EPROTO;
        if (answer_number(&rest, &first) < 0 || redis_script_read_time(&rest, &answer.node_ms) < 0)
                return -EPROTO;
        if (kind == COMMAND_PEEK)
                r = answer_peek(rest, first, &answer);
        else
                r = answer_verdict(rest, first, kind, items_n, acquire_n, ret_fences, &answer);
        if (r < 0)
                return r;
        *ret_answer = answer;
        return 0;
}

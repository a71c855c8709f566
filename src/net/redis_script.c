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
 * PEEK writes nothing, and is rare: it is not loaded beforehand. It tells what INFO says of the node's fitness, where
 * the node lets us ask.
 *
 * The node's time is read first of all: node_ms is never later than the moment of the writing.
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
#define FENCE_KEPT_TEXT "86400000"
_Static_assert(FENCE_KEPT_MS == 86400000, "... and how long they keep it");
#define FENCE_STORED_MAX_TEXT "(2^53 - 2^40)"
_Static_assert(FENCE_STORED_MAX == (UINT64_C(1) << 53) - (UINT64_C(1) << 40), "... and what is none of his");

/* A key that has our value: its ttl and its fence are raised to these, in decimal, where they are below. */
#define SCRIPT_RAISE                                                                                                   \
        "local function raise(key, ttl, fence)\n"                                                                      \
        "  local left = redis.call('PTTL', key)\n"                                                                     \
        "  if left >= 0 and left < tonumber(ttl) then redis.call('PEXPIRE', key, ttl) end\n"                           \
        "  local name = '" REDIS_FENCE_PREFIX "' .. key\n"                                                             \
        "  local stored = tonumber(redis.pcall('GET', name))\n"                                                        \
        "  if stored and stored >= tonumber(fence) and stored < " FENCE_STORED_MAX_TEXT " then\n"                      \
        "    redis.call('PEXPIRE', name, " FENCE_KEPT_TEXT ")\n"                                                       \
        "  else\n"                                                                                                     \
        "    redis.call('SET', name, fence, 'PX', " FENCE_KEPT_TEXT ")\n"                                              \
        "  end\n"                                                                                                      \
        "end\n"

/* clang-format off */
static const char *const script_texts[REDIS_SCRIPTS_N] = {
        [COMMAND_TAKE] =
                "local n, ttl, slack = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[4])\n"
                "local t = redis.call('TIME')\n"
                "local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"
                "if ARGV[3] ~= '' and redis.call('GET', 'redlockd:cert') ~= ARGV[3] then return {2, 0, now} end\n"
                "local function acquired(i)\n"
                "  local name = '" REDIS_FENCE_PREFIX "' .. KEYS[i]\n"
                "  local stored, least = tonumber(redis.pcall('GET', name)), (now - slack) * " FENCE_STEP_TEXT "\n"
                "  if not (stored and stored >= least and stored < " FENCE_STORED_MAX_TEXT ") then stored = least end\n"
                "  local fence = math.min(tonumber(ARGV[2 * i + 4]), (now + slack) * " FENCE_STEP_TEXT ")\n"
                "  fence = math.max(fence, stored + " FENCE_STEP_TEXT ")\n"
                "  redis.call('SET', name, string.format('%.0f', fence), 'PX', " FENCE_KEPT_TEXT ")\n"
                "  return fence\n"
                "end\n"
                "if n == 1 and #KEYS == 1 and redis.call('SET', KEYS[1], ARGV[5], 'PX', ttl, 'NX') then\n"
                "  return {1, 0, now, acquired(1)}\n"
                "end\n"
                "local held, forever = {0, 0, now}, false\n"
                "for i, key in ipairs(KEYS) do\n"
                "  if redis.call('GET', key) ~= (i > n and ARGV[2 * i + 3]) then\n"
                "    local left = redis.call('PTTL', key)\n"
                "    forever = forever or left == -1\n"
                "    held[2] = math.max(held[2], left)\n"
                "    held[#held + 1] = i\n"
                "  end\n"
                "end\n"
                "if #held > 3 then\n"
                "  if forever then held[2] = 0 end\n"
                "  return held\n"
                "end\n"
                SCRIPT_RAISE
                "local done = {1, 0, now}\n"
                "for i, key in ipairs(KEYS) do\n"
                "  if i <= n then\n"
                "    redis.call('SET', key, ARGV[2 * i + 3], 'PX', ttl)\n"
                "    done[i + 3] = acquired(i)\n"
                "  else\n"
                "    raise(key, ttl, ARGV[2 * i + 4])\n"
                "  end\n"
                "end\n"
                "return done\n",
        [COMMAND_RELEASE] =
                "local t = redis.call('TIME')\n"
                "local done, failed = {1, 0, t[1] * 1000 + t[2] / 1000}, false\n"
                "for i, key in ipairs(KEYS) do\n"
                "  local r = redis.pcall('GET', key)\n"
                "  if r == ARGV[2 * i - 1] then\n"
                "    r = redis.pcall('DEL', key)\n"
                "    if r == 1 then\n"
                "      local channel = '" REDIS_CHANNEL_PREFIX "' .. key\n"
                "      local n = redis.pcall('PUBSUB', 'NUMSUB', channel)[2] or 0\n"
                "      done[2] = done[2] + 1\n"
                "      if n > 0 then redis.pcall('PUBLISH', channel, n) end\n"
                "      if n > tonumber(ARGV[2 * i]) then done[#done + 1] = i end\n"
                "    end\n"
                "  end\n"
                "  if type(r) == 'table' and not string.find(r.err, '^WRONGTYPE') then failed = r end\n"
                "end\n"
                "return failed or done\n",
        [COMMAND_RENEW] =
                "local t = redis.call('TIME')\n"
                "local done = {1, 0, t[1] * 1000 + math.floor(t[2] / 1000)}\n"
                "if ARGV[1] ~= '' and redis.call('GET', 'redlockd:cert') ~= ARGV[1] then return {2, 0, done[3]} end\n"
                SCRIPT_RAISE
                "for i, key in ipairs(KEYS) do\n"
                "  if redis.pcall('GET', key) == ARGV[3 * i - 1] then\n"
                "    raise(key, ARGV[3 * i], ARGV[3 * i + 1])\n"
                "  else\n"
                "    done[1] = 0\n"
                "    done[#done + 1] = i\n"
                "  end\n"
                "end\n"
                "return done\n",
        [COMMAND_PLANT] =
                "local t = redis.call('TIME')\n"
                "local done = {1, 0, t[1] * 1000 + math.floor(t[2] / 1000)}\n"
                SCRIPT_RAISE
                "for i, key in ipairs(KEYS) do\n"
                "  if redis.call('SET', key, ARGV[3 * i - 2], 'PX', ARGV[3 * i - 1], 'NX') or\n"
                "     redis.pcall('GET', key) == ARGV[3 * i - 2] then\n"
                "    raise(key, ARGV[3 * i - 1], ARGV[3 * i])\n"
                "  else\n"
                "    done[1] = 0\n"
                "    done[#done + 1] = i\n"
                "  end\n"
                "end\n"
                "return done\n",
        [COMMAND_PEEK] =
                "local t = redis.call('TIME')\n"
                "local r, what = redis.pcall('GET', KEYS[1]), 2\n"
                "if not r then what = 0 elseif r == ARGV[1] then what = 1 end\n"
                "if type(r) == 'table' then\n"
                "  if not string.find(r.err, '^WRONGTYPE') then return r end\n"
                "  what = 3\n"
                "end\n"
                "local info, facts = redis.pcall('INFO'), {}\n"
                "for _, name in ipairs({'role', 'connected_slaves', 'maxmemory', 'maxmemory_policy', 'aof_enabled'}) do\n"
                "  local value = type(info) == 'string' and string.match(info, '\\n' .. name .. ':([%w-]+)')\n"
                "  if value then facts[#facts + 1] = name .. ':' .. value end\n"
                "end\n"
                "local left = math.max(0, redis.call('PTTL', KEYS[1]))\n"
                "return {what, left, t[1] * 1000 + t[2] / 1000, table.concat(facts, ' ')}\n",
};

const char redis_script_certify[] =
        "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\n"
        "if not string.find(redis.call('INFO', 'server'), 'run_id:' .. ARGV[2], 1, true) then return 0 end\n"
        "redis.call('SET', KEYS[1], ARGV[3])\n"
        "return 1\n";
/* clang-format on */

const char *redis_script_text(enum command_kind kind)
{
        return script_texts[kind];
}

void redis_script_words(char ret_words[NODE_REASON_MAX], struct text error)
{
        char *where;

        redis_hello_words(ret_words, NODE_REASON_MAX, error);
        where = strstr(ret_words, " script: ");
        if (where)
                *where = '\0';
}

/* Fills in the keys. With a prefix they are made in one block, which is the caller's to free. */
static int script_keys(const struct command *command, const char *key_prefix, struct text *ret_keys, char **ret_block)
{
        const struct text prefix = text_of(key_prefix);
        size_t total = 0;
        const struct text *key;
        char *block = NULL, *at;
        unsigned i;

        for (i = 0; i < command->items_n; ++i)
                total += prefix.len + command->items[i].key.len;
        if (prefix.len > 0) {
                block = mem_zalloc(total);
                if (!block)
                        return -ENOMEM;
        }
        for (i = 0, at = block; i < command->items_n; ++i) {
                key = &command->items[i].key;
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
        bool by_text = script->by_text || script->sha[0] == '\0';
        char keys_digits[NUMBER_TEXT_MAX], acquire_digits[NUMBER_TEXT_MAX], ttl_digits[NUMBER_TEXT_MAX], *block;
        char own_digits[KEYS_PER_ROUND_MAX][NUMBER_TEXT_MAX], fence_digits[KEYS_PER_ROUND_MAX][NUMBER_TEXT_MAX];
        char slack_digits[NUMBER_TEXT_MAX];
        struct text args[SCRIPT_ARGS_MAX];
        size_t n = 0;
        unsigned i;
        int r;

        assert(command->items_n > 0 && command->items_n <= KEYS_PER_ROUND_MAX);
        args[n++] = text_of(by_text ? "EVAL" : "EVALSHA");
        args[n++] = text_of(by_text ? script_texts[command->kind] : script->sha);
        args[n++] = text_of_number(keys_digits, command->items_n);
        r = script_keys(command, key_prefix, &args[n], &block);
        if (r < 0)
                return r;
        n += command->items_n;
        if (command->kind == COMMAND_TAKE) {
                assert(command->acquire_n <= command->items_n);
                args[n++] = text_of_number(acquire_digits, command->acquire_n);
                args[n++] = text_of_number(ttl_digits, command->ttl_ms);
        }
        if (command->kind == COMMAND_TAKE || command->kind == COMMAND_RENEW)
                args[n++] = text_of(certificate);
        if (command->kind == COMMAND_TAKE)
                args[n++] = text_of_number(slack_digits, command->fence_slack_ms);
        for (i = 0; i < command->items_n; ++i) {
                const struct command_item *item = &command->items[i];

                args[n++] = text_of(item->value);
                if (command->kind == COMMAND_RENEW || command->kind == COMMAND_PLANT)
                        args[n++] = text_of_number(own_digits[i], item->ttl_ms);
                else if (command->kind == COMMAND_RELEASE)
                        args[n++] = text_of(item->heard ? "1" : "0");
                if (command->kind != COMMAND_RELEASE && command->kind != COMMAND_PEEK)
                        args[n++] = text_of_number(fence_digits[i], item->fence);
        }
        r = redis_encode(output, args, n);
        mem_free(block);
        if (r < 0)
                return r;
        *ret_by_text = by_text;
        return 0;
}

static int script_decode_taken(const struct redis_value *element, size_t n, unsigned items_n, uint64_t *ret_taken)
{
        uint64_t taken = 0, bit;
        size_t i;

        for (i = 0; i < n; ++i) {
                if (element[i].integer < 1 || element[i].integer > (long long)items_n)
                        return -EPROTO;
                bit = UINT64_C(1) << (element[i].integer - 1);
                if (taken & bit)
                        return -EPROTO;
                taken |= bit;
        }
        *ret_taken = taken;
        return 0;
}

/* The facts are borrowed from the value. */
static int script_decode_peek(const struct redis_value *value, struct answer *ret_answer)
{
        const struct redis_value *element = value + 1;
        size_t i;

        if (value->elements_n != 4 || element[3].kind != REDIS_VALUE_STRING)
                return -EPROTO;
        for (i = 0; i < 3; ++i)
                if (element[i].kind != REDIS_VALUE_INTEGER || element[i].integer < 0)
                        return -EPROTO;
        if (element[0].integer > PEEK_OTHER_TYPE)
                return -EPROTO;
        *ret_answer = (struct answer){ .verdict = ANSWER_GRANTED,
                                       .peek = (enum peek_value)element[0].integer,
                                       .number = (uint64_t)element[1].integer,
                                       .node_ms = (uint64_t)element[2].integer,
                                       .facts = element[3].text.data };
        return 0;
}

static int script_decode_fences(const struct redis_value *element, unsigned n, uint64_t *ret_fences)
{
        unsigned i;

        for (i = 0; i < n; ++i) {
                if ((uint64_t)element[i].integer >= FENCE_MAX)
                        return -EPROTO;
                ret_fences[i] = (uint64_t)element[i].integer;
        }
        return 0;
}

int redis_script_decode(const struct redis_value *value, enum command_kind kind, unsigned items_n, unsigned acquire_n,
                        uint64_t *ret_fences, struct answer *ret_answer)
{
        const struct redis_value *element = value + 1;
        struct answer answer = { .verdict = ANSWER_GRANTED };
        size_t i;
        int r;

        if (kind == COMMAND_PEEK)
                return script_decode_peek(value, ret_answer);
        if (value->elements_n < 3) /* what is no array has none */
                return -EPROTO;
        for (i = 0; i < value->elements_n; ++i)
                if (element[i].kind != REDIS_VALUE_INTEGER || element[i].integer < 0)
                        return -EPROTO;
        answer.number = (uint64_t)element[1].integer;
        answer.node_ms = (uint64_t)element[2].integer;
        if (kind == COMMAND_TAKE && element[0].integer == 1) {
                r = value->elements_n == 3 + acquire_n ? script_decode_fences(element + 3, acquire_n, ret_fences)
                                                       : -EPROTO;
                answer.fences = ret_fences;
        } else {
                r = script_decode_taken(element + 3, value->elements_n - 3, items_n, &answer.taken);
        }
        if (r < 0)
                return r;
        if (element[0].integer == 1) {
                if (answer.number > (kind == COMMAND_RELEASE ? items_n : 0) ||
                    (answer.taken && kind != COMMAND_RELEASE))
                        return -EPROTO;
        } else if (element[0].integer == 2) {
                if (value->elements_n != 3 || kind == COMMAND_RELEASE || kind == COMMAND_PLANT || answer.number > 0)
                        return -EPROTO;
                answer.verdict = ANSWER_UNCERTIFIED;
        } else {
                if (element[0].integer != 0 || kind == COMMAND_RELEASE || !answer.taken)
                        return -EPROTO;
                answer.verdict = ANSWER_HELD;
        }
        *ret_answer = answer;
        return 0;
}

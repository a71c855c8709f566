/*
 * The checkers: a picture of what every client believes, in true time, held against each other and against the nodes.
 *
 * A client believes in a lock from the reply that grants it until its validity has passed on its host's clock, or until
 * it asks to free it, or is told that it is lost, or is gone. Where an extension was refused since it is lost, it may
 * believe on until its old end, as the broker lets it, or until it asks for the key anew.
 */
#include "sim/watch.h"

#include "redlockd/core/inspect.h"
#include "redlockd/core/quorum.h"
#include "redlockd/core/renew.h"
#include "redlockd/core/validity.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>

#define WATCH_SESSIONS_MAX 128
#define WATCH_SLACK_NS     (2 * NS_PER_MS)
#define WATCH_LAPSE_NS     (6 * NS_PER_MS) /* a lock may lapse this much before its validity ends */

struct belief {
        unsigned session; /* 0: nobody believes in the key */
        uint64_t until_ns;
        uint64_t valid_until_ns;   /* the same on the host's clock */
        uint64_t renewed_until_ns; /* if every renewal that was asked for was won */
        bool auto_extend;
        bool refused; /* an extension was, since it is lost */
        uint64_t delay_ms;
        char value[TOKEN_TEXT_LEN + 1];
};

struct asked {
        uint64_t id, arrived_ns, arrival;
        unsigned session;
        enum method method;
        uint32_t keys;  /* mask: it names them, so it has a place among the session's requests for them */
        uint32_t frees; /* mask: its session does not rely on them any more */
        uint64_t wait_ms, budget_ms;
        uint32_t ttl_ms;
        bool auto_extend;
        uint64_t hold_ms, delay_ms;
        uint64_t turn_ns;   /* when the last of the session's earlier requests for its keys was answered */
        uint64_t broken_ns; /* extend: when one of its session's locks was broken; it will be refused after its round */
        bool answered;
};

struct fenced {
        unsigned host, key;
        uint64_t at_ns;
        uint64_t fence;
};

struct watch {
        bool wild;
        struct world *world;
        struct belief beliefs[WATCH_KEYS_MAX];
        uint64_t delayed_until_ns[WATCH_KEYS_MAX]; /* nobody may have the key before */
        struct asked *asked;                       /* by id - 1 */
        size_t asked_n, asked_size;
        size_t first_open; /* all before it are answered */
        bool ended[WATCH_SESSIONS_MAX], closed[WATCH_SESSIONS_MAX];
        unsigned subscribed[WATCH_SESSIONS_MAX];
        struct map_token {
                char value[TOKEN_TEXT_LEN + 1];
        } * tokens;
        size_t tokens_n, tokens_size;
        struct fenced *fences; /* of every grant */
        size_t fences_n, fences_size;
        uint64_t effects_n;
        size_t answered_n; /* in this step */
        struct {
                char value[TOKEN_TEXT_LEN + 1];
                uint64_t acquired_ns; /* when it was first asked for */
                uint64_t renewed_until_ns;
                uint64_t renewal_end_ns; /* by then the last renewal is over */
                uint64_t at_ns;
                uint64_t timeout_ms;
        } asked_nodes[WORLD_HOSTS_MAX][WATCH_KEYS_MAX]; /* the latest TAKE of each host for each key: its lease */
        uint64_t raised_round[WORLD_HOSTS_MAX];
        struct watch_counts counts;
        char verdict[256];
};

const char *watch_key(unsigned key)
{
        static const char *const names[WATCH_KEYS_MAX] = { "k0", "k1", "k2", "k3", "k4",  "k5",
                                                           "k6", "k7", "k8", "k9", "k10", "k11" };

        return names[key];
}

static unsigned watch_number(struct text key)
{
        return key.len == 2 ? (unsigned)(key.data[1] - '0') : 10 + (unsigned)(key.data[2] - '0');
}

static void __attribute__((format(printf, 2, 3))) violated(struct watch *w, const char *format, ...)
{
        va_list arguments;

        if (w->verdict[0])
                return;
        va_start(arguments, format);
        vsnprintf(w->verdict, sizeof(w->verdict), format, arguments);
        va_end(arguments);
        trace_line(w->world->trace, w->world->now_ns, "!!! %s", w->verdict);
}

const char *watch_verdict(const struct watch *w)
{
        return w->verdict[0] ? w->verdict : NULL;
}

struct watch_counts watch_counts(const struct watch *w)
{
        return w->counts;
}

void watch_world(struct watch *w, struct world *world)
{
        w->world = world;
}

static unsigned host_of(const struct watch *w, uint64_t session)
{
        return w->world->sessions[session - 1].host + 1;
}

static uint64_t answered_with_pause(const struct watch *w, const struct asked *a)
{
        const struct sim_host *h = &w->world->hosts[host_of(w, a->session) - 1];

        /* A pause that ended after it came may have held it up. */
        return h->awake_ns > a->arrived_ns ? h->awake_ns : a->turn_ns;
}

/* free of all names what the session holds, and what its open requests name. */
static void watch_free_keys(struct watch *w, struct asked *a, bool all)
{
        unsigned key;
        size_t i;

        a->frees = all ? (1u << WATCH_KEYS_MAX) - 1 : a->keys;
        for (i = w->first_open; all && i + 1 < a->id; ++i)
                if (w->asked[i].session == a->session && !w->asked[i].answered)
                        a->keys |= w->asked[i].keys;
        for (key = 0; key < WATCH_KEYS_MAX; ++key) {
                if (w->beliefs[key].session != a->session || !(a->frees & 1u << key))
                        continue;
                if (w->beliefs[key].until_ns > w->world->now_ns)
                        a->keys |= 1u << key;
                w->beliefs[key].session = 0;
        }
}

/* True where the session has asked to free the key after request `id`. */
static bool freed_since(const struct watch *w, uint64_t session, unsigned key, uint64_t id)
{
        size_t i;

        for (i = id; i < w->asked_n; ++i)
                if (w->asked[i].session == session && w->asked[i].frees & 1u << key)
                        return true;
        return false;
}

/* An earlier request of the session for one of its keys is open: its turn has not come. */
static bool stands_behind(const struct watch *w, const struct asked *a)
{
        size_t i;

        for (i = w->first_open; i + 1 < a->id; ++i)
                if (!w->asked[i].answered && w->asked[i].session == a->session &&
                    (w->asked[i].keys | w->asked[i].frees) & a->keys)
                        return true;
        return false;
}

/* It has been its turn for so long that it is certainly waiting, and would have been refused. */
static bool surely_waits(const struct watch *w, const struct asked *a)
{
        uint64_t from_ns = answered_with_pause(w, a);

        if (from_ns < a->turn_ns)
                from_ns = a->turn_ns;
        if (from_ns < a->broken_ns)
                from_ns = a->broken_ns;
        return !a->answered && (a->method == METHOD_ADD || a->method == METHOD_EXTEND) && !stands_behind(w, a) &&
               w->world->now_ns > from_ns + 2 * NODE_TIMEOUT_MAX_MS * NS_PER_MS;
}

/*
 * What fences need: that no node has forgotten any and none is new, or that the clocks of the nodes differ by less than
 * is left for that.
 */
static bool fences_can_hold(const struct watch *w)
{
        uint64_t ms, least_ms = UINT64_MAX, most_ms = 0;
        bool forgot = w->world->members_change;
        unsigned n;

        for (n = 1; n <= w->world->options.nodes_n; ++n) {
                ms = world_node_ms(w->world, n, w->world->now_ns);
                least_ms = ms < least_ms ? ms : least_ms;
                most_ms = ms > most_ms ? ms : most_ms;
                forgot |= world_node(w->world, n - 1)->wiped_ns > 0;
        }
        return !forgot || (!w->wild && most_ms - least_ms < w->world->options.ttl_max_ms / 2);
}

/* It is greater than that of every grant before its request came; and than its own host's before, in any case. */
static void check_fence(struct watch *w, const struct asked *a, unsigned key, uint64_t fence, bool handed_on)
{
        unsigned host = host_of(w, a->session);
        size_t i;

        if (fence == 0 || fence >= FENCE_MAX)
                violated(w, "fence: %llu is none", (unsigned long long)fence);
        for (i = 0; i < w->fences_n && fences_can_hold(w); ++i) {
                const struct fenced *f = &w->fences[i];

                /* what is handed on under a lease that a step has ended unseen follows its own host's numbers only */
                if (w->wild && handed_on && f->host != host)
                        continue;
                if (f->key != key || f->fence < fence ||
                    (f->host != host && f->at_ns > a->arrived_ns && f->fence > fence))
                        continue;
                violated(w, "fence: %s gets %s with %llu, and %llu was h%u's", trace_name(a->session), watch_key(key),
                         (unsigned long long)fence, (unsigned long long)f->fence, f->host);
        }
        if (w->fences_n == w->fences_size) {
                w->fences_size = w->fences_size ? 2 * w->fences_size : 64;
                w->fences = realloc(w->fences, w->fences_size * sizeof(*w->fences));
        }
        w->fences[w->fences_n++] =
                (struct fenced){ .host = host, .key = key, .at_ns = w->world->now_ns, .fence = fence };
}

struct seen_lock {
        uint64_t session;
};

static bool see_lock(void *userdata, const struct inspect_lock *lock)
{
        ((struct seen_lock *)userdata)->session = lock->session;
        return true;
}

/* Who holds a key as its host sees it; 0: nobody. A session may believe in a lock that its host knows to be lost. */
static uint64_t shown_holder(const struct watch *w, unsigned host, unsigned key)
{
        struct inspect_cursor cursor = { 0 };
        struct seen_lock seen = { 0 };

        inspect_locks(w->world->hosts[host - 1].engine, world_host_ns(w->world, host, w->world->now_ns), 0,
                      text_of(watch_key(key)), 1, &cursor, see_lock, &seen);
        return seen.session;
}

/* The sessions that the session of a request waits for by it, as a mask. */
static uint64_t waits_for(const struct watch *w, const struct asked *a)
{
        uint64_t mask = 0;
        unsigned key;
        size_t i;

        for (key = 0; key < WATCH_KEYS_MAX; ++key) {
                const struct belief *b = &w->beliefs[key];

                /* Where its own lock has lapsed, a round may be under way, and only after it is it refused. */
                if (!(a->keys & 1u << key) ||
                    (b->session == a->session &&
                     b->renewed_until_ns + NODE_TIMEOUT_MAX_MS * NS_PER_MS > w->world->now_ns))
                        continue;
                if (freed_since(w, a->session, key, a->id))
                        continue; /* it may hold it yet: that is done after this request */
                if (b->session && b->until_ns > w->world->now_ns && host_of(w, b->session) == host_of(w, a->session) &&
                    shown_holder(w, host_of(w, b->session), key) == b->session)
                        mask |= UINT64_C(1) << b->session;
                for (i = w->first_open; i + 1 < a->id; ++i)
                        if (w->asked[i].session != a->session && w->asked[i].keys & 1u << key &&
                            host_of(w, w->asked[i].session) == host_of(w, a->session) && surely_waits(w, &w->asked[i]))
                                mask |= UINT64_C(1) << w->asked[i].session;
        }
        return mask;
}

/* No sessions of a host wait for each other in a circle. */
static void check_deadlock(struct watch *w)
{
        uint64_t waits[64] = { 0 }, through;
        unsigned s, t;
        size_t i;

        if (w->world->sessions_n >= 64)
                return;
        for (i = w->first_open; i < w->asked_n; ++i)
                if (surely_waits(w, &w->asked[i]))
                        waits[w->asked[i].session] |= waits_for(w, &w->asked[i]);
        for (t = 1; t <= w->world->sessions_n; ++t) {
                through = waits[t];
                for (s = 1; s <= w->world->sessions_n; ++s)
                        if (waits[s] & UINT64_C(1) << t)
                                waits[s] |= through;
        }
        for (s = 1; s <= w->world->sessions_n; ++s)
                if (waits[s] & UINT64_C(1) << s)
                        violated(w, "deadlock: %s waits for itself", trace_name(s));
}

/* Requests of every kind. */
static void watch_on_request(void *userdata, const struct request *r)
{
        struct watch *w = userdata;
        struct asked *a;
        unsigned i;

        if (w->asked_n == w->asked_size) {
                w->asked_size = w->asked_size ? 2 * w->asked_size : 256;
                w->asked = realloc(w->asked, w->asked_size * sizeof(*w->asked));
        }
        assert(r->id == w->asked_n + 1);
        a = &w->asked[w->asked_n++];
        *a = (struct asked){ .id = r->id,
                             .arrived_ns = w->world->now_ns,
                             .turn_ns = w->world->now_ns,
                             .session = (unsigned)r->session,
                             .method = r->method,
                             .wait_ms = r->wait_ms,
                             .ttl_ms = r->ttl_ms,
                             .auto_extend = r->auto_extend,
                             .hold_ms = r->max_hold_ms,
                             .delay_ms = r->lock_delay_ms };
        ++w->counts.requests;
        check_deadlock(w);
        /* An administrator's requests, and looks, stand in no line. */
        for (i = 0; i < r->keys_n && r->method <= METHOD_RESET; ++i)
                a->keys |= 1u << watch_number(r->keys[i]);
        if (r->method == METHOD_BREAK && w->beliefs[watch_number(r->keys[0])].session &&
            host_of(w, w->beliefs[watch_number(r->keys[0])].session) == host_of(w, r->session))
                w->beliefs[watch_number(r->keys[0])].session = 0; /* its holder is told */
        for (i = 0; i < r->keys_n && r->method == METHOD_ADD; ++i)
                if (w->beliefs[watch_number(r->keys[i])].session == r->session &&
                    w->beliefs[watch_number(r->keys[i])].refused)
                        w->beliefs[watch_number(r->keys[i])].session = 0;
        if (r->method == METHOD_FREE || r->method == METHOD_RESET)
                watch_free_keys(w, a, r->keys_n == 0);
        a->budget_ms = r->retry_count < 0 ? UINT64_MAX
                                          : ((uint64_t)r->retry_count + 1) * (r->retry_delay_ms + r->retry_jitter_ms +
                                                                              2 * NODE_TIMEOUT_MAX_MS + 1);
        if (r->method == METHOD_SUBSCRIBE)
                w->subscribed[r->session] |= r->events; /* a notice may be on its way when the mask changes */
}

static void watch_broken(struct watch *w, uint64_t session, unsigned key)
{
        size_t i;

        w->beliefs[key].session = 0;
        for (i = w->first_open; i < w->asked_n; ++i)
                if (w->asked[i].session == session && w->asked[i].keys & 1u << key)
                        w->asked[i].broken_ns = w->world->now_ns;
}

/* An extension was refused since a quorum of nodes does not have these. Who asked for them meanwhile asks anew. */
static void watch_refused(struct watch *w, const struct reply *r)
{
        size_t i, k;

        for (i = 0; i < r->items_n; ++i) {
                unsigned key = watch_number(r->items[i].key);
                struct belief *b = &w->beliefs[key];

                if (r->items[i].outcome != OUTCOME_TAKEN || b->session != r->session)
                        continue;
                b->refused = true;
                for (k = w->first_open; k < w->asked_n; ++k)
                        if (w->asked[k].session == r->session && w->asked[k].method == METHOD_ADD &&
                            w->asked[k].keys & 1u << key)
                                b->session = 0;
        }
}

static bool was_granted(const struct watch *w, const char *value)
{
        size_t i;

        for (i = 0; i < w->tokens_n; ++i)
                if (strcmp(w->tokens[i].value, value) == 0)
                        return true;
        return false;
}

static void check_fresh(struct watch *w, const char *value)
{
        if (was_granted(w, value)) {
                violated(w, "fresh: a token was granted twice");
                return;
        }
        if (w->tokens_n == w->tokens_size) {
                w->tokens_size = w->tokens_size ? 2 * w->tokens_size : 64;
                w->tokens = realloc(w->tokens, w->tokens_size * sizeof(*w->tokens));
        }
        memcpy(w->tokens[w->tokens_n++].value, value, TOKEN_TEXT_LEN + 1);
}

/* What the other hosts show as held: a renewed lock is held for longer than its reply said. */
static void check_shown(struct watch *w, const struct reply *r, unsigned key)
{
        uint64_t session;
        unsigned host;

        for (host = 1; host <= w->world->options.hosts_n && !w->wild; ++host) {
                if (host == host_of(w, r->session))
                        continue;
                session = shown_holder(w, host, key);
                if (session)
                        violated(w, "exclusion: h%u shows %s as held by %s, and it goes to %s", host, watch_key(key),
                                 trace_name(session), trace_name(r->session));
        }
}

static void check_exclusion(struct watch *w, const struct reply *r, unsigned key)
{
        const struct belief *b = &w->beliefs[key];

        check_shown(w, r, key);
        if (!w->wild && w->world->now_ns < w->delayed_until_ns[key])
                violated(w, "delay: %s goes to %s, and should stay taken for %llu us", watch_key(key),
                         trace_name(r->session),
                         (unsigned long long)(w->delayed_until_ns[key] - w->world->now_ns) / 1000);

        if (!w->wild && b->session && b->session != r->session && b->until_ns > w->world->now_ns)
                violated(w, "exclusion: %s is held by %s, and now by %s", watch_key(key), trace_name(b->session),
                         trace_name(r->session));
}

/* The nodes have the token of the host's lease, under which its sessions' locks are passed on. */
static void check_backing(struct watch *w, const struct asked *a, unsigned key, uint64_t since_ns, uint64_t until_ns)
{
        const char *value = w->asked_nodes[host_of(w, a->session) - 1][key].value;
        unsigned n, backing = 0, quorum = w->world->hosts[w->world->sessions[a->session - 1].host].quorum;

        if (w->wild)
                return;
        for (n = 1; n <= w->world->options.nodes_n; ++n) {
                const char *stored = world_stored(w->world, n, watch_key(key), until_ns);

                backing += n != w->world->options.twin && ((stored && strcmp(stored, value) == 0) ||
                                                           world_node(w->world, n - 1)->wiped_ns + 1 > since_ns);
        }
        if (backing < quorum)
                violated(w, "backing: %u nodes will have %s for %s until its validity is over", backing, watch_key(key),
                         trace_name(a->session));
}

/* The key goes to this request: nobody of its host who asked before it may still be waiting for it. */
static void check_queue(struct watch *w, const struct asked *a, unsigned key)
{
        size_t i;

        for (i = w->first_open; i + 1 < a->id; ++i) {
                const struct asked *b = &w->asked[i];

                if (!b->answered && b->session != a->session &&
                    (b->method == METHOD_ADD || b->method == METHOD_EXTEND) && b->keys & 1u << key &&
                    host_of(w, b->session) == host_of(w, a->session))
                        violated(w, "queue: %s goes to %s, and %s asked first", watch_key(key), trace_name(a->session),
                                 trace_name(b->session));
        }
}

/* A free of several keys is answered when the last is settled; the others may be asked for again before. */
static bool holds_up(const struct asked *a)
{
        return a->frees == 0 || __builtin_popcount(a->frees) == 1;
}

static void check_order(struct watch *w, const struct asked *a)
{
        size_t i;

        for (i = w->first_open; i + 1 < a->id; ++i) {
                const struct asked *b = &w->asked[i];

                if (!b->answered && b->session == a->session && b->keys & a->keys && holds_up(b))
                        violated(w, "order: request %llu of %s is answered before its request %llu",
                                 (unsigned long long)a->id, trace_name(a->session), (unsigned long long)b->id);
        }
}

static void check_budget(struct watch *w, const struct asked *a)
{
        uint64_t from_ns = answered_with_pause(w, a), late_ns = a->budget_ms;

        if (from_ns < a->turn_ns)
                from_ns = a->turn_ns;
        if (a->wait_ms != WAIT_NONE && a->wait_ms + 2 * NODE_TIMEOUT_MAX_MS < late_ns)
                late_ns = a->wait_ms + 2 * NODE_TIMEOUT_MAX_MS;
        if (late_ns == UINT64_MAX || a->frees || stands_behind(w, a))
                return;
        /* One percent for the rate of the host's clock. */
        late_ns = late_ns * NS_PER_MS + late_ns * NS_PER_MS / 100 + WATCH_SLACK_NS;
        if (w->world->now_ns > from_ns + late_ns)
                violated(w, "budget: %s was answered %llu ms after its turn", trace_name(a->session),
                         (unsigned long long)((w->world->now_ns - from_ns) / NS_PER_MS));
}

static void check_timely(struct watch *w, unsigned host, unsigned key, const char *value)
{
        uint64_t since_ns = w->world->now_ns - w->asked_nodes[host - 1][key].at_ns;
        uint64_t timeout_ns = w->asked_nodes[host - 1][key].timeout_ms * NS_PER_MS * 101 / 100;

        if (w->counts.raised > 0) /* a second round, for the fence of this key or of another one of its request */
                timeout_ns *= 2;
        if (strcmp(w->asked_nodes[host - 1][key].value, value) == 0 && since_ns > timeout_ns)
                violated(w, "timely: %s was granted %llu ms after the nodes were asked", watch_key(key),
                         (unsigned long long)(since_ns / NS_PER_MS));
}

/*
 * A grant is worth at least LEASE_PASS_PERCENT of the validity that its caller asked for; where the nodes were asked
 * for it, but for the time that they may take: twice, where their fences differ.
 */
static void check_worth(struct watch *w, const struct asked *a, unsigned key, uint64_t left_ns)
{
        uint64_t least_ns = validity_end_ns(0, a->ttl_ms, 0.01) / 100 * LEASE_PASS_PERCENT;
        uint64_t asking_ns = 2 * validity_node_timeout_ms(a->ttl_ms) * NS_PER_MS;

        if (a->hold_ms && a->hold_ms * NS_PER_MS < least_ns)
                least_ns = a->hold_ms * NS_PER_MS;

        if (w->asked_nodes[host_of(w, a->session) - 1][key].at_ns >= a->arrived_ns)
                least_ns -= asking_ns < least_ns ? asking_ns : least_ns;
        if (!w->wild && left_ns + WATCH_SLACK_NS < least_ns) /* clocks that step make it less */
                violated(w, "worth: %s gets %s for %llu ms, and asked for %u", trace_name(a->session), watch_key(key),
                         (unsigned long long)(left_ns / NS_PER_MS), a->ttl_ms);
}

static void watch_granted(struct watch *w, const struct reply *r, const struct asked *a, const struct reply_item *item)
{
        unsigned key = watch_number(item->key), host = host_of(w, r->session);
        uint64_t until_ns = world_true_ns(w->world, host, item->valid_until_ns);
        struct belief *b = &w->beliefs[key];
        bool asked;

        if (until_ns <= w->world->now_ns)
                violated(w, "alive: %s has %s with no validity left", trace_name(r->session), watch_key(key));
        if (item->outcome != OUTCOME_HELD)
                check_timely(w, host, key, item->value);
        switch (item->outcome) {
        case OUTCOME_ACQUIRED:
        case OUTCOME_REACQUIRED:
                ++w->counts.granted;
                check_exclusion(w, r, key);
                check_fresh(w, item->value);
                asked = strcmp(w->asked_nodes[host - 1][key].value, item->value) == 0;
                check_fence(w, a, key, item->fence, !asked);
                w->counts.asked += asked;
                check_backing(w, a, key, w->asked_nodes[host - 1][key].acquired_ns, until_ns);
                check_queue(w, a, key);
                check_worth(w, a, key, item->valid_until_ns - world_host_ns(w->world, host, w->world->now_ns));
                break;
        case OUTCOME_EXTENDED:
                ++w->counts.extended;
                check_exclusion(w, r, key);
                check_backing(w, a, key, a->arrived_ns, until_ns);
                if (b->session == r->session && strcmp(b->value, item->value) != 0)
                        violated(w, "alive: %s extended has another token", watch_key(key));
                break;
        case OUTCOME_HELD:
                check_exclusion(w, r, key);
                if (b->refused && strcmp(b->value, item->value) == 0)
                        violated(w, "alive: %s is held, and was told to be lost", watch_key(key));
                if (b->session == r->session && !b->auto_extend && item->valid_until_ns != b->valid_until_ns &&
                    !w->wild)
                        violated(w, "alive: %s is held until another time than it was granted", watch_key(key));
                break;
        default:
                violated(w, "alive: an add or extend succeeded without %s", watch_key(key));
        }
        if (w->ended[r->session] || freed_since(w, r->session, key, r->request))
                return;
        /* What is left as it is, or extended, may be under renewal. */
        if ((item->outcome != OUTCOME_HELD && w->world->now_ns > w->asked_nodes[host - 1][key].renewal_end_ns) ||
            b->session != r->session || strcmp(b->value, item->value) != 0 || b->renewed_until_ns < until_ns)
                b->renewed_until_ns = until_ns;
        b->until_ns = until_ns;
        b->valid_until_ns = item->valid_until_ns;
        if (item->outcome == OUTCOME_ACQUIRED || item->outcome == OUTCOME_REACQUIRED) {
                b->auto_extend = a->auto_extend;
                b->delay_ms = a->delay_ms;
                /* a renewal of the lease may have been under way when the lock was handed on */
                if (b->auto_extend && w->asked_nodes[host - 1][key].renewed_until_ns > b->renewed_until_ns)
                        b->renewed_until_ns = w->asked_nodes[host - 1][key].renewed_until_ns;
        } else if (b->session != r->session) {
                b->auto_extend = true; /* it is not known any more */
                b->delay_ms = 0;
        }
        b->session = (unsigned)r->session;
        b->refused = false;
        memcpy(b->value, item->value, sizeof(b->value));
}

static void watch_on_reply(void *userdata, const struct reply *r)
{
        struct watch *w = userdata;
        struct asked *a = &w->asked[r->request - 1];
        size_t i;

        if (a->answered)
                violated(w, "once: request %llu is answered twice", (unsigned long long)r->request);
        if (w->closed[r->session])
                violated(w, "once: request %llu is answered after its session's end", (unsigned long long)r->request);
        if (w->ended[r->session] && r->error == ERROR_NONE && (a->method == METHOD_ADD || a->method == METHOD_EXTEND))
                violated(w, "once: request %llu is granted something after its session's end",
                         (unsigned long long)r->request);
        if (r->error != ERROR_CANCELLED && r->error != ERROR_STOPPING && r->error != ERROR_INTERNAL &&
            r->error != ERROR_LIMIT)
                check_order(w, a);
        check_budget(w, a);
        if (r->error == ERROR_LOST && a->method != METHOD_EXTEND)
                violated(w, "told: %s is refused as lost what it does not extend", trace_name(r->session));
        a->answered = true;
        ++w->answered_n;
        while (w->first_open < w->asked_n && w->asked[w->first_open].answered)
                ++w->first_open;
        for (i = w->first_open; i < w->asked_n; ++i)
                if (w->asked[i].session == a->session && w->asked[i].keys & (a->keys | a->frees))
                        w->asked[i].turn_ns = w->world->now_ns;
        w->counts.refused += r->error != ERROR_NONE;
        if (r->error == ERROR_NONE && (a->method == METHOD_ADD || a->method == METHOD_EXTEND))
                for (i = 0; i < r->items_n; ++i)
                        watch_granted(w, r, a, &r->items[i]);
        if (r->error == ERROR_LOST && a->method == METHOD_EXTEND)
                watch_refused(w, r);
        /* An administrator knows what he does to its holder, who may not have subscribed. */
        if (r->error == ERROR_NONE && a->method == METHOD_BREAK)
                watch_broken(w, r->holder->session, watch_number(r->items[0].key));
}

static void watch_on_notice(void *userdata, const struct notice *n)
{
        struct watch *w = userdata;
        struct belief *b;

        if (w->ended[n->session])
                violated(w, "once: a notice after the end of %s", trace_name(n->session));
        if (!(w->subscribed[n->session] & n->kind))
                violated(w, "told: %s did not subscribe to this", trace_name(n->session));
        if (n->kind != NOTICE_LOST)
                return;
        b = &w->beliefs[watch_number(n->key)];
        if (b->session != n->session || strcmp(b->value, n->value) != 0)
                return;
        if (w->world->now_ns > b->renewed_until_ns &&
            w->world->hosts[host_of(w, n->session) - 1].awake_ns < b->until_ns)
                violated(w, "told: %s hears too late that it lost %.*s", trace_name(n->session), (int)n->key.len,
                         n->key.data);
        b->session = 0;
}

static void watch_on_end(void *userdata, unsigned session)
{
        struct watch *w = userdata;
        unsigned key;

        w->ended[session] = true;
        for (key = 0; key < WATCH_KEYS_MAX; ++key) {
                struct belief *b = &w->beliefs[key];
                uint64_t until_ns = w->world->now_ns + b->delay_ms * NS_PER_MS * 99 / 100;

                if (b->session != session)
                        continue;
                if (b->delay_ms && b->until_ns > w->world->now_ns)
                        w->delayed_until_ns[key] = until_ns < b->until_ns ? until_ns : b->until_ns;
                b->session = 0;
        }
}

static void watch_on_close(void *userdata, unsigned session)
{
        struct watch *w = userdata;
        size_t i;

        watch_on_end(w, session); /* it may have been killed */
        w->closed[session] = true;
        for (i = w->first_open; i < w->asked_n; ++i)
                if (w->asked[i].session == session && !w->asked[i].answered)
                        violated(w, "once: request %llu is not answered at its session's end",
                                 (unsigned long long)i + 1);
}

/* The same command to several nodes is one raise. */
static void watch_raise(struct watch *w, unsigned host, const struct command *command)
{
        if (w->raised_round[host - 1] == command->round)
                return;
        w->raised_round[host - 1] = command->round;
        w->counts.raised += command->items_n;
}

static void watch_on_command(void *userdata, unsigned host, const struct command *command)
{
        struct watch *w = userdata;
        unsigned i;

        for (i = 0; i < command->acquire_n; ++i) {
                unsigned key = watch_number(command->items[i].key);
                const struct belief *b = &w->beliefs[key];

                if (b->session && host_of(w, b->session) == host && b->until_ns > w->world->now_ns + WATCH_LAPSE_NS)
                        violated(w, "quiet: h%u asks for %s, and its own %s holds it", host, watch_key(key),
                                 trace_name(b->session));
        }
        for (i = 0; i < command->items_n && command->kind == COMMAND_RELEASE; ++i) {
                unsigned key = watch_number(command->items[i].key);
                const struct belief *b = &w->beliefs[key];

                if (b->session && host_of(w, b->session) == host && b->until_ns > w->world->now_ns + WATCH_LAPSE_NS &&
                    strcmp(w->asked_nodes[host - 1][key].value, command->items[i].value) == 0)
                        violated(w, "quiet: h%u releases %s, and its own %s holds it", host, watch_key(key),
                                 trace_name(b->session));
        }
        for (i = 0; i < command->items_n && command->kind == COMMAND_RENEW; ++i) {
                unsigned key = watch_number(command->items[i].key);
                struct belief *b = &w->beliefs[key];
                uint64_t until_ns = w->world->now_ns + command->items[i].ttl_ms * NS_PER_MS;

                if (strcmp(w->asked_nodes[host - 1][key].value, command->items[i].value) == 0) {
                        w->asked_nodes[host - 1][key].renewed_until_ns = until_ns;
                        w->asked_nodes[host - 1][key].renewal_end_ns =
                                w->world->now_ns + validity_node_timeout_ms(command->items[i].ttl_ms) * NS_PER_MS;
                }
                if (b->session && b->auto_extend && host_of(w, b->session) == host &&
                    strcmp(w->asked_nodes[host - 1][key].value, command->items[i].value) == 0 &&
                    until_ns > b->renewed_until_ns)
                        b->renewed_until_ns = until_ns;
        }
        if (command->kind == COMMAND_TAKE && command->acquire_n == 0 && !was_granted(w, command->items[0].value))
                watch_raise(w, host, command);
        for (i = 0; i < command->items_n && command->kind == COMMAND_TAKE; ++i) {
                unsigned key = watch_number(command->items[i].key);

                if (strcmp(w->asked_nodes[host - 1][key].value, command->items[i].value) != 0) {
                        if (i >= command->acquire_n)
                                continue; /* an extension of what has been given up since */
                        w->asked_nodes[host - 1][key].renewed_until_ns = 0;
                        w->asked_nodes[host - 1][key].acquired_ns = w->world->now_ns;
                }
                memcpy(w->asked_nodes[host - 1][key].value, command->items[i].value, TOKEN_TEXT_LEN + 1);
                w->asked_nodes[host - 1][key].at_ns = w->world->now_ns;
                w->asked_nodes[host - 1][key].timeout_ms = validity_node_timeout_ms(command->ttl_ms);
        }
}

static void watch_on_vote(void *userdata, unsigned node)
{
        struct watch *w = userdata;
        const struct sim_node *n = world_node(w->world, node - 1);

        if (!w->wild && n->forgot_ns > 0 && w->world->now_ns < n->forgot_ns + w->world->options.ttl_max_ms * NS_PER_MS)
                violated(w, "quarantine: n%u votes %llu ms after it forgot", node,
                         (unsigned long long)((w->world->now_ns - n->forgot_ns) / NS_PER_MS));
}

static void watch_on_step(void *userdata, unsigned host, unsigned effects_n)
{
        struct watch *w = userdata;
        size_t open = w->asked_n - w->first_open + w->answered_n;
        unsigned nodes_n = w->world->options.nodes_n, bound;

        /*
         * A reply and a round for each open request; a release and a notice for each key and session; and what was to
         * be undone at once, KEYS_PER_ROUND_MAX tokens a command.
         */
        bound = (unsigned)(open + 2) * (nodes_n + 1) + (nodes_n + 1) * WATCH_KEYS_MAX * 4 +
                w->world->sessions_n * (nodes_n + 2) + nodes_n * (unsigned)(w->effects_n / KEYS_PER_ROUND_MAX);
        w->effects_n += effects_n;
        w->answered_n = 0;
        if (effects_n > bound)
                violated(w, "bounded: one step of h%u has %u effects", host, effects_n);
}

struct watch *watch_new(bool wild)
{
        struct watch *w = calloc(1, sizeof(*w));

        w->wild = wild;
        return w;
}

struct watch *watch_free(struct watch *w)
{
        if (!w)
                return NULL;
        free(w->asked);
        free(w->tokens);
        free(w->fences);
        free(w);
        return NULL;
}

struct world_watch watch_callbacks(struct watch *w)
{
        return (struct world_watch){ .userdata = w,
                                     .on_request = watch_on_request,
                                     .on_reply = watch_on_reply,
                                     .on_notice = watch_on_notice,
                                     .on_end = watch_on_end,
                                     .on_close = watch_on_close,
                                     .on_command = watch_on_command,
                                     .on_vote = watch_on_vote,
                                     .on_step = watch_on_step };
}

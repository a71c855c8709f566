/*
 * Lives of the broker, see life.h.
 */
#include "sim/life.h"

#include "sim/watch.h"

#include "redlockd/base/mem.h"

#define UNDO_MS 2000 /* after the end all nodes are well again: a release that failed is repeated within this time */

struct life {
        struct world *w;
        const struct text *bytes; /* NULL: chance is the world's */
        size_t bytes_used;
        struct watch *watch;
        struct world_watch callbacks;
        bool wild, failing;
        unsigned hosts_n, nodes_n, keys_n, sessions_max;
        uint32_t ttl_max_ms;
        uint64_t faults;       /* how often of 1,000 a step is a fault */
        uint64_t requests[64]; /* the latest, to be cancelled */
        unsigned requests_n;
        unsigned drained_n;
        struct {
                struct world dice; /* its own, so that lives without changes are what they were */
                bool some;
                uint32_t members;
                unsigned told_n;  /* hosts that know of the last change */
                uint64_t calm_ns; /* no other change before then */
        } change;
};

/* As many bytes as the number needs; when they are used up all is 0. */
static uint64_t draw_bytes(struct life *l, uint64_t n)
{
        uint64_t number = 0, reach = 1;

        for (; reach < n && l->bytes_used < l->bytes->len; reach *= 256)
                number = number * 256 + (unsigned char)l->bytes->data[l->bytes_used++];
        return number % n;
}

static uint64_t draw_from(struct life *l, struct world *dice, uint64_t n)
{
        return l->bytes ? draw_bytes(l, n) : world_draw(dice, n);
}

static uint64_t draw(struct life *l, uint64_t n)
{
        return draw_from(l, l->w, n);
}

/* One byte is enough here. */
static bool chance(struct life *l, uint64_t of_thousand)
{
        return l->bytes ? draw(l, 256) * 1000 < of_thousand * 256 : draw(l, 1000) < of_thousand;
}

static unsigned pick_session(struct life *l)
{
        unsigned tries, s;

        for (tries = 0; tries < 8 && l->w->sessions_n > 0; ++tries) {
                s = 1 + (unsigned)draw(l, l->w->sessions_n);
                if (l->w->sessions[s - 1].open)
                        return s;
        }
        return 0;
}

/* Mostly one key, and mostly the first ones, so that they are fought for. */
static unsigned pick_keys(struct life *l, struct text *ret_keys)
{
        unsigned n = chance(l, 700) ? 1 : 1 + (unsigned)draw(l, 4), i;

        for (i = 0; i < n; ++i) {
                unsigned key = (unsigned)draw(l, l->keys_n);

                if (chance(l, 500))
                        key = (unsigned)draw(l, key + 1);
                ret_keys[i] = text_of(watch_key(key));
        }
        return n;
}

static void ask_to_take(struct life *l, unsigned session, enum method method)
{
        static const int64_t retries[] = { 0, 0, 1, 3, 10, 50, RETRY_FOR_EVER };
        static const uint64_t delays[] = { 1, 5, 20, 50, 100, 200 };
        struct text keys[4];
        struct request r = { .method = method, .keys = keys };

        r.keys_n = pick_keys(l, keys);
        r.ttl_ms = 10 + (uint32_t)draw(l, chance(l, 300) ? 100 : l->ttl_max_ms - 10);
        r.retry_count = retries[draw(l, 7)];
        r.retry_delay_ms = delays[draw(l, 6)];
        r.retry_jitter_ms = chance(l, 500) ? r.retry_delay_ms : 0;
        if (chance(l, 20))
                r.retry_delay_ms = r.retry_jitter_ms = 0;
        r.wait_ms = chance(l, 300) ? draw(l, 500) : WAIT_NONE;
        r.strict = method == METHOD_EXTEND && chance(l, 300);
        r.auto_extend = method == METHOD_ADD && chance(l, 200);
        if (method == METHOD_ADD && chance(l, 50))
                r.max_hold_ms = 1 + draw(l, 2 * l->ttl_max_ms);
        if (method == METHOD_ADD && chance(l, 50))
                r.lock_delay_ms = 1 + draw(l, 200);
        l->requests[l->requests_n++ % 64] = world_request(l->w, session, r);
}

static void ask_something(struct life *l)
{
        unsigned session = pick_session(l), what = (unsigned)draw(l, 100);
        struct text keys[4];
        struct request r = { .keys = keys };

        if (!session)
                return;
        if (what < 50) {
                ask_to_take(l, session, METHOD_ADD);
                return;
        }
        if (what < 65) {
                ask_to_take(l, session, METHOD_EXTEND);
                return;
        }
        if (what < 85) {
                r.method = METHOD_FREE;
                r.keys_n = chance(l, 800) ? pick_keys(l, keys) : 0;
        } else if (what < 88) {
                r.method = METHOD_RESET;
        } else if (what < 93) {
                r.method = METHOD_CANCEL;
                r.cancel_id = l->requests[draw(l, 64)];
        } else if (what < 96) {
                r.method = METHOD_SUBSCRIBE;
                r.events = 1 + (unsigned)draw(l, 15);
        } else if (what < 98) {
                r.method = chance(l, 500) ? METHOD_WHY : METHOD_BREAK;
                pick_keys(l, keys);
                r.keys_n = 1;
        } else {
                r.method = METHOD_HELLO + (unsigned)draw(l, METHOD_CERTIFY - METHOD_HELLO);
        }
        if (r.method == METHOD_DRAIN)
                return; /* a life is drained in its own time */
        if (r.method == METHOD_BREAK || r.method == METHOD_WHY) {
                pick_keys(l, keys);
                r.keys_n = 1;
        }
        if (r.method == METHOD_KILL)
                r.target = chance(l, 200) ? pick_session(l) : 0;
        world_request(l->w, session, r);
}

/* With all it had, with nothing, or with a state of the past. */
static void crash(struct life *l, unsigned node)
{
        bool durable = world_node(l->w, node - 1)->durable;
        const char *lost[WATCH_KEYS_MAX];
        unsigned lost_n = 0, key;

        if (durable || chance(l, 300)) {
                world_crash(l->w, node, false);
        } else if (chance(l, 500)) {
                world_crash(l->w, node, true);
        } else {
                for (key = 0; key < l->keys_n; ++key)
                        if (chance(l, 500))
                                lost[lost_n++] = watch_key(key);
                world_roll_back(l->w, node, lost, lost_n);
        }
}

static void come_back(struct life *l, unsigned node)
{
        unsigned host;

        for (host = 1; host <= l->hosts_n; ++host)
                if (chance(l, 800))
                        world_join(l->w, host, node);
}

static void make_trouble(struct life *l)
{
        unsigned node = 1 + (unsigned)draw(l, l->nodes_n), host = 1 + (unsigned)draw(l, l->hosts_n), session;

        switch (draw(l, l->wild ? 14 : 12)) {
        case 0:
                world_hang(l->w, node);
                break;
        case 1:
                world_go_on(l->w, node);
                break;
        case 2:
                crash(l, node);
                break;
        case 3:
                world_cut(l->w, host, node);
                break;
        case 4:
        case 5:
                come_back(l, node);
                break;
        case 6:
                world_slow(l->w, node, draw(l, chance(l, 200) ? 60000 : 2000));
                break;
        case 7:
                world_flush_scripts(l->w, node);
                break;
        case 8:
                if (chance(l, 300))
                        world_pause(l->w, host, draw(l, 2 * l->ttl_max_ms));
                break;
        case 9:
                world_refuse(l->w, node, chance(l, 300));
                break;
        case 10:
                if (chance(l, 300))
                        world_lose(l->w, node);
                break;
        case 11:
                if (chance(l, 300))
                        world_spoil(l->w, node, !world_node(l->w, node - 1)->unfit);
                break;
        case 12:
                world_step_clock(l->w, node, (int64_t)draw(l, 2000));
                break;
        case 13:
                if ((session = pick_session(l)))
                        world_certify(l->w, session, node);
                break;
        }
}

static void tell_members(struct life *l, unsigned host)
{
        uint32_t come = l->change.members & ~l->w->hosts[host - 1].members;
        unsigned node = come ? (unsigned)__builtin_ctz(come) + 1 : 0;

        if (node)
                world_cut(l->w, host, node);
        world_members(l->w, host, l->change.members);
        if (node)
                world_join(l->w, host, node);
        l->change.calm_ns = l->w->now_ns + (uint64_t)l->ttl_max_ms * NS_PER_MS * 102 / 100 + 50 * NS_PER_MS;
}

/* A node comes or goes: each host is told at a time of its own, and all of them before there is another change. */
static void change_members(struct life *l)
{
        uint32_t changed;

        if (!l->change.some || draw_from(l, &l->change.dice, 4) > 0)
                return;
        if (l->change.told_n < l->hosts_n) {
                tell_members(l, ++l->change.told_n);
        } else if (l->w->now_ns >= l->change.calm_ns) {
                changed = l->change.members ^ UINT32_C(1) << draw_from(l, &l->change.dice, l->nodes_n);
                if (changed == 0)
                        return;
                l->change.members = changed;
                l->change.told_n = 0;
        }
}

static void session_comes_or_goes(struct life *l)
{
        unsigned session;

        if (l->w->sessions_n < l->sessions_max && chance(l, 600)) {
                world_open(l->w, 1 + (unsigned)draw(l, l->hosts_n));
                return;
        }
        session = pick_session(l);
        if (session && chance(l, 500))
                world_end(l->w, session);
}

static void life_step(struct life *l)
{
        uint64_t what = draw(l, 1000);

        change_members(l);
        if (what < l->faults)
                make_trouble(l);
        else if (what < l->faults + 60)
                session_comes_or_goes(l);
        else if (what < l->faults + 62 && l->drained_n < l->hosts_n - 1)
                world_drain(l->w, ++l->drained_n);
        else
                ask_something(l);
        if (l->failing && chance(l, 30))
                mem_fail_at(1 + draw(l, 40));
        /* Often at once, mostly within a few milliseconds, now and then much later. */
        if (chance(l, 700))
                world_run_ns(l->w, draw(l, chance(l, 100) ? l->ttl_max_ms * NS_PER_MS : 8 * NS_PER_MS));
}

/* Rates of clocks: two of them differ by less than 0.8 %, driftFactor is 1 %. */
static int64_t life_rate(struct life *l)
{
        return chance(l, 500) ? 0 : (int64_t)draw(l, 8001) - 4000;
}

static void life_begin(struct life *l, uint64_t seed, FILE *trace)
{
        static const unsigned nodes[] = { 1, 2, 3, 3, 3, 3, 4, 5, 5, 6, 7 };
        struct world_options options = { .seed = seed, .trace = trace };
        struct world dice = { .random = seed ^ UINT64_C(0x5bd1e995) };
        unsigned n;

        l->w = &dice; /* the world itself is drawn, too */
        l->wild = chance(l, 125);
        l->failing = chance(l, 100);
        l->hosts_n = options.hosts_n = 1 + (unsigned)draw(l, chance(l, 500) ? 2 : 4);
        l->nodes_n = options.nodes_n = nodes[draw(l, sizeof(nodes) / sizeof(nodes[0]))];
        l->keys_n = 1 + (unsigned)draw(l, chance(l, 600) ? 3 : WATCH_KEYS_MAX);
        l->sessions_max = 1 + (unsigned)draw(l, 40);
        l->ttl_max_ms = 50 + (uint32_t)draw(l, 3000);
        l->faults = chance(l, 250) ? 0 : draw(l, 150);
        options.latency_us = 50 + draw(l, 2000);
        options.tail_us = chance(l, 500) ? 0 : draw(l, 100000);
        options.ttl_max_ms = l->ttl_max_ms;
        options.look_ms = chance(l, 500) ? 500 : 10 + draw(l, 500);
        if (l->nodes_n > 1 && chance(l, 60)) {
                options.twin = 2 + (unsigned)draw(l, l->nodes_n - 1);
                options.twin_of = 1 + (unsigned)draw(l, options.twin - 1);
        }
        options.fresh = chance(l, 50);
        options.locks_max = chance(l, 100) ? 2 : 1024;
        options.locks_all_max = seed % 13 == 1 ? 3 : 0; /* not drawn: the lives of old seeds stay as they are */
        options.waiters_max = seed % 17 == 1 ? 2 : 0;
        l->change.dice.random = seed ^ UINT64_C(0x9e3779b97f4a7c15);
        l->change.some = l->nodes_n > 1 && draw_from(l, &l->change.dice, 5) == 0;
        l->change.members = (UINT32_C(1) << l->nodes_n) - 1;
        l->change.told_n = l->hosts_n;
        l->watch = watch_new(l->wild);
        l->w = world_new(&options);
        watch_world(l->watch, l->w);
        l->callbacks = watch_callbacks(l->watch);
        l->w->options.watch = &l->callbacks;
        trace_line(l->w->trace, l->w->now_ns,
                   "a %s life%s: %u hosts, %u nodes, %u keys, ttl up to %u ms, trouble %u of 1000",
                   l->wild ? "wild" : "tame", l->failing ? " with failing allocations" : "", l->hosts_n, l->nodes_n,
                   l->keys_n, l->ttl_max_ms, (unsigned)l->faults);
        for (n = 0; n < l->nodes_n; ++n) {
                world_node(l->w, n)->clock.ppm = life_rate(l);
                world_node(l->w, n)->durable = chance(l, 200);
        }
        for (n = 0; n < l->hosts_n; ++n)
                l->w->hosts[n].clock.ppm = life_rate(l);
        /* The wall clocks of hosts are as they are; now and then one is nonsense. */
        for (n = 0; n < l->hosts_n && draw_from(l, &l->change.dice, 2) == 0; ++n)
                l->w->hosts[n].wall_ms =
                        (int64_t)draw_from(l, &l->change.dice, 6001) -
                        (draw_from(l, &l->change.dice, 10) ? 3000 : (int64_t)WORLD_UNIX_MS - WORLD_UNIX_MS / 4);
        for (n = 1; n <= l->sessions_max / 2 + 1; ++n)
                world_open(l->w, 1 + (unsigned)draw(l, l->hosts_n));
}

/* Each step takes a byte at least. */
static bool life_goes_on(const struct life *l, unsigned step, unsigned steps_n)
{
        return l->bytes ? l->bytes_used < l->bytes->len : step < steps_n;
}

bool life_run(uint64_t seed, const struct text *bytes, FILE *trace, struct life_totals *totals, char *ret_wrong,
              size_t wrong_size)
{
        struct life l = { .bytes = bytes };
        uint64_t live = mem_live();
        struct watch_counts counts;
        const char *wrong = NULL, *left = "";
        unsigned i, steps;

        life_begin(&l, seed, trace);
        steps = chance(&l, 80) ? 300 + (unsigned)draw(&l, 200) : 30 + (unsigned)draw(&l, 90);
        for (i = 0; life_goes_on(&l, i, steps) && !wrong; ++i) {
                life_step(&l);
                wrong = watch_verdict(l.watch);
        }
        mem_fail_at(0);
        if (!wrong) {
                wrong = world_calm(l.w, l.wild ? 4 * l.ttl_max_ms : UNDO_MS);
                left = wrong ? "nothing: " : "";
        }
        if (!wrong)
                wrong = watch_verdict(l.watch);
        counts = watch_counts(l.watch);
        ++totals->runs;
        totals->wild += l.wild;
        totals->failing += l.failing;
        totals->steps += l.w->steps_n;
        totals->virtual_ms += (l.w->now_ns - WORLD_EPOCH_NS) / NS_PER_MS;
        totals->counts.requests += counts.requests;
        totals->counts.granted += counts.granted;
        totals->counts.extended += counts.extended;
        totals->counts.refused += counts.refused;
        totals->counts.asked += counts.asked;
        totals->counts.raised += counts.raised;
        snprintf(ret_wrong, wrong_size, "%s%s", left, wrong ? wrong : "");
        if (wrong)
                return false; /* the world is left as it is: it cannot be taken down in order */
        world_free(l.w);
        watch_free(l.watch);
        if (mem_live() != live)
                snprintf(ret_wrong, wrong_size, "nothing: %llu blocks of memory are left",
                         (unsigned long long)(mem_live() - live));
        return !ret_wrong[0];
}

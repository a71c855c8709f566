/*
 * Walks of the engine that are made in pieces while everything changes: what is there all the time is seen once, and
 * nothing twice.
 */
#include "redlockd/core/inspect.h"
#include "sim/story.h"

#define ITEMS_MAX    4096
#define SESSIONS_MAX 5
#define KEYS_N       40

/* A lock, or a place in a queue, with how often it was seen. */
struct item {
        char key[8];
        uint64_t session, since_ns;
        unsigned n;
};

struct items {
        struct item all[ITEMS_MAX];
        unsigned n;
};

static struct items now, stable, seen;

static struct item *items_find(struct items *items, const struct item *item)
{
        for (unsigned i = 0; i < items->n; ++i)
                if (strcmp(items->all[i].key, item->key) == 0 && items->all[i].session == item->session &&
                    items->all[i].since_ns == item->since_ns)
                        return &items->all[i];
        return NULL;
}

static void items_count(struct items *items, struct text key, uint64_t session, uint64_t since_ns)
{
        struct item item = { .session = session, .since_ns = since_ns }, *known;

        memcpy(item.key, key.data, key.len);
        known = items_find(items, &item);
        if (!known) {
                ck_assert_uint_lt(items->n, ITEMS_MAX);
                known = &items->all[items->n++];
                *known = item;
        }
        ++known->n;
}

/* After so many items it is enough for a piece; 0: it never is. */
static unsigned enough_n;

static bool is_not_enough(void)
{
        return enough_n == 0 || --enough_n > 0;
}

static bool on_lock(void *userdata, const struct inspect_lock *lock)
{
        items_count(userdata, lock->key, lock->session, lock->since_ns);
        return is_not_enough();
}

static bool on_waiter(void *userdata, const struct inspect_waiter *waiter)
{
        items_count(userdata, waiter->key, waiter->session, waiter->since_ns);
        return is_not_enough();
}

/* What to walk: the locks of all or of one session, or those who wait for all keys or for one. */
struct walk {
        bool waiters;
        uint64_t session;
        const char *key;
};

static bool walk_on(struct world *w, const struct walk *walk, unsigned steps, struct inspect_cursor *cursor,
                    struct items *items)
{
        struct text key = walk->key ? text_of(walk->key) : (struct text){ NULL, 0 };

        if (!w)
                return false;
        return walk->waiters ? inspect_waiters(w->hosts[0].engine, key, steps, cursor, on_waiter, items)
                             : inspect_locks(w->hosts[0].engine, world_host_ns(w, 1, w->now_ns), walk->session, key,
                                             steps, cursor, on_lock, items);
}

/* Forgets of `stable` what is not there any more. */
static void walk_look(struct world *w, const struct walk *walk)
{
        struct inspect_cursor cursor = { 0 };
        unsigned i, n = 0;

        now.n = 0;
        walk_on(w, walk, UINT32_MAX, &cursor, &now);
        for (i = 0; i < stable.n; ++i)
                if (items_find(&now, &stable.all[i]))
                        stable.all[n++] = stable.all[i];
        stable.n = n;
}

static char *draw_keys(struct world *w, char *ret_keys)
{
        unsigned i, n = 1 + (unsigned)world_draw(w, 3);
        char *to = ret_keys;

        for (i = 0; i < n; ++i)
                to += sprintf(to, "%sk%u", i > 0 ? "," : "", (unsigned)world_draw(w, KEYS_N));
        return ret_keys;
}

/* One thing happens. Everybody waits for ever. */
static void change(struct world *w, unsigned *sessions)
{
        unsigned who = (unsigned)world_draw(w, SESSIONS_MAX);
        char keys[64];

        world_run_ns(w, 1); /* two requests of one session do not come at one time */

        switch (world_draw(w, 12)) {
        case 0:
                world_end(w, sessions[who]);
                sessions[who] = world_open(w, 1);
                break;
        case 1:
        case 2:
                story_run(w, 1 + world_draw(w, 5));
                break;
        case 3:
        case 4:
        case 5:
                story_give(w, sessions[who], draw_keys(w, keys));
                break;
        default:
                story_add(w, sessions[who], draw_keys(w, keys), (struct ask){ .tries = -1, .ttl_ms = 60000 });
        }
}

static void walk_in_pieces(struct world *w, const struct walk *walk, unsigned *sessions, unsigned changes_n)
{
        struct inspect_cursor cursor = { 0 };
        unsigned i;
        bool more;

        seen.n = stable.n = 0;
        walk_on(w, walk, UINT32_MAX, &(struct inspect_cursor){ 0 }, &stable);
        do {
                enough_n = (unsigned)world_draw(w, 4);
                more = walk_on(w, walk, 1 + (unsigned)world_draw(w, 8), &cursor, &seen);
                enough_n = 0;
                for (i = 0; i < changes_n; ++i)
                        change(w, sessions);
                walk_look(w, walk);
        } while (more);
        for (i = 0; i < seen.n; ++i)
                ck_assert_msg(seen.all[i].n == 1, "%s of %llu was seen twice", seen.all[i].key,
                              (unsigned long long)seen.all[i].session);
        for (i = 0; i < stable.n; ++i)
                ck_assert_msg(items_find(&seen, &stable.all[i]), "%s of %llu was there and not seen", stable.all[i].key,
                              (unsigned long long)stable.all[i].session);
}

/* Returns how much was there all the time. */
static unsigned walk_in_world(struct walk walk, uint64_t seed, unsigned walks_n)
{
        struct world *w = story_world(&(struct world_options){ .nodes_n = 1, .seed = seed });
        unsigned i, sessions[SESSIONS_MAX], walks, n = 0;

        for (i = 0; i < SESSIONS_MAX; ++i)
                sessions[i] = world_open(w, 1);
        for (walks = 0; w && walks < walks_n; ++walks) {
                for (i = 0; i < 12; ++i)
                        change(w, sessions);
                if (walk.session > 0)
                        walk.session = sessions[0];
                walk_in_pieces(w, &walk, sessions, walks);
                n += stable.n;
        }
        story_skip(w);
        story_end(w);
        return n;
}

/* Many worlds when it is told first, and a short life in one where allocations fail. */
static void walk_while_all_changes(struct walk walk, bool *told)
{
        unsigned n = 0;
        uint64_t seed;

        for (seed = 1; !*told && seed <= 50; ++seed)
                n += walk_in_world(walk, seed, 6);
        ck_assert(*told || n > 50);
        *told = true;
        walk_in_world(walk, seed, 1);
}

static void the_locks_of_all(void)
{
        static bool told;

        walk_while_all_changes((struct walk){ 0 }, &told);
}

static void the_locks_of_one_session(void)
{
        static bool told;

        walk_while_all_changes((struct walk){ .session = 1 }, &told);
}

static void those_who_wait(void)
{
        static bool told;

        walk_while_all_changes((struct walk){ .waiters = true }, &told);
}

static void those_who_wait_for_one_key(void)
{
        static bool told;

        walk_while_all_changes((struct walk){ .waiters = true, .key = "k1" }, &told);
}

/* The lock at which a walk stands is freed, and so is the session: the walk goes on behind both. */
static void what_the_walk_stands_on_may_go(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1), b = world_open(w, 1), c = world_open(w, 1);
        const struct walk walk = { 0 };
        struct inspect_cursor cursor = { 0 };

        story_add(w, a, "k1", (struct ask){ 0 });
        story_run(w, 5);
        story_add(w, a, "k2", (struct ask){ 0 });
        story_run(w, 5);
        story_add(w, a, "k3", (struct ask){ 0 });
        story_add(w, b, "k4", (struct ask){ 0 });
        story_add(w, c, "k5", (struct ask){ 0 });
        story_run(w, 5);
        seen.n = 0;
        story_check(w, walk_on(w, &walk, 3, &cursor, &seen) && seen.n == 2);
        story_give(w, a, "k1,k2");
        story_check(w, walk_on(w, &walk, 1, &cursor, &seen) && seen.n == 3);
        story_check(w, strcmp(seen.all[2].key, "k3") == 0);
        world_end(w, a);
        story_check(w, walk_on(w, &walk, 2, &cursor, &seen) && seen.n == 4);
        story_check(w, strcmp(seen.all[3].key, "k4") == 0);
        world_end(w, b);
        story_check(w, !walk_on(w, &walk, 9, &cursor, &seen) && seen.n == 5);
        story_check(w, strcmp(seen.all[4].key, "k5") == 0);
        story_skip(w);
        story_end(w);
}

/* ... and come back as the last of its session's. */
static void what_the_walk_stands_on_may_be_taken_again(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        unsigned a = world_open(w, 1);
        struct inspect_cursor cursor = { 0 };
        const struct walk walk = { 0 };

        story_add(w, a, "k1", (struct ask){ 0 });
        story_run(w, 5);
        story_add(w, a, "k2", (struct ask){ 0 });
        story_run(w, 5);
        seen.n = 0;
        story_check(w, walk_on(w, &walk, 1, &cursor, &seen) && seen.n == 1);
        story_give(w, a, "k1");
        story_add(w, a, "k1", (struct ask){ 0 });
        story_run(w, 10);
        story_check(w, !walk_on(w, &walk, 9, &cursor, &seen) && seen.n == 3);
        story_check(w, strcmp(seen.all[1].key, "k2") == 0);
        story_skip(w);
        story_end(w);
}

/* Positions are counted on, also when those before have gone meanwhile. */
static bool on_position(void *userdata, const struct inspect_waiter *waiter)
{
        unsigned *last = userdata;

        ck_assert_uint_eq(waiter->position, ++*last);
        return true;
}

static void the_queue_of_a_key_goes_on_where_it_was(void)
{
        struct world *w = story_world(&(struct world_options){ 0 });
        struct inspect_cursor cursor = { 0 };
        unsigned i, last = 0, sessions[6];

        for (i = 0; i < 6; ++i) {
                sessions[i] = world_open(w, 1);
                story_add(w, sessions[i], "k", (struct ask){ .tries = -1, .ttl_ms = 60000 });
                story_run(w, 5);
        }
        if (w) {
                inspect_waiters(w->hosts[0].engine, text_of("k"), 2, &cursor, on_position, &last);
                story_check(w, last == 2);
                world_end(w, sessions[2]); /* at which it stands */
                world_end(w, sessions[4]);
                inspect_waiters(w->hosts[0].engine, text_of("k"), 9, &cursor, on_position, &last);
                story_check(w, last == 4);
        }
        story_skip(w);
        story_end(w);
}

STORY_MAIN("walk", STORY(the_locks_of_all), STORY(the_locks_of_one_session), STORY(those_who_wait),
           STORY(those_who_wait_for_one_key), STORY(what_the_walk_stands_on_may_go),
           STORY(what_the_walk_stands_on_may_be_taken_again), STORY(the_queue_of_a_key_goes_on_where_it_was))

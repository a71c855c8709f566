/*
 * Listening:
 *
 *      head refused --> on --> begun on a quorum of nodes: the head tries again --> told by a quorum: the head tries
 *
 * It listens before it tries again: a release in between is seen by that try, a later one is announced. An announcement
 * may be lost with a connection; when listening has begun anew the head tries once more. For locks of programs that do
 * not announce there are the ttl that the nodes tell, and the retry delay.
 *
 * A quorum must have announced, since a smaller part of the nodes is of no use, and since what others undo after they
 * failed is announced, too.
 */
#include "redlockd/core/listen.h"

#include "redlockd/core/call.h"
#include "redlockd/core/engine.h"
#include "redlockd/core/members.h"
#include "redlockd/core/resource.h"

static bool is_quorum(const struct engine *e, uint32_t nodes)
{
        return (unsigned)__builtin_popcount(nodes & e->members) >= members_quorum(e);
}

static void listen_set(struct engine *e, struct contest *contest, bool on)
{
        struct ears *ears = &contest->ears;

        ears->on = on;
        ears->open = ears->told = 0;
        ears->since_ns = e->now_ns;
        if (!ears->referenced)
                resource_ref_known(contest->resource);
        ears->referenced = true;
        outgoing_link(e, &ears->out, OUTGOING_LISTEN);
}

void listen_start(struct engine *e, struct resource *r)
{
        struct contest *contest = resource_contest(e, r);

        if (contest && !contest->ears.on)
                listen_set(e, contest, true);
}

void listen_review(struct engine *e, struct resource *r)
{
        struct contest *contest = r->contest;

        if (contest && contest->ears.on && !resource_head(r) && !r->lease && !deadline_armed(&contest->tenure.end))
                listen_set(e, contest, false);
}

bool listen_is_open(const struct resource *r, unsigned node)
{
        return r->contest && r->contest->ears.open & UINT32_C(1) << node;
}

void listen_on_left(const struct engine *e, struct resource *r)
{
        if (r->contest)
                r->contest->ears.since_ns = e->now_ns;
}

void listen_pop(struct engine *e, struct contest *contest, struct effect *ret_effect)
{
        struct ears *ears = &contest->ears;

        *ret_effect = (struct effect){ .kind = EFFECT_LISTEN,
                                       .listen = { .key = resource_key(contest->resource), .on = ears->on } };
        if (ears->on)
                return;
        ears->referenced = false;
        e->popped_resource = contest->resource;
}

/* How much later than at once: longer for who has waited less, and with some randomness. */
static uint64_t listen_delay_ns(struct engine *e, const struct ears *ears, uint64_t listeners_n)
{
        const uint64_t spread_ns = WAKE_SPREAD_MS * NS_PER_MS;
        uint64_t longest_ns = e->options.tenure_ms * WAKE_SPREAD_TENURES * NS_PER_MS;
        uint64_t waited_ns = e->now_ns - ears->since_ns, random;

        if (listeners_n <= 1)
                return 0;
        e->options.random(e->options.random_userdata, &random, sizeof(random));
        random %= NS_PER_MS * WAKE_SLOT_MS * (listeners_n > WAKE_FEW ? listeners_n : 1);
        if (waited_ns >= longest_ns)
                return random;
        return spread_ns - waited_ns / NS_PER_MS * spread_ns / (longest_ns / NS_PER_MS) + random;
}

/*
 * Where hundreds listen they must not all ask at once: tries that meet split the nodes among them, none gets a quorum,
 * what they undo is announced, and all ask again. So each has a slot among as many as there are hosts, and an
 * announcement draws anew for those whose slot has not come: a few fight for each turn, however many wait.
 */
static void listen_wake(struct engine *e, const struct ears *ears, struct call *c, uint64_t listeners_n)
{
        uint64_t at_ns = e->now_ns + listen_delay_ns(e, ears, listeners_n);

        if (listeners_n > WAKE_FEW)
                call_wake_anew(e, c, at_ns);
        else
                call_wake_at(e, c, at_ns);
}

void listen_on_heard(struct engine *e, const struct event *ev)
{
        struct resource *r = resource_find(e, ev->heard.key);
        uint32_t bit = UINT32_C(1) << ev->heard.node;
        struct claim *head = r ? resource_head(r) : NULL;
        struct ears *ears = r && r->contest ? &r->contest->ears : NULL;
        bool anew;

        if (!ears || !ears->on)
                return;
        anew = ears->open & bit;
        if (!ev->heard.released)
                ears->open |= bit;
        if (!head)
                return;
        if (!ev->heard.released) {
                if (anew || (unsigned)__builtin_popcount(ears->open & e->members) == members_quorum(e))
                        call_wake_at(e, head->call, e->now_ns);
                return;
        }
        ears->told |= bit;
        if (!is_quorum(e, ears->told))
                return;
        ears->told = 0;
        if (r->lease)
                return; /* its own release */
        ++e->counters.wakeups;
        listen_wake(e, ears, head->call, ev->heard.listeners_n);
}

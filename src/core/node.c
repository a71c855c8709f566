/*
 * The nodes of the engine. What a node is shown to be comes of two things, and of one that concerns all nodes together:
 *
 *      its connection      connecting, down, or up; only then
 *      its fitness         unfit, quarantined, or up: see fitness.c
 *      its run_id          two nodes that are one server must not make two votes of it: the first of them votes, those
 *                          that come later in the list are unfit while it is connected
 *
 * All nodes are reviewed after anything that concerns one, since a node that goes may make another one fit.
 *
 * `nodes_up` is whom an acquire or an extension is sent to. A node that is connected gets releases, too, whatever it
 * is: there, what it answers is no vote.
 */
#include "redlockd/core/node.h"

#include "redlockd/core/heal.h"
#include "redlockd/core/release.h"
#include "redlockd/core/session.h"

#include <assert.h>
#include <errno.h>

static const char reason_twin[] =
        "the same server as an earlier node of the list: one server is one node, so name it once";
static const char reason_forgot[] = "its certificate is gone: it has forgotten what it stored";

static uint32_t bit_of(unsigned node)
{
        return UINT32_C(1) << node;
}

static void node_disarm(struct engine *e, struct node *n)
{
        outgoing_unlink(e, &n->state_out);
        outgoing_unlink(e, &n->certify_out);
        heap_clear(&e->deadlines, &n->quarantine);
}

void node_init(struct engine *e, unsigned node)
{
        struct node *n = &e->nodes[node];

        node_disarm(e, n);
        *n = (struct node){ .state = NODE_CONNECTING };
        fitness_init(&n->fitness, validity_quarantine_ns(e->options.ttl_max_ms, e->options.drift_factor));
        n->quarantine.kind = DEADLINE_NODE;
}

int node_init_all(struct engine *e)
{
        unsigned node;

        for (node = 0; node < NODES_MAX; ++node) {
                if (heap_reserve(&e->deadlines) < 0) {
                        while (node-- > 0)
                                heap_release(&e->deadlines);
                        return -ENOMEM;
                }
                node_init(e, node);
        }
        return 0;
}

void node_deinit_all(struct engine *e)
{
        unsigned node;

        for (node = 0; node < NODES_MAX; ++node) {
                node_disarm(e, &e->nodes[node]);
                heap_release(&e->deadlines);
        }
}

/* An earlier node that is connected is the same server. */
static bool node_is_twin(const struct engine *e, unsigned node)
{
        const char *run_id = e->nodes[node].fitness.run_id;
        unsigned i;

        for (i = 0; i < node; ++i)
                if (e->nodes_linked & e->members & bit_of(i) && run_id[0] &&
                    strcmp(e->nodes[i].fitness.run_id, run_id) == 0)
                        return true;
        return false;
}

static enum node_state node_judge(const struct engine *e, unsigned node, const char **ret_reason)
{
        const struct node *n = &e->nodes[node];

        *ret_reason = n->told;
        if (n->link != NODE_UP)
                return n->link;
        if (n->fitness.state == FITNESS_UNFIT)
                return NODE_UNFIT;
        if (node_is_twin(e, node)) {
                *ret_reason = reason_twin;
                return NODE_UNFIT;
        }
        if (n->fitness.state == FITNESS_QUARANTINED) {
                if (!n->told[0])
                        *ret_reason = reason_forgot;
                return NODE_QUARANTINED;
        }
        assert(n->fitness.state == FITNESS_FIT);
        return NODE_UP;
}

static void node_tell(struct engine *e, unsigned node)
{
        struct session *s;

        outgoing_link(e, &e->nodes[node].state_out, OUTGOING_NODE);
        if (!(e->members & bit_of(node)))
                return; /* on its way out: nobody counts on it */
        TAILQ_FOREACH (s, &e->sessions_in_order, in_order) {
                session_notify_node(e, s, node);
        }
}

/* Its certificate is written when it is due; until then the end of the quarantine is waited for. */
static void node_schedule(struct engine *e, struct node *n)
{
        uint64_t votes_ns = fitness_votes_ns(&n->fitness);

        heap_clear(&e->deadlines, &n->quarantine);
        outgoing_unlink(e, &n->certify_out);
        if (n->state != NODE_QUARANTINED)
                return;
        if (fitness_is_due(&n->fitness, e->now_ns))
                outgoing_link(e, &n->certify_out, OUTGOING_CERTIFY);
        else if (votes_ns > 0)
                heap_set(&e->deadlines, &n->quarantine, votes_ns);
}

static void node_review(struct engine *e, unsigned node)
{
        struct node *n = &e->nodes[node];
        const char *reason;
        enum node_state state = node_judge(e, node, &reason);
        bool forgot;

        if (state == NODE_UP)
                e->nodes_up |= bit_of(node);
        else
                e->nodes_up &= ~bit_of(node);
        if (n->state == state && strncmp(n->reason, reason, NODE_REASON_MAX - 1) == 0)
                return;
        forgot = n->state != state && (state == NODE_UNFIT || (state == NODE_QUARANTINED && !n->fitness.kept));
        n->state = state;
        strncpy(n->reason, reason, NODE_REASON_MAX - 1);
        node_tell(e, node);
        if (forgot)
                heal_on_forgotten(e, node);
}

static void node_review_all(struct engine *e)
{
        unsigned node;

        for (node = 0; node < e->options.nodes_n; ++node)
                node_review(e, node);
}

void node_on_event(struct engine *e, const struct event *ev)
{
        unsigned node = ev->node.node;
        struct node *n = &e->nodes[node];
        bool came_up = ev->node.state == NODE_UP && n->link != NODE_UP;
        const char *told = ev->node.state == NODE_UP ? ev->node.look.reason : ev->node.reason;

        assert(node < e->options.nodes_n && ev->node.state <= NODE_DOWN);
        n->link = ev->node.state;
        strncpy(n->told, told ? told : "", NODE_REASON_MAX - 1);
        if (n->link == NODE_UP) {
                e->nodes_linked |= bit_of(node);
                clockwatch_on_sample(e, node, ev->node.look.node_ms, ev->node.look.sent_ns);
                fitness_on_look(&n->fitness, &ev->node.look, e->now_ns);
        } else {
                e->nodes_linked &= ~bit_of(node);
                if (ev->node.closed)
                        e->nodes_closed |= bit_of(node);
                fitness_on_down(&n->fitness);
        }
        node_review_all(e);
        node_schedule(e, n);
        if (came_up)
                release_on_node_up(e, node);
}

void node_on_uncertified(struct engine *e, unsigned node)
{
        struct node *n = &e->nodes[node];

        fitness_on_uncertified(&n->fitness);
        node_review_all(e);
        node_schedule(e, n);
}

void node_on_deadline(struct engine *e, struct node *n)
{
        node_schedule(e, n);
}

bool node_vouch(struct engine *e, unsigned node)
{
        struct node *n = &e->nodes[node];

        if (n->state != NODE_QUARANTINED || !fitness_vouch(&n->fitness, e->now_ns))
                return false;
        node_schedule(e, n);
        return true;
}

void node_note_error(struct engine *e, unsigned node, const char *error)
{
        ++e->nodes[node].errors;
        strncpy(e->nodes[node].error, error ? error : "", NODE_REASON_MAX - 1);
}

void node_pop(const struct engine *e, const struct node *n, struct effect *ret_effect)
{
        ret_effect->node.node = (unsigned)(n - e->nodes);
        ret_effect->node.mark = n->fitness.mark;
}

/*
 * Whether a node may vote.
 *
 *                          certificate stands
 *      UNSEEN --look--> FIT <----------------------------- QUARANTINED      UNFIT: a replica, an eviction policy ...
 *        ^               |  another look, or an answer:         ^            from each of them and back, by a look
 *        `- connection   `- the certificate does not stand -----'
 *           down
 *
 * A node that has forgotten a lock must not vote while that lock may still be valid somewhere. What it stored and what
 * tells that it did are lost together: its certificate, a key without a ttl, names the server's incarnation (run_id).
 * Every acquire and extend compares it on the node, in the same script; so a yes is always that of a node which has not
 * restarted, was not flushed, replaced or rolled back since the certificate was written.
 *
 * Until it is written nobody counts the node's yes, on any host. So what it forgot was granted before that, for the
 * longest ttl at most, which runs out on every clock within
 *
 *      forgot     seen missing                                     certificate written
 *      |----------|------------------------------------------------|
 *                 |<- longest ttl, drift, the age of a request --->|   counted here, on the clock of this host
 *      |<- no lock that was forgotten is still valid after this ->|
 *
 * The quarantine counts only if nothing was forgotten meanwhile: another host may have certified the node and may have
 * taken locks on it, and all that may be gone again between two looks. Therefore what is missing is not waited for:
 * each look leaves a mark there that nobody ever left before, and it is one mark that must stand all the time. The
 * certificate is written by a script that compares the mark and the run_id: in the place of what was watched, or not at
 * all. Since it is the mark that counts and not the looks, neither a connection that breaks nor a machine that sleeps
 * interrupts the quarantine, and an order to write that was under way when the node forgot does nothing.
 *
 * A node that keeps what it stored over a restart, as was verified (LOOK_KEPT), has only its certificate renewed.
 */
#include "redlockd/core/fitness.h"

#include <string.h>

void fitness_init(struct fitness *f, uint64_t quarantine_ns)
{
        *f = (struct fitness){ .quarantine_ns = quarantine_ns };
}

void fitness_on_down(struct fitness *f)
{
        f->state = FITNESS_UNSEEN;
}

/* What stands there instead of the certificate. It counts from when it was seen first, on this incarnation. */
static void fitness_watch(struct fitness *f, uint64_t mark, bool same_run, uint64_t now_ns)
{
        if (f->watching && f->mark == mark && same_run)
                return;
        f->watching = true;
        f->mark = mark;
        f->votes_ns = now_ns + f->quarantine_ns;
}

void fitness_on_look(struct fitness *f, const struct node_look *look, uint64_t now_ns)
{
        bool same_run = strncmp(f->run_id, look->run_id, NODE_RUN_ID_MAX - 1) == 0;

        strncpy(f->run_id, look->run_id, NODE_RUN_ID_MAX - 1);
        f->kept = look->verdict == LOOK_KEPT;
        switch (look->verdict) {
        case LOOK_CERTIFIED:
                f->state = FITNESS_FIT;
                f->watching = false;
                break;
        case LOOK_UNCERTIFIED:
                f->state = FITNESS_QUARANTINED;
                fitness_watch(f, look->mark, same_run, now_ns);
                break;
        case LOOK_KEPT:
                f->state = FITNESS_QUARANTINED;
                fitness_watch(f, look->mark, same_run, now_ns);
                f->votes_ns = now_ns;
                break;
        case LOOK_UNFIT:
                f->state = FITNESS_UNFIT;
                f->watching = false;
                break;
        }
}

void fitness_on_uncertified(struct fitness *f)
{
        if (f->state != FITNESS_FIT)
                return;
        f->state = FITNESS_QUARANTINED;
        f->kept = false;
        f->watching = false; /* the next look says what stands there */
}

bool fitness_vouch(struct fitness *f, uint64_t now_ns)
{
        if (f->state != FITNESS_QUARANTINED || !f->watching)
                return false;
        if (f->votes_ns > now_ns)
                f->votes_ns = now_ns;
        return true;
}

bool fitness_is_due(const struct fitness *f, uint64_t now_ns)
{
        return f->state == FITNESS_QUARANTINED && f->watching && now_ns >= f->votes_ns;
}

uint64_t fitness_votes_ns(const struct fitness *f)
{
        return f->state == FITNESS_QUARANTINED && f->watching ? f->votes_ns : 0;
}

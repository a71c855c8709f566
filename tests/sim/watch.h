#pragma once

/* clang-format off */
/*
 * The checkers. They know requests, replies, commands and true time, and nothing of the engine's inside.
 *
 * What is checked, in every run but where it says otherwise:
 *
 *  exclusion  no two sessions, of any hosts, are inside the validity of one key (not in wild runs)
 *  backing    at a grant and at an extension a quorum of nodes has the token of the host's lease, and will have it until
 *             the validity is over; nodes that forgot since it was first asked for (at an extension: since the request
 *             came) count as if they had it (not in wild runs)
 *  quarantine a node that forgot, or whose incarnation is another one, gives no vote before the longest ttl has passed
 *             since (not in wild runs; but where the incarnation only is new and its nodes are known to keep all)
 *  worth      a lock is granted for at least 90 % of the validity that was asked for, less the time that nodes may take
 *  fresh      a granted lock has a token that was never granted before
 *  once       each request is answered once, at the latest at its session's end, and never after it
 *  order      a session's requests for one key are answered in the order they came
 *  queue      on one host a key goes to who asked first
 *  budget     no request is answered later than its budget, a node timeout and the pauses of its host allow
 *  alive      what is reported as held is held by who asked, and validity never grows by itself
 *  told       a lost lock is told to a subscriber before its validity is over
 *  delay      a key stays taken for the delay of a lock whose session ended without freeing it
 *  deadlock   no sessions of a host wait for each other in a circle
 *  quiet      a host neither asks for nor releases what a session of its own holds
 *  timely     nothing is granted on answers that came after the node timeout
 *  bounded    effects of one step: no more than what is there can account for
 *  nothing    see world_calm(): in the end nothing is left, and every node votes again
 *
 * The faults that tame runs stay within (SPEC 3, SAFETY 1): any loss and delay of messages; any hang; any crash; nodes
 * that forget all or some of what they stored, whenever and however many of them, at a restart or while they are up;
 * rates of clocks that differ by less than driftFactor; pauses of hosts. Wild runs know no bounds: clocks of nodes
 * step, and operators vouch for nodes that have forgotten.
 */
/* clang-format on */
#include "sim/world.h"

#define WATCH_KEYS_MAX 12

struct watch;

struct watch *watch_new(bool wild);
struct watch *watch_free(struct watch *w);

/* The callbacks for a world; and the world itself, once it is made. */
struct world_watch watch_callbacks(struct watch *w);
void watch_world(struct watch *w, struct world *world);

/* A key's number, from its text; keys are "k0", "k1", ... */
const char *watch_key(unsigned key);

/* What was violated first, or NULL. */
const char *watch_verdict(const struct watch *w);

struct watch_counts {
        uint64_t requests, granted, extended, refused;
        uint64_t asked,
                raised; /* keys that the nodes were asked for and gave; ... and whose fences took a second round */
};

struct watch_counts watch_counts(const struct watch *w);

/*
 * Fence: the numbers that grants carry, over nodes that differ, lag, forget, and whose keys vanish early.
 *
 * Small scope. 3 nodes, a quorum of 2, HOSTS hosts with one try each. Two ways to make the numbers:
 *
 *      counter   (default)     proposal = far behind: a node answers the next number above what it has stored; with
 *                              HIGH_PROPOSALS also above all that was ever granted
 *      CLOCKS                  proposal = the clock of a host that is either far behind or FAR_AHEAD ticks ahead, and
 *                              another one for each node; UNIT numbers a tick. A node clamps it to MAX_AHEAD ticks ahead
 *                              of its own clock, and takes its own clock less GRACE as stored where nothing is. The
 *                              nodes' clocks differ by up to SKEW.
 *
 * The rule of the clocks is MAX_AHEAD + GRACE + SKEW < QUARANTINE, and that the grants of one key take fewer numbers a
 * tick than UNIT. What the hosts' own clocks say does not matter to it. The scene that it is for: a host far ahead gets a
 * high number from two nodes; one of them forgets, serves its quarantine, and with the third, which never saw that
 * number, makes a quorum for a host whose clock is right.
 *
 * Keys vanish at any moment, as if TTLs were of any length or clocks had stepped: two hosts may hold at once, and the
 * numbers must rise all the same. Time passes for CLOCKS only: while a node is silent, or with ANY_TICK between any two
 * steps up to HORIZON.
 *
 * RENEWS renewals of each host, each with the next number, for hand-overs.
 *
 * Left out: planting again (exclusion.pml); numbers given out by the host itself (handover.pml); renewals under CLOCKS;
 * the 24 hours after which a fence is forgotten; the limit of 2^53; steps of the nodes' wall clocks other than that
 * keys vanish.
 *
 * Checked, each where it is defined:
 *      RISING      a number is above every number granted before its acquire, or renewal, started
 *      UNIQUE      no number is granted twice
 *      REACH_...   not a property: the situation must be found, else the bounds are too small to mean anything
 */
#define FENCES
#define KEYS_VANISH
#ifndef HOSTS
#define HOSTS 3
#endif

#ifdef CLOCKS
#define HIGH_PROPOSALS
#ifndef MAX_AHEAD
#define MAX_AHEAD 1
#endif
#ifndef GRACE
#define GRACE 1
#endif
#ifndef SKEW
#define SKEW 1
#endif
#ifndef QUARANTINE
#define QUARANTINE (MAX_AHEAD + GRACE + SKEW + 1)
#endif
#ifndef FAR_AHEAD
#define FAR_AHEAD QUARANTINE
#endif
#ifndef UNIT
#define UNIT 2
#endif
#ifndef HORIZON
#define HORIZON (QUARANTINE + 1)
#endif
#define START GRACE /* so that no clock is negative */
#endif

#include "nodes.inc"

typedef host_state {
        byte state;
        byte value;
#ifdef REACH_RAISED /* a grant that took two round trips */
        byte raised;
#endif
#ifdef RENEWS
        byte number; /* of the lease, or the one that its renewal carries */
        byte renews_left;
#endif
        byte before; /* the highest number that had been granted when the acquire started */
};

host_state host[HOSTS];
byte highest;
#ifdef UNIQUE
int granted; /* a bit for each number */
#endif
bool all_done;
hidden byte rising, unique, never_so, stored, proposal, asking, above, idle, k;
#ifdef CLOCKS
byte wall = START;
#endif

#define QUORUM 2
#ifdef OFFER_AT_ONE /* taken away: a renewal's number is the host's when a quorum stands at it */
#define RENEWAL_QUORUM 1
#else
#define RENEWAL_QUORUM QUORUM
#endif
#define SILENT(n) (node[n].silent > 0)

/* The hosts are alike: they start in their order. */
#define MAY_START(h) (h == 0 || host[h - 1].state != IDLE)

#ifdef CLOCKS
#define HIGH_PROPOSAL ((wall + FAR_AHEAD) * UNIT)
#else
#define HIGH_PROPOSAL (highest + 2)
#endif

#ifdef CLOCKS
#define OWN_CLOCK(n) (wall + node[n].ahead)
#ifdef NO_FLOOR /* taken away: a node with nothing stored takes its own clock as stored */
#define FLOOR(n) 0
#else
#define FLOOR(n) ((OWN_CLOCK(n) - GRACE) * UNIT)
#endif
#ifdef NO_CLAMP /* taken away: a proposal is clamped to the node's clock */
#define CLAMPED(n, number) number
#else
#define CEILING(n)         ((OWN_CLOCK(n) + MAX_AHEAD) * UNIT)
#define CLAMPED(n, number) (number < CEILING(n) -> number : CEILING(n))
#endif
#else
#define FLOOR(n)           0
#define CLAMPED(n, number) number
#endif

#define STORED(n) (node[n].fence > 0 -> node[n].fence : FLOOR(n))

#include "numbers.inc"

inline start_acquire(h)
{
        SAY("host %d acquires\n", h);
        host[h].state = ASKING;
        host[h].value = h + 1;
        host[h].before = highest;
        for (i : 0 .. NODES - 1) {
                send(i, h, ACQUIRE, host[h].value, 0)
        }
}

/* From now on the number is the host's. */
inline take_number(h)
{
        SAY("host %d has number %d\n", h, number);
#ifdef RISING
        rising = number > host[h].before;
        assert(rising);
#endif
#ifdef UNIQUE
        unique = !(granted & (1 << number));
        assert(unique);
        granted = granted | (1 << number);
#endif
        highest = HIGHEST_OF(highest, number)
}

inline end_lease(h)
{
        host[h].state = DONE;
        host[h].value = 0;
        host[h].before = 0;
#ifdef RENEWS
        host[h].number = 0;
#endif
        for (i : 0 .. NODES - 1) {
#ifdef RENEWS
                node[i].to[h].trust = NONE;
#endif
                if
                :: node[i].owner == h + 1 -> clear_key(i)
                :: else
                fi;
                if
                :: node[i].to[h].command != ACQUIRE && node[i].to[h].command != NOTHING -> end_command(i, h)
                :: else
                fi
        }
        clear_votes(h)
}

#ifdef RENEWS
inline hold(h)
{
        host[h].state = HOLDING;
        host[h].before = 0;
        clear_votes(h);
        for (i : 0 .. NODES - 1) {
                if
                :: node[i].to[h].command == EXTEND -> node[i].to[h].command = STALE
                :: node[i].to[h].command == RAISE -> end_command(i, h)
                :: else
                fi
        }
}

/* The lease is renewed with the next number, for the hand-overs that follow; see exclusion.pml for the trust. */
inline start_renewal(h)
{
        SAY("host %d renews\n", h);
        host[h].state = EXTENDING;
        host[h].renews_left--;
        host[h].before = highest;
        host[h].number++;
        for (i : 0 .. NODES - 1) {
                if
                :: node[i].to[h].trust == FRESH -> node[i].to[h].trust = RIPE
                :: else
                fi;
                send(i, h, EXTEND, host[h].value, host[h].number)
        }
}

inline renewed(h)
{
        number = host[h].number;
        take_number(h);
        for (i : 0 .. NODES - 1) {
                if
                :: node[i].to[h].vote && node[i].to[h].trust == RIPE -> node[i].to[h].trust = COUNTED
                :: else
                fi
        }
        if
        :: host[h].renews_left == 0 -> end_lease(h)
        :: else -> hold(h)
        fi
}

#ifdef RENEWAL_COUNTS_ALL /* taken away: only what is COUNTED counts */
#define COUNTED_YES(n) node[n].to[h].vote
#else
#define COUNTED_YES(n) (node[n].to[h].vote && node[n].to[h].trust == COUNTED)
#endif
#endif

inline grant(h)
{
#ifdef REACH_FORGOTTEN
        never_so = SUM(FORGOT_AND_YES) == 0;
        assert(never_so);
#endif
#ifdef REACH_RAISED
        never_so = !host[h].raised;
        assert(never_so);
#endif
        take_number(h);
#ifdef RENEWS
        host[h].number = number;
        host[h].renews_left = RENEWS;
        for (i : 0 .. NODES - 1) {
                node[i].to[h].trust = (node[i].to[h].vote -> COUNTED : NONE)
        }
        hold(h)
#else
        end_lease(h)
#endif
}

inline decide(h)
{
        count_votes(h);
#if defined(HIGHEST_ANSWER) /* taken away: raised where they differ */
        grant(h)
#elif defined(RAISE_UNAWAITED) /* taken away: granted when a quorum stands at the number */
        raise(h);
        grant(h)
#else
        if
        :: SUM(AGREES) >= QUORUM -> grant(h)
        :: else ->
#ifdef REACH_RAISED
                host[h].raised = 1;
#endif
                raise(h)
        fi
#endif
}

/* Whether the node would do it; a command that it would refuse might as well never come. */
#ifdef RAISE_ANYBODY /* taken away: raised only where the value is still ours */
#define RAISES(n, h) true
#else
#define RAISES(n, h) (node[n].owner == node[n].to[h].value)
#endif
#define CARRIES_OUT(n, h) \
        (node[n].silent == 0 && ((node[n].to[h].command == ACQUIRE && node[n].owner == 0) || \
                                 (node[n].to[h].command == RAISE && RAISES(n, h)) || \
                                 ((node[n].to[h].command == EXTEND || node[n].to[h].command == STALE) && \
                                  node[n].owner == node[n].to[h].value)))

inline carry_out(n, h, high)
{
        SAY("node %d carries out command %d of host %d, fence %d\n", n, node[n].to[h].command, h, node[n].fence);
        stored = STORED(n);
        if
        :: node[n].to[h].command == ACQUIRE ->
                node[n].owner = host[h].value;
                proposal = (high -> CLAMPED(n, HIGH_PROPOSAL) : 1);
#if defined(PROPOSAL_WINS) /* taken away: above what is stored */
                stored = proposal;
#elif defined(NO_STEP) /* taken away: by one at least */
                stored = HIGHEST_OF(stored, proposal);
#else
                stored = HIGHEST_OF(stored + 1, proposal);
#endif
#ifndef NOT_ACCEPTED /* taken away: the number that is answered is stored */
                node[n].fence = stored
#endif
        :: else ->
                stored = HIGHEST_OF(node[n].fence, node[n].to[h].number);
                node[n].fence = stored
        fi
}

inline answer(n, h)
{
        if
        :: host[h].state == ASKING ->
                node[n].to[h].vote = 1;
                node[n].to[h].told = stored
#ifdef RENEWS
        :: host[h].state == EXTENDING && node[n].to[h].command == EXTEND -> node[n].to[h].vote = 1
        :: (host[h].state == HOLDING || host[h].state == EXTENDING) && node[n].to[h].command == ACQUIRE ->
                node[n].to[h].trust = FRESH
#endif
        :: else
        fi
}

/* Ends every step. What can matter no more is forgotten. */
inline done()
{
        asking = 0;
        above = 0;
        idle = 0;
        for (k : 0 .. HOSTS - 1) {
                asking = asking + (host[k].state == ASKING || host[k].state == HOLDING || host[k].state == EXTENDING);
                above = above + (host[k].before > 0);
                idle = idle + (host[k].state == IDLE)
        }
        if
        :: idle == 0 -> highest = 0
        :: else
        fi;
#ifdef UNIQUE
        if
        :: asking == 0 -> granted = 0
        :: else
        fi;
#endif
#if defined(RISING) && !defined(UNIQUE) && !defined(RENEWS) /* nobody is left who could get too low a number */
        all_done = (above + idle == 0);
#else
        all_done = (asking + idle == 0);
#endif
        SORT_NODES
}

#ifdef ANY_TICK
#define MAY_TICK (wall < START + HORIZON)
#else
#define MAY_TICK (SUM(SILENT) > 0)
#endif

proctype clock()
{
#ifdef CLOCKS
        do
        :: d_step {
                MAY_TICK && !all_done ->
                wall++;
                nodes_tick();
                done()
        }
        od
#else
        skip
#endif
}

proctype host_of(byte h)
{
        do
        :: d_step {
                host[h].state == IDLE && MAY_START(h) ->
                start_acquire(h);
                done()
        }
        :: d_step {
                host[h].state == ASKING && SUM(SAID_YES) >= QUORUM ->
                decide(h);
                done()
        }
#ifdef RENEWS
        :: d_step {
                host[h].state == HOLDING ->
                start_renewal(h);
                done()
        }
        :: d_step {
                host[h].state == EXTENDING && SUM(COUNTED_YES) >= RENEWAL_QUORUM ->
                renewed(h);
                done()
        }
#endif
        od
}

#include "world.inc"

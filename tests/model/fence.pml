/*
 * Fence: the numbers that grants carry, over nodes that differ, lag, forget, and whose keys vanish early.
 *
 * Small scope. 3 nodes, a quorum of 2, 2 hosts with TRIES_0 and TRIES_1 tries, a TTL of a few ticks. Two ways to make the
 * numbers:
 *
 *      counter   (default)     proposal = highest seen + 1
 *      CLOCKS                  proposal = a clock of the host that may be anything between far behind and FAR_AHEAD ticks
 *                              ahead, UNIT numbers a tick; a node clamps it to MAX_AHEAD ticks ahead of its own clock, and
 *                              takes its own clock less GRACE as stored where nothing is; the nodes' clocks differ by up
 *                              to SKEW. Time ends after HORIZON ticks.
 *
 * The rule of the clocks is MAX_AHEAD + GRACE + SKEW < QUARANTINE, and that the grants of one key take fewer numbers a
 * tick than UNIT. What the hosts' own clocks say does not matter to it.
 *
 * Left out: extends, and what is planted again (exclusion.pml); numbers given out by the host itself (handover.pml);
 * the 24 hours after which a fence is forgotten; the limit of 2^53; steps of the nodes' wall clocks other than that
 * keys vanish.
 *
 * Checked, each where it is defined:
 *      RISING      a grant's number is above every number granted before its acquire started
 *      UNIQUE      no number is granted twice
 *      ORDER       a grant's number is above every number granted before it
 *      REACH_...   not a property: the situation must be found
 */
#define FENCES
#define KEYS_VANISH
#ifndef HOSTS
#define HOSTS 3
#endif

#ifdef CLOCKS
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
        byte before; /* the highest number that had been granted when the acquire started */
};

host_state host[HOSTS];
byte highest;
int granted; /* a bit for each number */
bool all_done;
hidden byte rising, unique, never_so, stored, proposal, asking, idle, k;
#ifdef CLOCKS
byte wall = START;
#endif

#define QUORUM 2
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
#ifdef REFUSE_ABOVE /* a node refuses an acquire whose number would be above its ceiling, whatever the proposal was */
#define ROOM(n) (STORED(n) < CEILING(n))
#else
#define ROOM(n) true
#endif

#include "numbers.inc"

inline start_acquire(h)
{
        host[h].state = ASKING;
        host[h].value = h + 1;
        host[h].before = highest;
        for (i : 0 .. NODES - 1) {
                send(i, h, ACQUIRE, host[h].value, 0)
        }
}

inline grant(h)
{
        rising = number > host[h].before;
        unique = !(granted & (1 << number));
#ifdef RISING
        assert(rising);
#endif
#ifdef UNIQUE
        assert(unique);
#endif
        granted = granted | (1 << number);
        highest = HIGHEST_OF(highest, number);
        host[h].state = DONE;
        host[h].value = 0;
        host[h].before = 0;
        for (i : 0 .. NODES - 1) {
                if
                :: node[i].owner == h + 1 -> clear_key(i)
                :: else
                fi;
                if
                :: node[i].to[h].command == RAISE -> end_command(i, h)
                :: else
                fi
        }
        clear_votes(h)
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
        :: else -> raise(h)
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
        (node[n].silent == 0 && ((node[n].to[h].command == ACQUIRE && node[n].owner == 0 && ROOM(n)) || \
                                 (node[n].to[h].command == RAISE && RAISES(n, h))))

inline carry_out(n, h, high)
{
        stored = STORED(n);
        if
        :: node[n].to[h].command == ACQUIRE ->
                node[n].owner = host[h].value;
                proposal = (high -> CLAMPED(n, HIGH_PROPOSAL) : 0);
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
        :: else
        fi
}

/* Ends every step. What can matter no more is forgotten. */
inline done()
{
        asking = 0;
        idle = 0;
        for (k : 0 .. HOSTS - 1) {
                asking = asking + (host[k].state == ASKING);
                idle = idle + (host[k].state == IDLE)
        }
        if
        :: asking == 0 -> granted = 0
        :: else
        fi;
        if
        :: idle == 0 -> highest = 0
        :: else
        fi;
        all_done = (asking + idle == 0);
        SORT_NODES
}

proctype clock()
{
#ifdef CLOCKS
        do
        :: d_step {
                SUM(SILENT) > 0 && !all_done ->
#ifdef TICKS
                wall++;
                nodes_tick();
#else
                do
                :: SUM(SILENT) > 0 ->
                        wall++;
                        nodes_tick()
                :: else -> break
                od;
#endif
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
        od
}

#include "world.inc"

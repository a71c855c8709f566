/*
 * Hand-over: the host keeps the lease in the nodes, and passes the lock from session to session inside it.
 *
 *      nodes    lease of host 0, number m          lease of host 1, number m + 1
 *               |--------- valid ---------|        |---------- valid -----------|
 *      fences   m.0   m.1   m.2  (m.LOW - 1 is the last; a renewal that brings m + 1 to a quorum starts anew)
 *               |-A-| |-B-| |-C---|
 *
 * Small scope. 3 nodes, a quorum of 2, 2 hosts with TRIES_0 and TRIES_1 leases, EXTENDS renewals and HANDOVERS together,
 * LOW fences for each number, a TTL of a few ticks. Keys on nodes end with their TTL, or when a clock steps (STEPS).
 * Left out: nodes that forget (exclusion.pml, fence.pml), what is planted again or answers late (a renewal counts only the
 * nodes of the grant), the share of its ttl that a session is promised, the queue and the tenure.
 *
 * Checked, each where it is defined:
 *      EXCLUSION   no two sessions, of whatever hosts, are inside the validity of their locks
 *      UNIQUE      no fence is granted twice
 *      ORDER       a fence is above every fence granted before it
 *      RISING      the fence of a grant by the nodes is above every fence granted before its acquire started
 *      REACH_...   not a property: the situation must be found
 */
#define FENCES
#ifndef EXTENDS
#define EXTENDS 1
#endif
#ifndef HANDOVERS
#define HANDOVERS 2
#endif
#ifndef LOW
#define LOW 2
#endif

#include "nodes.inc"

typedef host_state {
        byte state;
        byte tries;
        byte elapsed;
        byte value;
        byte valid;   /* ticks, of the lease */
        byte number;  /* of the lease */
#ifdef REACH_OFFERED
        byte first_number;
#endif
        byte low;     /* of the next fence */
        byte offer;   /* the number that the renewal under way carries */
        byte before;  /* the highest fence that had been granted when the acquire started */
        byte session; /* ticks of validity of the session that holds the lock; 0: nobody does */
};

host_state host[HOSTS];
byte extends_left = EXTENDS, handovers_left = HANDOVERS, highest;
#ifdef REACH_ALL
byte served; /* a bit for each host */
#endif
int granted; /* a bit for each fence */
hidden byte exclusion, unique, order, rising, never_so, stored, fence, k;

#include "numbers.inc"

#ifdef RENEWED_FROM_ANSWER /* taken away: a renewal's validity counts from its start */
#define RENEWED(h) TTL
#else
#define RENEWED(h) (TTL - host[h].elapsed)
#endif

#ifdef HAND_LATE /* taken away: passed on inside the lease's validity only */
#define LEASE_SERVES(h) true
#else
#define LEASE_SERVES(h) (host[h].valid > 0)
#endif

#if defined(HAND_FULL) || defined(HAND_LATE) /* taken away: a session's validity ends with the lease's */
#define SESSION_VALIDITY(h) TTL
#else
#define SESSION_VALIDITY(h) host[h].valid
#endif

#ifdef HAND_EARLY /* taken away: passed on when the former holder is done */
#define NOBODY_HOLDS(h) true
#else
#define NOBODY_HOLDS(h) (host[h].session == 0)
#endif

#ifdef LOW_OVERFLOWS /* taken away: a fence beyond the number's own needs a higher number at a quorum */
#define FENCES_LEFT(h) true
#else
#define FENCES_LEFT(h) (host[h].low < LOW)
#endif

#ifdef SAME_FENCE /* taken away: each holder has a fence of its own */
#define PAST_LOW(h) host[h].low
#else
#define PAST_LOW(h) (host[h].low + 1)
#endif

#ifdef GIVE_BACK_HELD /* taken away: the lease is given back when no session holds the lock */
#define MAY_GIVE_BACK(h) true
#else
#define MAY_GIVE_BACK(h) (host[h].session == 0)
#endif

#define COUNTED_YES(n) (node[n].to[h].vote && node[n].to[h].trust == COUNTED)

#ifdef OFFER_AT_ONE /* taken away: a renewal is won by a quorum */
#define ENOUGH 1
#else
#define ENOUGH QUORUM
#endif

inline forget_lock(h)
{
        host[h].valid = 0;
        host[h].number = 0;
        host[h].low = 0;
        host[h].offer = 0;
        host[h].before = 0
}

inline start_acquire(h)
{
        SAY("host %d acquires\n", h);
        host[h].state = ASKING;
        host[h].elapsed = 0;
        host[h].value = VALUE(h, host[h].tries);
        host[h].tries++;
        host[h].before = highest;
        for (i : 0 .. NODES - 1) {
                send(i, h, ACQUIRE, host[h].value, 0)
        }
}

/* A session gets the lock, and the next fence. */
inline enter(h, validity)
{
        exclusion = (host[h].session == 0);
#ifdef REACH_OFFERED /* a fence of a number that a renewal brought to a quorum */
        never_so = host[h].number == host[h].first_number;
        assert(never_so);
#endif
#ifdef REACH_ALL /* each host passed its lock on once */
        served = served | ((host[h].low > 0) << h);
        never_so = served != (1 << HOSTS) - 1;
        assert(never_so);
#endif
        fence = host[h].number * LOW + host[h].low;
        SAY("a session of host %d gets fence %d\n", h, fence);
        host[h].low = PAST_LOW(h);
        unique = !(granted & (1 << fence));
        order = fence > highest;
#ifdef EXCLUSION
        assert(exclusion);
#endif
#ifdef UNIQUE
        assert(unique);
#endif
#ifdef ORDER
        assert(order);
#endif
        granted = granted | (1 << fence);
        highest = HIGHEST_OF(highest, fence);
        host[h].session = validity
}

inline grant(h)
{
        SAY("host %d is granted\n", h);
        host[h].state = HOLDING;
        host[h].valid = TTL - host[h].elapsed;
        host[h].elapsed = 0;
        host[h].number = number;
#ifdef REACH_OFFERED
        host[h].first_number = number;
#endif
        host[h].low = 0;
        rising = number * LOW > host[h].before;
#ifdef RISING
        assert(rising);
#endif
        host[h].before = 0;
        for (i : 0 .. NODES - 1) {
                if
                :: node[i].to[h].vote -> node[i].to[h].trust = COUNTED
                :: else
                fi
        }
        clear_votes(h);
        enter(h, host[h].valid)
}

inline decide(h)
{
        count_votes(h);
        if
        :: SUM(AGREES) >= QUORUM -> grant(h)
        :: else -> raise(h)
        fi
}

inline start_renewal(h, higher)
{
        SAY("host %d renews\n", h);
        extends_left--;
        host[h].state = EXTENDING;
        host[h].elapsed = 0;
        host[h].offer = host[h].number + higher;
        for (i : 0 .. NODES - 1) {
                send(i, h, EXTEND, host[h].value, host[h].offer)
        }
#ifdef OFFER_UNAWAITED /* taken away: a number is used when a quorum stands at it */
        take_offer(h)
#endif
}

inline take_offer(h)
{
        if
        :: host[h].offer > host[h].number ->
                host[h].number = host[h].offer;
                host[h].low = 0
        :: else
        fi
}

inline end_renewal(h)
{
        host[h].state = HOLDING;
        host[h].elapsed = 0;
        host[h].offer = 0;
        clear_votes(h);
        for (i : 0 .. NODES - 1) {
                if
                :: node[i].to[h].command == EXTEND -> node[i].to[h].command = STALE
                :: else
                fi;
                if
                :: BEHIND(i, h) == EXTEND -> SET_BEHIND(i, h, STALE)
                :: else
                fi
        }
}

/* The session that holds the lock may ask for more of it, or not. */
inline renewed(h, session_too)
{
        SAY("host %d has renewed\n", h);
        host[h].valid = RENEWED(h);
        take_offer(h);
        if
        :: session_too && host[h].session > 0 -> host[h].session = host[h].valid
        :: else
        fi;
        end_renewal(h)
}

inline carry_out(n, h)
{
        SAY("node %d carries out command %d of host %d, owner %d\n", n, node[n].to[h].command, h, node[n].owner);
        result = 0;
        stored = node[n].fence;
        if
        :: node[n].to[h].command == ACQUIRE && node[n].owner == 0 ->
                node[n].owner = node[n].to[h].value;
                node[n].left = TTL;
                stored++;
                node[n].fence = stored;
                result = 1
        :: node[n].to[h].command == RAISE && node[n].owner == node[n].to[h].value ->
                stored = HIGHEST_OF(stored, node[n].to[h].number);
                node[n].fence = stored;
                result = 1
        :: (node[n].to[h].command == EXTEND || node[n].to[h].command == STALE) &&
                node[n].owner == node[n].to[h].value ->
                node[n].left = TTL;
                stored = HIGHEST_OF(stored, node[n].to[h].number);
                node[n].fence = stored;
                result = 1
        :: else
        fi
}

inline answer(n, h)
{
        if
        :: node[n].to[h].value != host[h].value || host[h].state == IDLE
        :: else ->
                if
                :: result && host[h].state == ASKING ->
                        node[n].to[h].vote = 1;
                        node[n].to[h].told = stored
                :: result && node[n].to[h].command == EXTEND -> node[n].to[h].vote = 1
                :: !result && (node[n].to[h].command == EXTEND || node[n].to[h].command == STALE) ->
                        node[n].to[h].trust = NONE
                :: else
                fi
        fi
}

inline done()
{
#ifdef EXCLUSION
        exclusion = !(host[0].session > 0 && host[1].session > 0);
        assert(exclusion);
#endif
        SORT_NODES
}

proctype clock()
{
        do
        :: d_step {
                true ->
                nodes_tick();
                for (k : 0 .. HOSTS - 1) {
                        if
                        :: (host[k].state == ASKING || host[k].state == EXTENDING) && host[k].elapsed < TTL ->
                                host[k].elapsed++
                        :: else
                        fi;
                        if
                        :: host[k].valid > 0 -> host[k].valid--
                        :: else
                        fi;
                        if
                        :: host[k].session > 0 -> host[k].session--
                        :: else
                        fi
                }
                done()
        }
        od
}

proctype host_of(byte h)
{
        do
        :: d_step {
                host[h].state == IDLE && host[h].tries < TRIES(h) ->
                start_acquire(h);
                done()
        }
        :: d_step {
                host[h].state == ASKING && SUM(SAID_YES) >= QUORUM && host[h].elapsed < TTL ->
                decide(h);
                done()
        }
        :: d_step { /* the session frees the lock */
                host[h].session > 0 ->
                host[h].session = 0;
                done()
        }
        :: d_step {
                (host[h].state == HOLDING || host[h].state == EXTENDING) && NOBODY_HOLDS(h) && LEASE_SERVES(h) &&
                        FENCES_LEFT(h) && handovers_left > 0 ->
                handovers_left--;
                enter(h, SESSION_VALIDITY(h));
                done()
        }
        :: d_step {
                host[h].state == HOLDING && host[h].valid > 0 && extends_left > 0 ->
                start_renewal(h, 0);
                done()
        }
        :: d_step {
                host[h].state == HOLDING && host[h].valid > 0 && extends_left > 0 ->
                start_renewal(h, 1);
                done()
        }
        :: d_step {
                host[h].state == EXTENDING && SUM(COUNTED_YES) >= ENOUGH && host[h].elapsed < TTL &&
                        host[h].valid > 0 ->
                renewed(h, true);
                done()
        }
        :: d_step {
                host[h].state == EXTENDING && SUM(COUNTED_YES) >= ENOUGH && host[h].elapsed < TTL &&
                        host[h].valid > 0 ->
                renewed(h, false);
                done()
        }
        :: d_step {
                host[h].state == EXTENDING ->
                end_renewal(h);
                done()
        }
        :: d_step { /* a round that is given up, or a lease that is given back */
                host[h].state != IDLE && MAY_GIVE_BACK(h) ->
                give_up(h);
                done()
        }
        od
}

#include "world.inc"

/*
 * Exclusion: acquire, extend, plant again, undo, on three nodes that forget, for two hosts.
 *
 * Small scope. 3 nodes and a quorum of 2; 2 hosts with TRIES_0 and TRIES_1 tries; a TTL of a few
 * ticks; a tick ages everything at once. What holds here holds for every order of the steps within these bounds, and is
 * not proved beyond them. Left out: fences (fence.pml), the passing on of a lock on its host (handover.pml), how a node
 * gets its certificate (here a node that forgot keeps silent for QUARANTINE ticks), different TTLs,
 * the clock watch, and clocks whose rates vary (FAST makes the nodes' clocks gain at one rate).
 *
 * Checked, each where it is defined:
 *      EXCLUSION       no two hosts are inside the validity of their locks
 *      CONTINUITY      an extend that starts after fewer than a quorum had the lock never wins
 *      NO_LEFTOVERS    a value on a node is held, being asked for, or its undo is on its way to that node
 *      REACH_...       not a property: the situation must be found, else the bounds are too small to mean anything
 *
 * Trust, for each lock and node (rule RIPE):
 *
 *      NONE --late yes, planted--> FRESH --extend starts--> RIPE --it wins, with this node's yes--> COUNTED
 *      any --missing, or a key is sent to be planted--> NONE           grant: the nodes of the quorum are COUNTED
 *
 * Only COUNTED nodes count in an extend. A key is planted only after an extend has won.
 */
#ifdef OTHER_LIST /* taken away: the same list on all hosts. Host 1 knows node 2 only. */
#define NODES_DIFFER
#define WEIGHT(h, n) (h == 0 || n == 2)
#define QUORUM(h)    (h == 0 -> 2 : 1)
#else
#ifdef MINORITY /* taken away: two quorums share a node */
#define WEIGHT(h, n) 1
#define QUORUM(h)    1
#else
#define WEIGHT(h, n) 1
#define QUORUM(h)    (NODES / 2 + 1)
#endif
#endif

#include "nodes.inc"

typedef host_state {
        byte state;
        byte tries;
        byte elapsed; /* ticks since the first byte of the round was sent; up to TTL */
        byte valid;   /* ticks */
        byte value;
#ifdef CONTINUITY
        byte broken; /* fewer than a quorum had it at some moment since the grant */
        byte broken_before; /* ... when the extend started */
#endif
};

host_state host[HOSTS];
byte extends_left = EXTENDS;
#ifdef REACH_ALL
byte served; /* a bit for each host */
#endif
hidden byte exclusion, continuity, no_leftovers, never_so, k;

/* The certificate of a node names the list; host 0 wrote it. A host of another list gets no vote. */
#if defined(OTHER_LIST) && defined(CERTIFIED_LIST)
#define CERTIFIED(h) (h == 0)
#else
#define CERTIFIED(h) true
#endif

#define DRIFT FAST
#ifdef NO_DRIFT /* taken away: the drift comes off the validity */
#undef DRIFT
#define DRIFT 0
#endif

#ifdef FROM_GRANT /* taken away: validity counted from before the first byte */
#define VALIDITY(h) (TTL - DRIFT)
#define IN_TIME(h)  true
#else
#ifdef NO_SECOND_LOOK /* taken away: looked at again when the answer is written */
#define VALIDITY(h) (TTL - DRIFT > host[h].elapsed -> TTL - DRIFT - host[h].elapsed : 1)
#define IN_TIME(h)  true
#else
#define VALIDITY(h) (TTL - DRIFT - host[h].elapsed)
#define IN_TIME(h)  (host[h].elapsed < TTL - DRIFT)
#endif
#endif

#ifdef EXTEND_FROM_ANSWER /* taken away: an extend's validity counts from its start */
#define EXTENDED_VALIDITY(h) (TTL - DRIFT)
#else
#define EXTENDED_VALIDITY(h) (TTL - DRIFT - host[h].elapsed)
#endif

#ifdef EXTEND_BLIND /* taken away: compare and set the TTL */
#define EXTEND_FINDS(n, h) (node[n].owner != 0)
#else
#define EXTEND_FINDS(n, h) (node[n].owner == node[n].to[h].value)
#endif

/* Taken away, one by one: the parts of RIPE. */
#ifdef PLANT_COUNTS_AT_ONCE
#define PLANT_IN_EXTEND
#endif
#ifdef PLANT_COUNTS_NEXT /* ... from the next round on */
#define PLANTED COUNTED
#else
#define PLANTED FRESH
#endif
#ifdef LATE_YES_COUNTS
#define LATE COUNTED
#else
#define LATE FRESH
#endif

#define SAID_YES(n)     (node[n].to[h].vote * WEIGHT(h, n))
#define COUNTED_YES(n)  ((node[n].to[h].vote && node[n].to[h].trust == COUNTED) * WEIGHT(h, n))
#define PLANTED_BY_EXTEND 2
#ifdef FRESH_RISES /* taken away: only what was FRESH when the round started may be COUNTED when it is won */
#define MAY_RISE(n) (node[n].to[h].trust != NONE)
#else
#define MAY_RISE(n) (node[n].to[h].trust == RIPE)
#endif
#define FIRST_AND_YES(n) (node[n].to[h].vote && node[n].to[h].first)
#define OWNED_BY(n)     (node[n].owner == host[k].value)

inline forget_lock(h)
{
        host[h].valid = 0
}

inline start_acquire(h)
{
        SAY("host %d acquires\n", h);
        host[h].state = ASKING;
        host[h].elapsed = 0;
        host[h].value = VALUE(h, host[h].tries);
        host[h].tries++;
        for (i : 0 .. NODES - 1) {
                send(i, h, ACQUIRE, host[h].value, 0)
        }
}

inline grant(h)
{
        SAY("host %d is granted\n", h);
#ifdef REACH_FORGOTTEN
        never_so = SUM(FORGOT_AND_YES) == 0;
        assert(never_so);
#endif
#ifdef REACH_ALL /* each host was granted its lock once */
        served = served | (1 << h);
        never_so = served != (1 << HOSTS) - 1;
        assert(never_so);
#endif
        host[h].valid = VALIDITY(h);
        host[h].state = HOLDING;
        host[h].elapsed = 0;
        for (i : 0 .. NODES - 1) {
                if
                :: node[i].to[h].vote ->
                        node[i].to[h].trust = COUNTED;
#ifdef REACH_PLANTED
                        node[i].to[h].first = 1
#endif
                :: else
                fi
        }
        clear_votes(h)
}

inline start_extend(h)
{
        SAY("host %d extends\n", h);
        extends_left--;
        host[h].state = EXTENDING;
        host[h].elapsed = 0;
#ifdef CONTINUITY
        host[h].broken_before = host[h].broken;
#endif
        for (i : 0 .. NODES - 1) {
                if
                :: node[i].to[h].trust == FRESH -> node[i].to[h].trust = RIPE
                :: else
                fi;
                send(i, h, EXTEND, host[h].value, 0)
        }
}

inline end_extend(h)
{
        host[h].state = HOLDING;
        host[h].elapsed = 0;
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

/* Nodes that said "missing", or nothing, get the key again. */
inline plant(h)
{
        for (i : 0 .. NODES - 1) {
                if
                :: !node[i].to[h].vote && node[i].to[h].command == NOTHING && node[i].to[h].undo == 0 ->
                        send(i, h, PLANT, host[h].value, 0);
#ifndef PLANTED_STAYS_COUNTED /* taken away: NONE from the moment that the planting is sent */
                        node[i].to[h].trust = NONE
#endif
                :: else
                fi
        }
}

inline extended(h)
{
        SAY("host %d has extended\n", h);
#ifdef CONTINUITY
        continuity = !host[h].broken_before;
        assert(continuity);
#endif
#ifdef REACH_PLANTED /* an extend that could not have won without a node that was planted, or late */
        never_so = SUM(FIRST_AND_YES) >= QUORUM(h);
        assert(never_so);
#endif
        host[h].valid = EXTENDED_VALIDITY(h);
        for (i : 0 .. NODES - 1) {
                if
                :: node[i].to[h].vote && MAY_RISE(i) -> node[i].to[h].trust = COUNTED
                :: else
                fi
        }
#ifndef PLANT_IN_EXTEND
        plant(h);
#endif
        end_extend(h)
}

inline carry_out(n, h)
{
        SAY("node %d carries out command %d of host %d, owner %d\n", n, node[n].to[h].command, h, node[n].owner);
        result = 0;
        if
        :: node[n].to[h].command == ACQUIRE && node[n].owner == 0 && node[n].silent == 0 ->
                node[n].owner = node[n].to[h].value;
                node[n].left = TTL - FAST;
                result = CERTIFIED(h)
        :: (node[n].to[h].command == EXTEND || node[n].to[h].command == STALE) && EXTEND_FINDS(n, h) &&
                node[n].silent == 0 ->
                node[n].left = TTL - FAST;
                result = CERTIFIED(h)
        :: (node[n].to[h].command == PLANT && node[n].owner == 0) ->
                node[n].owner = node[n].to[h].value;
                node[n].left = TTL - FAST;
                result = 1
#ifdef PLANT_IN_EXTEND
        :: node[n].to[h].command == EXTEND && node[n].owner == 0 ->
                node[n].owner = node[n].to[h].value;
                node[n].left = TTL - FAST;
                result = PLANTED_BY_EXTEND
#endif
        :: else
        fi
}

#ifdef ANY_ANSWER /* taken away: the answer to an earlier try is not counted */
#define IS_STRANGE(n, h) (host[h].state == IDLE)
#else
#define IS_STRANGE(n, h) (node[n].to[h].value != host[h].value || host[h].state == IDLE)
#endif

/* The node's answer arrives. What is for a value of the past is nobody's. */
inline answer(n, h)
{
        if
        :: IS_STRANGE(n, h)
        :: else ->
                if
                :: result && node[n].to[h].command == ACQUIRE && host[h].state == ASKING -> node[n].to[h].vote = 1
                :: result && node[n].to[h].command == ACQUIRE && host[h].state != ASKING ->
                        node[n].to[h].trust = LATE
                :: result == PLANTED_BY_EXTEND ->
                        node[n].to[h].trust = PLANTED;
#ifdef PLANT_COUNTS_AT_ONCE
                        node[n].to[h].trust = COUNTED;
                        node[n].to[h].vote = 1
#endif
                :: result == 1 && node[n].to[h].command == EXTEND -> node[n].to[h].vote = 1
                :: result && node[n].to[h].command == PLANT -> node[n].to[h].trust = PLANTED
                :: !result && (node[n].to[h].command == EXTEND || node[n].to[h].command == STALE) ->
                        node[n].to[h].trust = NONE
                :: else
                fi
        fi
}

/* Ends every step: what must be true at any moment. */
inline done()
{
#ifdef CONTINUITY
        for (k : 0 .. HOSTS - 1) {
                if
                :: (host[k].state == HOLDING || host[k].state == EXTENDING) && SUM(OWNED_BY) < QUORUM(k) -> host[k].broken = 1
                :: host[k].state == IDLE ->
                        host[k].broken = 0;
                        host[k].broken_before = 0
                :: else
                fi
        }
#endif
#ifdef EXCLUSION
#if HOSTS == 2
        exclusion = HAS_LOCK(0) + HAS_LOCK(1) <= 1;
#else
        exclusion = HAS_LOCK(0) + HAS_LOCK(1) + HAS_LOCK(2) <= 1;
#endif
        assert(exclusion);
#endif
#ifdef NO_LEFTOVERS
        for (i : 0 .. NODES - 1) {
                if
                :: node[i].owner != 0 ->
                        k = HOST_OF(node[i].owner);
                        no_leftovers = node[i].owner == host[k].value || node[i].owner == node[i].to[k].undo;
                        assert(no_leftovers)
                :: else
                fi
        }
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
                host[h].state == ASKING && SUM(SAID_YES) >= QUORUM(h) && IN_TIME(h) ->
                grant(h);
                done()
        }
        :: d_step {
                host[h].state == HOLDING && extends_left > 0 && host[h].valid > 0 ->
                start_extend(h);
                done()
        }
        :: d_step {
                host[h].state == EXTENDING && SUM(COUNTED_YES) >= QUORUM(h) && host[h].elapsed < TTL - DRIFT &&
                        host[h].valid > 0 ->
                extended(h);
                done()
        }
        :: d_step { /* lost, or too late: what was valid stays so until its old time */
                host[h].state == EXTENDING ->
                end_extend(h);
                done()
        }
        :: d_step { /* a round that is given up, or a lock that is freed */
                host[h].state != IDLE ->
                give_up(h);
                done()
        }
        od
}

#include "world.inc"

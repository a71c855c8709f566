/*
 * Certificate: when a node that has lost what it stored may vote again.
 *
 *      lost --noticed by a host, and QUARANTINE ticks long--> it sends a certificate --arrives, and fits--> votes
 *
 * Small scope. One node and HOSTS hosts that watch it, each with one certificate on its way at most; locks are seen only
 * as the ticks for which one that the node voted for may still be valid (TTL after the last vote, whoever asked). The node
 * is new at first. It loses all by RESTARTS, after which it has another run id, and by FLUSHES, after which it has the
 * same. A certificate may be on its way for ever, and a host may look away for ever: it counts on, as if nothing had
 * happened in between, unless what it sees when it looks again tells otherwise. Left out: rates of clocks that differ,
 * what a certificate says of node list and longest TTL, and nodes that lose nothing because they log every write.
 *
 * What tells a host, and the script that writes the certificate, that this is still the loss that was counted for:
 *      (default)   the node's run id. It is enough where only restarts lose data; a flush leaves it as it is, and a
 *                  certificate counted for before the flush is written after it.
 *      TICKET      and a ticket: who notices that the certificate is missing leaves a random one in its place, who
 *                  counts counts for the ticket that stands there, and the script replaces no other.
 *
 * Checked:
 *      SERVED      the node never votes while a lock that it has forgotten may still be valid
 *      REACH_...   not a property: the situation must be found
 */
#ifndef HOSTS
#define HOSTS 2
#endif
#ifndef TTL
#define TTL 2
#endif
#ifndef QUARANTINE
#define QUARANTINE TTL
#endif
#ifndef RESTARTS
#define RESTARTS 0
#endif
#ifndef FLUSHES
#define FLUSHES 0
#endif

typedef host_state {
        byte counting;
        byte age;    /* ticks, up to QUARANTINE */
        byte life;   /* the node's run id */
        byte ticket;
        byte sent; /* a certificate is on its way */
        byte sent_life;
        byte sent_ticket;
};

host_state host[HOSTS];
byte restarts_left = RESTARTS, flushes_left = FLUSHES;
byte life = 1, certified, ticket, tickets;
byte leaning;   /* ticks for which a lock may be valid that the node voted for and knows */
byte forgotten; /* ... and does not know */
hidden byte served, never_so, k;

#ifdef UNREAD_RUN /* taken away: the script that writes the certificate reads the run id again */
#define RUN_FITS(h) true
#else
#define RUN_FITS(h) (host[h].sent_life == life)
#endif

#ifdef TICKET
#define TICKET_FITS(h) (host[h].sent_ticket == ticket)
#else
#define TICKET_FITS(h) true
#endif

#ifdef COUNTS_ON /* taken away: another run id starts the counting anew */
#define SAME_LOSS(h) true
#else
#ifdef TICKET
#define SAME_LOSS(h) (host[h].life == life && host[h].ticket == ticket)
#else
#define SAME_LOSS(h) (host[h].life == life)
#endif
#endif

inline stop(h)
{
        host[h].counting = 0;
        host[h].age = 0;
        host[h].life = 0;
        host[h].ticket = 0
}

inline look(h)
{
        if
        :: certified -> stop(h)
        :: else ->
#ifdef TICKET
                if
                :: ticket == 0 ->
                        tickets++;
                        ticket = tickets
                :: else
                fi;
#endif
                if
                :: host[h].counting && SAME_LOSS(h)
                :: else -> host[h].age = 0
                fi;
                host[h].counting = 1;
                host[h].life = life;
                host[h].ticket = ticket
        fi
}

inline lose()
{
        forgotten = (forgotten > leaning -> forgotten : leaning);
        leaning = 0;
        ticket = 0
}

proctype node_and_time()
{
        do
        :: d_step {
                certified ->
                served = (forgotten == 0);
#ifdef SERVED
                assert(served);
#endif
#ifdef REACH_LATER_RUN
                never_so = (life == 1);
                assert(never_so);
#endif
                leaning = TTL
        }
        :: d_step {
                restarts_left > 0 ->
                restarts_left--;
                lose();
                life++;
#ifndef RUNLESS /* taken away: the certificate names the run id, so that one out of an old file is foreign */
                certified = 0
#endif
        }
        :: d_step {
                flushes_left > 0 ->
                flushes_left--;
                lose();
                certified = 0
        }
        :: d_step {
                true ->
                leaning = (leaning > 0 -> leaning - 1 : 0);
                forgotten = (forgotten > 0 -> forgotten - 1 : 0);
                for (k : 0 .. HOSTS - 1) {
                        if
                        :: host[k].counting && host[k].age < QUARANTINE -> host[k].age++
                        :: else
                        fi
                };
                k = 0
        }
        od
}

proctype host_of(byte h)
{
        do
        :: d_step {
                true ->
                look(h)
        }
        :: d_step {
                host[h].counting && host[h].age >= QUARANTINE && !host[h].sent ->
                host[h].sent = 1;
                host[h].sent_life = host[h].life;
                host[h].sent_ticket = host[h].ticket;
                stop(h)
        }
        :: d_step {
                host[h].sent ->
                if
                :: !certified && RUN_FITS(h) && TICKET_FITS(h) ->
                        certified = 1;
                        ticket = 0
                :: else
                fi;
                host[h].sent = 0;
                host[h].sent_life = 0;
                host[h].sent_ticket = 0
        }
        od
}

init {
        atomic {
                run node_and_time();
                for (k : 0 .. HOSTS - 1) {
                        run host_of(k)
                }
        }
}

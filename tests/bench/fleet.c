/*
 * A fleet in virtual time: hosts whose sessions want the same keys, and what that costs each node.
 *
 *      fleet [-H HOSTS] [-K KEYS] [-s SESSIONS] [-d HOLD_MS] [-r RETRY_DELAY_MS] [-t SECONDS] [-a]
 *
 * Each host has SESSIONS sessions; session i wants key i mod KEYS, of all hosts the same (-K 0: every session has a key
 * of its own), holds it for HOLD_MS, frees it and wants it again at once. -a: it is renewed meanwhile. One line
 * of JSON is printed: how many grants a second the fleet had, and what that cost each node in commands a second.
 */
#define WORLD_HOSTS_MAX 1024

#include "sim/world.c"

#include <getopt.h>
#include <stdlib.h>

#define STEP_US   500
#define WARM_MS   2000
#define TTL_MS    15000
#define NAME_MAX_ 24

struct wish {
        char key[NAME_MAX_];
        bool granted;
        uint64_t free_ns;
};

static struct {
        unsigned hosts_n, keys_n, sessions_n, hold_ms, retry_delay_ms, seconds;
        bool auto_extend;
        struct world *w;
        struct wish *wishes; /* of session i + 1 */
        bool counting;
        uint64_t grants_n, listens_n, sent_n[COMMAND_KINDS_N];
} fleet = { .hosts_n = 10, .keys_n = 1, .sessions_n = 1, .retry_delay_ms = 100, .seconds = 20 };

static void on_command(void *userdata, unsigned host, const struct command *command)
{
        fleet.sent_n[command->kind] += fleet.counting;
}

static void on_listen(void *userdata, unsigned host)
{
        fleet.listens_n += fleet.counting;
}

static void on_reply(void *userdata, const struct reply *reply)
{
        struct wish *wish = &fleet.wishes[reply->session - 1];

        if (reply->method != METHOD_ADD)
                return;
        if (reply->error) {
                fprintf(stderr, "session %llu was refused\n", (unsigned long long)reply->session);
                exit(1);
        }
        wish->granted = true;
        wish->free_ns = fleet.w->now_ns + fleet.hold_ms * NS_PER_MS;
        fleet.grants_n += fleet.counting;
}

static struct text wish_key(const struct wish *wish)
{
        return text_of(wish->key);
}

static void fleet_add(unsigned session)
{
        const struct text key = wish_key(&fleet.wishes[session - 1]);

        world_request(fleet.w, session,
                      (struct request){ .method = METHOD_ADD,
                                        .keys = &key,
                                        .keys_n = 1,
                                        .ttl_ms = TTL_MS,
                                        .auto_extend = fleet.auto_extend,
                                        .retry_count = RETRY_FOR_EVER,
                                        .retry_delay_ms = fleet.retry_delay_ms,
                                        .retry_jitter_ms = fleet.retry_delay_ms,
                                        .wait_ms = WAIT_NONE });
}

static void fleet_free(unsigned session)
{
        const struct text key = wish_key(&fleet.wishes[session - 1]);

        world_request(fleet.w, session, (struct request){ .method = METHOD_FREE, .keys = &key, .keys_n = 1 });
}

static void fleet_open(void)
{
        unsigned host, i, session;

        fleet.wishes = calloc((size_t)fleet.hosts_n * fleet.sessions_n, sizeof(*fleet.wishes));
        for (i = 0; i < fleet.sessions_n; ++i) {
                for (host = 1; host <= fleet.hosts_n; ++host) {
                        session = world_open(fleet.w, host);
                        snprintf(fleet.wishes[session - 1].key, NAME_MAX_, "k%u",
                                 fleet.keys_n > 0 ? i % fleet.keys_n : session);
                        fleet_add(session);
                }
        }
}

static void fleet_run(uint64_t ms)
{
        uint64_t end_ns = fleet.w->now_ns + ms * NS_PER_MS;
        unsigned session;

        while (fleet.w->now_ns < end_ns) {
                world_run_ns(fleet.w, STEP_US * NS_PER_US);
                for (session = 1; session <= fleet.hosts_n * fleet.sessions_n; ++session) {
                        struct wish *wish = &fleet.wishes[session - 1];

                        if (!wish->granted || wish->free_ns > fleet.w->now_ns)
                                continue;
                        wish->granted = false;
                        fleet_free(session);
                        fleet_add(session);
                }
        }
}

static void fleet_print(void)
{
        double a_second = 1.0 / (fleet.w->options.nodes_n * (double)fleet.seconds);

        printf("{\"grants\":%.1f,\"takes\":%.1f,\"releases\":%.1f,\"renewals\":%.1f,\"listens\":%.1f}\n",
               (double)fleet.grants_n / fleet.seconds, (double)fleet.sent_n[COMMAND_TAKE] * a_second,
               (double)fleet.sent_n[COMMAND_RELEASE] * a_second, (double)fleet.sent_n[COMMAND_RENEW] * a_second,
               (double)fleet.listens_n / fleet.seconds);
}

int main(int argc, char **argv)
{
        const struct world_watch watch = { .on_command = on_command, .on_listen = on_listen, .on_reply = on_reply };
        struct world_options options = { .seed = 7, .watch = &watch, .tail_us = 1000, .locks_max = 65536 };
        int option;

        while ((option = getopt(argc, argv, "H:K:s:d:r:t:a")) != -1) {
                unsigned number = optarg ? (unsigned)atoi(optarg) : 0;

                if (option == 'H' && number >= 1 && number <= WORLD_HOSTS_MAX)
                        fleet.hosts_n = number;
                else if (option == 'K')
                        fleet.keys_n = number;
                else if (option == 's')
                        fleet.sessions_n = number;
                else if (option == 'd')
                        fleet.hold_ms = number;
                else if (option == 'r')
                        fleet.retry_delay_ms = number;
                else if (option == 't')
                        fleet.seconds = number;
                else if (option == 'a')
                        fleet.auto_extend = true;
                else {
                        fprintf(stderr, "usage: fleet [-H HOSTS] [-K KEYS] [-s SESSIONS] [-d HOLD_MS] "
                                        "[-r RETRY_DELAY_MS] [-t SECONDS] [-a]\n");
                        return 2;
                }
        }
        options.hosts_n = fleet.hosts_n;
        fleet.w = world_new(&options);
        fleet_open();
        fleet_run(WARM_MS);
        fleet.counting = true;
        fleet_run(fleet.seconds * 1000);
        fleet_print();
        return 0;
}

/*
 * getaddrinfo() is called in threads of libuv; what it looks at is behind one lock.
 */
#include "net/resolver.h"

#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

typedef int (*resolver_fn)(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **res);

static pthread_mutex_t resolver_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t resolver_free = PTHREAD_COND_INITIALIZER;
static bool resolver_held;
static unsigned resolver_calls_n;
static const char *resolver_name, *resolver_ips[2];

void resolver_set(const char *name, const char *ip_a, const char *ip_b)
{
        pthread_mutex_lock(&resolver_lock);
        resolver_name = name;
        resolver_ips[0] = ip_a;
        resolver_ips[1] = ip_b;
        resolver_calls_n = 0;
        pthread_mutex_unlock(&resolver_lock);
}

unsigned resolver_calls(void)
{
        unsigned n;

        pthread_mutex_lock(&resolver_lock);
        n = resolver_calls_n;
        pthread_mutex_unlock(&resolver_lock);
        return n;
}

void resolver_hold(void)
{
        pthread_mutex_lock(&resolver_lock);
        resolver_held = true;
        pthread_mutex_unlock(&resolver_lock);
}

void resolver_let_go(void)
{
        pthread_mutex_lock(&resolver_lock);
        resolver_held = false;
        pthread_cond_broadcast(&resolver_free);
        pthread_mutex_unlock(&resolver_lock);
}

static int resolver_answer(resolver_fn real, const char *service, const struct addrinfo *hints, struct addrinfo **res)
{
        struct addrinfo **end = res;
        int i, r;

        for (i = 0; i < 2 && resolver_ips[i]; ++i) {
                r = real(resolver_ips[i], service, hints, end);
                if (r != 0)
                        return r;
                end = &(*end)->ai_next;
        }
        return i > 0 ? 0 : EAI_NONAME;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **res)
{
        resolver_fn real = (resolver_fn)dlsym(RTLD_NEXT, "getaddrinfo");
        bool known;
        int r;

        pthread_mutex_lock(&resolver_lock);
        known = resolver_name && strcmp(resolver_name, node) == 0;
        if (known) {
                ++resolver_calls_n;
                while (resolver_held)
                        pthread_cond_wait(&resolver_free, &resolver_lock);
        }
        r = known ? resolver_answer(real, service, hints, res) : real(node, service, hints, res);
        pthread_mutex_unlock(&resolver_lock);
        return r;
}

/*
 * A lease counts those that name it in 16 bits.
 */
#include "redlockd/core/lease.h"

#include "redlockd/base/mem.h"
#include "redlockd/core/resource.h"
#include "redlockd/core/round.h"
#include "unit/unit.h"

#include <errno.h>

static void no_random(void *userdata, void *ret_bytes, size_t n)
{
        memset(ret_bytes, 0, n);
}

START_TEST(a_round_too_many_is_refused)
{
        struct engine_options options = { .nodes_n = 1, .random = no_random };
        struct resource *resource;
        struct engine *e;
        struct lease *leases[2];
        struct round *round;

        ck_assert_int_eq(engine_new(&e, &options), 0);
        ck_assert_int_eq(resource_ref(e, text_of("k"), &resource), 0);
        ck_assert_int_eq(lease_new(e, resource, 1000, &leases[0]), 0);
        ck_assert_int_eq(lease_new(e, resource, 1000, &leases[1]), 0);
        leases[1]->refs = LEASE_REFS_MAX - 1;
        ck_assert_int_eq(round_new(e, COMMAND_TAKE, leases, 2, 2, 1000, 1, NULL, &round), 0);
        ck_assert_int_eq(round_new(e, COMMAND_TAKE, leases, 2, 2, 1000, 1, NULL, &round), -ENOMEM);
        ck_assert_uint_eq(leases[0]->refs, 1);
        ck_assert_uint_eq(leases[1]->refs, LEASE_REFS_MAX);
        round_abandon(e, round);
        leases[1]->refs = 0;
        lease_leave(e, leases[0]);
        lease_leave(e, leases[1]);
        resource_unref(e, resource);
        engine_free(e);
        ck_assert_uint_eq(mem_live(), 0);
}
END_TEST

UNIT_MAIN("lease", a_round_too_many_is_refused)

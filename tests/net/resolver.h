#pragma once

/*
 * A resolver for tests: it stands in for the C library's getaddrinfo(3) in this program, also where libuv calls it.
 * Names that it was not told of are resolved as ever.
 */

/* `name` has these addresses, in this order; NULL: as ever. The strings are borrowed. */
void resolver_set(const char *name, const char *ip_a, const char *ip_b);

/* How often that name was asked for. */
unsigned resolver_calls(void);

/* From now on who asks waits, until it is let go. */
void resolver_hold(void);
void resolver_let_go(void);

/*
 * URLs of nodes: what is read, what is refused, and what is shown.
 */
#include "redlockd/base/address.h"

#include "redlockd/base/mem.h"
#include "unit/unit.h"

#include <errno.h>
#include <string.h>

static struct address parsed(const char *url)
{
        const char *error = "";
        struct address a;
        int r;

        r = address_parse(url, &a, &error);
        ck_assert_msg(r == 0, "%s: %s", url, error);
        return a;
}

static const char *refused(const char *url)
{
        struct address a = { .port = 12345 };
        const char *error = NULL;

        ck_assert_msg(address_parse(url, &a, &error) == -EINVAL, "%s", url);
        ck_assert_ptr_nonnull(error);
        ck_assert_uint_eq(a.port, 12345);
        return error;
}

static void check_shown(const char *url, const char *shown)
{
        struct address a = parsed(url);

        ck_assert_str_eq(a.shown, shown);
        address_deinit(&a);
}

START_TEST(port_and_db_have_defaults)
{
        struct address a = parsed("redis://10.0.0.1");

        ck_assert_int_eq(a.kind, ADDRESS_TCP);
        ck_assert_str_eq(a.host, "10.0.0.1");
        ck_assert_uint_eq(a.port, 6379);
        ck_assert_uint_eq(a.db, 0);
        ck_assert_ptr_null(a.user);
        ck_assert_ptr_null(a.password);
        address_deinit(&a);
}
END_TEST

START_TEST(every_part_of_a_tcp_url_is_read)
{
        struct address a = parsed("REDIS://u%3Aser:p%40ss:wo%2frd@node-1.example_x:65535/65535");

        ck_assert_str_eq(a.user, "u:ser");
        ck_assert_str_eq(a.password, "p@ss:wo/rd");
        ck_assert_str_eq(a.host, "node-1.example_x");
        ck_assert_uint_eq(a.port, 65535);
        ck_assert_uint_eq(a.db, 65535);
        address_deinit(&a);
}
END_TEST

START_TEST(a_password_needs_no_user_and_may_hold_an_at_sign)
{
        struct address a = parsed("redis://:a@b@host");

        ck_assert_ptr_null(a.user);
        ck_assert_str_eq(a.password, "a@b");
        ck_assert_str_eq(a.host, "host");
        address_deinit(&a);
}
END_TEST

START_TEST(an_empty_user_or_password_is_none)
{
        struct address a = parsed("redis://user:@host"), b = parsed("redis://@host");

        ck_assert_str_eq(a.user, "user");
        ck_assert_ptr_null(a.password);
        ck_assert_ptr_null(b.user);
        ck_assert_ptr_null(b.password);
        address_deinit(&a);
        address_deinit(&b);
}
END_TEST

START_TEST(an_ipv6_host_loses_its_brackets)
{
        struct address a = parsed("redis://[::1]:7000/2"), b = parsed("redis://u@[fe80::1:2]");

        ck_assert_str_eq(a.host, "::1");
        ck_assert_uint_eq(a.port, 7000);
        ck_assert_uint_eq(a.db, 2);
        ck_assert_str_eq(b.host, "fe80::1:2");
        ck_assert_uint_eq(b.port, 6379);
        address_deinit(&a);
        address_deinit(&b);
}
END_TEST

START_TEST(a_unix_url_is_a_path_and_a_db)
{
        struct address a = parsed("unix:///run/my%20redis.sock?db=7"), b = parsed("unix:///r");

        ck_assert_int_eq(a.kind, ADDRESS_UNIX);
        ck_assert_str_eq(a.path, "/run/my redis.sock");
        ck_assert_uint_eq(a.db, 7);
        ck_assert_str_eq(b.path, "/r");
        ck_assert_uint_eq(b.db, 0);
        address_deinit(&a);
        address_deinit(&b);
}
END_TEST

START_TEST(memory_is_an_address)
{
        struct address a = parsed("memory:");

        ck_assert_int_eq(a.kind, ADDRESS_MEMORY);
        address_deinit(&a);
}
END_TEST

START_TEST(what_is_shown_has_port_and_db_and_no_password)
{
        check_shown("redis://host", "redis://host:6379/0");
        check_shown("redis://user:secret@host:1/3", "redis://user@host:1/3");
        check_shown("redis://:secret@host/", "redis://host:6379/0");
        check_shown("redis://[::1]", "redis://[::1]:6379/0");
        check_shown("redis://a%20%ff@host", "redis://a%20%FF@host:6379/0");
        check_shown("unix:///a%0ab?db=4", "unix:///a%0Ab?db=4");
        check_shown("unix:///a", "unix:///a?db=0");
        check_shown("memory:", "memory:");
}
END_TEST

START_TEST(what_is_not_an_address_is_refused)
{
        static const char *const urls[] = {
                "",
                "host",
                "redis:host",
                "http://host",
                "redis://",
                "redis://user@",
                "redis://:6379",
                "redis:///0",
                "redis://host:",
                "redis://host:0",
                "redis://host:65536",
                "redis://host:99999999999999999999",
                "redis://host:6379x",
                "redis://host:+1",
                "redis://ho st",
                "redis://ho%73t",
                "redis://host\n",
                "redis://::1",
                "redis://[::1",
                "redis://[::1]x",
                "redis://[::1]6379",
                "redis://[]",
                "redis://[host]",
                "redis://[::1%25eth0]",
                "redis://host/x",
                "redis://host/1/",
                "redis://host/-1",
                "redis://host/65536",
                "redis://host/0?x=1",
                "redis://host?db=1",
                "redis://host#1",
                "redis://%@host",
                "redis://%4@host",
                "redis://%4g@host",
                "redis://%g4@host",
                "redis://:%1@host",
                "unix://",
                "unix://run/redis.sock",
                "unix:///r?db=",
                "unix:///r?db=x",
                "unix:///r?db=65536",
                "unix:///r?db=1&a=2",
                "unix:///r?d=1",
                "unix:///r?",
                "unix:///r#1",
                "memory",
                "memory:x",
                "memory://",
        };

        for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); ++i)
                refused(urls[i]);
}
END_TEST

START_TEST(a_nul_is_refused)
{
        ck_assert_str_eq(refused("redis://a%00b@host"), "%00 is not allowed");
        ck_assert_str_eq(refused("redis://:a%00@host"), "%00 is not allowed");
        ck_assert_str_eq(refused("unix:///a%00"), "%00 is not allowed");
}
END_TEST

START_TEST(tls_is_refused_by_its_name)
{
        ck_assert_ptr_nonnull(strstr(refused("rediss://host"), "TLS"));
}
END_TEST

START_TEST(what_a_socket_or_resolver_cannot_hold_is_refused)
{
        char path[9 + 108] = "unix:///", host[8 + 254 + 1] = "redis://";
        struct address a;

        memset(path + 8, 'a', 106);
        a = parsed(path); /* 107 bytes */
        address_deinit(&a);
        path[8 + 106] = 'a';
        refused(path);
        memset(host + 8, 'a', 253);
        a = parsed(host);
        address_deinit(&a);
        host[8 + 253] = 'a';
        refused(host);
}
END_TEST

START_TEST(an_error_never_quotes_the_url)
{
        ck_assert_ptr_null(strstr(refused("redis://:sesame/x@host"), "sesame"));
        ck_assert_ptr_null(strstr(refused("redis://:%zzsesame@host"), "sesame"));
}
END_TEST

START_TEST(without_memory_nothing_is_left)
{
        static const char *const urls[] = { "redis://u:p@h:1/2", "redis://[::1]", "unix:///r?db=1", "memory:" };

        for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); ++i) {
                uint64_t live = mem_live(), k = 1;
                const char *error = NULL;
                struct address a;

                for (;; ++k) {
                        mem_fail_at(k);
                        if (address_parse(urls[i], &a, &error) == 0)
                                break;
                        ck_assert(mem_failed());
                        ck_assert_ptr_null(error);
                        ck_assert_uint_eq(mem_live(), live);
                }
                ck_assert(!mem_failed());
                ck_assert_uint_gt(k, 1);
                mem_fail_at(0);
                address_deinit(&a);
                ck_assert_uint_eq(mem_live(), live);
        }
}
END_TEST

UNIT_MAIN("address", port_and_db_have_defaults, every_part_of_a_tcp_url_is_read,
          a_password_needs_no_user_and_may_hold_an_at_sign, an_empty_user_or_password_is_none,
          an_ipv6_host_loses_its_brackets, a_unix_url_is_a_path_and_a_db, memory_is_an_address,
          what_is_shown_has_port_and_db_and_no_password, what_is_not_an_address_is_refused, a_nul_is_refused,
          tls_is_refused_by_its_name, what_a_socket_or_resolver_cannot_hold_is_refused, an_error_never_quotes_the_url,
          without_memory_nothing_is_left)

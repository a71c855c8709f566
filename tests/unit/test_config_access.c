/*
 * The rules of access in the configuration.
 */
#include "unit/config_fixture.h"

#include <stdio.h>

START_TEST(a_rule_has_its_keys_and_who_is_meant)
{
        struct config c =
                good("{\"access\":{\"rules\":["
                     "{\"keys\":\"billing:*\",\"users\":[\"root\",17],\"groups\":[\"root\",18],\"allow\":true},"
                     "{\"keys\":\"a\\u0000*\",\"allow\":false}]}}");
        const struct config_rule *rule = c.access.rules;

        ck_assert_uint_eq(c.access.rules_n, 2);
        ck_assert(text_equal((struct text){ rule[0].keys, rule[0].keys_len }, text_of("billing:*")));
        ck_assert_uint_eq(rule[0].users_n, 2);
        ck_assert_uint_eq(rule[0].users[0], 0);
        ck_assert_uint_eq(rule[0].users[1], 17);
        ck_assert_uint_eq(rule[0].groups_n, 2);
        ck_assert_uint_eq(rule[0].groups[0], 0);
        ck_assert_uint_eq(rule[0].groups[1], 18);
        ck_assert(rule[0].allow);
        ck_assert(text_equal((struct text){ rule[1].keys, rule[1].keys_len }, (struct text){ "a\0*", 3 }));
        ck_assert_uint_eq(rule[1].users_n + rule[1].groups_n, 0);
        ck_assert(!rule[1].allow);
        config_deinit(&c);
        accept("{\"access\":{\"rules\":[]}}");
}
END_TEST

START_TEST(a_name_that_does_not_exist_is_an_error_at_its_place)
{
        check_errors("{\"access\":{\"rules\":[{\"keys\":\"a\",\"users\":[\"root\",\"no-such-user\"],\n"
                     "\"groups\":[\"no-such-group\"],\"allow\":true}]}}",
                     "f:1:49: access.rules[0].users[1]: there is no user \"no-such-user\"\n"
                     "f:2:11: access.rules[0].groups[0]: there is no group \"no-such-group\"\n");
}
END_TEST

START_TEST(the_group_of_the_socket_must_exist)
{
        check_errors("{\"listen\":{\"group\":\"no-such-group\"},\"lock\":{\"tll\":1}}",
                     "f:1:12: listen.group: there is no group \"no-such-group\"\n"
                     "f:1:45: lock.tll: unknown name (did you mean ttl?)\n");
        check_errors("{\"listen\":{\"group\":5}}",
                     "f:1:12: listen.group: must be a string of 1 to 64 bytes without NUL\n");
        accept("{\"listen\":{\"group\":\"root\"}}");
        accept("{\"listen\":{\"group\":null}}");
}
END_TEST

START_TEST(a_rule_says_which_keys_and_what)
{
        check_errors("{\"access\":{\"rules\":[{},{\"keys\":\"a\"},{\"allow\":true}]}}",
                     "f:1:21: access.rules[0].keys: is missing\n"
                     "f:1:21: access.rules[0].allow: is missing\n"
                     "f:1:24: access.rules[1].allow: is missing\n"
                     "f:1:37: access.rules[2].keys: is missing\n");
}
END_TEST

START_TEST(members_of_rules_have_their_types)
{
        static const struct {
                const char *rule, *error;
        } wrong[] = {
                { "5", "f:1:21: access.rules[0]: must be an object\n" },
                { "{\"keys\":[\"a\"],\"allow\":true}",
                  "f:1:22: access.rules[0].keys: must be a key; * in it stands for any bytes\n" },
                { "{\"keys\":\"\",\"allow\":true}",
                  "f:1:22: access.rules[0].keys: must be a key; * in it stands for any bytes\n" },
                { "{\"keys\":\"a\",\"allow\":1}", "f:1:33: access.rules[0].allow: must be true or false\n" },
                { "{\"keys\":\"a\",\"allow\":true,\"user\":[]}",
                  "f:1:46: access.rules[0].user: unknown name (did you mean users?)\n" },
                { "{\"keys\":\"a\",\"keys\":\"b\",\"allow\":true}", "f:1:33: access.rules[0].keys: given twice\n" },
                { "{\"keys\":\"a\",\"allow\":true,\"users\":[]}",
                  "f:1:46: access.rules[0].users: must be an array of 1 to 1000 users\n" },
                { "{\"keys\":\"a\",\"allow\":true,\"groups\":\"root\"}",
                  "f:1:46: access.rules[0].groups: must be an array of 1 to 1000 groups\n" },
                { "{\"keys\":\"a\",\"allow\":true,\"users\":[true]}",
                  "f:1:55: access.rules[0].users[0]: must be the name or the number of a user\n" },
                { "{\"keys\":\"a\",\"allow\":true,\"users\":[\"\"]}",
                  "f:1:55: access.rules[0].users[0]: must be the name or the number of a user\n" },
                { "{\"keys\":\"a\",\"allow\":true,\"users\":[\"root\\u0000\"]}",
                  "f:1:55: access.rules[0].users[0]: must be the name or the number of a user\n" },
                { "{\"keys\":\"a\",\"allow\":true,\"groups\":[-1]}",
                  "f:1:56: access.rules[0].groups[0]: must be the name or the number of a group\n" },
                { "{\"keys\":\"a\",\"allow\":true,\"groups\":[4294967295]}", /* (gid_t)-1 is nobody */
                  "f:1:56: access.rules[0].groups[0]: must be the name or the number of a group\n" },
        };
        char json[256];
        size_t i;

        for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); ++i) {
                snprintf(json, sizeof(json), "{\"access\":{\"rules\":[%s]}}", wrong[i].rule);
                check_errors(json, wrong[i].error);
        }
        check_errors("{\"access\":{\"rules\":{}}}", "f:1:12: access.rules: must be an array of at most 1000 rules\n");
        check_errors("{\"access\":{\"rules\":null}}", "f:1:12: access.rules: must be an array of at most 1000 rules\n");
}
END_TEST

/* An array of n times the same element. */
static char *repeated(const char *before, const char *element, unsigned n, const char *after)
{
        size_t size = strlen(before) + n * (strlen(element) + 1) + strlen(after) + 1;
        char *json = mem_zalloc(size), *p = json;
        unsigned i;

        p = stpcpy(p, before);
        for (i = 0; i < n; ++i) {
                p = stpcpy(p, i ? "," : "");
                p = stpcpy(p, element);
        }
        strcpy(p, after);
        return json;
}

START_TEST(rules_and_names_have_their_numbers)
{
        const char *rule = "{\"keys\":\"a\",\"allow\":true}", *before = "{\"access\":{\"rules\":[",
                   *before_ids = "{\"access\":{\"rules\":[{\"keys\":\"a\",\"allow\":true,\"users\":[";
        char *json;

        json = repeated(before, rule, 1000, "]}}");
        accept(json);
        mem_free(json);
        json = repeated(before, rule, 1001, "]}}");
        check_errors(json, "f:1:12: access.rules: must be an array of at most 1000 rules\n");
        mem_free(json);
        json = repeated(before_ids, "1", 1000, "]}]}}");
        accept(json);
        mem_free(json);
        json = repeated(before_ids, "1", 1001, "]}]}}");
        check_errors(json, "f:1:46: access.rules[0].users: must be an array of 1 to 1000 users\n");
        mem_free(json);
}
END_TEST

START_TEST(without_memory_no_rule_is_left)
{
        const char *json =
                "{\"access\":{\"rules\":[{\"keys\":\"a\",\"users\":[\"root\",1],\"users\":[2],\"groups\":[3],"
                "\"allow\":true},{\"keys\":\"b\",\"keys\":\"c\",\"allow\":false}],\"rules\":[]}}";
        static struct errors errors;
        uint64_t live = mem_live(), k = 1;
        struct config c;
        int r;

        do {
                errors.len = 0;
                mem_fail_at(k++);
                r = config_parse(text_of(json), "f", NULL, &c, errors_put, &errors);
                ck_assert_uint_eq(mem_live(), live);
        } while (r == -ENOMEM && mem_failed());
        mem_fail_at(0);
        ck_assert_int_eq(r, -EINVAL); /* what is given twice */
        ck_assert_uint_gt(k, 20);
}
END_TEST

UNIT_MAIN("config_access", a_rule_has_its_keys_and_who_is_meant, a_name_that_does_not_exist_is_an_error_at_its_place,
          the_group_of_the_socket_must_exist, a_rule_says_which_keys_and_what, members_of_rules_have_their_types,
          rules_and_names_have_their_numbers, without_memory_no_rule_is_left)

#pragma once

/*
 * What every unit test program shares: a suite of one module, its tests named by the rule they hold.
 *
 *      START_TEST(a_tie_is_lost) { ... } END_TEST
 *      UNIT_MAIN("quorum", a_tie_is_lost, ...)
 */
#include <check.h>
#include <stdlib.h>

#define UNIT_MAIN(module, ...)                                                                                         \
        int main(void)                                                                                                 \
        {                                                                                                              \
                const TTest *const tests[] = { __VA_ARGS__ };                                                          \
                Suite *suite = suite_create(module);                                                                   \
                TCase *tcase = tcase_create(module);                                                                   \
                SRunner *runner;                                                                                       \
                int failed;                                                                                            \
                                                                                                                       \
                for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); ++i)                                          \
                        tcase_add_test(tcase, tests[i]);                                                               \
                tcase_set_timeout(tcase, 60);                                                                          \
                suite_add_tcase(suite, tcase);                                                                         \
                runner = srunner_create(suite);                                                                        \
                srunner_run_all(runner, CK_NORMAL);                                                                    \
                failed = srunner_ntests_failed(runner);                                                                \
                srunner_free(runner);                                                                                  \
                return failed ? EXIT_FAILURE : EXIT_SUCCESS;                                                           \
        }

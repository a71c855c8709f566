/*
 * drain, kill, break. The last two take something away from somebody: where somebody sits at a terminal, he is asked.
 */
#include "redlockd/ctl/admin.h"

#include "redlockd/ctl/connection.h"
#include "redlockd/ctl/show.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct admin_options {
        bool off;
        bool yes;
};

/* Returns whether the answer was yes, or nobody is there to be asked. */
static bool admin_confirm(const char *question, const char *what)
{
        char answer[16] = "";

        if (!isatty(STDIN_FILENO))
                return true;
        fputs(question, stderr);
        show_plain(stderr, what);
        fputs("? [y/N] ", stderr);
        fflush(stderr);
        return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

static json_t *admin_session(const char *text)
{
        char *end;
        long long number;

        errno = 0;
        number = strtoll(text, &end, 10);
        return errno == 0 && end != text && *end == 0 && number > 0 ? json_pack("{s:I}", "session", (json_int_t)number)
                                                                    : NULL;
}

static void admin_show_holder(const char *done, const json_t *holder)
{
        const char *name = json_string_value(json_object_get(holder, "name"));

        printf("%s session %lld of process %lld", done,
               (long long)json_integer_value(json_object_get(holder, "session")),
               (long long)json_integer_value(json_object_get(holder, "pid")));
        if (name && *name) {
                fputs(" (", stdout);
                show_plain(stdout, name);
                fputc(')', stdout);
        }
        fputc('\n', stdout);
}

static void admin_show(const struct ctl *ctl, const char *method, const json_t *result)
{
        if (ctl->json)
                show_json(result);
        else if (strcmp(method, "drain") == 0)
                puts(json_is_true(json_object_get(result, "draining"))
                             ? "draining: no new locks; what is held may be used, extended and freed"
                             : "new locks are granted");
        else if (strcmp(method, "kill") == 0)
                admin_show_holder("ended", result);
        else
                admin_show_holder("broken; it was held by", json_object_get(result, "holder"));
}

static int admin_ask(const struct ctl *ctl, const char *method, json_t *params)
{
        json_t *message = command_ask(ctl, method, params, CONNECTION_ANSWER_MS), *result = command_result(message);

        if (result)
                admin_show(ctl, method, result);
        json_decref(message);
        return result ? 0 : 1;
}

static int admin_carry_out(const struct ctl *ctl, const struct admin_options *o, const char *method, const char *word)
{
        json_t *params;

        if (strcmp(method, "drain") == 0)
                return admin_ask(ctl, method, json_pack("{s:b}", "off", o->off));
        if (strcmp(method, "kill") == 0) {
                params = admin_session(word);
                if (!params) {
                        fputs("redlockctl: not the number of a session: ", stderr);
                        show_plain(stderr, word);
                        fputc('\n', stderr);
                        return 1;
                }
                if (!o->yes && !admin_confirm("End the connection, and free all that it holds, of session ", word)) {
                        json_decref(params);
                        return 1;
                }
                return admin_ask(ctl, method, params);
        }
        params = json_pack("{s:s}", "key", word);
        if (!params) {
                fputs("redlockctl: the key is not UTF-8\n", stderr);
                return 1;
        }
        if (!o->yes && !admin_confirm("Take the lock away from whoever holds ", word)) {
                json_decref(params);
                return 1;
        }
        return admin_ask(ctl, method, params);
}

int admin_main(const struct ctl *ctl, int argc, char **argv)
{
        static const struct option options[] = {
                { "off", no_argument, NULL, 'o' },
                { "yes", no_argument, NULL, 'y' },
                { "json", no_argument, NULL, 'j' },
                { "help", no_argument, NULL, 'h' },
                { NULL, 0, NULL, 0 },
        };
        bool drain = strcmp(argv[0], "drain") == 0;
        struct ctl own = *ctl;
        struct admin_options o = { 0 };
        int option;

        optind = 0; /* main() has read options before */
        while ((option = getopt_long(argc, argv, "yjh", options, NULL)) >= 0) {
                if (option == 'o' && drain) {
                        o.off = true;
                } else if (option == 'y' && !drain) {
                        o.yes = true;
                } else if (option == 'j') {
                        own.json = true;
                } else if (option == 'h') {
                        command_help(argv[0]);
                        return 0;
                } else {
                        return command_usage(argv[0]);
                }
        }
        if (argc - optind != (drain ? 0 : 1))
                return command_usage(argv[0]);
        return admin_carry_out(&own, &o, argv[0], argv[optind]);
}

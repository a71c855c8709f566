#pragma once

/*
 * Log lines on stderr: one event a line, with what it is about behind it as name=value, cut at LOG_LINE_MAX. Nothing
 * that came from outside can forge a line or steer a terminal. Never a lock's value, never a password.
 *
 * Where stderr is the journal's, lines go there with fields of their own (systemd.journal-fields(7)): REDLOCKD_EVENT,
 * REDLOCKD_KEY, REDLOCKD_SESSION, REDLOCKD_NODE, REDLOCKD_WAITED.
 */
#include "redlockd/base/text.h"

#include <stdint.h>

enum log_level {
        LOG_LEVEL_ERROR,
        LOG_LEVEL_WARN,
        LOG_LEVEL_INFO,
        LOG_LEVEL_DEBUG,
};

#define LOG_LINE_MAX 1024 /* bytes with the LF */

/* What a line is about; what is NULL or 0 is left out. */
struct log_about {
        const char *event;
        struct text key;
        uint64_t session;
        const char *node;
        const uint64_t *waited_ms;
};

/* "error", "warn", "info" or "debug"; false for anything else. */
bool log_level_parse(const char *name, enum log_level *ret_level);

/* What is above this level is not written. LOG_LEVEL_INFO at first. */
void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

void log_write(enum log_level level, const struct log_about *about, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, NULL, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_LEVEL_WARN, NULL, __VA_ARGS__)
#define log_info(...)  log_write(LOG_LEVEL_INFO, NULL, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, NULL, __VA_ARGS__)

/*
 * Lines that clients can cause as many of as they like: at most LOG_RATE_MAX a second, the others are only counted,
 * which is told with the next one ("17 more locks were lost").
 */
#define LOG_RATE_MAX 100

struct log_rate {
        uint64_t second, n;
};

/* Whether the line may be written. `what` were more, when there were. */
bool log_rate_admits(struct log_rate *rate, const char *what);

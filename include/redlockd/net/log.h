#pragma once

/*
 * Log lines on stderr: one event a line, control characters escaped, cut at LOG_LINE_MAX. Never a lock's value, never a
 * password.
 */
#include <stdbool.h>

enum log_level {
        LOG_LEVEL_ERROR,
        LOG_LEVEL_WARN,
        LOG_LEVEL_INFO,
        LOG_LEVEL_DEBUG,
};

#define LOG_LINE_MAX 1024 /* bytes with the LF */

/* "error", "warn", "info" or "debug"; false for anything else. */
bool log_level_parse(const char *name, enum log_level *ret_level);

/* What is above this level is not written. LOG_LEVEL_INFO at first. */
void log_set_level(enum log_level level);

void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

/*
 * Log lines. Each is built in one buffer and written in one call, so that lines of several processes on one stderr do
 * not mix. Where stderr is the journal's, it gets the priority that the journal understands instead of the time and the
 * level's name (sd-daemon(3)).
 */
#include "redlockd/net/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const struct {
        const char *name;
        int priority; /* syslog(3) */
} log_levels[] = {
        [LOG_LEVEL_ERROR] = { "error", 3 },
        [LOG_LEVEL_WARN] = { "warn", 4 },
        [LOG_LEVEL_INFO] = { "info", 6 },
        [LOG_LEVEL_DEBUG] = { "debug", 7 },
};

static enum log_level log_level = LOG_LEVEL_INFO;

bool log_level_parse(const char *name, enum log_level *ret_level)
{
        size_t i;

        for (i = 0; i < sizeof(log_levels) / sizeof(log_levels[0]); ++i) {
                if (strcmp(name, log_levels[i].name) == 0) {
                        *ret_level = i;
                        return true;
                }
        }
        return false;
}

void log_set_level(enum log_level level)
{
        log_level = level;
}

/* $JOURNAL_STREAM is inherited by children whose stderr is elsewhere: it counts only where it names this stderr. */
static bool log_to_journal(void)
{
        static int known = -1;
        const char *stream = getenv("JOURNAL_STREAM");
        unsigned long device, inode;
        struct stat st;

        if (known < 0)
                known = stream && sscanf(stream, "%lu:%lu", &device, &inode) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
                        st.st_dev == device && st.st_ino == inode;
        return known;
}

static size_t log_prefix(enum log_level level, char *line, size_t size)
{
        struct timespec now;
        struct tm tm;
        char date[32];

        if (log_to_journal())
                return snprintf(line, size, "<%d>", log_levels[level].priority);
        clock_gettime(CLOCK_REALTIME, &now);
        gmtime_r(&now.tv_sec, &tm);
        strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
        return snprintf(line, size, "%s.%03ldZ %s: ", date, now.tv_nsec / 1000000, log_levels[level].name);
}

/* Appends with control characters as \xNN; returns the new length. The LF and the NUL always fit after it. */
static size_t log_escape(char *line, size_t len, size_t size, const char *text)
{
        for (; *text && len + 6 < size; ++text) {
                if ((unsigned char)*text < 0x20 || *text == 0x7f)
                        len += snprintf(line + len, size - len, "\\x%02x", (unsigned char)*text);
                else
                        line[len++] = *text;
        }
        return len;
}

void log_write(enum log_level level, const char *format, ...)
{
        char text[LOG_LINE_MAX], line[LOG_LINE_MAX];
        va_list args;
        size_t len;

        if (level > log_level)
                return;
        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);

        len = log_prefix(level, line, sizeof(line));
        len = log_escape(line, len, sizeof(line), text);
        line[len++] = '\n';
        /* Where stderr is gone there is nobody to tell. */
        if (write(STDERR_FILENO, line, len) < 0)
                return;
}

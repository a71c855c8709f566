/*
 * Log lines. Each is built in one buffer and written in one call, so that lines of several processes on one stderr do
 * not mix:
 *
 *      2026-11-22T19:27:43.606Z info: lock lost: EXPIRED key="name1" session=7
 *      <6>lock lost: EXPIRED key="name1" session=7                                 stderr is the journal's
 *
 * Everything behind the prefix goes through log_put(): there is no way around it for a byte from outside.
 */
#include "redlockd/net/log.h"

#include "redlockd/net/clock.h"
#include "redlockd/net/journal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define LOG_FIELDS_MAX 8
#define LOG_NUMBER_MAX 24
#define LOG_NS_PER_S   UINT64_C(1000000000)

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

/* One line on its way. */
struct log_line {
        char text[LOG_LINE_MAX];
        size_t len;
        bool full; /* what follows is cut off */
};

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

bool log_enabled(enum log_level level)
{
        return level <= log_level;
}

/* All of it or nothing, and nothing after what did not fit: no escape is cut in two. */
static void log_put_whole(struct log_line *line, const char *bytes, size_t n)
{
        if (line->full || line->len + n + 1 >= sizeof(line->text)) {
                line->full = true;
                return;
        }
        memcpy(line->text + line->len, bytes, n);
        line->len += n;
}

/* The code point at the front of `text` and how many bytes it takes: 1, with the byte itself, where it is not UTF-8. */
static size_t log_decode(struct text text, unsigned *ret_code)
{
        unsigned char lead = (unsigned char)text.data[0];
        size_t n = lead < 0xc2 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 1, i;
        unsigned code = n == 1 ? lead : lead & (0x7fu >> n);

        for (i = 1; i < n; ++i) {
                if (i >= text.len || ((unsigned char)text.data[i] & 0xc0) != 0x80) {
                        *ret_code = lead;
                        return 1;
                }
                code = code << 6 | (text.data[i] & 0x3f);
        }
        *ret_code = code;
        return n;
}

/* Code points that end a line, steer a terminal, or change the order in which it shows the rest; stray bytes too. */
static bool log_is_unfit(unsigned code, size_t n)
{
        return code < 0x20 || (code >= 0x7f && code < 0xa0) || (n == 1 && code >= 0x80) || code == 0x200e ||
               code == 0x200f || (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

/* Appends text, escaped; in quotes a quote and a backslash are escaped as well. */
static void log_put(struct log_line *line, struct text text, bool quoted)
{
        char escape[12];
        unsigned code;
        size_t n;

        while (text.len > 0) {
                n = log_decode(text, &code);
                if (quoted && (code == '"' || code == '\\'))
                        snprintf(escape, sizeof(escape), "\\%c", (char)code);
                else if (log_is_unfit(code, n))
                        snprintf(escape, sizeof(escape), n == 1 ? "\\x%02x" : "\\u%04x", code);
                else
                        escape[0] = '\0';
                if (escape[0])
                        log_put_whole(line, escape, strlen(escape));
                else
                        log_put_whole(line, text.data, n);
                text = (struct text){ text.data + n, text.len - n };
        }
}

static void log_put_name(struct log_line *line, const char *name)
{
        log_put(line, text_of(" "), false);
        log_put(line, text_of(name), false);
        log_put(line, text_of("="), false);
}

static void log_put_number(struct log_line *line, const char *name, uint64_t number)
{
        char text[LOG_NUMBER_MAX];

        snprintf(text, sizeof(text), "%" PRIu64, number);
        log_put_name(line, name);
        log_put(line, text_of(text), false);
}

static void log_put_about(struct log_line *line, const struct log_about *about)
{
        if (about->key.len > 0) {
                log_put_name(line, "key");
                log_put_whole(line, "\"", 1);
                log_put(line, about->key, true);
                log_put_whole(line, "\"", 1);
        }
        if (about->session)
                log_put_number(line, "session", about->session);
        if (about->waited_ms)
                log_put_number(line, "waited", *about->waited_ms);
}

static void log_put_prefix(struct log_line *line, enum log_level level)
{
        struct timespec now;
        char date[32];
        struct tm tm;

        if (journal_is_stderr()) {
                line->len = (size_t)snprintf(line->text, sizeof(line->text), "<%d>", log_levels[level].priority);
                return;
        }
        clock_gettime(CLOCK_REALTIME, &now);
        gmtime_r(&now.tv_sec, &tm);
        strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
        line->len = (size_t)snprintf(line->text, sizeof(line->text), "%s.%03ldZ %s: ", date, now.tv_nsec / 1000000,
                                     log_levels[level].name);
}

struct log_entry {
        struct journal_field fields[LOG_FIELDS_MAX];
        size_t n;
};

static void log_add(struct log_entry *entry, const char *name, struct text value)
{
        if (value.len > 0)
                entry->fields[entry->n++] = (struct journal_field){ name, value };
}

/* The same to the journal, with a field for each thing that it is about. */
static bool log_to_journal(enum log_level level, const struct log_about *about, struct text message)
{
        char session[LOG_NUMBER_MAX] = "", waited[LOG_NUMBER_MAX] = "";
        const char priority[] = { (char)('0' + log_levels[level].priority), '\0' };
        struct log_entry entry = { .n = 0 };

        log_add(&entry, "MESSAGE", message);
        log_add(&entry, "PRIORITY", text_of(priority));
        log_add(&entry, "SYSLOG_IDENTIFIER", text_of("redlockd"));
        if (about->session)
                snprintf(session, sizeof(session), "%" PRIu64, about->session);
        if (about->waited_ms)
                snprintf(waited, sizeof(waited), "%" PRIu64, *about->waited_ms);
        log_add(&entry, "REDLOCKD_EVENT", text_of(about->event ? about->event : ""));
        log_add(&entry, "REDLOCKD_KEY", about->key);
        log_add(&entry, "REDLOCKD_SESSION", text_of(session));
        log_add(&entry, "REDLOCKD_NODE", text_of(about->node ? about->node : ""));
        log_add(&entry, "REDLOCKD_WAITED", text_of(waited));
        return journal_send(entry.fields, entry.n);
}

static void log_write_line(enum log_level level, const struct log_about *about, const char *text)
{
        static const struct log_about nothing = { .event = NULL };
        struct log_line line = { .len = 0 };
        size_t prefix;

        about = about ? about : &nothing;
        log_put_prefix(&line, level);
        prefix = line.len;
        log_put(&line, text_of(text), false);
        log_put_about(&line, about);
        if (journal_is_stderr() && log_to_journal(level, about, (struct text){ line.text + prefix, line.len - prefix }))
                return;
        line.text[line.len++] = '\n';
        /* Where stderr is gone there is nobody to tell. */
        if (write(STDERR_FILENO, line.text, line.len) < 0)
                return;
}

bool log_rate_admits(struct log_rate *rate, const char *what)
{
        uint64_t second = clock_now_ns() / LOG_NS_PER_S;

        if (second != rate->second) {
                if (rate->n > LOG_RATE_MAX)
                        log_warn("%" PRIu64 " more %s", rate->n - LOG_RATE_MAX, what);
                rate->second = second;
                rate->n = 0;
        }
        return ++rate->n <= LOG_RATE_MAX;
}

void log_write(enum log_level level, const struct log_about *about, const char *format, ...)
{
        char text[LOG_LINE_MAX];
        va_list args;

        if (!log_enabled(level))
                return;
        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        log_write_line(level, about, text);
}
